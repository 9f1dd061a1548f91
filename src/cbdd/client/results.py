"""Where a cursor's documents come from: a running query, memory, or nothing any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pymongo.errors import CursorNotFound

from cbdd.query.executor import Execution, Query
from cbdd.storage import ReadTransaction
from cbdd.storage.yield_point import time_limit

if TYPE_CHECKING:
    from cbdd.client.session import ClientSession
    from cbdd.client.store import Store

CURSOR_NOT_FOUND: Final = 43
_ALL: Final = 1 << 62


class Results:
    """Documents as BSON, in batches. `is_shared` says that they come from a session's snapshot."""

    is_exhausted = False
    is_shared = False

    def next_batch(self, documents: int, size_bytes: int) -> list[bytes]:
        """Return the next documents: so many, or, if `size_bytes` is not 0, up to that size."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is held; calling it again does nothing."""


class QueryResults(Results):
    """The results of a query that runs on an open transaction."""

    def __init__(
        self,
        store: Store,
        session: ClientSession | None,
        txn: ReadTransaction,
        is_shared: bool,
        execution: Execution,
        max_time_ms: int | None,
    ) -> None:
        self.is_shared = is_shared
        self._store = store
        self._session = session
        self._txn = txn
        self._execution = execution
        self._seconds_left = None if not max_time_ms else max_time_ms / 1000

    def next_batch(self, documents: int, size_bytes: int) -> list[bytes]:
        self._store.require_open()
        started = self._store.clock.monotonic()
        check = None
        if self._seconds_left is not None:
            check = self._store.time_check(self._seconds_left)
        batch: list[bytes] = []
        try:
            if check is None:
                self.is_exhausted = not self._execution.fill(batch, documents, size_bytes)
            else:
                with time_limit(check):
                    self._fill_in_time(batch, documents, size_bytes, check)
        except BaseException:
            if self.is_shared and self._session is not None:
                self._session._statement_failed()
            raise
        if self._seconds_left is not None:
            self._seconds_left -= self._store.clock.monotonic() - started
        if self.is_exhausted:
            self.close()
        return batch

    def _fill_in_time(
        self, batch: list[bytes], documents: int, size_bytes: int, check: Callable[[], None]
    ) -> None:
        """Fill a batch one by one, and look at the clock after each."""
        size = 0
        while len(batch) < documents and (not size_bytes or size < size_bytes):
            if not self._execution.fill(batch, len(batch) + 1, 0):
                self.is_exhausted = True
                return
            size += len(batch[-1])
            check()

    def close(self) -> None:
        self.is_exhausted = True
        if not self.is_shared:
            self._txn.close()


class BufferedResults(Results):
    """The rest of other results, read into memory at once."""

    def __init__(self, source: Results) -> None:
        self._documents: deque[bytes] = deque()
        if not source.is_exhausted:
            self._documents.extend(source.next_batch(_ALL, 0))
        source.close()
        self.is_exhausted = not self._documents

    def next_batch(self, documents: int, size_bytes: int) -> list[bytes]:
        batch: list[bytes] = []
        while self._documents and len(batch) < documents:
            batch.append(self._documents.popleft())
        self.is_exhausted = not self._documents
        return batch


class EndedResults(Results):
    """What is left of results when the transaction they came from is over."""

    def next_batch(self, documents: int, size_bytes: int) -> list[bytes]:
        message = "the cursor's transaction or session has ended"
        raise CursorNotFound(
            message,
            CURSOR_NOT_FOUND,
            {"ok": 0.0, "errmsg": message, "code": CURSOR_NOT_FOUND, "codeName": "CursorNotFound"},
        )


def run_query(
    store: Store,
    session: ClientSession | None,
    database: str,
    name: str,
    query: Query,
    max_time_ms: int | None,
) -> QueryResults:
    """Start a query on the session's snapshot, or on a snapshot of its own."""
    store.require_open()
    shared = session._reading() if session is not None else None
    txn = shared
    try:
        if txn is None:
            txn = store.engine.begin_read()
        execution = Execution(txn, store.catalog.find(txn, database, name), query)
        return QueryResults(store, session, txn, shared is not None, execution, max_time_ms)
    except BaseException:
        if session is not None and shared is not None:
            session._statement_failed()
        elif txn is not None:
            txn.close()
        raise
