"""docs/deployment.md as it is written: upgraded and gone back from, with two releases.

The commands are read from the document and run by a shell in the folder of the database. What the
document takes for granted is provided: an environment of the program, in which `cbdd` and `python`
are found, and an index of packages, which is a folder with two wheels.

The later release knows format 3 and, by case, writes files that the earlier one may read and
write, may only read, or must not read.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.wheels import build_wheel

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "deployment.md"
META = "src/cbdd/storage/meta.py"
EARLIER, LATER = "0.1.0", "0.2.0"
CASES = {"writes": (2, 2), "only reads": (2, 3), "does not read": (3, 3)}
"""What the later release's files ask of a reader and of a writer."""

ORDERS = 30
DOCTOR = {"writes": 0, "only reads": 1, "does not read": 4}
CHECK = {"writes": 0, "only reads": 0, "does not read": 4}
SAYS = {"only reads": "NEWER_FORMAT_READ_ONLY", "does not read": "NEWER_FORMAT"}

OLD_WORKER = """
import sys, cbdd
client = cbdd.connect("shop.cbdd")
orders = client["shop"]["orders"]
orders.insert_one({"_id": "old, before"})
print("ready", flush=True)
sys.stdin.readline()
try:
    orders.insert_one({"_id": "old, after"})
    print("wrote", flush=True)
except cbdd.errors.CbddError as error:
    print(error.code, error.next_step, flush=True)
client.close()
print("closed", flush=True)
"""
NEW_WORKER = """
import cbdd
with cbdd.connect("shop.cbdd") as client:
    client["shop"]["orders"].insert_one({"_id": "new"})
    client.checkpoint()
    client["shop"]["orders"].insert_one({"_id": "new, in the log"})
"""


def commands_of(heading: str) -> list[str]:
    """The indented lines of a section, as far as the next heading of its level or above."""
    level = heading.partition(" ")[0]
    text = DOCUMENT.read_text().split(f"\n{heading}\n")[1]
    section = re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^    (\S.*)$", section, re.MULTILINE)


def steps() -> dict[int, list[str]]:
    """The commands of each step of the rollback procedure."""
    headings = re.findall(r"^(### (\d)\. .*)$", DOCUMENT.read_text(), re.MULTILINE)
    return {int(number): commands_of(heading) for heading, number in headings}


@dataclass
class Shell:
    """Where commands are typed: a folder and an environment."""

    folder: Path
    variables: dict[str, str]

    def run(self, command: str, *exit_codes: int) -> str:
        """Run a command as it is written; returns what it says."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode in (exit_codes or (0,)), f"$ {command}\n{done.returncode}: {said}"
        assert "Traceback" not in said
        return said

    def all(self, commands: list[str]) -> str:
        """Run several; each must end with exit code 0."""
        assert commands
        return "".join(self.run(command) for command in commands)


def borrowed_packages(folder: Path) -> Path:
    """What CBDD needs, pip too, without CBDD: nothing is fetched."""
    folder.mkdir()
    for packages in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(packages).iterdir():
            if "cbdd" not in entry.name and entry.suffix not in (".pth", ".so"):
                (folder / entry.name).symlink_to(entry)
    return folder


def later_edits(case: str) -> dict[str, tuple[str, str]]:
    """The source of a later release whose files ask for more."""
    reader, writer = CASES[case]
    if writer == 2:
        return {}
    text = (ROOT / META).read_text()
    edited = text
    for old, new in (
        ("\nFORMAT: Final = 2", "\nFORMAT: Final = 3"),
        ("self.min_reader = FORMAT", f"self.min_reader = {reader}"),
        ("meta.min_reader = fields[1]", f"meta.min_reader = {reader}"),
        ("meta.min_writer = fields[2]", f"meta.min_writer = {writer}"),
    ):
        assert edited.count(old) == 1, old
        edited = edited.replace(old, new)
    return {META: (text, edited)}


def write_orders(folder: Path, name: str, first: int, count: int) -> None:
    lines = [json.dumps({"_id": n, "total": n * 1.5}) for n in range(first, first + count)]
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return borrowed_packages(tmp_path_factory.mktemp("packages") / "borrowed")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("earlier"), EARLIER)


def make_shell(tmp_path: Path, case: str, packages: Path, earlier: Path) -> Shell:
    """A program's environment with the earlier release, and an index with both."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / earlier.name).symlink_to(earlier)
    build_wheel(wheels, LATER, later_edits(case))
    folder = tmp_path / "program"
    folder.mkdir()
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    shell = Shell(
        folder,
        {
            "PATH": f"{environment}/bin:{os.defpath}",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(packages),
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_COMPILE": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "200",
        },
    )
    shell.run(f"python -m pip install cbdd=={EARLIER}")
    write_orders(folder, "orders.jsonl", 0, ORDERS)
    shell.run("cbdd import shop.cbdd orders orders.jsonl")
    shell.run("cbdd create-index shop.cbdd orders total")
    return shell


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.glob("shop.cbdd*") if each.is_file()}


