"""Coming to a database file and leaving it: who is alone, who joins, who leaves a clean file.

Whoever gets the attached lock exclusively is alone: it recovers, starts a new life of the shared
state and turns the lock into a shared one. Everyone else joins: shared attached lock, a reader
slot, the published generation, the published log. Closing takes the same locks; who is last leaves
a clean file without a log.

Invariants: the open lock is held while any of this is decided; a file that was replaced between
opening and locking it is refused.
"""

from __future__ import annotations

from cbdd.errors import (
    CorruptDataError,
    LockedError,
    NewerFormatError,
    NotADatabaseError,
    ReadOnlyError,
    UsageError,
)
from cbdd.storage.checkpoint import make_clean
from cbdd.storage.creation import create_database, remove_leftovers
from cbdd.storage.events import EventLog
from cbdd.storage.follow import adopt, read_state, refresh
from cbdd.storage.io import FULL_ERRNOS, Clock, Io, Randomness, translated
from cbdd.storage.locks import ATTACHED, OPEN, SLOT_BASE, FileLocks
from cbdd.storage.meta import Meta, MetaCopy, choose, read_copies, require_writable
from cbdd.storage.options import StorageOptions
from cbdd.storage.pager import Pager
from cbdd.storage.read_only import attach_read_only
from cbdd.storage.recovery import recover, require_length
from cbdd.storage.shm import SHM_BYTES, SLOT_COUNT, Published, SharedState
from cbdd.storage.space import give_back
from cbdd.storage.state import DatabaseState
from cbdd.storage.wal import SegmentSet, list_segments


def create_if_missing(
    path: str, options: StorageOptions, io: Io, clock: Clock, randomness: Randomness
) -> None:
    """Make a new database where there is none, and refuse what cannot be one."""
    cut = path.rfind("/")
    directory, name = path[:cut] or "/", path[cut + 1 :]
    identity = io.path_identity(path)
    if identity is None:
        if options.must_exist or options.read_only:
            raise NotADatabaseError(
                "NOT_FOUND", f"there is no database at {path}", "check the path", {"path": path}
            )
        if io.path_identity(directory) is not None and list_segments(io, directory, name):
            raise CorruptDataError(
                "DATABASE_MISSING",
                f"{path} is missing but its log is there",
                "put the database file back, or move the log away to start anew",
                {"path": path},
            )
        if io.path_identity(directory) is not None:
            remove_leftovers(io, path, directory, name)
        create_database(io, clock, randomness, path, directory, options)
        return
    if not io.is_regular(path):
        raise NotADatabaseError(
            "NOT_A_FILE", f"{path} is not a regular file", "check the path", {"path": path}
        )
    if identity[3] == 0:
        raise NotADatabaseError(
            "EMPTY_FILE",
            f"{path} is empty: 0 bytes, which CBDD never leaves behind",
            "restore a backup; if it never was a database, remove it",
            {"path": path},
        )
    if identity[2] > 1 and not options.read_only:
        remove_leftovers(io, path, directory, name)
        again = io.path_identity(path)
        if again is not None and again[2] > 1:
            raise UsageError(
                "HARD_LINKED",
                f"{path} has {again[2]} names; under another name it would use another log",
                "remove the other hard links, or copy the file",
                {"path": path},
            )


def new_state(
    path: str,
    options: StorageOptions,
    io: Io,
    clock: Clock,
    randomness: Randomness,
    fd: int,
    meta: Meta,
) -> DatabaseState:
    """The state of a file that was opened, as its meta page says."""
    seed = int.from_bytes(meta.uuid[:8], "little")
    events = EventLog(
        io, clock, f"{path}-events", options.flight_recorder and not options.read_only
    )
    return DatabaseState(
        io,
        clock,
        randomness,
        options,
        path,
        fd,
        meta,
        Pager(
            io,
            fd,
            path,
            meta.page_size,
            seed,
            options.cache_size_bytes,
            events,
            meta.min_writer,
        ),
        SegmentSet(io, path, meta.uuid, options.log_allocation_bytes),
        FileLocks(io, fd, path, clock),
        events,
    )


def attach(state: DatabaseState) -> None:
    """Take part: alone, beside others, or reading only."""
    if state.read_only:
        attach_read_only(state)
        return
    timeout = state.options.lock_timeout_seconds
    state.locks.acquire(OPEN, True, timeout, "a process that is opening or closing it")
    try:
        _require_current(state)
        if state.locks.try_lock(ATTACHED, True):
            _first_attach(state)
        else:
            _join(state, timeout)
    finally:
        state.locks.release(OPEN)


def _require_current(state: DatabaseState) -> None:
    """The file may have been replaced between opening and locking it."""
    named = state.io.path_identity(state.path)
    opened = state.io.identity(state.fd)
    if named is None or named[:2] != opened[:2]:
        raise LockedError(
            "FILE_REPLACED",
            f"{state.path} was replaced while it was being opened",
            "open it again",
            {"path": state.path},
        )


def _current_meta(state: DatabaseState) -> list[MetaCopy]:
    """Read the meta pages again, now that nobody can change them."""
    copies = read_copies(state.io, state.fd)
    state.meta = choose(copies, state.path)
    require_writable(state.meta, state.path)
    require_length(state)
    return copies


