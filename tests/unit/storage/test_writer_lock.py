"""One writer at a time, between threads and between processes."""

from __future__ import annotations

import threading

import pytest

from cbdd.errors import LockedError, UsageError
from cbdd.storage.writer_lock import attached_processes, lock_writer, unlock_writer
from tests.unit.storage.conftest import Bench

pytestmark = pytest.mark.transaction_protocol


def test_a_thread_does_not_wait_for_itself(bench: Bench) -> None:
    state = bench.open()._state
    token = lock_writer(state)
    with pytest.raises(UsageError) as caught:
        lock_writer(state)
    assert caught.value.code == "NESTED_WRITE"
    unlock_writer(state, token)
    unlock_writer(state, lock_writer(state))


def test_another_thread_waits_and_is_told(bench: Bench) -> None:
    state = bench.open()._state
    token = lock_writer(state)
    errors: list[str] = []

    def other() -> None:
        try:
            lock_writer(state)
        except LockedError as error:
            errors.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert "another thread of this process" in errors[0]
    unlock_writer(state, token)


def test_another_process_is_named(bench: Bench) -> None:
    first = bench.open(pid=71)._state
    second = bench.open(pid=72)._state
    assert attached_processes(second) == "process 71"
    token = lock_writer(first)
    with pytest.raises(LockedError, match="held by process 71"):
        lock_writer(second)
    unlock_writer(first, token)
    unlock_writer(second, lock_writer(second))


def test_a_late_release_does_not_take_the_lock_from_its_new_holder(bench: Bench) -> None:
    state = bench.open()._state
    old = lock_writer(state)
    unlock_writer(state, old)
    token = lock_writer(state)
    unlock_writer(state, old)
    assert state.writer_token == token
    assert state.writer_mutex._is_owned()  # type: ignore[attr-defined]
    unlock_writer(state, token)
    assert not state.writer_mutex._is_owned()  # type: ignore[attr-defined]
