"""The background thread, stepped by hand and running."""

from __future__ import annotations

import errno

import pytest

from cbdd.errors import DurabilityError
from cbdd.storage.background import BackgroundThread
from cbdd.testing import Fault
from tests.unit.storage.conftest import Bench, fill

TREE = 10


def test_it_syncs_what_is_waiting_and_no_more(bench: Bench) -> None:
    engine = bench.open(durability="normal")
    thread = BackgroundThread(engine._state)
    lsn = fill(engine, TREE, {b"a": b"1"})
    assert engine.statistics()["durable_lsn"] == 0
    thread.step()
    assert engine.statistics()["durable_lsn"] == lsn
    bench.disk.fault = Fault(1, errno.EIO, True, ("sync",))
    thread.step()
    bench.disk.fault = None
    assert not engine.statistics()["is_poisoned"]


def test_it_checkpoints_when_that_is_due(bench: Bench) -> None:
    engine = bench.open(checkpoint_log_bytes=10_000, background=False)
    state = engine._state
    state.options.background = True  # as if the thread were running: commits only wake it
    fill(engine, TREE, {b"a": bytes(20_000)})
    assert state.wake.is_set()
    assert engine.statistics()["checkpoint_lsn"] == 0
    BackgroundThread(state).step()
    assert engine.statistics()["checkpoint_lsn"] == 1


def test_a_pin_that_nobody_uses_is_released_at_the_second_look(bench: Bench) -> None:
    engine = bench.open()
    thread = BackgroundThread(engine._state)
    fill(engine, TREE, {b"a": b"1"})
    with engine.begin_read():
        thread.step()
        thread.step()
        assert engine._state.pinned_generation
    with engine.begin_read():
        pass
    thread.step()
    assert engine._state.pinned_generation
    thread.step()
    assert engine._state.pinned_generation == 0


def test_a_failed_step_is_recorded_and_the_next_one_goes_on(bench: Bench) -> None:
    engine = bench.open(durability="normal")
    thread = BackgroundThread(engine._state)
    fill(engine, TREE, {b"a": b"1"})
    bench.disk.fault = Fault(1, errno.EIO, True, ("sync",))
    with pytest.raises(DurabilityError):
        thread.step()
    bench.disk.fault = None
    assert engine.statistics()["is_poisoned"]
    thread.step()


def test_running_it_does_what_is_due_and_ends(bench: Bench) -> None:
    engine = bench.open(background=True, durability="normal", sync_interval_seconds=0.001)
    lsn = fill(engine, TREE, {b"a": b"1"})
    condition = engine._state.sync_condition
    for _ in range(10_000):
        if engine.statistics()["durable_lsn"] == lsn:
            break
        with condition:
            condition.wait(0.01)
    assert engine.statistics()["durable_lsn"] == lsn
    thread = engine._background
    assert thread is not None
    engine.close()
    assert not thread._worker.is_alive()
    thread.stop()


def test_a_closed_database_has_nothing_to_do(bench: Bench) -> None:
    engine = bench.open()
    thread = BackgroundThread(engine._state)
    engine.close()
    thread.step()
