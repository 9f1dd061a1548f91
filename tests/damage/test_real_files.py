"""The same with real files: a process that killed itself, `cbdd.connect`, the `cbdd` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cbdd
from cbdd.cli.app import app
from cbdd.cli.failures import CANNOT_OPEN, DAMAGED, DONE
from cbdd.errors import CbddError
from tests.damage.layout import frames_of
from tests.damage.specimen import flipped, replaced
from tests.damage.victim import CLOSED_DOCUMENTS, COMMITS, document

pytestmark = [pytest.mark.damage, pytest.mark.recovery]
ROOT = Path(__file__).resolve().parents[2]
ALL = [document(number) for number in range(CLOSED_DOCUMENTS + COMMITS)]
Contents = dict[str, bytes]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What a process left that killed itself after acknowledged commits."""
    folder = tmp_path_factory.mktemp("killed")
    result = subprocess.run(
        [sys.executable, "-m", "tests.damage.victim", str(folder / "shop.cbdd")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert len(result.stdout.split()) == COMMITS
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def laid_out(folder: Path, contents: Contents) -> Path:
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder / "shop.cbdd"


def documents_of(path: Path, **options: Any) -> list[dict[str, Any]]:
    with cbdd.connect(path, must_exist=True, **options) as client:
        return list(client.shop.items.find().sort("_id", 1))


def refusal_of(path: Path, **options: Any) -> CbddError:
    with pytest.raises(CbddError) as caught:
        documents_of(path, **options)
    assert caught.value.next_step
    return caught.value


def log_of(contents: Contents) -> str:
    names = [name for name in contents if "-wal-" in name]
    assert len(names) == 1
    return names[0]


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_every_acknowledged_document_is_there_after_a_kill(
    killed: Contents, tmp_path: Path
) -> None:
    path = laid_out(tmp_path, killed)
    assert documents_of(path, read_only=True) == ALL
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == killed
    assert documents_of(path) == ALL
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shop.cbdd", "shop.cbdd-events"]
    assert documents_of(path) == ALL


@pytest.mark.parametrize("number", range(COMMITS))
def test_a_damaged_frame_is_a_hole_and_the_log_stays(
    killed: Contents, tmp_path: Path, number: int
) -> None:
    name = log_of(killed)
    offset, frame = frames_of(killed[name])[number]
    damaged = flipped(killed[name], (offset + 90) * 8 + number % 8)
    path = laid_out(tmp_path, {**killed, name: damaged})
    for _ in range(2):
        error = refusal_of(path)
        assert error.code == "WAL_HOLE"
        assert error.details["lsn"] == frame.lsn
        assert (tmp_path / name).read_bytes() == damaged
        assert path.read_bytes() == killed["shop.cbdd"]
    assert refusal_of(path, read_only=True).code == "WAL_HOLE"
    with pytest.raises(CbddError, match="salvage without read_only"):
        cbdd.connect(path, salvage=True)
    salvaged = documents_of(path, read_only=True, salvage=True)
    assert salvaged == ALL[: CLOSED_DOCUMENTS + number]


def test_a_deleted_log_is_refused_and_put_back_it_is_whole(
    killed: Contents, tmp_path: Path
) -> None:
    name = log_of(killed)
    path = laid_out(tmp_path, killed)
    (tmp_path / name).unlink()
    assert refusal_of(path).code == "WAL_MISSING"
    (tmp_path / name).write_bytes(killed[name])
    assert documents_of(path) == ALL


def test_a_file_of_no_bytes_is_not_made_anew(killed: Contents, tmp_path: Path) -> None:
    path = laid_out(tmp_path, {**killed, "shop.cbdd": b""})
    with pytest.raises(CbddError) as caught:
        cbdd.connect(path)
    assert caught.value.code == "EMPTY_FILE"
    assert path.read_bytes() == b""


def test_a_missing_file_beside_its_log_is_not_made_anew(killed: Contents, tmp_path: Path) -> None:
    path = laid_out(tmp_path, killed)
    path.unlink()
    with pytest.raises(CbddError) as caught:
        cbdd.connect(path)
    assert caught.value.code == "DATABASE_MISSING"
    assert not path.exists()


# -- the command line ------------------------------------------------------------------------


def closed(killed: Contents, tmp_path: Path) -> tuple[Path, bytes]:
    path = laid_out(tmp_path, killed)
    assert documents_of(path) == ALL
    return path, path.read_bytes()


def test_check_of_a_whole_file_ends_with_0(killed: Contents, tmp_path: Path) -> None:
    path, data = closed(killed, tmp_path)
    result = run("check", str(path))
    assert result.exit_code == DONE
    assert "no problem found" in result.stdout
    assert path.read_bytes() == data


def test_check_of_a_damaged_page_names_it_and_ends_with_3(killed: Contents, tmp_path: Path) -> None:
    path, data = closed(killed, tmp_path)
    with cbdd.connect(path) as client:
        report = client.check()
        pages = report.pages + report.free_pages
        assert report.problems == []
    found = 0
    for page in range(16, len(data) // 4096):
        path.write_bytes(replaced(data, page * 4096, bytes(4096)))
        result = run("check", str(path))
        assert "Traceback" not in result.output
        if result.exit_code == DONE:
            continue
        assert result.exit_code == DAMAGED, result.output
        assert "PAGE_ZEROED" in result.output or "PAGE_CHECKSUM" in result.output
        found += "PAGE_ZEROED" in result.output and f"page {page} " in result.output
    assert found > 0
    assert found <= pages


@pytest.mark.parametrize(
    ("damage", "code", "exit_code"),
    [
        ("cut", "_TRUNCATED", DAMAGED),
        ("meta", "META_DAMAGED", DAMAGED),
        ("empty", "EMPTY_FILE", CANNOT_OPEN),
        ("other", "NOT_A_DATABASE", CANNOT_OPEN),
    ],
)
def test_check_of_a_file_that_cannot_be_opened_says_why(
    killed: Contents, tmp_path: Path, damage: str, code: str, exit_code: int
) -> None:
    data = killed["shop.cbdd"]
    main = {
        "cut": data[:70_000],  # behind the last page there is only the reserve
        "meta": replaced(replaced(data, 60, b"??????"), 32768 + 60, b"??????"),
        "empty": b"",
        "other": b"?" * len(data),
    }[damage]
    if damage == "meta":
        main = replaced(replaced(main, 16384 + 60, b"??????"), 49152 + 60, b"??????")
    path = laid_out(tmp_path, {**killed, "shop.cbdd": main})
    result = run("check", str(path))
    assert result.exit_code == exit_code, result.output
    assert code in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert path.read_bytes() == main


def test_check_of_a_file_without_its_log_tells_it(killed: Contents, tmp_path: Path) -> None:
    contents = {name: data for name, data in killed.items() if name != log_of(killed)}
    result = run("check", str(laid_out(tmp_path, contents)))
    assert (result.exit_code, "WAL_MISSING" in result.stdout) == (DAMAGED, True)


def test_check_of_a_log_with_a_hole_tells_it(killed: Contents, tmp_path: Path) -> None:
    name = log_of(killed)
    offset = frames_of(killed[name])[5][0]
    path = laid_out(tmp_path, {**killed, name: flipped(killed[name], (offset + 90) * 8)})
    result = run("check", str(path))
    assert result.exit_code == DAMAGED
    assert "WAL_HOLE" in result.output
    facts = json.loads(run("check", "--json", str(path)).stdout)
    assert facts["is_clean"] is False
    assert [problem["code"] for problem in facts["problems"]] == ["WAL_HOLE"]


@pytest.mark.parametrize("command", [["find"], ["export"], ["stats"], ["indexes"]])
def test_commands_refuse_a_log_with_a_hole_unless_they_salvage(
    killed: Contents, tmp_path: Path, command: list[str]
) -> None:
    name = log_of(killed)
    offset = frames_of(killed[name])[5][0]
    path = laid_out(tmp_path, {**killed, name: flipped(killed[name], (offset + 90) * 8)})
    words = [command[0], str(path), *([] if command == ["stats"] else ["items"])]
    result = run(*words)
    assert result.exit_code == DAMAGED
    assert "WAL_HOLE" in result.stderr and not result.stdout
    result = run(*words, "--salvage")
    assert result.exit_code == DONE
    assert "SEV-1 WAL_HOLE" in result.stderr and result.stdout
    assert "SEV-1 WAL_HOLE" in run("info", str(path)).stdout


def test_check_lists_every_damaged_page_and_what_it_belongs_to(
    killed: Contents, tmp_path: Path
) -> None:
    path, data = closed(killed, tmp_path)

    def problems_with(damaged: bytes) -> list[dict[str, Any]]:
        path.write_bytes(damaged)
        result = run("check", "--json", str(path))
        return list(json.loads(result.stdout)["problems"]) if result.stdout else []

    touching: list[int] = []
    for page in range(16, len(data) // 4096):
        problems = problems_with(replaced(data, page * 4096, bytes(4096)))
        if any(problem["namespace"] == "shop.items" for problem in problems):
            assert {problem["page"] for problem in problems} == {page}
            touching.append(page)
    assert len(touching) > 2
    first, last = touching[0], touching[-1]
    both = replaced(replaced(data, first * 4096, bytes(4096)), last * 4096, bytes(4096))
    assert {problem["page"] for problem in problems_with(both)} == {first, last}
