"""The open file under a client, and how one statement runs in it.

A statement outside a transaction gets a transaction of its own: a snapshot to read, or the writer
lock to write, so it never conflicts. A statement of a session in a transaction works on the
session's snapshot; when it fails, the transaction is over, as it is on a server.

Concurrency: any number of threads; each call has its own transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pymongo.errors import InvalidOperation

from cbdd.catalog import Catalog, CollectionWriters
from cbdd.catalog.check import check_catalog
from cbdd.storage import Clock, Randomness, ReadTransaction, StorageEngine, WriteTransaction
from cbdd.storage.check import CheckReport

if TYPE_CHECKING:
    from cbdd.client.session import ClientSession

T = TypeVar("T")


class Store:
    """Engine and catalog of one open file; owned by the client, shared by its databases."""

    def __init__(
        self,
        path: str,
        engine: StorageEngine,
        durability: str,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self.path = path
        self.engine = engine
        self.durability = durability
        self.catalog = Catalog(engine, clock, randomness)
        self.clock = clock
        self.randomness = randomness
        self.is_closed = False

    def require_open(self) -> None:
        """Raise what PyMongo raises when a closed client is used."""
        if self.is_closed:
            raise InvalidOperation("Cannot use Client after close")

    def begin_read(self) -> ReadTransaction:
        """Return a snapshot of everything acknowledged; the caller closes it."""
        self.require_open()
        return self.engine.begin_read()

    def read(self, session: ClientSession | None, work: Callable[[ReadTransaction], T]) -> T:
        """Run a statement that only reads."""
        self.require_open()
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

    def write(
        self,
        session: ClientSession | None,
        operation: str,
        durability: str | None,
        work: Callable[[CollectionWriters], T],
    ) -> T:
        """Run a statement that writes, and commit it unless it is part of a transaction.

        Whatever `work` raises takes back all it did; what must stay, it reports and returns.
        """
        self.require_open()
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

    def check(self) -> CheckReport:
        """Check the pages and trees, then the documents and indexes in them."""
        self.require_open()
        report = self.engine.check()
        with self.engine.begin_read() as txn:
            report.problems.extend(check_catalog(txn))
        return report

    def close(self) -> None:
        """Close the engine; calling it again does nothing."""
        if not self.is_closed:
            self.is_closed = True
            self.engine.close()