def _first_attach(state: DatabaseState) -> None:
    """Alone with the file: recover, and start a new life of the shared state."""
    copies = _current_meta(state)
    recover(state, copies)
    remove_leftovers(state.io, state.path, state.directory, state.name)
    try:
        _start_shared_state(state)
    except OSError as error:
        if error.errno not in FULL_ERRNOS or not give_back(state, SHM_BYTES):
            raise
        _start_shared_state(state)
    _take_slot(state)
    with state.apply_lock:
        refresh(state)
    state.locks.try_lock(ATTACHED, False)


def _start_shared_state(state: DatabaseState) -> None:
    """A new life of the shared state, in the file of the last one if that is there."""
    path = f"{state.path}-shm"
    if state.shm is None:
        try:
            fd = state.io.open(path, False, False)
        except FileNotFoundError:
            fd = state.io.open(path, True, False)
        state.shm = SharedState(state.io, fd, path)
    shm = state.shm
    if state.io.size(shm.fd) > SHM_BYTES:
        state.io.truncate(shm.fd, SHM_BYTES)
    position = state.tip_position
    state.counter = 1
    shm.reset(
        state.meta.uuid,
        int.from_bytes(state.randomness.token(8), "little"),
        Published(state.meta.generation, 0, position.offset, position.lsn, position.chain, 1),
    )


def _join(state: DatabaseState, timeout: float) -> None:
    """Others have the file open: follow what they publish."""
    state.locks.acquire(ATTACHED, False, timeout, "another process")
    path = f"{state.path}-shm"
    identity = state.io.path_identity(path)
    if identity is not None:
        fd = state.io.open(path, False, state.read_only)
        state.shm = SharedState(state.io, fd, path)
    if state.shm is None or not state.shm.belongs_to(state.meta.uuid):
        raise LockedError(
            "SHM_MISSING",
            f"other processes have {state.path} open, but {path} is missing or not theirs",
            "close the database in every process, then open it again",
            {"path": path},
        )
    state.shm.require_same_machine()
    _take_slot(state)
    with state.apply_lock:
        while True:
            _raw, published, _durable = read_state(state)
            if adopt(state, published.generation):
                break
        refresh(state)


def _take_slot(state: DatabaseState) -> None:
    shm = state.shm
    assert shm is not None
    for slot in range(SLOT_COUNT):
        if state.locks.try_lock(SLOT_BASE + slot, True):
            state.slot = slot
            state.slot_started_us = state.clock.now_us()
            shm.write_slot(slot, state.io.process_id(), state.slot_started_us, 0, 0)
            return
    raise LockedError(
        "TOO_MANY_PROCESSES",
        f"{SLOT_COUNT} processes have {state.path} open",
        "close the database in some of them",
        {"path": state.path},
    )


def detach(state: DatabaseState) -> None:
    """Close in this process; clean up when it is the last."""
    try:
        if state.read_only:
            state.is_closed = True
            return
        timeout = state.options.lock_timeout_seconds
        state.locks.acquire(OPEN, True, timeout, "a process that is opening or closing it")
        is_refused = False
        with state.apply_lock:
            if state.locks.try_lock(ATTACHED, True):
                is_refused = not _close_clean(state)
            elif state.shm is not None and state.slot >= 0:
                state.shm.write_slot(state.slot, 0, 0, 0, 0)
            state.is_closed = True
        is_clean = state.meta.is_clean and not is_refused
        state.events.record("close", {"lsn": state.tip.lsn, "clean": is_clean})
    except OSError as error:
        raise translated(error, "close the database", state.path) from error
    finally:
        state.is_closed = True
        close_descriptors(state)


def _close_clean(state: DatabaseState) -> bool:
    """The last process leaves: no log, both meta slots clean, no shared state.

    :returns: False when everything was left as it is.
    """
    if state.is_poisoned:
        return False
    try:
        refresh(state)
    except (NewerFormatError, ReadOnlyError) as error:
        # A later release has changed the format: it finishes what is in the log.
        state.events.record("close_refused", {"code": error.code, "message": str(error)})
        return False
    if state.is_poisoned:
        return False
    if not state.meta.is_clean:
        make_clean(state)
    if state.shm is not None:
        _remove_shared_state(state)
    return True


def _remove_shared_state(state: DatabaseState) -> None:
    """Cut it first: a reader that writes nothing may have it open, and on a full disk what the next
    to open needs must not stay in use. Left behind, it is harmless.
    """
    shm = state.shm
    assert shm is not None
    try:
        state.io.truncate(shm.fd, 0)
    except OSError as error:
        state.events.record("shm_not_cut", {"error": str(error)})
    state.segments.remove_file(shm.path)


def close_descriptors(state: DatabaseState) -> None:
    """Close every descriptor; the kernel releases the locks with the last one."""
    state.segments.close_all()
    shm = state.shm
    if shm is not None:
        state.shm = None
        state.io.close(shm.fd)
    if state.fd >= 0:
        state.io.close(state.fd)
        state.fd = -1
        state.pager.fd = -1
