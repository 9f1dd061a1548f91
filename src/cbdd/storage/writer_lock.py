"""Who may commit: the writer mutex between threads, the writer lock between processes."""

from __future__ import annotations

import threading

from cbdd.errors import LockedError, UsageError
from cbdd.storage.io import thread_id
from cbdd.storage.locks import WRITER
from cbdd.storage.state import DatabaseState


def attached_processes(state: DatabaseState) -> str:
    """Ids of the other processes that have the file open, for messages."""
    if state.shm is None:
        return ""
    others = [f"process {s.pid}" for s in state.shm.slots() if s.number != state.slot]
    return " or ".join(others)


def lock_writer(state: DatabaseState) -> int:
    """Take the writer mutex and the writer lock; returns the token that releases them.

    :raises LockedError: another thread or process did not finish in time.
    """
    me = thread_id()
    if state.writer_thread == me:
        raise UsageError(
            "NESTED_WRITE",
            "this thread already has a write in progress",
            "commit or abort it first",
        )
    timeout = state.options.lock_timeout_seconds
    mutex = state.writer_mutex
    if not mutex.acquire(False) and not mutex.acquire(True, timeout):
        raise LockedError(
            "LOCKED",
            f"the writer lock of {state.path} was not free within {timeout:g} s; held by another "
            "thread of this process",
            "let the other thread finish its write",
            {"path": state.path, "lock": "writer"},
        )
    try:
        if not state.locks.try_lock(WRITER, True):
            state.locks.acquire(WRITER, True, timeout, attached_processes(state))
        token = state.next_owner()
        state.writer_thread = me
        state.writer_token = token
        return token
    except BaseException:
        state.writer_thread = 0
        mutex.release()
        raise


def unlock_writer(state: DatabaseState, token: int) -> None:
    """Release the writer lock and mutex, unless ``token`` has released them already."""
    if state.writer_token != token:
        return
    try:
        if not state.is_forked:
            state.locks.release(WRITER)
    finally:
        if state.writer_token == token:
            is_mine = state.writer_thread == thread_id()
            state.writer_token = 0
            state.writer_thread = 0
            if is_mine:
                state.writer_mutex.release()
            else:  # given up by another thread than its own, which may be dead
                state.writer_mutex = threading.RLock()
