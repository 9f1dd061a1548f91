"""The replayer: what a crash can leave, call by call, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbdd.storage.io import Io, write_all
from cbdd.testing import KINDS, CrashState, MemoryDisk, MemoryIo, RecordingIo, Replayer


def recorded() -> RecordingIo:
    return RecordingIo(MemoryIo(MemoryDisk()))


def states_of(io: RecordingIo, kind: str = "") -> list[CrashState]:
    return [s for s in Replayer(io.recording).states() if not kind or s.kind == kind]


def write(io: Io, path: str, data: bytes, offset: int = 0) -> int:
    fd = io.open(path, True, False)
    write_all(io, fd, data, offset)
    return fd


def test_what_was_synced_is_in_every_later_state() -> None:
    io = recorded()
    fd = write(io, "/db/a", b"x" * 2000)
    io.sync(fd)
    io.sync_directory("/db")
    synced = len(io.recording.calls) - 1
    io.pwrite(fd, b"y" * 3000, 2000)
    later = list(Replayer(io.recording).states(synced))
    assert len(later) > 5
    for state in later:
        assert state.files["/db/a"][:2000] == b"x" * 2000, state.name


def test_without_a_directory_sync_a_new_file_may_be_gone() -> None:
    io = recorded()
    fd = write(io, "/db/a", b"x")
    io.sync(fd)
    assert any("/db/a" not in state.files for state in states_of(io, "power"))
    assert any(state.files.get("/db/a") == b"" for state in states_of(io))


def test_a_write_is_torn_at_sectors_and_thirds() -> None:
    io = recorded()
    fd = write(io, "/db/a", b"")
    io.sync_directory("/db")
    io.pwrite(fd, b"x" * 2048, 256)
    lengths = {len(state.files["/db/a"]) - 256 for state in states_of(io, "torn")}
    assert {2048 // 3, 2048 * 2 // 3} < lengths
    assert all(n in (682, 1365) or (n + 256) % 512 == 0 for n in lengths)


def test_unsynced_writes_may_be_lost_reordered_and_duplicated() -> None:
    io = recorded()
    fd = write(io, "/db/a", b"....")
    io.sync(fd)
    io.sync_directory("/db")
    io.pwrite(fd, b"1", 0)
    io.pwrite(fd, b"2", 1)
    io.pwrite(fd, b"3", 0)
    found = {kind: {s.files.get("/db/a") for s in states_of(io, kind)} for kind in KINDS}
    assert b"32.." in found["prefix"]
    assert b"3..." in found["lost"] | found["reordered"]
    assert b".2.." in found["reordered"]
    assert b"12.." in found["duplicated"]


def test_a_rename_may_be_there_before_the_data() -> None:
    io = recorded()
    fd = write(io, "/db/old", b"old")
    io.sync(fd)
    io.sync_directory("/db")
    write(io, "/db/new", b"new")
    io.rename("/db/new", "/db/old")
    contents = {state.files.get("/db/old") for state in states_of(io, "directory")}
    assert contents == {b"old", b"new", b"", None}


def test_the_length_may_be_there_before_the_data() -> None:
    io = recorded()
    fd = write(io, "/db/a", b"x")
    io.sync(fd)
    io.pwrite(fd, b"y" * 10, 1)
    assert b"x" + bytes(10) in [state.files["/db/a"] for state in states_of(io, "size")]


def test_a_state_is_rebuilt_from_its_name() -> None:
    io = recorded()
    fd = write(io, "/db/a", b"x" * 5000)
    for number in range(6):
        io.pwrite(fd, b"%d" % number * 700, number * 300)
    for state in states_of(io):
        again = Replayer(io.recording).state(state.name)
        assert again.files == state.files
        assert again.fingerprint() == state.fingerprint()
    with pytest.raises(KeyError):
        Replayer(io.recording).state("0:torn:9")


def test_marks_say_what_must_be_there() -> None:
    io = recorded()
    fd = write(io, "/db/a", b"")
    io.recording.begin(1)
    io.pwrite(fd, b"1", 0)
    io.recording.acknowledge(1, is_durable=False)
    io.sync(fd)
    io.recording.acknowledge(1)
    promised = [(s.kind, s.begun, s.acknowledged) for s in states_of(io)]
    assert ("prefix", 1, 0) in promised
    assert ("prefix", 1, 1) in promised
    assert promised[-1] == ("power", 1, 1)
    assert ("power", 1, 0) in promised


def test_a_recording_of_real_files_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"there before")
    io = RecordingIo()
    fd = io.open(str(path), False, False)
    io.pwrite(fd, b"WRITE", 0)
    io.sync(fd)
    io.close(fd)
    io.unlink(str(path))
    seen = [state.files.get(str(path)) for state in states_of(io, "prefix")]
    assert seen == [b"WRITE before", b"WRITE before", None]
    assert states_of(io, "power")[-1].files[str(path)] == b"WRITE before"
