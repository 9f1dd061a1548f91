"""The open file under a client, and how one statement runs in it.

A statement outside a transaction gets a transaction of its own: a snapshot to read, or the writer
lock to write, so it never conflicts. A statement of a session in a transaction works on the
session's snapshot; when it fails, the transaction is over, as it is on a server.

Concurrency: any number of threads; each call has its own transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeVar

from pymongo.errors import ExecutionTimeout, InvalidOperation, PyMongoError

from cbdd.catalog import Catalog, CollectionWriters
from cbdd.catalog.check import check_catalog, name_owners
from cbdd.client.arguments import check_time
from cbdd.client.expiry import ExpirySweeper
from cbdd.client.operations import SLOW_SECONDS, OperationLog
from cbdd.errors import CbddError
from cbdd.query.implication import QueryFilters
from cbdd.storage import Clock, Randomness, ReadTransaction, StorageEngine, WriteTransaction
from cbdd.storage.check import CheckReport, Progress
from cbdd.storage.yield_point import time_limit

if TYPE_CHECKING:
    from cbdd.client.session import ClientSession

T = TypeVar("T")


MAX_TIME_EXPIRED: Final = 50


def time_expired() -> ExecutionTimeout:
    """Return (not raise) the error of a query that took too long."""
    message = "operation exceeded time limit"
    details = {
        "ok": 0.0,
        "errmsg": message,
        "code": MAX_TIME_EXPIRED,
        "codeName": "MaxTimeMSExpired",
    }
    return ExecutionTimeout(message, MAX_TIME_EXPIRED, details)


class Store:
    """Engine and catalog of one open file; owned by the client, shared by its databases."""

    def __init__(
        self,
        path: str,
        engine: StorageEngine,
        durability: str,
        clock: Clock,
        randomness: Randomness,
        read_only: bool = False,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self.operations = OperationLog(slow_seconds)
        self.path = path
        self.engine = engine
        self.durability = durability
        self.catalog = Catalog(engine, clock, randomness, QueryFilters())
        self.clock = clock
        self.randomness = randomness
        self.opened_us = clock.now_us()
        self.is_closed = False
        self._sweeper = ExpirySweeper(self)
        self._may_sweep = engine.options.background and not read_only

    def expire_documents(self) -> int:
        """Delete the documents whose time is over by their TTL indexes; return how many."""
        self.require_open()
        return self._sweeper.sweep()

    def watch_expiry(self) -> None:
        """Sweep from now on if some collection seen so far has a TTL index."""
        if self._may_sweep and self.catalog.has_expiring:
            self._may_sweep = False
            self._sweeper.start()

    def look_for_expiry(self) -> None:
        """Look through the catalog for TTL indexes, once, when the file is opened."""
        if not self._may_sweep:
            return
        try:
            self._sweeper.find_indexes()
        except CbddError as error:  # of the catalog itself: whoever asks for a collection meets it
            self.engine.record_event("expiry_error", {"code": error.code, "error": str(error)})
        self.watch_expiry()

    def require_open(self) -> None:
        """Raise what PyMongo raises when a closed client is used."""
        if self.is_closed:
            raise InvalidOperation("Cannot use Client after close")

    def begin_read(self) -> ReadTransaction:
        """Return a snapshot of everything acknowledged; the caller closes it."""
        self.require_open()
        return self.engine.begin_read()

    def read(
        self,
        session: ClientSession | None,
        work: Callable[[ReadTransaction], T],
        operation: str = "query",
        namespace: object = "",
    ) -> T:
        """Run a statement that only reads.

        :param operation: what it is counted as; ``namespace`` is what it works on, for the log.
        """
        self.require_open()
        started = perf_counter()
        failed = True
        try:
            result = self._read(session, work)
            failed = False
        finally:
            self.operations.note(operation, namespace, started, failed)
        return result

    def _read(self, session: ClientSession | None, work: Callable[[ReadTransaction], T]) -> T:
        if session is not None:
            shared = session._reading()
            if shared is not None:
                try:
                    return work(shared)
                except BaseException:
                    session._statement_failed()
                    raise
        txn: ReadTransaction | None = None
        try:
            txn = self.engine.begin_read()
            return work(txn)
        finally:
            if txn is not None:
                txn.close()
            if self._may_sweep and self.catalog.has_expiring:
                self.watch_expiry()

    def write(
        self,
        session: ClientSession | None,
        operation: str,
        durability: str | None,
        work: Callable[[CollectionWriters], T],
        namespace: object = "",
    ) -> T:
        """Run a statement that writes, and commit it unless it is part of a transaction.

        Whatever `work` raises takes back all it did; what must stay, it reports and returns.
        """
        self.require_open()
        started = perf_counter()
        failed = True
        try:
            result = self._write(session, operation, durability, work)
            failed = False
        finally:
            self.operations.note(operation, namespace, started, failed)
        return result

    def _write(
        self,
        session: ClientSession | None,
        operation: str,
        durability: str | None,
        work: Callable[[CollectionWriters], T],
    ) -> T:
        if session is not None and session.in_transaction:
            writers = session._writing(operation)
            try:
                return work(writers)
            except BaseException:
                session._statement_failed()
                raise
        txn: WriteTransaction | None = None  # Ctrl-C may come between any two lines
        try:
            txn = self.engine.begin_write(operation)
            result = work(CollectionWriters(self.catalog, txn, True))
            if txn.has_changes:
                txn.commit(durability or self.durability)
            return result
        finally:
            if txn is not None:
                txn.abort()
            if self._may_sweep and self.catalog.has_expiring:
                self.watch_expiry()

    def time_limit(self, milliseconds: object) -> AbstractContextManager[None]:
        """Raise `ExecutionTimeout` when what is done inside takes longer; None or 0 is no limit."""
        if milliseconds is None:
            return time_limit(None)
        if not isinstance(milliseconds, (int, float)):
            raise TypeError(f"max_time_ms must be an integer, not {type(milliseconds)}")
        check_time(milliseconds)
        return time_limit(self.time_check(milliseconds / 1000) if milliseconds else None)

    def time_check(self, seconds: float) -> Callable[[], None]:
        """Return a function that raises `ExecutionTimeout` once the seconds are over."""
        clock = self.clock
        end = clock.monotonic() + seconds

        def check() -> None:
            if clock.monotonic() > end:
                raise time_expired()

        return check

    def check(self, progress: Progress = None, skips_unchanged: bool = False) -> CheckReport:
        """Check the pages and trees, then the documents and indexes in them."""
        self.require_open()
        pages = documents = 0

        def tell_pages(done: int, total: int) -> None:
            nonlocal pages
            pages = total
            if progress is not None:
                progress(done, total + documents)

        checked = 0

        def tell_documents(done: int) -> None:
            nonlocal checked
            checked += done
            if progress is not None and pages:
                progress(min(pages + checked, pages + documents), pages + documents)

        with self.engine.begin_read() as txn:
            documents = self._count_documents(txn)
            report = self.engine.check(tell_pages, skips_unchanged)
            known = {(problem.code, problem.page) for problem in report.problems if problem.page}
            report.problems.extend(
                problem
                for problem in check_catalog(txn, self.catalog.filters, tell_documents)
                if (problem.code, problem.page) not in known
            )
            name_owners(txn, report.problems, self.catalog.filters)
        return report

    def _count_documents(self, txn: ReadTransaction) -> int:
        """How many documents there are, as far as the catalog can be read."""
        total = 0
        try:
            for database in self.catalog.list_databases(txn):
                for entry in self.catalog.list_collections(txn, database):
                    total += txn.count(entry.record_tree)
        except PyMongoError:
            return total  # the check itself says what is wrong
        return total

    def close(self) -> None:
        """Close the engine; calling it again does nothing."""
        if not self.is_closed:
            self.is_closed = True
            self._sweeper.stop()
            self.engine.close()
