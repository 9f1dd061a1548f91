"""The documents of one collection that can be had, each with what is known of its age.

What the index on `_id` says decides about documents of which only an older version was found, and
tells which ones are lost: it names every document that was there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from cbdd.catalog.entry import ID_INDEX_NAME
from cbdd.catalog.record_store import RECORD_ID_BYTES, decode_record_id, encode_record_id
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_types import decode_fields
from cbdd.index.keys import extract_keys
from cbdd.ops.recovery.report import AT_LEAST, AT_MOST, CollectionOutcome
from cbdd.ops.recovery.salvaged_database import FoundCollection, SalvagedDatabase, is_document
from cbdd.ops.recovery.salvaged_tree import Gap

SAVED: Final = "saved"
STALE: Final = "stale"
RESURRECTED: Final = "resurrected"
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


class SalvagedDocument:
    """A document, its record id as a key, its fate, and the LSN that wrote it if the log did."""

    def __init__(self, record_key: bytes, document: bytes, fate: str, lsn: int) -> None:
        self.record_key = record_key
        self.document = document
        self.fate = fate
        self.lsn = lsn

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Of two documents with one unique key, which is the later: the greater rank."""
        return (self.fate == SAVED, self.lsn, decode_record_id(self.record_key))


class SalvagedCollection:
    """Reads the documents once, counting into the outcome."""

    def __init__(
        self, database: SalvagedDatabase, found: FoundCollection, outcome: CollectionOutcome
    ) -> None:
        self._database = database
        self._outcome = outcome
        self._records = database.tree(found.record_tree)
        self._id_index: IndexDefinition | None = None
        if found.entry is not None:
            self._id_index = found.entry.index_named(ID_INDEX_NAME)
        self._ids: dict[bytes, tuple[bytes, bytes]] | None = None
        """Entries of the index on `_id` by record id: key string and types."""
        self._ids_are_complete = False

    def documents(self) -> Iterator[SalvagedDocument]:
        """Every document that can be had, in the order of insertion."""
        seen = array("Q")
        seen_in_pages = array("Q")
        is_whole = True
        outcome = self._outcome
        for entry in self._database.entries(self._records):
            if len(entry.key) != RECORD_ID_BYTES or entry.key == bytes(RECORD_ID_BYTES):
                outcome.lost.add(is_known=False)
                continue
            if entry.value is None or not is_document(entry.value):
                is_whole = False
                continue
            fate = SAVED if not entry.is_older else self._fate_of_older(entry.key, entry.value)
            if fate == SAVED:
                outcome.saved += 1
            elif fate == STALE:
                outcome.stale.add(identity_of(entry.value))
            elif fate == RESURRECTED:
                outcome.resurrected.add(identity_of(entry.value))
            else:
                continue
            record_id = decode_record_id(entry.key)
            seen.append(record_id)
            if not entry.lsn and fate != RESURRECTED:
                seen_in_pages.append(record_id)
            yield SalvagedDocument(entry.key, entry.value, fate, entry.lsn)
        if not is_whole or not self._records.is_complete:
            self._count_lost(seen, seen_in_pages)

    def _fate_of_older(self, record_key: bytes, document: bytes) -> str:
        """What a document is of which only an older version was found; empty: it was deleted.

        A record id may be that of another document by now, if the last one was deleted meanwhile.
        """
        known = self._known_ids().get(record_key)
        if known is not None:
            assert self._id_index is not None
            is_same = extract_keys(self._id_index, document).keys == [known[0]]
            return STALE if is_same else ""
        return "" if self._ids_are_complete else RESURRECTED

    def _known_ids(self) -> dict[bytes, tuple[bytes, bytes]]:
        """The documents that were there, as the index on `_id` has them."""
        if self._ids is not None:
            return self._ids
        self._ids = {}
        definition = self._id_index
        if definition is None:
            return self._ids
        tree = self._database.tree(definition.tree_id)
        for entry in self._database.entries(tree):
            if entry.value is not None and not entry.is_older:
                record_key = entry.value[:RECORD_ID_BYTES]
                self._ids[record_key] = (entry.key, entry.value[RECORD_ID_BYTES:])
        self._ids_are_complete = tree.is_complete
        return self._ids

    def _count_lost(self, seen: array[int], seen_in_pages: array[int]) -> None:
        """Count what was there and is nowhere any more."""
        missing = dict(self._known_ids())
        for record_id in seen:
            missing.pop(encode_record_id(record_id), None)
        for key, types in missing.values():
            identity = self._decoded(key, types)
            self._outcome.lost.add(identity[0] if identity else None, bool(identity))
        if self._ids_are_complete:
            return
        gaps = self._records.gaps
        if any(gap.expected < 0 for gap in gaps):
            self._outcome.lost_bound = AT_LEAST
            return
        self._outcome.lost_bound = AT_MOST
        most = sum(self._missing_behind(gap, seen_in_pages) for gap in gaps)
        self._outcome.lost.count = max(
            self._outcome.lost.count, most + self._records.unreadable_values
        )

    def _missing_behind(self, gap: Gap, seen_in_pages: array[int]) -> int:
        """How many documents of a gap were neither found nor deleted since, at most."""
        if gap.expected < 0:
            return 0
        low = 0 if gap.low is None else bisect_left(seen_in_pages, _as_record_id(gap.low))
        high = len(seen_in_pages)
        if gap.high is not None:
            high = bisect_left(seen_in_pages, _as_record_id(gap.high))
        changed = self._database.overlay(self._records.tree).entries
        deleted = sum(value is None and gap.holds(key) for key, value in changed.items())
        return max(0, gap.expected - (high - low) - deleted)

    def _decoded(self, key: bytes, types: bytes) -> list[object]:
        """The `_id` that a key string stands for, in a list; empty when it cannot be told."""
        assert self._id_index is not None
        fields = decode_fields(self._id_index, key, types)
        if fields is None:
            return []
        body = fields[0][:1] + b"_id\0" + fields[0][1:] + b"\0"
        return [identity_of((len(body) + 4).to_bytes(4, "little") + body)]


def identity_of(document: bytes) -> object:
    """The `_id` of a document, for a report."""
    try:
        return bson.decode(document, _OPTIONS).get("_id")
    except BSONError as error:  # a value of another field that Python has no type for
        return f"not readable: {error}"


def _as_record_id(separator: bytes) -> int:
    """The smallest record id that is not below a separator, which may be cut short."""
    return int.from_bytes(separator[:RECORD_ID_BYTES].ljust(RECORD_ID_BYTES, b"\0"), "big")
