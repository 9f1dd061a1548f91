"""What an exception that may come anywhere leaves locked, and how that is made good.

Ctrl-C is raised between any two instructions, and memory can run out in any of them: also between
taking a lock and the block that releases it, and inside that block. No order of statements closes
every such gap. So each lock knows which thread has it, and when that thread next enters the engine
from outside, where it cannot have any, what it still has is released and the trees are taken anew
from what was published. A commit is therefore there as a whole or not at all, and no other
thread or process waits longer than until then; waits for locks end when their time is out.

Invariants: whatever a thread takes it can be recognized by, before or in the same step: mutexes are
re-entrant locks and know their owner; file locks, the leader of a sync and a checkpoint are noted
by thread before they are taken; a snapshot is pinned under a key that its transaction had before.

A signal handler or finalizer that uses the database in the middle of an operation of its own thread
is told from a leak by the calls that are still under way. Compiled code has no gaps between its
instructions for signals to come in, shows no calls, and is left alone.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

from cbdd.storage.io import translated
from cbdd.storage.locks import CHECKPOINT, SYNC, UNREGISTERED, WRITER
from cbdd.storage.state import DatabaseState

MARK: Final = "/cbdd/storage/"
IS_INTERPRETED: Final = MARK in sys._getframe(0).f_code.co_filename


def release_leftovers(state: DatabaseState) -> None:
    """Called where the engine is entered from outside; see above.

    :raises DiskFaultError: a file lock cannot be released.
    """
    if not IS_INTERPRETED:
        return
    me = threading.get_ident()
    if (
        state.apply_lock._is_owned()  # type: ignore[attr-defined]
        or state.sync_leader == me
        or state.sync_lock_thread == me
        or state.checkpoint_thread == me
        or state.writer_mutex._is_owned()  # type: ignore[attr-defined]
        or state.sync_mutex._is_owned()  # type: ignore[attr-defined]
        or state.pager.evicting._is_owned()  # type: ignore[attr-defined]
    ):
        try:
            _release(state, me)
        except OSError as error:
            raise translated(error, "release a lock", state.path) from error


def _release(state: DatabaseState, me: int) -> None:
    if state.is_forked or _is_inside():
        return
    is_writer = state.writer_mutex._is_owned()  # type: ignore[attr-defined]
    if is_writer and state.writer_token in state.live_tokens:
        is_writer = False  # of an open transaction, as it should be
    _release_mutex(state.sync_mutex)
    _release_mutex(state.pager.evicting)
    if state.sync_lock_thread == me:
        state.locks.release(SYNC)
        state.sync_lock_thread = 0
    if state.sync_leader == me:
        with state.sync_condition:
            state.sync_leader = 0
            state.sync_condition.notify_all()
    if state.apply_lock._is_owned():  # type: ignore[attr-defined]
        state.is_tainted = True
        _release_mutex(state.apply_lock)
    if state.checkpoint_thread == me:
        state.is_checkpoint_active = False
        state.is_tainted = True
        state.locks.release(UNREGISTERED)
        state.locks.release(CHECKPOINT)
        state.checkpoint_thread = 0
        _release_mutex(state.checkpoint_mutex)
    if is_writer:
        state.is_tainted = True
        state.locks.release(WRITER)
        state.writer_token = 0
        state.writer_thread = 0
        _release_mutex(state.writer_mutex)


def _release_mutex(mutex: threading.RLock) -> None:
    while mutex._is_owned():  # type: ignore[attr-defined]
        mutex.release()


def _is_inside() -> bool:
    """Whether an operation of the engine is under way in this thread, beneath the entry."""
    frame = sys._getframe(0)
    is_entry = True
    while frame is not None:
        is_ours = MARK in frame.f_code.co_filename
        if is_entry:
            is_entry = is_ours
        elif is_ours:
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False
