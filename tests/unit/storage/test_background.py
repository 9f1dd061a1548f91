"""The background thread, stepped by hand and running."""

from __future__ import annotations

import errno
import threading

import pytest

from cbdd.errors import DurabilityError
from cbdd.storage import StorageEngine
from cbdd.storage.background import LONGEST_SECONDS, QUIET_SECONDS, BackgroundThread
from cbdd.storage.io import Clock
from cbdd.testing import Fault
from cbdd.testing.deterministic import TickingClock
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
    thread = BackgroundThread(state)
    thread.step()
    state.clock.sleep(QUIET_SECONDS)  # and nobody does anything
    thread.step()
    assert engine.statistics()["checkpoint_lsn"] == 1


def due_but_busy(bench: Bench, **options: object) -> tuple[StorageEngine, BackgroundThread]:
    """A checkpoint is due in the middle of statements, and the thread has looked once."""
    engine = bench.open(checkpoint_log_bytes=10_000, background=False, **options)
    engine._state.options.background = True
    thread = BackgroundThread(engine._state)
    fill(engine, TREE, {b"a": bytes(10_000)})
    thread.step()
    assert engine.statistics()["checkpoint_lsn"] == 0
    assert engine._state.is_checkpoint_put_off
    engine._state.wake.clear()
    return engine, thread


def test_a_checkpoint_waits_for_a_moment_without_statements(bench: Bench) -> None:
    engine, thread = due_but_busy(bench)
    for _ in range(3):
        engine.begin_read().close()
        engine._state.clock.sleep(QUIET_SECONDS)
        thread.step()
    fill(engine, TREE, {b"b": b"1"})
    assert not engine._state.wake.is_set()  # the thread looks by itself
    thread.step()
    with engine.begin_write("insert"):  # a long statement, or one that waits for another
        thread.step()
        engine._state.clock.sleep(QUIET_SECONDS)
        thread.step()
        assert engine._state.meta.checkpoint_lsn == 0
    thread.step()  # woken by chance, too soon
    assert engine._state.meta.checkpoint_lsn == 0
    engine._state.clock.sleep(QUIET_SECONDS)
    thread.step()
    assert engine.statistics()["checkpoint_lsn"] == 2
    assert not engine._state.is_checkpoint_put_off
    assert fill(engine, TREE, {b"c": b"1"}) == 3


def test_it_does_not_wait_for_ever(bench: Bench) -> None:
    engine, thread = due_but_busy(bench)
    thread._put_off_until = engine._state.clock.monotonic()
    engine.begin_read().close()
    thread.step()
    assert engine.statistics()["checkpoint_lsn"] == 1


def test_it_does_not_wait_where_the_log_has_grown_to_twice_its_size(bench: Bench) -> None:
    engine, thread = due_but_busy(bench)
    fill(engine, TREE, {b"b": bytes(11_000)})
    assert engine._state.wake.is_set()
    thread.step()
    assert engine.statistics()["checkpoint_lsn"] == 2


def test_it_does_not_wait_where_unwritten_nodes_fill_the_cache(bench: Bench) -> None:
    engine, thread = due_but_busy(bench)
    engine._state.dirty_large_bytes = engine._state.options.cache_size_bytes
    engine.begin_read().close()
    thread.step()
    assert engine.statistics()["checkpoint_lsn"] == 1


def test_syncs_are_due_at_intervals_while_a_checkpoint_waits(bench: Bench) -> None:
    engine, thread = due_but_busy(bench, durability="normal", sync_interval_seconds=1000.0)
    lsn = fill(engine, TREE, {b"b": b"1"})
    thread.step()
    assert engine.statistics()["durable_lsn"] < lsn
    engine._state.options.sync_interval_seconds = 0.0
    fill(engine, TREE, {b"c": b"1"})
    thread.step()
    assert engine.statistics()["durable_lsn"] == lsn + 1
    assert engine.statistics()["checkpoint_lsn"] == 0


def test_what_is_no_longer_due_is_not_put_off(bench: Bench) -> None:
    engine, thread = due_but_busy(bench)
    engine.checkpoint()
    thread.step()
    assert not engine._state.is_checkpoint_put_off
    fill(engine, TREE, {b"b": bytes(10_000)})
    assert engine._state.wake.is_set()


def test_syncs_are_due_on_the_dot_while_a_checkpoint_waits(bench: Bench) -> None:
    engine, thread = due_but_busy(bench, durability="normal", sync_interval_seconds=0.03)
    fill(engine, TREE, {b"b": b"1"})
    assert 0 < thread._seconds_to_look() <= 0.03
    engine._state.clock.sleep(0.1)
    assert thread._seconds_to_look() == 0
    thread.step()
    assert not thread._must_sync()
    assert thread._seconds_to_look() == 0.03  # one may commit meanwhile
    engine._state.options.sync_interval_seconds = 1.0
    assert thread._seconds_to_look() == QUIET_SECONDS
    engine._state.options.sync_interval_seconds = 0.0
    assert 0 < thread._seconds_to_look() < 0.01


def test_while_a_checkpoint_waits_the_thread_sleeps_until_the_next_sync(bench: Bench) -> None:
    class Counting(threading.Event):
        """Stops the thread when it sleeps."""

        def wait(self, timeout: float | None = None) -> bool:
            slept.append(timeout)
            thread._is_stopping = True
            return True

    engine, thread = due_but_busy(bench, durability="normal", sync_interval_seconds=0.02)
    slept: list[float | None] = []
    engine._state.wake = Counting()
    thread.run()
    assert slept == [0.02]


def test_every_checkpoint_is_put_off_anew(bench: Bench) -> None:
    engine, thread = due_but_busy(bench)
    engine._state.clock.sleep(LONGEST_SECONDS)
    thread.step()
    assert engine._state.meta.checkpoint_lsn == 1
    engine._state.clock.sleep(LONGEST_SECONDS)
    fill(engine, TREE, {b"b": bytes(10_000)})
    thread.step()
    assert engine._state.meta.checkpoint_lsn == 1
    assert engine._state.is_checkpoint_put_off


def test_one_that_becomes_due_while_the_thread_looks_wakes_it(bench: Bench) -> None:
    class Committing(TickingClock):
        """While it is asked for the time somebody commits."""

        def monotonic(self) -> float:
            if not is_done:
                is_done.append(True)
                fill(engine, TREE, {b"b": bytes(10_000)})
            return super().monotonic()

    engine, thread = due_but_busy(bench)
    engine.checkpoint()
    is_done: list[bool] = []
    engine._state.clock = Committing()
    thread.step()
    assert is_done
    assert engine._state.is_checkpoint_put_off or engine._state.wake.is_set()


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


def test_running_it_checkpoints_in_a_quiet_moment(bench: Bench) -> None:
    engine = bench.open(
        background=True,
        durability="off",
        checkpoint_log_bytes=10_000,
        sync_interval_seconds=1000.0,  # nothing but the checkpoint lets it look again
    )
    state = engine._state
    state.clock = Clock()
    lsn = fill(engine, TREE, {b"a": bytes(10_000)})
    condition = state.sync_condition
    for _ in range(10_000):
        if state.meta.checkpoint_lsn == lsn:
            break
        with condition:
            condition.wait(0.01)
    assert state.meta.checkpoint_lsn == lsn
    engine.close()


def test_a_closed_database_has_nothing_to_do(bench: Bench) -> None:
    engine = bench.open()
    thread = BackgroundThread(engine._state)
    engine.close()
    thread.step()
