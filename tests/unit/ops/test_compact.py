"""Compacting keeps everything, gives back what is free, and is done wholly or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cbdd
from cbdd.cli.app import app
from cbdd.cli.failures import CANNOT_OPEN, DAMAGED
from cbdd.errors import CorruptDataError, DiskFullError, LockedError, ReplacedFileError
from cbdd.ops import diagnose
from cbdd.ops.compact import compact_file
from cbdd.ops.inspection import compare_files
from cbdd.testing import CrashingDatabase, SeededRandomness, TickingClock
from cbdd.testing.databases import PATH, connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo
from cbdd.testing.recording import RecordingIo
from tests.damage.test_dropped import COUNT, damage, make


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "shop.cbdd"
    make(made)
    with cbdd.connect(made) as client:
        client.shop.things.insert_one({"_id": -1, "pad": "x" * 100_000, "tags": [1, 2]})
        client.shop.things.create_index("tags", unique=True, sparse=True)
        client.shop.gone.insert_many([{"pad": "x" * 1000} for _ in range(3000)])
        client.checkpoint()
        client.shop.gone.drop()
        client.shop.create_collection("last", capped=True, size=9000)
        client.shop.last.insert_many([{"_id": n, "pad": "x" * 90} for n in range(200)])
    return made


def test_everything_is_kept_and_what_is_free_is_given_back(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.cbdd"
    copy.write_bytes(path.read_bytes())
    os.chmod(path, 0o640)
    report = compact_file(str(path))
    assert report.after_bytes == path.stat().st_size < report.before_bytes // 2
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == {"copy.cbdd", "shop.cbdd", "shop.cbdd-events"}
    with cbdd.connect(path) as client, cbdd.connect(copy) as original:
        assert client.recovery_report.was_clean
        assert client.recovery_report.findings == []
        assert client.check().is_clean
        assert compare_files(original, client).is_empty
        assert client.statistics()["uuid"] == original.statistics()["uuid"]
        for name in original.shop.list_collection_names():
            assert client.shop[name].index_information() == original.shop[name].index_information()
        client.shop.things.insert_one({"_id": "more"})
        client.shop.last.insert_one({"_id": 500, "pad": "x" * 90})
        assert client.check().is_clean


def test_a_second_time_changes_nothing_much(path: Path) -> None:
    first = compact_file(str(path)).after_bytes
    assert compact_file(str(path)).after_bytes == first


def test_leaked_pages_are_given_back_by_what_doctor_prints(path: Path) -> None:
    damage(path, "k_1", 1)
    with cbdd.connect(path) as client:
        client.shop.things.reindex("k_1")
        client.checkpoint()
    assert [each.code for each in diagnose(str(path)).findings] == ["PAGE_LEAKED"]
    (finding,) = diagnose(str(path)).findings
    assert finding.commands == [f"cbdd compact {path}"]
    assert CliRunner().invoke(app, finding.commands[0].split()[1:]).exit_code == 0
    assert diagnose(str(path)).verdict == 0


@pytest.mark.parametrize("index", [None, "k_1", "_id_"])
def test_a_damaged_file_is_left_as_it_is(path: Path, tmp_path: Path, index: str | None) -> None:
    damage(path, index, 0)
    before = path.read_bytes()
    with pytest.raises(CorruptDataError):
        compact_file(str(path))
    assert path.read_bytes() == before
    assert names(tmp_path) == {"shop.cbdd", "shop.cbdd-events"}
    assert CliRunner().invoke(app, ["compact", str(path)]).exit_code == DAMAGED


def test_a_file_in_use_is_refused_and_a_reader_learns_that_it_was_replaced(path: Path) -> None:
    with cbdd.connect(path):
        with pytest.raises(LockedError):
            compact_file(str(path))
        assert CliRunner().invoke(app, ["compact", str(path)]).exit_code == CANNOT_OPEN
    with cbdd.connect(path, read_only=True) as reader:
        assert reader.shop.things.count_documents({}) == COUNT + 1
        compact_file(str(path))
        with pytest.raises(ReplacedFileError):
            reader.shop.things.find_one()


def test_a_file_that_was_not_closed_is_recovered_first() -> None:
    disk = MemoryDisk()
    client = connect_on(MemoryIo(disk, 1), 1)
    client.shop.things.insert_many([{"_id": n} for n in range(50)])
    killed = MemoryDisk.holding(disk.files())
    compact_file(PATH, io=MemoryIo(killed), clock=TickingClock(), randomness=SeededRandomness(3))
    with connect_on(MemoryIo(killed), 2) as client:
        assert client.recovery_report.was_clean
        assert client.shop.things.count_documents({}) == 50


def test_a_full_disk_changes_nothing() -> None:
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk), 1) as client:
        client.shop.things.insert_many([{"_id": n, "pad": "x" * 100} for n in range(2000)])
    disk.capacity = disk.size() + 70_000
    before = disk.files()
    with pytest.raises(DiskFullError):
        compact_file(PATH, io=MemoryIo(disk), clock=TickingClock(), randomness=SeededRandomness(3))
    assert disk.files()[PATH] == before[PATH]
    assert not [name for name in disk.files() if "-new-" in name]


@pytest.mark.crash
def test_a_crash_leaves_the_old_file_or_the_new_one() -> None:
    crashing = CrashingDatabase(seed=4)
    documents: list[dict[str, Any]] = [{"_id": n, "pad": "x" * 400} for n in range(120)]
    with crashing.connect() as client:
        client.shop.things.create_index("pad")
        client.shop.things.insert_many(documents)
        client.shop.gone.insert_many([{"pad": "y" * 900} for _ in range(100)])
        client.shop.gone.drop()
    recording = crashing._recording
    first = len(recording.calls)
    io = RecordingIo(MemoryIo(crashing._disk, 2), recording)
    compact_file(PATH, io=io, clock=TickingClock(), randomness=SeededRandomness(3))
    states = 0
    for state in crashing.states(first):
        states += 1
        with state.connect() as client:
            assert list(client.shop.things.find()) == documents, state
            assert client.check().is_clean, state
            assert client.shop.list_collection_names() == ["things"], state
        left = [name for name in state._disk.files() if "-new-" in name]
        assert not left or "garbage" in state.name, state  # else it is known to be ours
    assert states > 20
