"""Group commit: one sync makes durable what many threads have appended.

A thread whose commit must be durable either finds that a sync which began after its append has
returned, or becomes the one that syncs for all who wait. The end of the log is sampled before the
sync begins; when the sync has returned, a mark in the segment's head and the shared state say so,
and only then do the commits count as durable, become visible and return.

Invariants: nothing is called durable that was appended after the sync began, or that was not
published: the next commit would get its LSN, and never be synced. A failed sync is
final: the kernel may have dropped the pages it could not write, and a second sync would lie. The
handle and, through the shared state, every process is poisoned, even when an interrupt comes right
behind the failure and takes its place as the exception that is raised.

Source: PostgreSQL's "fsync errors" change (2018) and Rebello et al., "Can Applications Recover from
fsync Failures?" (2020).
"""

from __future__ import annotations

import sys
import threading

from cbdd.errors import CbddError, DurabilityError
from cbdd.storage.follow import current_durable, refresh
from cbdd.storage.io import thread_id
from cbdd.storage.locks import SYNC
from cbdd.storage.shm import DURABLE_BYTES, DURABLE_OFFSET, STATE_BYTES, STATE_OFFSET
from cbdd.storage.state import DatabaseState, poisoned
from cbdd.storage.wal import Segment


def sync_to(state: DatabaseState, lsn: int) -> None:
    """Return when the log is durable up to ``lsn``.

    :raises DurabilityError: a sync failed; whether the commit survives is unknown.
    """
    handled = sys.exc_info()[1]
    while True:
        with state.sync_mutex:
            while True:
                if state.durable_lsn >= lsn:
                    return
                state.require_unpoisoned()
                if not state.sync_leader:
                    state.sync_leader = thread_id()
                    break
                if not _wait(state) and not _is_alive(state.sync_leader):
                    state.sync_leader = 0  # it ended without a word
        try:
            _lead(state, lsn)
        except BaseException as error:
            poison_if_hidden(state, error, handled)
            raise
        finally:
            with state.sync_mutex:
                if state.sync_leader == thread_id():
                    state.sync_leader = 0
                if state.sync_waiting:
                    state.sync_condition.notify_all()


def start_sync(state: DatabaseState, segment: Segment, end: int) -> None:
    """Have the disk begin with what a sync is to wait for; the caller goes on meanwhile.

    :raises DurabilityError: the disk refuses. It may have dropped older commits that nobody has
        synced, and a later sync might not tell.
    """
    _ask_disk(state, segment, end)


def sync_away(state: DatabaseState, segment: Segment) -> None:
    """Make it durable that a frame was taken back: no power cut may bring it to light again.

    :raises DurabilityError: the sync failed.
    """
    _ask_disk(state, segment, None)


def _ask_disk(state: DatabaseState, segment: Segment, end: int | None) -> None:
    """Have the disk begin with a segment up to ``end``, or sync it (None); poison if it refuses."""
    handled = sys.exc_info()[1]
    try:
        if end is None:
            state.io.sync(segment.fd)
        else:
            state.io.start_writing(segment.fd, end)
    except OSError as error:
        poison(state)
        raise poisoned(state.path) from error
    except BaseException as error:
        poison_if_hidden(state, error, handled)
        raise


def _wait(state: DatabaseState) -> bool:
    """Wait for the end of another thread's sync; False when it has not come in time.

    The caller holds ``sync_mutex``.
    """
    state.sync_waiting += 1
    try:
        return state.sync_condition.wait(state.options.lock_timeout_seconds)
    finally:
        state.sync_waiting -= 1


def _is_alive(thread: int) -> bool:
    """Whether a thread still runs. As long as it does nobody syncs beside it.

    Its sync may be failing: the kernel tells of an error once, and a second sync would succeed.
    """
    return any([running.ident == thread for running in threading.enumerate()])


def _lead(state: DatabaseState, lsn: int) -> None:
    """Sync the log once for everyone, unless another process has done it meanwhile."""
    durable = current_durable(state)
    if state.is_poisoned:
        raise poisoned(state.path)
    if durable >= lsn:
        _note(state, durable, b"")
        return
    with state.apply_lock:
        if state.is_tainted or state.is_applying:
            refresh(state)  # the tip may have a commit that was not published, so is not there
        position = state.tip_position
        if position.lsn < lsn:
            raise DurabilityError(
                "COMMIT_UNKNOWN",
                f"commit {lsn} of {state.path} was not published",
                "read the data again to see; check the disk",
                {"path": state.path, "lsn": lsn, "published": position.lsn},
            )
        segment = state.segments.get(position.segment, False)
        if segment is not None:
            segment.users += 1
    if segment is None:
        poison(state)
        raise poisoned(state.path)
    try:
        state.io.sync(segment.fd)
    except OSError as error:
        poison(state)
        raise poisoned(state.path) from error
    finally:
        with state.apply_lock:
            segment.users -= 1
    mark_durable(state, segment, position.lsn, position.offset)


def mark_durable(state: DatabaseState, segment: Segment, lsn: int, end: int) -> None:
    """Record what a sync that has returned covered, for other processes and for recovery."""
    shm = state.shm
    written = b""
    if shm is not None:
        state.sync_lock_thread = thread_id()
        state.locks.acquire(SYNC, True, state.options.lock_timeout_seconds, "")
        try:
            if lsn > current_durable(state):
                state.segments.write_mark(segment, lsn, end)
                written = shm.set_durable(lsn)
        finally:
            state.locks.release(SYNC)
            state.sync_lock_thread = 0
    _note(state, lsn, written)


def _note(state: DatabaseState, lsn: int, written: bytes) -> None:
    """Take in what is durable.

    :param written: what was written of it to the shared state.
    """
    with state.apply_lock:
        if written and len(state.raw_state) == STATE_BYTES:
            at = DURABLE_OFFSET - STATE_OFFSET
            raw = state.raw_state
            state.raw_state = raw[:at] + written + raw[at + DURABLE_BYTES :]
        state.durable_lsn = max(state.durable_lsn, lsn)
        state.advance_visible()


def poison(state: DatabaseState) -> None:
    """Let nobody commit any more until the file has been read anew."""
    state.is_poisoned = True
    if state.shm is not None:
        try:
            state.shm.poison()
        except OSError as error:
            raise DurabilityError(
                "SYNC_FAILED",
                f"a sync of {state.path} failed and other processes could not be told: {error}",
                "stop every process that has the database open, then open it again",
                {"path": state.path},
            ) from error
    facts: dict[str, object] = {"code": "SYNC_FAILED", "lsn": state.tip.lsn}
    facts["durable_lsn"] = state.durable_lsn
    state.events.record("sync_failed", facts)


def poison_if_hidden(
    state: DatabaseState, error: BaseException, handled: BaseException | None
) -> None:
    """Poison after a failed sync whose error an interrupt, or a lack of memory, has replaced.

    :param error: what came out where a sync was made.
    :param handled: what was being handled before the sync; it and its context say nothing of it.
    """
    if isinstance(error, (OSError, CbddError)):
        return  # whoever raised it has seen to the rest
    cause = error.__context__
    while cause is not None and cause is not handled:
        if isinstance(cause, OSError):
            poison(state)
            return
        cause = cause.__context__
