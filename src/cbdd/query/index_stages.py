"""Stages that read indexes, and the records they name.

A scan offers record keys. `Fetch` reads their documents; `Covered` makes documents of the keys
themselves and reads a record only where a key does not say everything.
"""

from __future__ import annotations

from typing import Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.index.interval import Interval
from cbdd.index.key_types import decode_fields
from cbdd.query.index_choice import IndexChoice
from cbdd.query.matcher import MatchExpression
from cbdd.query.stages import RECORD_ID_BYTES, Stage, fetch_record
from cbdd.storage import ReadTransaction
from cbdd.storage.cursor import Cursor
from cbdd.storage.yield_point import YIELD_INTERVAL, yield_point

_YIELD_MASK: Final = YIELD_INTERVAL - 1


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
        record_key = record_key[:RECORD_ID_BYTES]
        document = fetch_record(self.txn, self.entry, record_key, self.entry.indexes[0].name)
        self.examined = 1
        if self.filter is not None and not self.filter.matches(document):
            return False
        self.record_key = record_key
        self.document = document
        return True


class RecordSource(Stage):
    """A stage that offers record keys without documents."""

    index_name = ""
    """The index the current record key comes from."""


class IndexScan(RecordSource):
    """The record ids behind the keys inside some intervals, in the order of the index.

    In a multikey index a document may have several of these keys; it is offered at the first.
    `skipped` entries at the beginning are passed over by their count, without being visited.
    """

    def __init__(self, txn: ReadTransaction, choice: IndexChoice, skipped: int = 0) -> None:
        super().__init__(None)
        self.choice = choice
        self.index_name = choice.definition.name
        self.keys_examined = 0
        self.seeks = 0
        self.duplicates = 0
        self.skipped = skipped
        self._txn = txn
        self._is_unique = choice.definition.is_unique
        self._is_reverse = choice.is_reverse
        self._cursor: Cursor = txn.cursor(choice.definition.tree_id)
        self._intervals: list[Interval] = choice.composite.intervals
        self._next = len(self._intervals) - 1 if self._is_reverse else 0
        self._limit: bytes | None = None
        self._is_inside = False
        self._seen: set[bytes] | None = set() if choice.definition.is_multikey else None
        self._left = skipped

    @property
    def key(self) -> bytes:
        """The composite key string of the current entry."""
        key = self._cursor.key
        return key if self._is_unique else key[:-RECORD_ID_BYTES]

    @property
    def types(self) -> bytes:
        """What the current entry says about the types of its values."""
        value = self._cursor.value
        return value[RECORD_ID_BYTES:] if self._is_unique else value

    def advance(self) -> bool:
        cursor = self._cursor
        while self._move():
            self.keys_examined += 1
            if (self.keys_examined & _YIELD_MASK) == 0:
                yield_point()
            if self._is_unique:
                record_key = cursor.value[:RECORD_ID_BYTES]
            else:
                record_key = cursor.key[-RECORD_ID_BYTES:]
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
        self._limit = interval.low if self._is_reverse else interval.high
        if self._left > 0:
            return self._enter_after(interval)
        if self._is_reverse:
            return (
                self._cursor.last()
                if interval.high is None
                else self._cursor.seek_before(interval.high)
            )
        return self._cursor.first() if interval.low is None else self._cursor.seek(interval.low)

    def _enter_after(self, interval: Interval) -> bool:
        """Pass over entries of an interval, all of them when it has no more than are left."""
        tree_id = self.choice.definition.tree_id
        size = self._txn.count_range(tree_id, interval.low, interval.high)
        passed = min(size, self._left)
        self._left -= passed
        if passed == size:
            return False
        before = 0
        if interval.low is not None:
            before = self._txn.count_range(tree_id, None, interval.low)
        position = before + size - 1 - passed if self._is_reverse else before + passed
        return self._cursor.seek_position(position)

    def _is_within(self, key: bytes) -> bool:
        if self._limit is None:
            return True
        return key >= self._limit if self._is_reverse else key < self._limit


