"""Following other processes: their commits, their checkpoints, and the pins that hold pages."""

from __future__ import annotations

import errno
import threading

import pytest

from cbdd.errors import CorruptDataError, DiskFaultError
from cbdd.storage.follow import READS_BESIDE_SYNC, new_ledger, release_idle_pin, replay
from cbdd.storage.frame import TreeChanges
from cbdd.storage.io import Clock
from cbdd.storage.tree import Tree
from cbdd.testing import Fault
from tests.unit.storage.conftest import PATH, Bench, content, fill

pytestmark = pytest.mark.transaction_protocol

TREE = 10


def test_a_commit_elsewhere_is_seen_at_once(bench: Bench) -> None:
    here, there = bench.open(pid=1), bench.open(pid=2)
    for number in range(20):
        fill(here if number % 2 else there, TREE, {b"%02d" % number: b"v"})
        assert len(content(there, TREE)) == len(content(here, TREE)) == number + 1
        if number % 7 == 3:
            (there if number % 2 else here).checkpoint()
    assert here.check().is_clean
    assert there.check().is_clean


def test_a_large_commit_elsewhere_is_seen_whole(bench: Bench) -> None:
    here, there = bench.open(pid=1), bench.open(pid=2)
    fill(here, TREE, {b"%02d" % i: bytes(500_000) for i in range(20)})
    assert content(there, TREE) == {b"%02d" % i: bytes(500_000) for i in range(20)}


def test_a_reader_pins_its_generation_until_it_ends(bench: Bench) -> None:
    here, there = bench.open(pid=1), bench.open(pid=2)
    fill(here, TREE, {b"a": b"1"})
    reader = there.begin_read()
    pinned = there._state.pinned_generation
    assert pinned == there._state.meta.generation > 0
    fill(here, TREE, {b"a": b"2"})
    here.checkpoint()
    assert content(there, TREE) == {b"a": b"2"}
    assert there._state.pinned_generation == pinned
    reader.close()
    assert there._state.pinned_generation == there._state.meta.generation > pinned
    release_idle_pin(there._state)
    assert there._state.pinned_generation == 0
    slots = here.statistics()["processes"]
    assert [slot["pinned_generation"] for slot in slots if slot["pid"] == 2] == [0]  # type: ignore[attr-defined]
    assert content(there, TREE) == {b"a": b"2"}


def test_an_idle_pin_is_kept_while_a_reader_is_open(bench: Bench) -> None:
    engine = bench.open()
    reader = engine.begin_read()
    pinned = engine._state.pinned_generation
    release_idle_pin(engine._state)
    assert engine._state.pinned_generation == pinned > 0
    reader.close()


def test_damage_in_what_another_process_published_is_an_error(bench: Bench) -> None:
    here, there = bench.open(pid=1), bench.open(pid=2)
    fill(here, TREE, {b"a": b"1"})
    offset = here._state.tip_position.offset
    assert content(there, TREE) == {b"a": b"1"}
    fill(here, TREE, {b"a": b"2"})
    bench.disk.names[f"{PATH}-wal-000001"].data[offset + 100] ^= 1
    with pytest.raises(CorruptDataError) as caught:
        there.begin_read()
    assert caught.value.code == "WAL_FRAME_DAMAGED"
    assert caught.value.details["offset"] == offset
    bench.disk.names[f"{PATH}-wal-000001"].data[offset + 100] ^= 1
    assert content(there, TREE) == {b"a": b"2"}


def test_a_lost_meta_page_is_an_error(bench: Bench) -> None:
    here, there = bench.open(pid=1), bench.open(pid=2)
    fill(here, TREE, {b"a": b"1"})
    here.checkpoint()
    kept = bytes(bench.disk.names[PATH].data[:65536])
    bench.disk.names[PATH].data[:65536] = bytes(65536)
    with pytest.raises(CorruptDataError) as caught:
        there.begin_read()
    assert caught.value.code == "META_GENERATION_MISSING"
    bench.disk.names[PATH].data[:65536] = kept
    assert content(there, TREE) == {b"a": b"1"}


def test_replay_drops_creates_and_changes_in_that_order(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    state = engine._state
    change = TreeChanges(TREE)
    change.is_dropped = change.is_created = True
    change.entries = {b"b": b"2", b"c": None}
    ledger = new_ledger(state)
    trees = replay(state, state.tip.trees, [change], ledger)
    assert trees[TREE].count == 1
    assert ledger.dropped == [state.tip.trees[TREE]]
    assert content(engine, TREE) == {b"a": b"1"}
    again = replay(state, trees, [change], new_ledger(state))
    assert again[TREE].count == 1
    unknown = TreeChanges(77)
    unknown.entries = {b"b": b"2"}
    with pytest.raises(CorruptDataError, match="WAL_UNKNOWN_TREE"):
        replay(state, {1: Tree(None, 0, 0)}, [unknown], new_ledger(state))


def test_a_wrong_hint_that_the_lock_is_taken_is_corrected(bench: Bench) -> None:
    """An interrupt may leave it."""
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    for _ in range(2):
        engine._state.is_locked = True
        assert content(engine, TREE) == {b"a": b"1"}
        assert not engine._state.is_locked
    engine._state.is_locked = True
    fill(engine, TREE, {b"a": b"2"})
    assert not engine._state.is_locked


def test_readers_give_way_to_a_thread_that_syncs(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    state = engine._state
    pauses: list[float] = []

    class Watched(Clock):
        def sleep(self, seconds: float) -> None:
            pauses.append(seconds)

    state.clock = Watched()
    for leader, expected in ((-1, 2), (threading.get_ident(), 2), (0, 2)):  # -1: none of ours
        state.sync_leader = leader
        for _ in range(2 * READS_BESIDE_SYNC):
            assert content(engine, TREE) == {b"a": b"1"}
        assert len(pauses) == expected


def test_what_is_published_elsewhere_between_look_and_lock_is_taken_in(bench: Bench) -> None:
    """What was read without the lock counts only where this process has noted the same."""
    here, there = bench.open(pid=1), bench.open(pid=2)
    fill(here, TREE, {b"a": b"1"})
    assert content(there, TREE) == {b"a": b"1"}
    known = there._state.raw_state
    fill(here, TREE, {b"a": b"2"})
    assert there._state.raw_state == known
    assert content(there, TREE) == {b"a": b"2"}
    assert there._state.raw_state != known


def test_a_shared_state_that_cannot_be_read_is_told(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    bench.disk.fault = Fault(1, errno.EIO, False, ("pread",))
    assert content(engine, TREE) == {b"a": b"1"}, "looked at again"
    bench.disk.fault = Fault(1, errno.EIO, True, ("pread",))
    with pytest.raises(DiskFaultError):
        engine.begin_read()
    bench.disk.fault = None
    assert content(engine, TREE) == {b"a": b"1"}
