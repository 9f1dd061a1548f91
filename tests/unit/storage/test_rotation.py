"""Where the log goes on: new segments, also on a full disk."""

from __future__ import annotations

import errno

import pytest

from cbdd.errors import CbddError, DiskFullError
from cbdd.storage import StorageEngine, StorageOptions
from cbdd.storage.shm import PUBLISHED_BYTES
from cbdd.storage.space import (
    LOG_RESERVE_BYTES,
    SEAL_ROOM_BYTES,
    is_log_cramped,
    removable_bytes,
)
from cbdd.testing import Fault, MemoryDisk, MemoryIo, SeededRandomness, TickingClock
from tests.unit.storage.conftest import PATH, Bench, content, fill

pytestmark = pytest.mark.wal

TREE = 10


def room_of_log(bench: Bench) -> int:
    log = bench.opened[-1]._state.log
    assert log.segment is not None
    return log.segment.allocated - log.end


def test_a_segment_names_the_one_before(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    old = engine._state.log.segment
    assert old is not None
    engine.checkpoint()
    new = engine._state.log.segment
    assert new is not None
    assert new.header.number == old.header.number + 1
    assert new.header.previous_segment == old.header.number
    assert new.header.previous_lsn == 1


def test_on_a_full_disk_a_segment_takes_a_piece_of_the_tail(bench: Bench) -> None:
    engine = bench.open(log_allocation_bytes=4096)
    fill(engine, TREE, {b"%04d" % i: b"x" * 100 for i in range(1000)})
    length = len(bench.disk.names[PATH].data)
    bench.disk.capacity = bench.disk.size()
    fill(engine, TREE, {b"0001": b"y"})
    engine.checkpoint()
    assert len(bench.disk.names[PATH].data) < length
    assert room_of_log(bench) >= LOG_RESERVE_BYTES
    assert not is_log_cramped(engine._state)
    fill(engine, TREE, {b"0002": b"z"})
    assert content(engine, TREE)[b"0002"] == b"z"


def test_without_a_tail_a_segment_is_as_small_as_it_can_be(bench: Bench) -> None:
    engine = bench.open(log_allocation_bytes=4096)
    fill(engine, TREE, {b"%04d" % i: b"x" * 100 for i in range(1000)})
    for number in range(3):
        fill(engine, TREE, {b"0001": b"%d" % number})
        engine.checkpoint()
    fill(engine, TREE, {b"0001": b"last"})
    state = engine._state
    tail = state.meta.page_count * state.pager.page_size
    io = MemoryIo(bench.disk, 9)
    fd = io.open(PATH, False, False)
    io.truncate(fd, tail)
    io.close(fd)
    state.room_generation = -1
    bench.disk.capacity = bench.disk.size() + 30_000
    engine.checkpoint()
    assert SEAL_ROOM_BYTES <= room_of_log(bench) < LOG_RESERVE_BYTES
    assert is_log_cramped(state)
    bench.disk.capacity = None


def test_a_failed_rotation_leaves_the_log_where_it_was(bench: Bench) -> None:
    engine = bench.open(reserve_bytes=0)
    fill(engine, TREE, {b"a": b"1"})
    before = engine._state.tip_position
    names = bench.names()
    bench.disk.capacity = bench.disk.size()
    with pytest.raises(DiskFullError):
        engine.checkpoint()
    assert engine._state.tip_position is before
    assert bench.names() == names
    bench.disk.capacity = None
    engine.checkpoint()
    assert content(engine, TREE) == {b"a": b"1"}


def test_segments_are_removable_when_the_newer_meta_page_does_not_need_them(bench: Bench) -> None:
    engine = bench.open()
    state = engine._state
    fill(engine, TREE, {b"a": b"1"})
    assert removable_bytes(state) == 0
    engine.checkpoint()
    older = len(bench.disk.names[f"{PATH}-wal-000001"].data)
    assert removable_bytes(state) == older
    fill(engine, TREE, {b"a": b"2"})
    bench.disk.fault = Fault(3, errno.EIO, False, ("sync",))  # of the pages: the log has rotated
    with pytest.raises(CbddError):
        engine.checkpoint()
    bench.disk.fault = None
    assert state.tip_position.segment == 3
    assert removable_bytes(state) == older
    engine.checkpoint()
    assert [name for name in bench.names() if "-wal-" in name][0] == "a.cbdd-wal-000002"


class UntoldIo(MemoryIo):
    """Fails, once it is told to, where the others are told where the log goes on."""

    def __init__(self, disk: MemoryDisk, pid: int) -> None:
        super().__init__(disk, pid)
        self.problem: BaseException | None = None

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self.problem is not None and len(data) == PUBLISHED_BYTES:
            problem, self.problem = self.problem, None
            raise problem
        return super().pwrite(fd, data, offset)


@pytest.mark.parametrize("is_beginning", [False, True], ids=["rotate", "begin"])
@pytest.mark.parametrize(
    "problem", [OSError(errno.EIO, "error"), KeyboardInterrupt()], ids=["error", "interrupt"]
)
def test_who_could_not_say_where_the_log_goes_on_goes_on_with_the_others(
    bench: Bench, is_beginning: bool, problem: BaseException
) -> None:
    """Else it gives a number to a commit of its own that another process has given meanwhile."""
    here = bench.open()
    fill(here, TREE, {b"a": b"1"})
    if is_beginning:
        here.close()
        bench.opened.clear()
        here = bench.open()
    io = UntoldIo(bench.disk, 2)
    options = StorageOptions(background=False, lock_timeout_seconds=0.01)
    there = StorageEngine.open(PATH, options, io, TickingClock(), SeededRandomness(2))
    bench.opened.append(there)
    assert content(there, TREE) == content(here, TREE) == {b"a": b"1"}
    io.problem = problem
    with pytest.raises((CbddError, KeyboardInterrupt)):
        if is_beginning:
            fill(there, TREE, {b"c": b"lost"})
        else:
            there.checkpoint()
    fill(here, TREE, {b"b": b"2"})
    assert content(there, TREE) == {b"a": b"1", b"b": b"2"}
    fill(there, TREE, {b"c": b"3"})
    for each in (here, there):
        assert content(each, TREE) == {b"a": b"1", b"b": b"2", b"c": b"3"}
    bench.crash()
    again = bench.open(pid=3)
    assert content(again, TREE) == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert again.check().is_clean
