"""The stages of an execution: each pulls from the one below and offers one document at a time.

    Limit <- Skip <- Sort <- Fetch <- IndexScan             index_stages, sort_stage
                             Fetch <- IndexUnion <- IndexScan ...
                             Covered <- IndexScan
                     Sort <- CollectionScan

`step()` moves to the next document and says whether there is one; then `record_key` (the 8 bytes
of its record id) and `document` (its BSON; b"" where only keys are read) belong to it. Counters
are kept for explain: `works` calls, `advanced` documents offered.

Concurrency: a stage belongs to one thread and to an open transaction. In a write transaction
nothing may be written between two steps; collect the record ids first (see `Execution`).
"""

from __future__ import annotations

from typing import Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.errors import CorruptDataError
from cbdd.query.matcher import MatchExpression
from cbdd.storage import ReadTransaction
from cbdd.storage.cursor import Cursor
from cbdd.storage.yield_point import YIELD_INTERVAL, yield_point

RECORD_ID_BYTES: Final = 8

_YIELD_MASK: Final = YIELD_INTERVAL - 1


class Stage:
    """One step of an execution."""

    def __init__(self, child: Stage | None) -> None:
        self.child = child
        self.record_key = b""
        self.document = b""
        self.works = 0
        self.advanced = 0

    def step(self) -> bool:
        """Move to the next document; False at the end."""
        self.works += 1
        if (self.works & _YIELD_MASK) == 0:
            yield_point()
        if not self.advance():
            return False
        self.advanced += 1
        return True

    def advance(self) -> bool:
        """Find the next document; what a subclass does."""
        raise NotImplementedError


class Empty(Stage):
    """No documents: the collection does not exist, or the filter excludes everything."""

    def __init__(self) -> None:
        super().__init__(None)

    def advance(self) -> bool:
        return False


class CollectionScan(Stage):
    """Every record in the order of insertion, or its reverse; those that match are offered.

    `skipped` records at the beginning are passed over without being read (only without a filter);
    with `after` the scan begins behind that record key.
    """

    def __init__(
        self,
        txn: ReadTransaction,
        tree_id: int,
        filter: MatchExpression | None,
        is_reverse: bool,
        skipped: int = 0,
        after: bytes = b"",
    ) -> None:
        super().__init__(None)
        self.after = after
        self.filter = filter
        self.is_reverse = is_reverse
        self.examined = 0
        self.skipped = skipped
        self._cursor: Cursor = txn.cursor(tree_id)
        self._is_started = False
        self._count = txn.count(tree_id) if skipped else 0

    def advance(self) -> bool:
        cursor = self._cursor
        filter = self.filter
        while self._move():
            self.examined += 1
            if (self.examined & _YIELD_MASK) == 0:
                yield_point()
            document = cursor.value
            if filter is None or filter.matches(document):
                self.document = document
                self.record_key = cursor.key
                return True
        return False

    def _move(self) -> bool:
        if self._is_started:
            return self._cursor.back() if self.is_reverse else self._cursor.step()
        self._is_started = True
        if self.after:
            return self._cursor.seek(self.after + b"\0")
        if self.skipped:
            position = self._count - 1 - self.skipped if self.is_reverse else self.skipped
            return 0 <= position < self._count and self._cursor.seek_position(position)
        return self._cursor.last() if self.is_reverse else self._cursor.first()


class Skip(Stage):
    """All documents of the stage below but the first `count`."""

    def __init__(self, child: Stage, count: int) -> None:
        super().__init__(child)
        self.source = child
        self.count = count
        self._left = count

    def advance(self) -> bool:
        source = self.source
        while self._left > 0:
            if not source.step():
                return False
            self._left -= 1
        if not source.step():
            return False
        self.document = source.document
        self.record_key = source.record_key
        return True


class Limit(Stage):
    """The first `count` documents of the stage below; no more are asked for."""

    def __init__(self, child: Stage, count: int) -> None:
        super().__init__(child)
        self.source = child
        self.count = count
        self._left = count

    def advance(self) -> bool:
        if self._left <= 0 or not self.source.step():
            return False
        self._left -= 1
        self.document = self.source.document
        self.record_key = self.source.record_key
        return True


def fetch_record(
    txn: ReadTransaction, entry: CollectionEntry, record_key: bytes, index_name: str
) -> bytes:
    """Return a record that an index entry names; it must be there."""
    document = txn.get(entry.record_tree, record_key)
    if document is None:
        record_id = int.from_bytes(record_key, "big")
        raise CorruptDataError(
            "INDEX_ENTRY_WITHOUT_RECORD",
            f"the index '{index_name}' of {entry.namespace} names record {record_id}, which does"
            " not exist",
            "run `cbdd check` on the file",
            {"namespace": entry.namespace, "index": index_name, "record": record_id},
        )
    return document
