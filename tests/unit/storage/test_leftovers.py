"""What an exception has left locked is released when its thread comes again, and not before."""

from __future__ import annotations

import threading

import pytest

from cbdd.build_info import build_kind
from cbdd.storage.locks import CHECKPOINT, SYNC, WRITER
from tests.unit.storage.conftest import Bench, content, fill

TREE = 10
pytestmark = pytest.mark.skipif(
    build_kind() == "compiled", reason="nothing leaks between the instructions of compiled code"
)


def test_every_lock_that_leaked_is_released_at_the_next_use(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    state, me = engine._state, threading.get_ident()
    state.apply_lock.acquire()
    state.sync_mutex.acquire()
    state.sync_leader = state.sync_lock_thread = state.checkpoint_thread = me
    state.checkpoint_mutex.acquire()
    state.writer_mutex.acquire()
    for name in (CHECKPOINT, WRITER, SYNC):
        state.locks.try_lock(name, True)
    assert content(engine, TREE) == {b"a": b"1"}
    other = bench.open(2)
    fill(other, TREE, {b"b": b"2"})
    other.checkpoint()
    done = threading.Event()

    def use() -> None:
        fill(engine, TREE, {b"c": b"3"})
        engine.checkpoint()
        done.set()

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(30)
    assert done.is_set()
    assert content(other, TREE) == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert engine.check().is_clean


def test_an_open_transaction_keeps_its_lock(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    with engine.begin_write("long") as txn:
        txn.put(TREE, b"b", b"2")
        assert content(engine, TREE) == {b"a": b"1"}
        assert txn.is_exclusive
        assert engine._state.writer_token
        txn.commit()
    assert content(engine, TREE) == {b"a": b"1", b"b": b"2"}


def test_the_locks_of_other_threads_are_left_alone(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    state = engine._state
    state.checkpoint_thread = state.sync_leader = -1
    assert content(engine, TREE) == {b"a": b"1"}
    assert state.checkpoint_thread == state.sync_leader == -1
    state.checkpoint_thread = state.sync_leader = 0
