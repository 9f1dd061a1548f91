"""Where the log goes on: new segments, also on a full disk."""

from __future__ import annotations

import pytest

from cbdd.errors import DiskFullError
from cbdd.storage.space import LOG_RESERVE_BYTES, SEAL_ROOM_BYTES, is_log_cramped
from cbdd.testing import MemoryIo
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
