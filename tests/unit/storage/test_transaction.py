"""Transactions: isolation, conflicts, guards, and the ways one ends."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from cbdd.errors import (
    ClosedError,
    ReadOnlyError,
    ReplacedFileError,
    TransactionTooLargeError,
    UsageError,
    WriteConflictError,
)
from cbdd.storage import StorageEngine, StorageOptions
from cbdd.testing import MemoryDisk, MemoryIo, SeededRandomness, TickingClock
from tests.unit.storage.conftest import PATH, Bench, content, fill

pytestmark = pytest.mark.transaction_protocol

TREE = 10


def test_a_snapshot_sees_nothing_that_came_later(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    before = engine.begin_read()
    fill(engine, TREE, {b"a": b"2", b"b": b"2"})
    assert before.get(TREE, b"a") == b"1"
    assert before.get(TREE, b"b") is None
    assert (before.count(TREE), before.lsn) == (1, 1)
    before.close()
    assert content(engine, TREE) == {b"a": b"2", b"b": b"2"}


def test_a_transaction_reads_its_own_changes_and_abort_forgets_them(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    txn = engine.begin_write("test")
    txn.put(TREE, b"b", b"2")
    assert txn.delete(TREE, b"a")
    assert not txn.delete(TREE, b"x")
    assert (txn.get(TREE, b"a"), txn.get(TREE, b"b"), txn.count(TREE)) == (None, b"2", 1)
    assert txn.count_range(TREE, b"a", b"c") == 1
    assert txn.count_range(TREE, b"c", b"a") == 0
    txn.abort()
    txn.abort()
    assert content(engine, TREE) == {b"a": b"1"}
    with pytest.raises(UsageError, match="TRANSACTION_ENDED"):
        txn.put(TREE, b"c", b"3")


def test_the_first_committer_wins(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"0"})
    first = engine.begin_transaction("first")
    second = engine.begin_transaction("second")
    other = engine.begin_transaction("other")
    first.put(TREE, b"a", b"1")
    second.put(TREE, b"a", b"2")
    other.put(TREE, b"b", b"3")
    first.commit()
    with pytest.raises(WriteConflictError) as caught:
        second.commit()
    assert caught.value.code == 112
    other.commit()
    assert content(engine, TREE) == {b"a": b"1", b"b": b"3"}


def test_a_conflict_with_another_process(bench: Bench) -> None:
    here = bench.open(pid=1)
    there = bench.open(pid=2)
    fill(here, TREE, {b"a": b"0"})
    txn = there.begin_transaction("there")
    txn.put(TREE, b"a", b"there")
    fill(here, TREE, {b"a": b"here"})
    with pytest.raises(WriteConflictError):
        txn.commit()
    assert content(there, TREE) == {b"a": b"here"}


def test_a_guard_conflicts_with_a_change_of_what_was_only_read(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"0", b"b": b"0"})
    for change, conflicts in ((b"a", True), (b"b", False)):
        txn = engine.begin_transaction("test")
        txn.guard(TREE, b"a")
        txn.put(TREE, b"result", b"1")
        fill(engine, TREE, {change: b"changed"})
        if conflicts:
            with pytest.raises(WriteConflictError):
                txn.commit()
        else:
            txn.commit()


def test_trees_come_and_go_with_their_transaction(bench: Bench) -> None:
    engine = bench.open()
    with engine.begin_write("test") as txn:
        txn.create_tree(TREE)
        txn.put(TREE, b"a", b"1")
        txn.create_tree(11)
        txn.drop_tree(11)
        assert txn.tree_ids() == [1, 2, TREE]
        with pytest.raises(UsageError, match="TREE_EXISTS"):
            txn.create_tree(TREE)
        txn.commit()
    with engine.begin_write("test") as txn:
        txn.put(TREE, b"b", b"2")
        txn.drop_tree(TREE)
        assert not txn.has_tree(TREE)
        for use in (lambda: txn.get(TREE, b"a"), lambda: txn.drop_tree(TREE)):
            with pytest.raises(UsageError, match="UNKNOWN_TREE"):
                use()
    assert content(engine, TREE) == {b"a": b"1"}  # not committed: aborted
    with engine.begin_write("test") as txn:
        txn.drop_tree(TREE)
        txn.commit()
    with engine.begin_read() as reader, pytest.raises(UsageError, match="UNKNOWN_TREE"):
        reader.cursor(TREE)


def test_a_dropped_tree_conflicts_with_a_write_to_it(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"0"})
    txn = engine.begin_transaction("test")
    txn.put(TREE, b"b", b"1")
    with engine.begin_write("drop") as dropping:
        dropping.drop_tree(TREE)
        dropping.commit()
    with pytest.raises(WriteConflictError):
        txn.commit()


def test_without_changes_nothing_is_logged(bench: Bench) -> None:
    engine = bench.open()
    lsn = fill(engine, TREE, {b"a": b"0"})
    with engine.begin_write("test") as txn:
        assert not txn.delete(TREE, b"x")
        assert not txn.has_changes
        assert txn.commit() == lsn
    assert engine.statistics()["lsn"] == lsn
    with engine.begin_write("test") as txn:
        assert txn.commit() == lsn


def test_a_transaction_has_a_limit(bench: Bench) -> None:
    engine = bench.open(max_transaction_bytes=1000)
    with engine.begin_write("test") as txn:
        txn.create_tree(TREE)
        txn.put(TREE, b"a", bytes(900))
        with pytest.raises(TransactionTooLargeError):
            txn.put(TREE, b"b", bytes(100))
        txn.put(TREE, b"b", bytes(10))
        txn.commit()
    assert len(content(engine, TREE)) == 2


def test_a_wrong_durability_is_refused_and_the_transaction_goes_on(bench: Bench) -> None:
    engine = bench.open()
    txn = engine.begin_write("test")
    txn.create_tree(TREE)
    with pytest.raises(UsageError, match="durability is 'maybe'"):
        txn.commit("maybe")
    txn.commit("off")
    assert content(engine, TREE) == {}


def test_a_forgotten_transaction_releases_the_writer_lock(bench: Bench) -> None:
    engine = bench.open()
    txn = engine.begin_write("forgotten")
    txn.create_tree(TREE)
    del txn
    gc.collect()
    fill(engine, TREE, {b"a": b"1"})


def test_a_transaction_spans_a_checkpoint(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"%04d" % i: b"old" for i in range(500)})
    reader = engine.begin_read()
    txn = engine.begin_transaction("test")
    txn.put(TREE, b"0001", b"new")
    engine.checkpoint()
    fill(engine, TREE, {b"0002": b"newer"})
    engine.checkpoint()
    txn.commit()
    assert reader.get(TREE, b"0001") == reader.get(TREE, b"0002") == b"old"
    reader.close()
    found = content(engine, TREE)
    assert (found[b"0001"], found[b"0002"], len(found)) == (b"new", b"newer", 500)
    assert engine.check().is_clean


def test_writing_needs_the_same_file(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    moved = bench.disk.names.pop(PATH)
    with pytest.raises(ReplacedFileError, match="was removed or renamed"):
        engine.begin_write("test")
    assert content(engine, TREE) == {b"a": b"1"}
    bench.disk.names[PATH] = moved
    fill(engine, TREE, {b"a": b"2"})


def test_reading_only_and_closed(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    reader = bench.open(pid=2, read_only=True)
    with pytest.raises(ReadOnlyError):
        reader.begin_write("test")
    assert content(reader, TREE) == {b"a": b"1"}
    open_reader = engine.begin_read()
    engine.close()
    for use in (engine.begin_read, lambda: engine.begin_write("x"), engine.check):
        with pytest.raises(ClosedError):
            use()
    with pytest.raises(ClosedError):
        open_reader.get(TREE, b"a")


class Watching(MemoryIo):
    """Notes for each statement whether the writer lock was free when it was told of."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk)
        self.was_free: list[bool] = []
        self.engine: StorageEngine | None = None

    def begin_statement(self) -> None:
        if self.engine is not None:
            mutex: Any = self.engine._state.writer_mutex
            self.was_free.append(not mutex._is_owned())


def test_a_statement_begins_before_it_has_the_writer_lock() -> None:
    """It may sleep then, and others would wait for it."""
    io = Watching(MemoryDisk())
    engine = StorageEngine.open(
        PATH, StorageOptions(background=False), io, TickingClock(), SeededRandomness(1)
    )
    io.engine = engine
    fill(engine, TREE, {b"a": b"1"})
    assert io.was_free == [True]
    assert content(engine, TREE) == {b"a": b"1"}
    with engine.begin_transaction("test") as txn:
        txn.put(TREE, b"a", b"2")
        txn.commit()
    assert io.was_free == [True] * 3
    engine.close()
