"""StorageEngine: ordered trees of bytes with transactions, in one file.

    engine = StorageEngine.open("app.cbdd")
    with engine.begin_write("example") as txn:
        txn.put(1, b"key", b"value")
        txn.commit()
    engine.close()

How a process comes to a file and leaves it is in attaching.py.

A file that is opened twice in one process is one engine with a reference count: two descriptors of
one file would have to keep two caches and two sets of locks in step.

Concurrency: all methods may be called from any thread.
"""

from __future__ import annotations

import threading

from cbdd.errors import (
    CbddError,
    ReadOnlyError,
)
from cbdd.storage.attaching import attach, close_descriptors, create_if_missing, detach, new_state
from cbdd.storage.background import BackgroundThread
from cbdd.storage.backup import Backup, take_backup
from cbdd.storage.check import CheckReport, Progress, check_database
from cbdd.storage.checkpoint import run_checkpoint
from cbdd.storage.file_system import is_network
from cbdd.storage.follow import let_go
from cbdd.storage.io import Clock, Io, Randomness, register_at_fork, translated
from cbdd.storage.leftovers import release_leftovers
from cbdd.storage.meta import (
    choose,
    is_writable,
    read_copies,
    refusal_to_write,
    require_writable,
)
from cbdd.storage.options import StorageOptions
from cbdd.storage.read_only import follow_read_only
from cbdd.storage.read_transaction import ReadTransaction
from cbdd.storage.report import NETWORK_FILE_SYSTEM, RecoveryReport
from cbdd.storage.state import DatabaseState
from cbdd.storage.statistics import statistics_of
from cbdd.storage.transaction import WriteTransaction, begin_write
from cbdd.storage.version import VERSION
from cbdd.storage.write_queue import QueuedWrite, WriteQueue, run_queued

_registry: dict[tuple[int, int, int], StorageEngine] = {}
_registry_lock = threading.RLock()


