"""Tailable cursors: the documents of a capped collection, and those that come after them.

Each batch reads from a new snapshot, behind the last record that was seen. The cursor stays alive
at the end; with `TAILABLE_AWAIT` it waits there for a while. It dies when the collection is gone or
was empty at the beginning, and raises when the collection has dropped the place where it stood.
A hint changes nothing: the records are read in their order.
Source: MongoDB's manual, "Tailable Cursors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbdd.catalog.record_store import encode_record_id
from cbdd.catalog.refusal import BAD_VALUE, CAPPED_POSITION_LOST, refusal
from cbdd.client.results import Results
from cbdd.client.unsupported import unsupported
from cbdd.query.executor import Query
from cbdd.query.returned_key import with_record_id
from cbdd.query.stages import CollectionScan

if TYPE_CHECKING:
    from cbdd.client.session import ClientSession
    from cbdd.client.store import Store

POLL_SECONDS: Final = 0.01


class TailResults(Results):
    """What comes in at the end of a capped collection."""

    def __init__(
        self, store: Store, database: str, name: str, query: Query, await_seconds: float
    ) -> None:
        self._store = store
        self._database = database
        self._name = name
        self._query = query
        self._await_seconds = await_seconds
        self._collection_id = 0
        self._last = 0
        self._returned = 0
        self._skip = query.skip

    def next_batch(self, documents: int, size_bytes: int) -> list[bytes]:
        clock = self._store.clock
        end = clock.monotonic() + self._await_seconds
        while True:
            batch = self._read(documents, size_bytes)
            if batch or self.is_exhausted or clock.monotonic() >= end:
                return batch
            clock.sleep(POLL_SECONDS)

    def _read(self, documents: int, size_bytes: int) -> list[bytes]:
        batch: list[bytes] = []
        with self._store.begin_read() as txn:
            entry = self._store.catalog.find(txn, self._database, self._name)
            is_first = self._collection_id == 0
            is_same = entry is not None and (is_first or entry.collection_id == self._collection_id)
            if entry is None or not is_same:
                self.is_exhausted = True
                return batch
            if not entry.is_capped:
                raise refusal(
                    BAD_VALUE,
                    "error processing query: tailable cursor requested on non capped collection",
                )
            if is_first and txn.count(entry.record_tree) == 0:
                self.is_exhausted = True
                return batch
            self._collection_id = entry.collection_id
            after = encode_record_id(self._last) if self._last else b""
            if after and txn.get(entry.record_tree, after) is None:
                raise refusal(
                    CAPPED_POSITION_LOST,
                    "CollectionScan died due to position in capped collection being deleted. Last "
                    f"seen record id: RecordId({self._last})",
                )
            scan = CollectionScan(txn, entry.record_tree, None, False, 0, after)
            size = 0
            while len(batch) < documents and scan.step():
                self._last = int.from_bytes(scan.record_key, "big")
                found = self._result(scan.document)
                if found is not None and self._query.shows_record_id:
                    found = with_record_id(found, self._last)
                if found is None:
                    continue
                batch.append(found)
                size += len(found)
                if self.is_exhausted or (size_bytes and size >= size_bytes):
                    break
        return batch

    def _result(self, document: bytes) -> bytes | None:
        """Return a document as the query wants it, None when it does not."""
        query = self._query
        if not query.filter.matches(document):
            return None
        if self._skip:
            self._skip -= 1
            return None
        self._returned += 1
        if query.limit and self._returned >= query.limit:
            self.is_exhausted = True
        return document if query.projection is None else query.projection.apply(document)


def tail_query(
    store: Store,
    session: ClientSession | None,
    database: str,
    name: str,
    query: Query,
    await_seconds: float,
) -> TailResults:
    """Start a tailable query.

    :raises OperationFailure: the query is sorted, or part of a transaction.
    """
    if session is not None and session.in_transaction:
        raise unsupported("find: a tailable cursor in a transaction")
    if query.key_range is not None or query.returns_key:
        raise unsupported("find: min, max or return_key with a tailable cursor")
    sort = query.sort
    if sort is not None and sort.fields != [("$natural", 1)]:
        raise refusal(
            BAD_VALUE,
            "error processing query: cannot use tailable option with a sort other than "
            "{$natural: 1}",
        )
    return TailResults(store, database, name, query, await_seconds)