class IndexUnion(RecordSource):
    """The records that any of several scans names, each once: how an $or uses indexes."""

    def __init__(self, scans: list[IndexScan]) -> None:
        super().__init__(None)
        self.scans = scans
        self.duplicates = 0
        self._current = 0
        self._seen: set[bytes] = set()

    def advance(self) -> bool:
        while self._current < len(self.scans):
            scan = self.scans[self._current]
            if not scan.step():
                self._current += 1
            elif scan.record_key in self._seen:
                self.duplicates += 1
            else:
                self._seen.add(scan.record_key)
                self.record_key = scan.record_key
                self.index_name = scan.index_name
                return True
        return False


class Fetch(Stage):
    """The documents of the records that the stage below names; those that match are offered."""

    def __init__(
        self,
        txn: ReadTransaction,
        entry: CollectionEntry,
        child: RecordSource,
        filter: MatchExpression | None,
    ) -> None:
        super().__init__(child)
        self.source = child
        self.txn = txn
        self.entry = entry
        self.filter = filter
        self.examined = 0

    def advance(self) -> bool:
        source = self.source
        filter = self.filter
        while source.step():
            document = fetch_record(self.txn, self.entry, source.record_key, source.index_name)
            self.examined += 1
            if filter is None or filter.matches(document):
                self.record_key = source.record_key
                self.document = document
                return True
        return False


class Covered(Stage):
    """Documents made of index keys: they have the fields of the index and no others."""

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
        self._shape = _Shape(child.choice.definition.paths)

    def advance(self) -> bool:
        scan = self.scan
        filter = self.filter
        while scan.step():
            values = decode_fields(scan.choice.definition, scan.key, scan.types)
            if values is None:
                self.examined += 1
                document = fetch_record(self.txn, self.entry, scan.record_key, scan.index_name)
            else:
                document = self._shape.document(values)
            if filter is None or filter.matches(document):
                self.record_key = scan.record_key
                self.document = document
                return True
        return False


class _Shape:
    """How the fields of an index nest in a document."""

    def __init__(self, paths: list[list[bytes]]) -> None:
        self._names: list[bytes] = []
        self._fields: dict[bytes, int] = {}
        self._nested: dict[bytes, _Shape] = {}
        groups: dict[bytes, list[int]] = {}
        for position in range(len(paths)):
            groups.setdefault(paths[position][0], []).append(position)
        # _id comes first in every stored document.
        for name in sorted(groups, key=_is_not_id):
            self._add(name, groups[name], paths)

    def _add(self, name: bytes, positions: list[int], paths: list[list[bytes]]) -> None:
        self._names.append(name)
        if len(paths[positions[0]]) == 1:
            self._fields[name] = positions[0]
            return
        below: list[list[bytes]] = [[] for _ in paths]
        for position in positions:
            below[position] = paths[position][1:]
        self._nested[name] = _nested_shape(below)

    def document(self, values: list[bytes]) -> bytes:
        """Return the BSON document of the fields' values (type byte and bytes)."""
        parts: list[bytes] = []
        for name in self._names:
            nested = self._nested.get(name)
            if nested is not None:
                parts.append(b"\x03" + name + b"\0" + nested.document(values))
            else:
                value = values[self._fields[name]]
                parts.append(value[:1] + name + b"\0" + value[1:])
        body = b"".join(parts)
        return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def _is_not_id(name: bytes) -> bool:
    return name != b"_id"


def _nested_shape(paths: list[list[bytes]]) -> _Shape:
    shape = _Shape([])
    groups: dict[bytes, list[int]] = {}
    for position in range(len(paths)):
        if paths[position]:
            groups.setdefault(paths[position][0], []).append(position)
    for name, positions in groups.items():
        shape._add(name, positions, paths)
    return shape


def find_scan(stage: Stage) -> IndexScan | None:
    """Return the index scan that a stage reads from, None when there is no single one."""
    at: Stage | None = stage
    while at is not None:
        if isinstance(at, IndexScan):
            return at
        at = at.child
    return None
