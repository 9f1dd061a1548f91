"""The stages of an execution: each pulls from the one below and offers one document at a time.

    Limit <- Skip <- Sort <- Fetch <- IndexScan
                     Sort <- CollectionScan

`step()` moves to the next document and says whether there is one; then `record_key` (the 8 bytes
of its record id) and `document` (its BSON; b"" where only keys are read) belong to it. Counters
are kept for explain: `works` calls, `advanced` documents offered.

Concurrency: a stage belongs to one thread and to an open transaction. In a write transaction
nothing may be written between two steps; collect the record ids first (see `Execution`).
"""

from __future__ import annotations

import heapq
from typing import Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.errors import CorruptDataError
from cbdd.index.interval import Interval
from cbdd.index.key_string import invert
from cbdd.query.matcher import MatchExpression
from cbdd.query.planner import IndexChoice
from cbdd.query.sort import SortPattern
from cbdd.query.yield_point import YIELD_INTERVAL, yield_point
from cbdd.storage import ReadTransaction
from cbdd.storage.cursor import Cursor

RECORD_ID_BYTES: Final = 8

_YIELD_MASK: Final = YIELD_INTERVAL - 1
SORT_MEMORY_BYTES: Final = 64 << 20
"""Documents a sort keeps in memory; beyond that it keeps keys and fetches documents again."""


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

    `skipped` records at the beginning are passed over without being read (only without a filter).
    """

    def __init__(
        self,
        txn: ReadTransaction,
        tree_id: int,
        filter: MatchExpression | None,
        is_reverse: bool,
        skipped: int = 0,
    ) -> None:
        super().__init__(None)
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
        if self.skipped:
            position = self._count - 1 - self.skipped if self.is_reverse else self.skipped
            return 0 <= position < self._count and self._cursor.seek_position(position)
        return self._cursor.last() if self.is_reverse else self._cursor.first()


class IdLookup(Stage):
    """The one record whose `_id` has a given key string, if it matches the rest of the filter."""

    def __init__(
        self,
        txn: ReadTransaction,
        entry: CollectionEntry,
        id_key: bytes,
        filter: MatchExpression | None,
    ) -> None:
        super().__init__(None)
        self.txn = txn
        self.entry = entry
        self.id_key = id_key
        self.filter = filter
        self.keys_examined = 0
        self.examined = 0
        self._is_done = False

    def advance(self) -> bool:
        if self._is_done:
            return False
        self._is_done = True
        self.keys_examined = 1
        record_key = self.txn.get(self.entry.indexes[0].tree_id, self.id_key)
        if record_key is None:
            return False
        document = fetch_record(self.txn, self.entry, record_key, self.entry.indexes[0].name)
        self.examined = 1
        if self.filter is not None and not self.filter.matches(document):
            return False
        self.record_key = record_key
        self.document = document
        return True


class IndexScan(Stage):
    """The record ids behind the keys inside some intervals, in the order of the index.

    In a multikey index a document may have several of these keys; it is offered at the first.
    """

    def __init__(self, txn: ReadTransaction, choice: IndexChoice) -> None:
        super().__init__(None)
        self.choice = choice
        self.keys_examined = 0
        self.seeks = 0
        self.duplicates = 0
        self._is_unique = choice.definition.is_unique
        self._is_reverse = choice.is_reverse
        self._cursor: Cursor = txn.cursor(choice.definition.tree_id)
        self._intervals: list[Interval] = choice.composite.intervals
        self._next = len(self._intervals) - 1 if self._is_reverse else 0
        self._limit: bytes | None = None
        self._is_inside = False
        self._seen: set[bytes] | None = set() if choice.definition.is_multikey else None

    def advance(self) -> bool:
        cursor = self._cursor
        while self._move():
            self.keys_examined += 1
            if (self.keys_examined & _YIELD_MASK) == 0:
                yield_point()
            record_key = cursor.value if self._is_unique else cursor.key[-RECORD_ID_BYTES:]
            seen = self._seen
            if seen is not None:
                if record_key in seen:
                    self.duplicates += 1
                    continue
                seen.add(record_key)
            self.record_key = record_key
            return True
        return False

    def _move(self) -> bool:
        """Move to the next key inside the intervals."""
        cursor = self._cursor
        while True:
            if self._is_inside:
                is_there = cursor.back() if self._is_reverse else cursor.step()
            elif 0 <= self._next < len(self._intervals):
                is_there = self._enter(self._intervals[self._next])
                self._is_inside = True
            else:
                return False
            if is_there and self._is_within(cursor.key):
                return True
            self._is_inside = False
            self._next += -1 if self._is_reverse else 1

    def _enter(self, interval: Interval) -> bool:
        self.seeks += 1
        if self._is_reverse:
            self._limit = interval.low
            return (
                self._cursor.last()
                if interval.high is None
                else self._cursor.seek_before(interval.high)
            )
        self._limit = interval.high
        return self._cursor.first() if interval.low is None else self._cursor.seek(interval.low)

    def _is_within(self, key: bytes) -> bool:
        if self._limit is None:
            return True
        return key >= self._limit if self._is_reverse else key < self._limit


class Fetch(Stage):
    """The documents of the records that the stage below names; those that match are offered."""

    def __init__(
        self,
        txn: ReadTransaction,
        entry: CollectionEntry,
        child: IndexScan,
        filter: MatchExpression | None,
    ) -> None:
        super().__init__(child)
        self.scan = child
        self.txn = txn
        self.entry = entry
        self.filter = filter
        self.examined = 0

    def advance(self) -> bool:
        scan = self.scan
        filter = self.filter
        while scan.step():
            document = fetch_record(
                self.txn, self.entry, scan.record_key, scan.choice.definition.name
            )
            self.examined += 1
            if filter is None or filter.matches(document):
                self.record_key = scan.record_key
                self.document = document
                return True
        return False


class Sort(Stage):
    """All documents of the stage below, in order; with `needed` above 0 only the first of them.

    Equal documents keep the order they came in. What is kept: keys and record ids, and the
    documents themselves as long as they are few.
    """

    def __init__(
        self,
        txn: ReadTransaction,
        entry: CollectionEntry,
        child: Stage,
        pattern: SortPattern,
        needed: int,
    ) -> None:
        super().__init__(child)
        self.source = child
        self.txn = txn
        self.entry = entry
        self.pattern = pattern
        self.needed = needed
        self.memory_bytes = SORT_MEMORY_BYTES
        self.document_bytes = 0
        self._sorted: list[tuple[bytes, int, bytes, bytes]] = []
        self._next = -1

    def advance(self) -> bool:
        if self._next < 0:
            self._read_all()
        if self._next >= len(self._sorted):
            return False
        _, _, self.record_key, document = self._sorted[self._next]
        if not document:
            document = fetch_record(self.txn, self.entry, self.record_key, "sort")
        self.document = document
        self._next += 1
        return True

    def _read_all(self) -> None:
        if self.needed > 0:
            self._read_first(self.needed)
        else:
            entries = self._sorted
            while self.source.step():
                entries.append(self._entry(len(entries)))
            entries.sort()
        self._next = 0

    def _entry(self, number: int) -> tuple[bytes, int, bytes, bytes]:
        document = self.source.document
        key = self.pattern.key(document)
        self.document_bytes += len(document)
        kept = document if self.document_bytes <= self.memory_bytes else b""
        return key, number, self.source.record_key, kept

    def _read_first(self, needed: int) -> None:
        """Keep the `needed` smallest entries in a heap with the largest of them on top.

        Python's heaps have the smallest on top, so keys are held inverted and numbers negated.
        An inverted key sorts the other way because no key is the beginning of another.
        """
        heap: list[tuple[bytes, int, bytes, bytes]] = []
        number = 0
        while self.source.step():
            key = self.pattern.key(self.source.document)
            inverted = invert(key)
            number += 1
            entry = (inverted, -number, self.source.record_key, self.source.document)
            if len(heap) < needed:
                self.document_bytes += len(self.source.document)
                heapq.heappush(heap, entry)
            elif entry > heap[0]:
                heapq.heapreplace(heap, entry)
        heap.sort(reverse=True)
        self._sorted = heap


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
