"""Every class of damage is told apart, and the commands that are printed work."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from typer.testing import CliRunner, Result

import cbdd
from cbdd.cli.app import app
from cbdd.cli.failures import DAMAGED
from cbdd.codes import CODES
from cbdd.ops import Diagnosis, diagnose
from cbdd.ops.diagnosis import AT_RISK, CANNOT_OPEN, HEALTHY, REPAIRABLE, WARNING
from cbdd.ops.doctor_schema import SCHEMA, schema_text
from cbdd.query.parser import parse_filter
from cbdd.storage.meta import SLOT_OFFSETS
from tests.damage.test_dropped import COUNT, PAGE_BYTES, damage, make
from tests.unit.ops.inspection.test_inspection import killed, last_log

pytestmark = pytest.mark.damage

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    made = tmp_path / "it's a shop.cbdd"
    make(made)
    return made


def codes(diagnosis: Diagnosis) -> list[str]:
    return [finding.code for finding in diagnosis.findings]


def run(command: str, *exit_codes: int) -> Result:
    words = shlex.split(command)
    assert words[0] == "cbdd"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code in (exit_codes or (0,)), result.output
    return result


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


def test_a_healthy_file(path: Path) -> None:
    diagnosis = diagnose(str(path))
    assert (diagnosis.verdict, diagnosis.findings) == (HEALTHY, [])
    assert diagnosis.facts["is_clean"]
    assert diagnosis.facts["disk_free_bytes"] > 0


@pytest.mark.parametrize("index", ["k_1", "_id_"])
@pytest.mark.parametrize("level", [0, 1])
def test_damage_in_an_index_is_repaired_by_what_is_printed(
    path: Path, level: int, index: str
) -> None:
    damage(path, index, level)
    diagnosis = diagnose(str(path))
    assert diagnosis.verdict == REPAIRABLE
    (finding,) = diagnosis.findings
    assert (finding.code, finding.severity) == ("PAGE_CHECKSUM", "SEV-2")
    assert finding.where["index"] == index
    assert "documents" not in finding.where
    for command in finding.commands:
        run(command)
    after = diagnose(str(path))
    assert codes(after) == (["PAGE_LEAKED"] if level else [])
    assert after.verdict == (WARNING if level else HEALTHY)


def test_damage_in_documents_names_them_and_saves_the_others(path: Path) -> None:
    damage(path, None, 0)
    diagnosis = diagnose(str(path))
    assert diagnosis.verdict == AT_RISK
    (finding,) = diagnosis.findings
    assert (finding.code, finding.severity) == ("PAGE_CHECKSUM", "SEV-1")
    assert (finding.where["database"], finding.where["collection"]) == ("shop", "things")
    lost = finding.where["documents"]
    assert isinstance(lost, int)
    assert 0 < lost < COUNT // 2
    assert diagnosis.readable == ["shop.others"]
    shown = CliRunner().invoke(app, ["doctor", str(path)]).stdout
    assert "whole: shop.others" in shown
    recovered = recover(finding.commands)
    with cbdd.connect(recovered) as client:
        assert client.shop.things.count_documents({}) == COUNT - lost
        assert client.shop.others.count_documents({}) == 10


def recover(commands: list[str]) -> Path:
    """Run the one command, which recovers; returns the new file, which is healthy."""
    (command,) = commands
    words = shlex.split(command)
    assert words[:2] == ["cbdd", "recover"]
    run(command, DAMAGED)
    target = Path(words[-1])
    assert diagnose(str(target)).verdict == HEALTHY
    return target


def test_an_index_is_not_made_anew_from_damaged_documents(path: Path) -> None:
    damage(path, "k_1", 0)
    damage(path, None, 0)
    diagnosis = diagnose(str(path))
    assert [each.severity for each in diagnosis.findings] == ["SEV-1", "SEV-2"]
    assert diagnosis.findings[0].commands == diagnosis.findings[1].commands
    recover(diagnosis.findings[1].commands)


def test_nothing_is_repaired_in_a_file_that_does_not_open_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "shop.cbdd"
    killed(path)
    LOST_LOGS["WAL_HOLE"](last_log(path))
    data = bytearray(path.read_bytes())
    data[SLOT_OFFSETS[0][0] + 50] ^= 1
    path.write_bytes(data)
    diagnosis = diagnose(str(path))
    assert sorted(codes(diagnosis)) == ["META_COPY_DAMAGED", "WAL_HOLE"]
    assert {command.split()[1] for each in diagnosis.findings for command in each.commands} == {
        "recover"
    }


def test_damage_high_in_a_tree_counts_all_that_is_behind_it(path: Path) -> None:
    damage(path, None, 1)
    (finding,) = diagnose(str(path)).findings
    assert finding.where["documents"] == COUNT


@pytest.mark.parametrize("copy", range(4))
def test_a_damaged_copy_of_the_meta_page_is_renewed_by_what_is_printed(
    path: Path, copy: int
) -> None:
    offset = [each for offsets in SLOT_OFFSETS for each in offsets][copy]
    data = bytearray(path.read_bytes())
    data[offset + 50] ^= 1
    path.write_bytes(data)
    diagnosis = diagnose(str(path))
    assert diagnosis.verdict == WARNING
    (finding,) = diagnosis.findings
    assert finding.code == "META_COPY_DAMAGED"
    for command in finding.commands:
        run(command)
    assert diagnose(str(path)).findings == []


def test_a_wrong_index_is_repaired_by_what_is_printed(path: Path) -> None:
    with cbdd.connect(path) as client:
        store = client._store
        with store.engine.begin_write("break") as txn:
            entry = store.catalog.find(txn, "shop", "things")
            assert entry is not None
            definition = entry.index_named("k_1")
            assert definition is not None
            cursor = txn.cursor(definition.tree_id)
            assert cursor.first()
            txn.delete(definition.tree_id, cursor.key)
            txn.commit()
    diagnosis = diagnose(str(path))
    assert diagnosis.verdict == REPAIRABLE
    assert codes(diagnosis) == ["INDEX_ENTRY_MISSING"]
    run(diagnosis.findings[0].commands[0])
    assert diagnose(str(path)).verdict == HEALTHY


def without_meta(data: bytes) -> bytes:
    """The file with one bit changed in every copy of its meta page."""
    changed = bytearray(data)
    for offset in [offset for offsets in SLOT_OFFSETS for offset in offsets]:
        changed[offset + 50] ^= 1
    return bytes(changed)


BROKEN: dict[str, Callable[[Path], object]] = {
    "NOT_A_DATABASE": lambda path: path.write_bytes(b"SQLite format 3\0" * 1000),
    "EMPTY_FILE": lambda path: path.write_bytes(b""),
    "FILE_TRUNCATED": lambda path: path.write_bytes(path.read_bytes()[:300_000]),
    "NOT_FOUND": lambda path: path.unlink(),
    "META_DAMAGED": lambda path: path.write_bytes(without_meta(path.read_bytes())),
}


@pytest.mark.parametrize("code", BROKEN)
def test_what_cannot_be_opened_is_told_apart(path: Path, code: str) -> None:
    BROKEN[code](path)
    diagnosis = diagnose(str(path))
    assert (diagnosis.verdict, codes(diagnosis)) == (CANNOT_OPEN, [code])
    for command in diagnosis.findings[0].commands:
        run(command, 0, DAMAGED)
    result = CliRunner().invoke(app, ["doctor", str(path)])
    assert result.exit_code == CANNOT_OPEN
    assert code in result.stdout


def test_a_file_without_a_meta_page_is_recovered_whole_by_what_is_printed(path: Path) -> None:
    BROKEN["META_DAMAGED"](path)
    (command,) = diagnose(str(path)).findings[0].commands
    run(command)
    with cbdd.connect(shlex.split(command)[-1]) as client:
        assert client.shop.things.count_documents({}) == COUNT
        assert client.shop.things.find_one({"k": f"{7919 % COUNT:09d}"}) is not None
    (again,) = diagnose(str(path)).findings[0].commands
    assert again != command
    run(again)


def test_a_file_that_was_cut_tells_what_is_behind_the_cut(path: Path) -> None:
    with cbdd.connect(path) as client:
        client.shop.gone.insert_many([{"pad": "x" * PAGE_BYTES} for _ in range(60)])
        client.checkpoint()
        client.shop.things.insert_many([{"pad": "x" * PAGE_BYTES} for _ in range(60)])
        client.checkpoint()
        client.shop.gone.drop()
        for _ in range(4):  # the directory of trees moves into free pages in the middle
            client.shop.others.insert_one({})
            client.checkpoint()
        end = client.statistics()["page_count"]
    assert isinstance(end, int)
    cut = (end - 10) * PAGE_BYTES
    path.write_bytes(path.read_bytes()[:cut])
    diagnosis = diagnose(str(path))
    assert diagnosis.verdict == AT_RISK
    assert codes(diagnosis)[0] == "FILE_TRUNCATED"
    assert diagnosis.findings[0].where["found"] == cut
    things = [each for each in diagnosis.findings if each.where.get("collection") == "things"]
    assert things
    commands = {command for each in diagnosis.findings for command in each.commands}
    recover([command for command in commands if " recover " in command])
    shown = CliRunner().invoke(app, ["doctor", str(path)]).stdout
    assert shown.count("cbdd recover") == 1 + shown.count("`cbdd recover")


LOST_LOGS: dict[str, Callable[[Path], object]] = {
    "WAL_MISSING": lambda log: log.unlink(),
    "WAL_HEADER_DAMAGED": lambda log: log.write_bytes(b"x" + log.read_bytes()[1:]),
    "WAL_HOLE": lambda log: log.write_bytes(
        log.read_bytes()[:4200] + b"\xff" * 8 + log.read_bytes()[4208:]
    ),
}


@pytest.mark.parametrize("code", LOST_LOGS)
def test_what_is_wrong_with_a_log_is_told_with_its_place(tmp_path: Path, code: str) -> None:
    path = tmp_path / "shop.cbdd"
    killed(path)
    LOST_LOGS[code](last_log(path))
    before = files_of(tmp_path)
    diagnosis = diagnose(str(path))
    assert files_of(tmp_path) == before
    assert diagnosis.verdict == AT_RISK
    assert codes(diagnosis)[0] == code
    where = diagnosis.findings[0].where
    assert where["segment"] == int(last_segment_number(path, code))
    if code == "WAL_HOLE":
        assert {"offset", "lsn", "expected", "found"} <= where.keys()
    with cbdd.connect(path, mode="salvage") as client:
        assert client.shop.things.count_documents({}) == 1
        assert [each.code for each in client.recovery_report.findings] == [code]
    with pytest.raises(cbdd.CorruptDataError):
        cbdd.connect(path)
    command = next(each for each in diagnosis.findings[0].commands if " recover " in each)
    run(command, 0, DAMAGED)


def last_segment_number(path: Path, code: str) -> str:
    numbers = sorted(each.name[-6:] for each in path.parent.glob("*-wal-*"))
    return f"{int(numbers[-1]) + 1 if code == 'WAL_MISSING' else int(numbers[-1])}"


def test_every_answer_is_as_the_schema_says(path: Path) -> None:
    # MongoDB's JSON Schema has no integers.
    schema = json.loads(json.dumps(SCHEMA).replace('"integer"', '"number"'))
    is_right = parse_filter({"$jsonSchema": schema})

    def judge() -> None:
        facts = json.loads(CliRunner().invoke(app, ["doctor", str(path), "--json"]).stdout)
        assert is_right.matches(bson.encode(facts)), facts
        for finding in facts["findings"]:
            assert not is_right.matches(
                bson.encode({**facts, "findings": [{**finding, "code": 1}]})
            )

    judge()
    whole = path.read_bytes()
    for harm in BROKEN.values():
        path.write_bytes(whole)
        harm(path)
        judge()
    path.write_bytes(whole[:300_000])
    judge()
    path.write_bytes(whole)
    damage(path, None, 0)
    judge()


def test_the_schema_is_published() -> None:
    assert (ROOT / "docs" / "doctor.schema.json").read_text() == schema_text(), "run `make codes`"


def test_a_folder_and_a_server_are_no_files(path: Path) -> None:
    diagnosis = diagnose(str(path.parent))
    assert (diagnosis.verdict, codes(diagnosis)) == (CANNOT_OPEN, ["NOT_A_FILE"])
    assert CliRunner().invoke(app, ["doctor", "mongodb://localhost"]).exit_code == 2


def test_a_path_that_cannot_be_is_no_failing_disk(path: Path) -> None:
    (path.parent / "loop").symlink_to("loop")
    for bad in ("a" * 300, "loop", f"{path}/below"):
        diagnosis = diagnose(bad)
        assert (diagnosis.verdict, codes(diagnosis)) == (CANNOT_OPEN, ["NOT_FOUND"])


def test_a_second_name_is_a_warning(path: Path) -> None:
    os.link(path, path.parent / "other")
    diagnosis = diagnose(str(path))
    assert (diagnosis.verdict, codes(diagnosis)) == (WARNING, ["HARD_LINKED"])


def test_a_file_in_use_is_judged_and_who_has_it_is_named(path: Path) -> None:
    with cbdd.connect(path) as client:
        client.shop.things.insert_one({"_id": -1})
        diagnosis = diagnose(str(path))
        assert (diagnosis.verdict, codes(diagnosis)) == (HEALTHY, ["IN_USE"])
        assert diagnosis.findings[0].where["pids"] == [os.getpid()]


def test_a_file_that_was_replaced_under_a_process_is_told(path: Path) -> None:
    copy = path.parent / "copy"
    copy.write_bytes(path.read_bytes())
    with cbdd.connect(path) as client:
        client.shop.things.insert_one({"_id": -1})
        os.replace(copy, path)
        diagnosis = diagnose(str(path))
        assert diagnosis.verdict == AT_RISK
        replaced = [each for each in diagnosis.findings if each.code == "FILE_REPLACED"]
        assert [each.where["pids"] for each in replaced] == [[os.getpid()]]


def test_who_holds_a_lock_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbdd.ops.doctor.LOCK_SECONDS", 0.05)
    code = (
        "import sys, time; from cbdd.storage.io import Io; from cbdd.storage.locks import OPEN\n"
        "io = Io(); fd = io.open(sys.argv[1], False, False); assert io.lock(fd, OPEN, True)\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        diagnosis = diagnose(str(path))
        assert (diagnosis.verdict, codes(diagnosis)) == (CANNOT_OPEN, ["LOCKED"])
        assert diagnosis.findings[0].where["pids"] == [holder.pid]
        shown = CliRunner().invoke(app, ["doctor", str(path)]).stdout
        assert f"open in process {holder.pid}" in shown
        holder.communicate()


def test_nothing_is_written(path: Path) -> None:
    damage(path, "k_1", 0)
    before = files_of(path.parent)
    diagnose(str(path))
    diagnose(str(path), quick=True)
    assert files_of(path.parent) == before


def test_quick_reads_no_pages(path: Path) -> None:
    damage(path, None, 0)
    assert diagnose(str(path), quick=True).verdict == HEALTHY
    result = CliRunner().invoke(app, ["doctor", str(path), "--quick"])
    assert (result.exit_code, "every page" in result.stdout) == (0, False)


def test_progress_is_told(path: Path) -> None:
    with cbdd.connect(path) as client:
        client.shop.big.insert_many([{"pad": "x" * PAGE_BYTES} for _ in range(600)])
    seen: list[tuple[int, int]] = []
    assert diagnose(str(path), progress=lambda done, total: seen.append((done, total))).verdict == 0
    assert seen
    assert all(0 < done <= total for done, total in seen)


def test_the_command_line_says_the_same(path: Path) -> None:
    damage(path, "k_1", 0)
    result = CliRunner().invoke(app, ["doctor", str(path), "--json"])
    assert result.exit_code == REPAIRABLE
    facts: dict[str, Any] = json.loads(result.stdout)
    assert facts["verdict"] == REPAIRABLE
    (finding,) = facts["findings"]
    assert set(finding) == {"code", "severity", "message", "where", "advice", "commands"}
    assert finding["code"] in CODES
    shown = CliRunner().invoke(app, ["doctor", str(path)])
    assert shown.exit_code == REPAIRABLE
    assert f"$ {finding['commands'][0]}" in shown.stdout
    assert "can be repaired without loss" in shown.stdout
