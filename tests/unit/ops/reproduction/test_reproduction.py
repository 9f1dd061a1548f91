"""From a damaged file to a test: the right commit, few operations, no false alarm, no values."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import cbdd
from cbdd.errors import LockedError
from cbdd.ops.reproduction import replay, reproduce_file
from cbdd.ops.reproduction.replay import BASE, COMMIT, OUTSIDE, SOUND
from cbdd.testing.damage import CLASSES, PATH, damages, specimens
from tests.unit.ops.reproduction import workload

ROOT = Path(__file__).parents[4]
WRITER = "src/cbdd/catalog/writer.py"
FAULTS = {
    "entries of arrays stay": (
        "self._delete_keys(definition, change.removed, record_key)",
        "self._delete_keys(definition, change.removed[:1], record_key)",
    ),
    "unique keys are taken over": (
        "if not txn.insert(definition.tree_id, keys.keys[at], value):",
        "if txn.put(definition.tree_id, keys.keys[at], value) is not None:",
    ),
    "arrays do not mark an index": (
        "if keys.is_multikey and not definition.is_multikey:",
        "if keys.is_multikey and definition.is_multikey:",
    ),
    "deletes leave entries": (
        "extract_keys(definition, old).keys, record_key)",
        "extract_keys(definition, old).keys[:1], record_key)",
    ),
}


class FaultyRelease:
    """This source with a defect in it, and an interpreter that imports it."""

    def __init__(self, folder: Path, fault: tuple[str, str]) -> None:
        shutil.copytree(
            ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
        path = folder / WRITER
        text = path.read_text()
        assert fault[0] in text
        path.write_text(text.replace(*fault))
        self.environment = {**os.environ, "PYTHONPATH": f"{folder / 'src'}:{ROOT}"}
        self.python = folder / "python"
        self.python.write_text(
            f'#!/bin/sh\nPYTHONPATH="{folder / "src"}:{ROOT}" exec "{sys.executable}" "$@"\n'
        )
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    def passes(self, test: Path) -> bool:
        command = [str(self.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


SCALE = int(os.environ.get("CBDD_CRASH_SCALE", "1"))


@pytest.mark.parametrize("name", list(FAULTS) if SCALE > 1 else [*FAULTS][:2])
def test_a_planted_fault_is_found_and_reduced(name: str, tmp_path: Path) -> None:
    release = FaultyRelease(tmp_path / "release", FAULTS[name])
    path = tmp_path / "a.cbdd"
    subprocess.run(
        [release.python, workload.__file__, path, "7", "60"], env=release.environment, check=True
    )
    before = {each.name: each.read_bytes() for each in tmp_path.glob("a.cbdd*")}
    test = tmp_path / "test_it.py"
    made = reproduce_file(str(path), str(test), python=str(release.python))
    assert {each.name: each.read_bytes() for each in tmp_path.glob("a.cbdd*")} == before
    assert made.replay.verdict == COMMIT, made.to_dict()
    assert made.is_written, made.to_dict()
    assert made.is_faked
    assert made.operations <= 6, test.read_text()
    assert "example.org" not in test.read_text()
    assert "things" not in test.read_text()
    assert not release.passes(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_first_bad_commit_is_the_one_that_did_it(tmp_path: Path) -> None:
    release = FaultyRelease(tmp_path / "release", FAULTS["deletes leave entries"])
    program = """
import cbdd, os, sys
client = cbdd.connect(sys.argv[1])
things = client.shop.things
things.create_index("tags")
things.insert_many([{"_id": n, "tags": ["a", n]} for n in range(20)])
client.checkpoint()
things.insert_one({"_id": 100})
things.delete_one({"_id": 100})
print(client.statistics()["visible_lsn"] + 1, flush=True)
things.delete_one({"_id": 5})
things.delete_one({"_id": 6})
os._exit(0)
"""
    path = tmp_path / "a.cbdd"
    command = [release.python, "-c", program, path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = replay(str(path))
    assert found.broken is not None
    assert found.broken.lsn == int(done.stdout)
    assert found.broken.operation == "delete"
    assert {each.code for each in found.breaks} == {"INDEX_COUNT"}
    assert {each.record_id for each in found.breaks} == {6}


def test_what_was_broken_before_the_log_begins_is_told_apart(tmp_path: Path) -> None:
    release = FaultyRelease(tmp_path / "release", FAULTS["deletes leave entries"])
    program = """
import cbdd, sys
with cbdd.connect(sys.argv[1]) as client:
    client.shop.things.create_index("tags")
    client.shop.things.insert_one({"_id": 1, "tags": ["a", "b"]})
    client.backup(sys.argv[2])
    client.shop.things.delete_one({"_id": 1})
"""
    path, backup = tmp_path / "a.cbdd", tmp_path / "backup"
    archive = tmp_path / "archive"
    program = program.replace(
        "connect(sys.argv[1])", f"connect(sys.argv[1], archive={str(archive)!r})"
    )
    subprocess.run([release.python, "-c", program, path, backup], check=True)
    assert replay(str(path)).verdict == BASE
    found = replay(str(path), str(backup), str(archive))
    assert found.verdict == COMMIT
    assert found.broken is not None
    assert found.broken.operation == "delete"


@pytest.mark.parametrize("seed", range(6))
def test_a_sound_history_raises_no_alarm(seed: int, tmp_path: Path) -> None:
    path = workload.killed(tmp_path, seed, 250)
    found = replay(path)
    assert found.breaks == []
    assert found.verdict == SOUND, found.to_dict()
    assert found.commits > 0


@pytest.mark.parametrize("name", CLASSES)
def test_damage_from_outside_is_never_blamed_on_a_commit(name: str, tmp_path: Path) -> None:
    for specimen in specimens(1).values():
        for damaged in damages(specimen, name, 3, 2):
            folder = tmp_path / f"{specimen.name}-{damaged.number}"
            folder.mkdir()
            for path, data in damaged.files.items():
                (folder / Path(path).name).write_bytes(data)
            found = replay(str(folder / Path(PATH).name))
            assert found.verdict in (OUTSIDE, SOUND), (damaged, found.to_dict())
            assert (found.verdict == OUTSIDE) == bool(found.codes), (damaged, found.to_dict())


def test_the_test_of_damage_judges_the_damaged_and_the_repaired_file(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    with cbdd.connect(str(path)) as client:
        client.a.a.insert_many([{"_id": n, "t": "x" * 500} for n in range(100)])
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[damaged.rfind(b"x" * 500)] ^= 1
    path.write_bytes(damaged)
    test = tmp_path / "test_it.py"
    made = reproduce_file(str(path), str(test))
    assert made.replay.verdict == OUTSIDE
    assert "xxx" not in test.read_text()

    def summary(content: bytes) -> str:
        path.write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
            env={**os.environ, "CBDD_INCIDENT_DB": str(path)},
            check=False,
            capture_output=True,
            text=True,
        )
        return re.sub(r" in .*", "", done.stdout.splitlines()[-1])

    assert summary(bytes(damaged)) == "1 failed, 1 passed"
    assert summary(whole) == "2 passed"


def test_a_file_in_use_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")
    with cbdd.connect(path) as client:
        client.a.a.insert_one({})
        with pytest.raises(LockedError):
            replay(path)


def test_a_sound_file_gives_no_test(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")
    with cbdd.connect(path) as client:
        client.a.a.insert_one({})
    made = reproduce_file(path, str(tmp_path / "test_it.py"))
    assert (made.replay.verdict, made.is_written) == (SOUND, False)
    assert not (tmp_path / "test_it.py").exists()