class StorageEngine:
    """One open database file. Made by `open`, shared by everyone in the process who opens it."""

    def __init__(self, state: DatabaseState, key: tuple[int, int, int]) -> None:
        self._state = state
        self._key = key
        self._references = 1
        self._background: BackgroundThread | None = None
        self._write_queue = WriteQueue()

    @staticmethod
    def open(
        path: str,
        options: StorageOptions | None = None,
        io: Io | None = None,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> StorageEngine:
        """Open a database file, creating it unless ``must_exist`` or ``read_only``.

        :raises NotADatabaseError: the file is something else, or missing where it must exist.
        :raises NewerFormatError: a later release wrote it.
        :raises CorruptDataError: acknowledged data is damaged or missing.
        :raises LockedError: another process is opening or closing it and does not finish.
        :raises ReadOnlyError: writing was asked for and is not possible.
        """
        chosen = options or StorageOptions()
        disk = io or Io()
        real = disk.resolve(path)
        try:
            identity = disk.path_identity(real)
        except OSError as error:
            raise translated(error, "open the database", real) from error
        if identity is not None:
            shared = _share((identity[0], identity[1], _mode(chosen)))
            if shared is not None:
                return shared
        engine = _open(real, chosen, disk, clock or Clock(), randomness or Randomness())
        with _registry_lock:
            other = _registry.get(engine._key)
            if other is None:
                _registry[engine._key] = engine
                return engine
            other._references += 1
        engine._shut()  # another thread was faster
        return other

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return self._state.path

    @property
    def options(self) -> StorageOptions:
        """Options of the first opener."""
        return self._state.options

    @property
    def recovery_report(self) -> RecoveryReport:
        """What opening found and did."""
        return self._state.report

    @property
    def is_closed(self) -> bool:
        """Whether the engine was closed by its last user."""
        return self._state.is_closed

    def begin_read(self) -> ReadTransaction:
        """A snapshot of everything acknowledged so far, in any process."""
        state = self._state
        release_leftovers(state)
        try:
            if not state.read_only:
                return ReadTransaction(state)
            state.require_usable()
            with state.apply_lock:
                try:
                    follow_read_only(state)
                    return ReadTransaction(state)
                except BaseException:
                    let_go(state)
                    raise
        except OSError as error:
            raise translated(error, "begin reading", state.path) from error

    def begin_write(self, operation: str) -> WriteTransaction:
        """A transaction that holds the writer lock until it ends and never conflicts."""
        return self._begin(operation, True)

    def begin_transaction(self, operation: str) -> WriteTransaction:
        """A transaction on a snapshot whose commit may raise `WriteConflictError`."""
        return self._begin(operation, False)

    def write_durably(self, write: QueuedWrite) -> None:
        """Run a write in a durable transaction, of its own or with those of other threads.

        :raises Exception: what it was refused by, or kept from.
        """
        release_leftovers(self._state)
        try:
            run_queued(self._state, self._write_queue, write)
        except OSError as error:
            raise translated(error, f"begin {write.operation}", self._state.path) from error

    def _begin(self, operation: str, exclusive: bool) -> WriteTransaction:
        release_leftovers(self._state)
        try:
            return begin_write(self._state, operation, exclusive)
        except OSError as error:
            raise translated(error, f"begin {operation}", self._state.path) from error

    def checkpoint(self) -> None:
        """Move everything in the log into the page file now.

        :raises DiskFullError: nothing was changed.
        """
        self._state.require_usable()
        if self._state.read_only:
            raise ReadOnlyError("READ_ONLY", f"{self._state.path} is open for reading")
        release_leftovers(self._state)
        run_checkpoint(self._state, True)

    def check(self, progress: Progress = None, skips_unchanged: bool = False) -> CheckReport:
        """Verify every page, checksum, order, count and the freelist; changes nothing.

        :param progress: called now and then with the pages read and all pages.
        :param skips_unchanged: see `check_database`.
        """
        with self.begin_read():
            return check_database(self._state, progress, skips_unchanged)

    def backup(self, target: str, base: str = "", progress: Progress = None) -> Backup:
        """Copy the database to a new directory while others go on writing, see `backup.py`.

        :param base: an earlier backup; what that has is left out.
        """
        self._state.require_usable()
        release_leftovers(self._state)
        if not self._state.read_only:
            return take_backup(self._state, target, base, progress)
        with self.begin_read():  # follows the writers, and keeps pages that nobody may register
            return take_backup(self._state, target, base, progress)

    def statistics(self) -> dict[str, object]:
        """Facts about file, log, cache and processes, for people and programs."""
        with self.begin_read():
            return statistics_of(self._state)

    def record_event(self, event: str, facts: dict[str, object]) -> None:
        """Note something in the flight recorder; no user data, and never an error."""
        self._state.events.record(event, facts)

    def close(self) -> None:
        """Close; the last user in the last process leaves a clean file without a log.

        :raises DiskFaultError: the clean close failed; nothing is lost, the next open recovers.
        """
        release_leftovers(self._state)
        with _registry_lock:
            if self._state.is_closed or self._state.is_forked:
                return
            self._references -= 1
            if self._references > 0:
                return
            _registry.pop(self._key, None)
        self._shut()

    def _shut(self) -> None:
        if self._background is not None:
            self._background.stop()
        detach(self._state)

    def start_background(self) -> None:
        """Start the background thread."""
        self._background = BackgroundThread(self._state)
        self._background.start()

    def forked(self) -> None:
        """Called in a forked child: the handle is of no use here; nothing is released."""
        self._state.is_forked = True

    def close_descriptors(self) -> None:
        """Called in a forked child: the parent's locks end with its own descriptors."""
        close_descriptors(self._state)


def _mode(options: StorageOptions) -> int:
    """Handles of different modes are different engines: writing, reading, salvaging."""
    if not options.read_only:
        return 0
    return 2 if options.salvage else 1


def _share(key: tuple[int, int, int]) -> StorageEngine | None:
    """The engine this process has for a file already, with one more user."""
    with _registry_lock:
        engine = _registry.get(key)
        if engine is not None:
            engine._references += 1
        return engine


def _after_fork_in_child() -> None:
    engines = list(_registry.values())
    _registry.clear()
    _registry_lock.release()
    for engine in engines:
        engine.forked()
    for engine in engines:  # last: one that fails must not leave another usable
        engine.close_descriptors()


def _before_fork() -> None:
    _registry_lock.acquire()


def _after_fork_in_parent() -> None:
    _registry_lock.release()


register_at_fork(_before_fork, _after_fork_in_parent, _after_fork_in_child)


# -- opening ---------------------------------------------------------------------------------


def _open(
    path: str, options: StorageOptions, io: Io, clock: Clock, randomness: Randomness
) -> StorageEngine:
    try:
        create_if_missing(path, options, io, clock, randomness)
        fd = io.open(path, False, options.read_only)
    except OSError as error:
        raise translated(error, "open the database", path) from error
    state: DatabaseState | None = None
    try:
        copies = read_copies(io, fd)
        meta = choose(copies, path)
        if not options.read_only:
            require_writable(meta, path)
        state = new_state(path, options, io, clock, randomness, fd, meta)
        identity = io.identity(fd)
        attach(state)
        engine = StorageEngine(state, (identity[0], identity[1], _mode(options)))
    except BaseException as error:
        if state is None:
            io.close(fd)
        else:
            _record_failure(state, error)
            close_descriptors(state)
        if isinstance(error, OSError):
            raise translated(error, "open the database", path) from error
        raise
    kind = io.file_system_type(path)
    state.events.record(
        "open",
        {
            "lsn": state.tip.lsn,
            "generation": state.meta.generation,
            "file_system": kind,
            "uuid": state.meta.uuid.hex(),
            "cbdd": VERSION,
            **io.platform(),
        },
    )
    if is_network(kind):
        _warn_of_network(state, kind)
    if not is_writable(state.meta):
        _tell_newer_format(state)
    if options.background and not options.read_only:
        engine.start_background()
    return engine


def _warn_of_network(state: DatabaseState, kind: str) -> None:
    message = (
        f"{state.path} is on a file system that other machines may share ({kind}), whose locks and "
        "syncs may not keep their promises; keep it on a local disk, or see to it that only this "
        "machine opens it"
    )
    state.report.add(NETWORK_FILE_SYSTEM, "SEV-3", message)
    state.events.record("network_file_system", {"code": NETWORK_FILE_SYSTEM, "file_system": kind})


def _tell_newer_format(state: DatabaseState) -> None:
    """Whoever reads learns that nothing of this release may write here."""
    written = f"last written by CBDD {state.meta.writer_version or 'of a later version'}"
    message = f"{refusal_to_write(state.meta, state.path)}; {written}"
    facts: dict[str, object] = {"min_writer": state.meta.min_writer}
    state.report.add("NEWER_FORMAT_READ_ONLY", "SEV-3", message, facts)


def _record_failure(state: DatabaseState, error: BaseException) -> None:
    if isinstance(error, CbddError):
        state.events.record("open_failed", {"code": error.code, "message": str(error)})
