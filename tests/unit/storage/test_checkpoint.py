"""Checkpoints: when, what they leave, whose pages they spare, and what a failed one costs."""

from __future__ import annotations

import errno

import pytest

from cbdd.errors import DiskFullError, DurabilityError
from cbdd.storage.checkpoint import checkpoint_is_due, on_disk, run_checkpoint
from cbdd.storage.locks import CHECKPOINT
from cbdd.storage.node import Node
from cbdd.testing import Fault
from tests.unit.storage.conftest import PATH, Bench, content, fill

pytestmark = pytest.mark.wal

TREE = 10


def entries_of(number: int) -> dict[bytes, bytes]:
    return {b"%05d" % i: b"%d" % number for i in range(500)}


def test_it_moves_the_log_into_the_file_and_removes_it(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, entries_of(1))
    before = engine.statistics()
    engine.checkpoint()
    after = engine.statistics()
    assert after["generation"] == before["generation"] + 1  # type: ignore[operator]
    assert (after["checkpoint_lsn"], after["log_bytes"], after["cache_dirty_bytes"]) == (1, 0, 0)
    fill(engine, TREE, entries_of(2))
    engine.checkpoint()
    fill(engine, TREE, entries_of(3))
    engine.checkpoint()
    # One segment more than needed: the older meta slot could still begin with it.
    segments = [name for name in bench.names() if "-wal-" in name]
    assert segments == ["a.cbdd-wal-000003", "a.cbdd-wal-000004"]
    assert content(engine, TREE) == entries_of(3)
    assert engine.check().is_clean


def test_nothing_new_is_nothing_to_do(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, entries_of(1))
    engine.checkpoint()
    operations = bench.disk.operations
    engine.checkpoint()
    assert bench.disk.operations == operations


def test_pages_come_back_when_nobody_needs_them(bench: Bench) -> None:
    engine = bench.open()
    sizes = []
    for number in range(12):
        fill(engine, TREE, {b"%05d" % i: b"%02d" % number * 20 for i in range(2000)})
        engine.checkpoint()
        sizes.append(len(bench.disk.names[PATH].data))
    assert sizes[4] == sizes[-1]
    assert engine.check().is_clean


def test_pages_of_a_reader_are_spared_wherever_it_is(bench: Bench) -> None:
    for pid, options in ((1, {}), (2, {}), (3, {"read_only": True})):
        engine = bench.open(pid=1)
        fill(engine, TREE, entries_of(0))
        engine.checkpoint()
        other = engine if pid == 1 else bench.open(pid=pid, **options)
        reader = other.begin_read()
        for number in range(1, 6):
            fill(engine, TREE, entries_of(number))
            engine.checkpoint()
        other._state.pager.forget_all()
        cursor = reader.cursor(TREE)
        is_valid, seen = cursor.first(), 0
        while is_valid:
            assert cursor.value == b"0"
            seen += 1
            is_valid = cursor.step()
        assert seen == 500
        reader.close()
        if other is not engine:
            other.close()
        assert engine.check().is_clean


def test_it_is_due_when_the_log_or_the_dirty_nodes_are_large(bench: Bench) -> None:
    engine = bench.open(checkpoint_log_bytes=10_000)
    state = engine._state
    assert not checkpoint_is_due(state)
    generation = state.meta.generation
    fill(engine, TREE, {b"a": bytes(20_000)})  # runs at once: there is no background thread
    assert state.meta.generation == generation + 2
    assert not checkpoint_is_due(state)
    assert engine.statistics()["checkpoint_lsn"] == 1
    engine.close()
    state = bench.open(cache_size_bytes=1 << 20)._state
    state.dirty_nodes = 100
    assert checkpoint_is_due(state)
    state.is_checkpoint_active = True
    assert not checkpoint_is_due(state)
    state.is_checkpoint_active = False
    state.dirty_nodes = 0


def test_only_one_runs_at_a_time(bench: Bench) -> None:
    engine = bench.open(pid=1)
    other = bench.open(pid=2)
    fill(engine, TREE, entries_of(1))
    assert other._state.locks.try_lock(CHECKPOINT, True)
    assert not run_checkpoint(engine._state, False)
    other._state.locks.release(CHECKPOINT)
    assert run_checkpoint(engine._state, False)
    assert engine.statistics()["checkpoint_lsn"] == 1


@pytest.mark.parametrize("kind", ["pwrite", "truncate"])
def test_a_full_disk_changes_nothing_and_the_next_one_succeeds(bench: Bench, kind: str) -> None:
    engine = bench.open()
    fill(engine, TREE, entries_of(1))
    engine.checkpoint()
    fill(engine, TREE, entries_of(2))
    calls = 0
    while True:
        calls += 1
        fault = Fault(calls, errno.ENOSPC, False, (kind,))
        bench.disk.fault = fault
        try:
            engine.checkpoint()
        except DiskFullError:
            bench.disk.fault = None
            assert content(engine, TREE) == entries_of(2)
            assert engine.check().is_clean
            fill(engine, TREE, entries_of(2))
            continue
        except DurabilityError:
            pytest.fail("a full disk is no lost sync")
        finally:
            bench.disk.fault = None
        if not fault.fired:
            break
        fill(engine, TREE, entries_of(2))
    assert content(engine, TREE) == entries_of(2)
    assert engine.check().is_clean


def test_a_dropped_tree_gives_its_pages_back(bench: Bench) -> None:
    engine = bench.open()
    entries = {b"%05d" % i: bytes(3000 if i % 50 == 0 else 50) for i in range(2000)}
    fill(engine, TREE, entries)
    engine.checkpoint()
    pages = engine.check().pages
    with engine.begin_write("drop") as txn:
        txn.drop_tree(TREE)
        txn.commit()
    engine.checkpoint()
    report = engine.check()
    assert report.is_clean
    assert report.pages < 5
    assert report.free_pages >= pages - 5


def test_after_it_roots_are_references(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, entries_of(1))
    assert isinstance(engine._state.tip.trees[TREE].root, Node)
    engine.checkpoint()
    tree = engine._state.tip.trees[TREE]
    assert isinstance(tree.root, bytes)
    assert on_disk(tree) is tree


def test_a_clean_close_leaves_two_equal_meta_pages_and_no_log(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, entries_of(1))
    engine.close()
    assert bench.names() == ["a.cbdd", "a.cbdd-events"]
    from cbdd.storage.meta import read_copies
    from cbdd.testing import MemoryIo

    io = MemoryIo(bench.disk, 9)
    metas = [copy.meta for copy in read_copies(io, io.open(PATH, False, True))]
    assert all(meta is not None and meta.is_clean for meta in metas)
    assert len({meta.directory_checksum for meta in metas if meta}) == 1
    assert len({meta.generation for meta in metas if meta}) == 2
