"""The different values of a field, from an index: one document is read for each value.

An index of the field has equal values side by side. The first entry of a value names a document
that has it, and the next value is found by a seek behind all entries of this one. That is worth it
where many documents share a value; how many do is seen from the place that is reached after some
values, and where they are few the documents are scanned instead.

Of equal values (1, 1.0) the one of the first document counts, as in a scan: entries of one key are
in the order of record ids. That is why an index of several fields will not do: there they are in
the order of the others. The values themselves are in the order of the index.
"""

from __future__ import annotations

from typing import Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.record_store import RECORD_ID_BYTES
from cbdd.index.definition import IndexDefinition
from cbdd.index.interval import prefix_successor
from cbdd.index.key_string import NULL_KEY, invert
from cbdd.query.distinct import DistinctValues
from cbdd.query.stages import fetch_record
from cbdd.storage import ReadTransaction
from cbdd.storage.cursor import Cursor
from cbdd.storage.yield_point import yield_point

ENTRIES_A_VALUE: Final = 8
"""To read a document and to seek takes as long as to scan so many documents."""
LOOK_EVERY: Final = 32
"""Values after which it is seen whether it is worth going on."""


def distinct_index(entry: CollectionEntry, path: str) -> IndexDefinition | None:
    """Return an index that has all values of a path, one key of every document, or None."""
    if any([part.isdigit() for part in path.split(".")]):
        return None  # may be the position in an array
    for index in entry.indexes:
        name, direction = index.fields[0]
        if name != path or direction == 0 or len(index.fields) != 1:
            continue
        if index.is_multikey or index.is_wildcard:
            continue
        if not index.is_hidden and not index.is_partial:
            return index
    return None


def add_by_index(
    txn: ReadTransaction, entry: CollectionEntry, index: IndexDefinition, found: DistinctValues
) -> bool:
    """Add the values of all documents; False, with what was added until then, if a scan is due."""
    is_inverted = index.fields[0][1] < 0
    null_key = invert(NULL_KEY) if is_inverted else NULL_KEY
    cursor = txn.cursor(index.tree_id)
    is_there = cursor.first()
    values = 0
    while is_there:
        values += 1
        if values % LOOK_EVERY == 0:
            yield_point()
            if txn.count_range(index.tree_id, None, cursor.key) < ENTRIES_A_VALUE * values:
                return False
        found.last_key = b""
        found.add(_document(txn, entry, index, cursor))
        key = found.last_key
        if not key:
            key = null_key
        elif is_inverted:
            key = invert(key)
        if not cursor.key.startswith(key):
            return False  # the index says something else of this document
        if key == null_key and not found.last_key and not _add_null(txn, entry, index, found):
            return False
        behind = prefix_successor(key)
        is_there = behind is not None and cursor.seek(behind)
    return True


def _add_null(
    txn: ReadTransaction, entry: CollectionEntry, index: IndexDefinition, found: DistinctValues
) -> bool:
    """Look for a null among the documents without the field; False if those are too many."""
    key = invert(NULL_KEY) if index.fields[0][1] < 0 else NULL_KEY
    most = txn.count(entry.record_tree) // ENTRIES_A_VALUE
    cursor = txn.cursor(index.tree_id)
    is_there = cursor.seek(key)
    while is_there and cursor.key.startswith(key):
        found.add(_document(txn, entry, index, cursor))
        if found.last_key:
            return True
        most -= 1
        if most < 0:
            return False
        if most % LOOK_EVERY == 0:
            yield_point()
        is_there = cursor.step()
    return True


def _document(
    txn: ReadTransaction, entry: CollectionEntry, index: IndexDefinition, cursor: Cursor
) -> bytes:
    """Return the document of an entry."""
    if index.is_unique:
        record_key = cursor.value[:RECORD_ID_BYTES]
    else:
        record_key = cursor.key[-RECORD_ID_BYTES:]
    return fetch_record(txn, entry, record_key, index.name)
