"""The coverage gate: what it measures, compares and says, on a small tree of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripts.coverage_check import BELOW, KEPT, ROOT, UNKNOWN, groups_of, main, ranges

SETTINGS = """
[tool.coverage.run]
source_pkgs = ["small"]
branch = true
parallel = true
data_file = "data/coverage"

[tool.cbdd.coverage.everything]
files = ["src/small/**/*.py"]
lines = {lines}
branches = {branches}

[tool.cbdd.coverage.core]
files = ["src/small/core*.py"]
lines = 100
branches = 50
"""
CORE = """\
def sign(number):
    if number < 0:
        return -1
    return 1
"""
REST = """\
def never():
    first = 1
    second = 2
    return first + second
"""


def make_tree(folder: Path, lines: float = 30, branches: float = 50, run: str = "sign(1)") -> Path:
    """A package of which a program has run a part, measured; returns its pyproject.toml."""
    package = folder / "src" / "small"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core.py").write_text(CORE)
    (package / "rest.py").write_text(REST)
    pyproject = folder / "pyproject.toml"
    pyproject.write_text(SETTINGS.format(lines=lines, branches=branches))
    (folder / "data").mkdir()
    program = folder / "program.py"
    program.write_text(f"from small.core import sign\n{run}\n")
    variables = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    subprocess.run(
        [sys.executable, "-m", "coverage", "run", "program.py"],
        cwd=folder,
        env=variables | {"PYTHONPATH": str(folder / "src")},
        check=True,
    )
    return pyproject


def judged(pyproject: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any]:
    exit_code = main(["--pyproject", str(pyproject), "--json", *more])
    return exit_code, json.loads(capsys.readouterr().out)


def test_lines_and_branches_are_compared_with_their_thresholds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exit_code, found = judged(make_tree(tmp_path, lines=30), capsys)
    assert exit_code == BELOW
    assert not found["is_kept"]
    everything, core = found["groups"]
    # of 8 statements 3 ran: rest.py was never imported and counts nevertheless
    assert (everything["lines"], everything["branches"]) == (37.5, 50.0)
    assert everything["files"] == 3
    assert everything["is_kept"]
    assert everything["worst"][0]["file"] == "src/small/rest.py"
    assert everything["worst"][0]["missing"] == "1-4"
    assert (core["lines"], core["branches"]) == (75.0, 50.0)
    assert not core["is_kept"]
    assert core["worst"] == [{"file": "src/small/core.py", "missed": 2, "missing": "3"}]


def test_what_is_kept_ends_with_0_and_is_shown_as_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pyproject = make_tree(tmp_path, run="sign(1), sign(-1)")
    assert main(["--pyproject", str(pyproject)]) == KEPT
    said = capsys.readouterr().out
    assert "BELOW" not in said
    assert said.count("kept") == 2
    assert "100.00" in said
    assert "everything: src/small/rest.py, 4 not run\n    1-4" in said
    assert main(["--pyproject", str(pyproject), "--worst", "0"]) == KEPT
    assert "rest.py" not in capsys.readouterr().out


def test_no_data_is_no_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pyproject = make_tree(tmp_path)
    for path in (tmp_path / "data").iterdir():
        path.unlink()
    exit_code, found = judged(pyproject, capsys)
    assert exit_code == UNKNOWN
    assert "make coverage" in found["error"]


def test_data_of_other_source_is_no_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pyproject = make_tree(tmp_path, run="sign(1), sign(-1)")
    assert judged(pyproject, capsys)[0] == KEPT
    core = tmp_path / "src" / "small" / "core.py"
    later = core.stat().st_mtime + 1000
    os.utime(core, (later, later))
    exit_code, found = judged(pyproject, capsys)
    assert exit_code == UNKNOWN
    assert "core.py has changed since it was measured" in found["error"]


def test_what_ran_elsewhere_counts_where_it_is_named_and_is_left_out_where_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, installed, gone = (tmp_path / name for name in ("here", "installed", "gone"))
    pyproject = make_tree(here)
    for folder in (installed, gone):
        make_tree(folder, run="sign(-1)")
        for path in (folder / "data").iterdir():
            path.rename(here / "data" / path.name)
        shutil.rmtree(folder)
    with pyproject.open("a") as file:
        file.write(f'[tool.coverage.paths]\nsmall = ["src/small", "{installed}/src/small"]\n')
    monkeypatch.chdir(here)
    exit_code, found = judged(pyproject, capsys)
    assert exit_code == KEPT
    assert [(each["group"], each["files"]) for each in found["groups"]] == [
        ("everything", 3),
        ("core", 1),
    ]
    assert found["groups"][1]["lines"] == 100.0


def test_a_file_that_was_not_measured_is_no_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pyproject = make_tree(tmp_path)
    (tmp_path / "src" / "small" / "core_new.py").write_text("added = 1\n")
    exit_code, found = judged(pyproject, capsys)
    assert exit_code == UNKNOWN
    assert "core_new.py was not measured" in found["error"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"src/small/core*.py"', '"src/small/gone*.py"'), "matches no file"),
        (("lines = 100", "lines = 101"), "no percentage"),
        (("lines = 100", 'lines = "all"'), "no percentage"),
        (("branches = 50\n\n", "\n\n"), "must have"),
        (("lines = 100", "lines ="), "no [tool.cbdd.coverage]"),
        (("tool.cbdd.", "tool.other."), "no [tool.cbdd.coverage]"),
        (('files = ["src/small/core*.py"]', "files = []"), "list of patterns"),
    ],
)
def test_thresholds_that_make_no_sense_are_no_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    (tmp_path / "src" / "small").mkdir(parents=True)
    (tmp_path / "src" / "small" / "core.py").write_text(CORE)
    pyproject = tmp_path / "pyproject.toml"
    text = SETTINGS.format(lines=1, branches=50)
    assert change[0] in text
    pyproject.write_text(text.replace(*change))
    exit_code, found = judged(pyproject, capsys)
    assert exit_code == UNKNOWN
    assert said in found["error"]


def test_the_core_is_held_to_thresholds_of_its_own() -> None:
    groups = {group.name: group for group in groups_of(ROOT / "pyproject.toml")}
    assert list(groups) == ["everything", "storage", "log", "recovery", "transactions"]
    for name, file in (
        ("storage", "src/cbdd/storage/btree.py"),
        ("log", "src/cbdd/storage/wal.py"),
        ("recovery", "src/cbdd/ops/recovery/recover.py"),
        ("transactions", "src/cbdd/storage/sync.py"),
    ):
        assert file in groups[name].files
        assert set(groups[name].files) <= set(groups["everything"].files)
    for group in groups.values():
        assert group.thresholds["lines"] >= 90, "a gate that lets anything pass"
        assert group.thresholds["branches"] >= 80


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], []), ([5], ["5"]), ([1, 2, 4, 5, 6, 9], ["1-2", "4-6", "9"])],
)
def test_numbers_that_follow_each_other_are_ranges(numbers: list[int], text: list[str]) -> None:
    assert ranges(numbers) == text
