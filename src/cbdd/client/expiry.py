"""Deleting documents whose time is over: the sweep of TTL indexes.

A thread sweeps once a minute while the file is open and has such an index; `sweep` may also be
asked for. A document goes when a date in the indexed field, the earliest of an array, is older than
`expireAfterSeconds`; documents without a date stay. Hidden indexes count, hashed ones do not. Each
batch is a transaction of its own.

Deleting cannot be taken back and a clock can be wrong, so the thread compares the clock with the
one that only runs forward: when the time of day has leapt ahead by more than an hour since the last
sweep, it leaves that one out and notes it in the flight recorder. If the new time is still there a
minute later it is believed. A clock that was set back only delays. `Client.expire_documents()`
always believes the clock.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from cbdd.catalog import CollectionEntry, CollectionWriters
from cbdd.errors import CbddError
from cbdd.index.definition import IndexDefinition
from cbdd.query.executor import Execution, Query

if TYPE_CHECKING:
    from cbdd.client.store import Store

Failure = CbddError | PyMongoError | None

SWEEP_SECONDS: Final = 60.0
LEAP_SECONDS: Final = 3600.0
BATCH_DOCUMENTS: Final = 1000
_STOP_SECONDS: Final = 5.0
_MICROSECONDS: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)


class ExpirySweeper:
    """Sweeps one open file; its thread is started when a TTL index is first seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._time_us = 0
        self._elapsed = 0.0

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="cbdd-expiry", daemon=True)
            self._thread = thread
            thread.start()

    def stop(self) -> None:
        """End the thread; wait for it unless it is kept waiting itself."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(_STOP_SECONDS)

    def sweep(self) -> int:
        """Delete what has expired by the clock, and return the number of documents.

        One sweep at a time: what the thread has begun is done when this returns. An index that
        cannot be swept stops no other one; its error is raised at the end.
        """
        with self._mutex:
            return self._sweep()

    def _sweep(self) -> int:
        now = _EPOCH + timedelta(microseconds=self._store.clock.now_us())
        found, failure = self.find_indexes()
        deleted = 0
        for entry, definition in found:
            try:
                deleted += self._sweep_index(entry, definition, now)
            except (CbddError, PyMongoError) as error:
                failure = failure or error  # the other indexes are swept all the same
        if failure is not None:
            raise failure
        return deleted

    def find_indexes(self) -> tuple[list[tuple[CollectionEntry, IndexDefinition]], Failure]:
        """Return the indexes to sweep, and the first error of a collection that cannot be read."""
        failure: Failure = None
        found: list[tuple[CollectionEntry, IndexDefinition]] = []
        catalog = self._store.catalog
        with self._store.engine.begin_read() as txn:
            for database in catalog.list_databases(txn):
                for name in catalog.list_names(txn, database):
                    try:
                        entry = catalog.find(txn, database, name)
                    except (CbddError, PyMongoError) as error:
                        failure = failure or error
                        continue
                    assert entry is not None
                    found += [
                        (entry, definition)
                        for definition in entry.indexes
                        if definition.expires_after is not None and definition.hashed_field < 0
                    ]
        return found, failure

    def sweep_unless_leapt(self) -> int:
        """`sweep`, left out once when the clock has leapt ahead; what the thread does."""
        clock = self._store.clock
        time_us, elapsed = clock.now_us(), clock.monotonic()
        passed = (time_us - self._time_us) / _MICROSECONDS
        leap = passed - (elapsed - self._elapsed)
        is_first = self._time_us == 0
        self._time_us, self._elapsed = time_us, elapsed
        if not is_first and leap > LEAP_SECONDS:
            self._store.engine.record_event("clock_leapt", {"seconds": round(leap)})
            return 0
        return self.sweep()

    def _sweep_index(
        self, entry: CollectionEntry, definition: IndexDefinition, now: datetime
    ) -> int:
        seconds = definition.expires_after
        assert seconds is not None
        try:
            limit = now - timedelta(seconds=seconds)
        except OverflowError:
            limit = _FIRST
        path = definition.fields[0][0]
        query = Query.compile({path: {"$lte": limit}}, limit=BATCH_DOCUMENTS, hint=definition.name)
        query.may_use_hidden = True
        deleted = 0
        while not self._stop.is_set():
            batch = self._store.write(
                None,
                "expire",
                None,
                lambda writers: _delete_batch(writers, entry, definition, query),
            )
            deleted += batch
            if batch < BATCH_DOCUMENTS:
                break
        return deleted

    def _run(self) -> None:
        while not self._stop.is_set() and not self._store.is_closed:
            try:
                self.sweep_unless_leapt()
            except (CbddError, PyMongoError, OSError) as error:
                if not self._store.is_closed:
                    self._store.engine.record_event("expiry_error", {"error": str(error)})
            self._stop.wait(SWEEP_SECONDS)


def _delete_batch(
    writers: CollectionWriters, entry: CollectionEntry, definition: IndexDefinition, query: Any
) -> int:
    """Delete one batch, if collection and index are still what they were."""
    current = writers.catalog.find(writers.txn, entry.database, entry.name)
    if current is None or current.uuid != entry.uuid:
        return 0
    index = current.index_named(definition.name)
    if index is None or index.expires_after != definition.expires_after:
        return 0
    writer = writers.find(entry.database, entry.name)
    assert writer is not None
    execution = Execution(writers.txn, writer.entry, query)
    found: list[tuple[int, bytes]] = []
    while execution.step():
        found.append((execution.record_id, execution.document))
    for record_id, document in found:
        writer.delete(record_id, document)
    return len(found)