@pytest.fixture(params=list(CASES))
def upgraded(
    request: pytest.FixtureRequest, tmp_path: Path, packages: Path, earlier: Path
) -> tuple[str, Shell]:
    """A database that was upgraded by the document and written since."""
    shell = make_shell(tmp_path, request.param, packages, earlier)
    said = shell.all(commands_of("## Upgrading"))
    assert f"cbdd {LATER} (interpreted" in said
    write_orders(shell.folder, "more.jsonl", ORDERS, 5)
    shell.run("cbdd import shop.cbdd orders more.jsonl")
    return request.param, shell


def test_the_rollback_procedure_works_as_it_is_written(upgraded: tuple[str, Shell]) -> None:
    case, shell = upgraded
    step = steps()
    assert sorted(step) == [1, 2, 3, 4, 5, 6, 7, 8]
    said = shell.all(step[1])
    assert f"cbdd {LATER}" in said
    assert f"last written by CBDD {LATER}" in said
    said = shell.all(step[2])
    assert re.search(r"closed +cleanly", said)
    assert re.search(r"open in +no other process", said)
    shell.all(step[3])
    assert f"cbdd {EARLIER}" in shell.all(step[4])
    asked = files(shell.folder)
    doctor, check = step[5]
    said = shell.run(doctor, DOCTOR[case])
    checked = shell.run(check, CHECK[case])
    if case == "writes":
        assert "verdict: healthy" in said
        assert "no problem found" in checked
    else:
        _refuses_and_names_the_release(shell, case, said + checked)
        assert files(shell.folder) == asked
    if case == "does not read":
        _go_back(shell, step[6])
    assert f"cbdd {EARLIER}" in shell.all(step[7])
    if case == "only reads":  # a program that only reads goes on with the file as it is
        assert shell.run(step[8][-1]).strip() == str(ORDERS + 5)
        assert files(shell.folder) == asked
        return
    said = shell.all(step[8])
    assert "verdict: healthy" in said
    assert re.search(rf"^{ORDERS + 5}$", said, re.MULTILINE)
    _is_used_by_the_earlier_release(shell)


def _refuses_and_names_the_release(shell: Shell, case: str, said: str) -> None:
    """What the earlier release says of the file, and that it does not write it."""
    assert re.search(rf"\b{SAYS[case]}\b", said)
    assert LATER in said
    refused = shell.run("earlier/bin/cbdd import shop.cbdd orders more.jsonl", 4)
    assert f"{SAYS[case]}: " in refused
    assert f"install cbdd {LATER} or later" in refused


def _go_back(shell: Shell, commands: list[str]) -> None:
    for command in commands:
        if " import " in command:
            assert f"{ORDERS} bad, skipped" in shell.run(command, 1)
        else:
            shell.run(command)


def _is_used_by_the_earlier_release(shell: Shell) -> None:
    """It writes, and finds by the index that was there from the beginning."""
    write_orders(shell.folder, "last.jsonl", 1000, 2)
    shell.run("cbdd import shop.cbdd orders last.jsonl")
    explained = shell.run("cbdd find shop.cbdd orders '{\"total\": 1500}' --explain")
    assert "total_1" in explained
    assert f"last written by CBDD {EARLIER}" in shell.run("cbdd info shop.cbdd")


def test_an_old_worker_stops_when_a_new_one_changes_the_file(
    tmp_path: Path, packages: Path, earlier: Path
) -> None:
    shell = make_shell(tmp_path, "only reads", packages, earlier)
    shell.run(
        f"python -m venv --without-pip later && later/bin/python -m pip install cbdd=={LATER}"
    )
    worker = subprocess.Popen(
        ["python", "-c", OLD_WORKER],
        cwd=shell.folder,
        env=shell.variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    (shell.folder / "new_worker.py").write_text(NEW_WORKER)
    shell.run("later/bin/python new_worker.py")
    before = files(shell.folder)
    said, _ = worker.communicate("go on\n")
    assert said.splitlines() == [
        f"NEWER_FORMAT_READ_ONLY open with read_only=True, or install cbdd {LATER} or later",
        "closed",
    ]
    assert worker.returncode == 0
    after = files(shell.folder)
    assert {name: after[name] for name in before if "-wal-" in name or name == "shop.cbdd"} == {
        name: before[name] for name in before if "-wal-" in name or name == "shop.cbdd"
    }
    said = shell.run("later/bin/cbdd find shop.cbdd orders '{}' --count")
    assert said.strip() == str(ORDERS + 3)
    assert "verdict: healthy" in shell.run("later/bin/cbdd doctor shop.cbdd")


def test_the_document_has_the_section_that_the_runbook_names() -> None:
    assert "\n## Rollback procedure\n" in DOCUMENT.read_text()
    every = commands_of("## Upgrading") + [each for step in steps().values() for each in step]
    found = re.findall(r"^    (\S.*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert found == every, "an indented line that no test runs"
