"""Readers that write nothing: not even a slot in the shared state.

While such a reader has a snapshot it holds a shared lock that forbids every checkpoint to reuse
pages, so whatever the snapshot reaches stays there; without one it keeps nobody from reusing any.
It follows the shared state while processes that write have one; when there is none it stands on the
meta page and the log as they are, applied in memory, and looks again at each snapshot.

It is not registered, so the last writer that closes does not know of it and removes the log and the
shared state. What contradicts itself there is therefore no damage until the file, looked at while
nobody opens or closes it, says the same. And no descriptor of the log is kept, so that what was
removed is free space for whoever opens the file next.

Invariants: nothing on disk is created, changed or removed on behalf of this handle. The lock is
taken before the newest generation is looked up: a checkpoint that began earlier reuses only pages
that no meta page on disk at that time reached, and a later one sees the lock.
"""

from __future__ import annotations

from cbdd.errors import CorruptDataError, LockedError
from cbdd.storage.follow import adopt, let_go, read_state, refresh
from cbdd.storage.locks import OPEN, SLOT_BASE, UNREGISTERED
from cbdd.storage.meta import choose, raw_slots, read_copies
from cbdd.storage.recovery import recover, require_length
from cbdd.storage.shm import SLOT_COUNT, SharedState
from cbdd.storage.state import DatabaseState, require_same_file


def attach_read_only(state: DatabaseState) -> None:
    """Stand on the newest state without registering."""
    try:
        _stand(state, True)
    finally:
        let_go(state)


def follow_read_only(state: DatabaseState) -> None:
    """Notice writers that came or went, or both, and let no page be reused from now on.

    The caller holds ``apply_lock``, and takes a snapshot next or calls `let_go`.
    """
    if not state.pins:
        _keep_pages(state)
    require_same_file(state)
    shm = state.shm
    if shm is not None:
        if state.io.identity(shm.fd)[2] > 0 and _refreshed(state):
            return
        state.io.close(shm.fd)  # its processes have closed the database
        state.shm = None
        _stand(state, True)
        return
    if (
        state.is_tainted
        or state.io.path_identity(f"{state.path}-shm") is not None
        or raw_slots(state.io, state.fd) != state.raw_meta
    ):
        _stand(state, False)


def _refreshed(state: DatabaseState) -> bool:
    """Catch up; False when what was followed is not whole: its processes have left, or are damaged.

    In the latter case standing anew meets the same damage and reports it.
    """
    try:
        refresh(state)
    except CorruptDataError:
        return False
    except LockedError as error:
        if error.code != "SHM_TRUNCATED":
            raise
        return False
    finally:
        state.segments.close_all()
    return True


def _keep_pages(state: DatabaseState) -> None:
    timeout = state.options.lock_timeout_seconds
    state.locks.acquire(UNREGISTERED, False, timeout, "a checkpoint")


def _stand(state: DatabaseState, is_anew: bool) -> None:
    """Follow the writers that are there, or take what the file and its log say.

    :param is_anew: also when the generation is the one that is known.
    """
    timeout = state.options.lock_timeout_seconds
    let_go(state)  # who is opening or closing may be waiting for readers to do so
    state.locks.acquire(OPEN, False, timeout, "a process that is opening or closing it")
    try:
        _keep_pages(state)
        if not _join_writers(state):
            raw_meta = raw_slots(state.io, state.fd)
            copies = read_copies(state.io, state.fd)
            meta = choose(copies, state.path)
            state.raw_meta = raw_meta
            is_known = meta.generation == state.tip.generation and not state.is_tainted
            if is_known and not is_anew:
                return
            state.is_tainted = True  # what fails half-way is done anew the next time
            state.meta = meta
            require_length(state)
            state.segments.close_all()
            recover(state, copies)
            state.is_tainted = False
    finally:
        state.segments.close_all()
        state.locks.release(OPEN)


def _join_writers(state: DatabaseState) -> bool:
    """Follow the shared state if processes that write are there."""
    path = f"{state.path}-shm"
    if state.io.path_identity(path) is None or not _has_writers(state):
        return False
    shm = SharedState(state.io, state.io.open(path, False, True), path)
    if not shm.belongs_to(state.meta.uuid):
        state.io.close(shm.fd)
        return False
    try:
        shm.require_same_machine()
    except BaseException:
        state.io.close(shm.fd)
        raise
    state.shm = shm
    state.raw_state = b""
    while True:
        _raw, published, _durable = read_state(state)
        if adopt(state, published.generation):
            break
    refresh(state)
    return True


def _has_writers(state: DatabaseState) -> bool:
    """Whether some process holds a reader slot: its lock cannot be shared."""
    for slot in range(SLOT_COUNT):
        if not state.locks.try_lock(SLOT_BASE + slot, False):
            return True
        state.locks.release(SLOT_BASE + slot)
    return False
