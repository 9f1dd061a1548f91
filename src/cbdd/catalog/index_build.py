"""Building an index over the records a collection already has.

Keys are gathered, sorted in memory and put in order, so that the tree grows at its right edge. More
keys than one run holds are put run by run: memory is bounded by the run, and a unique index finds
duplicates inside a run by comparing neighbours and across runs by asking the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.catalog.duplicate_key import duplicate_key_error
from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.record_store import decode_record_id, read_record
from cbdd.errors import CorruptDataError
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import extract_keys
from cbdd.storage import WriteTransaction
from cbdd.storage.yield_point import YIELD_INTERVAL, yield_point

RUN_BYTES: Final = 64 << 20
_PROGRESS_INTERVAL: Final = 16 * YIELD_INTERVAL
_TUPLE_BYTES: Final = 150
"""What one key costs in memory beside its own bytes."""


def build_index(
    txn: WriteTransaction,
    entry: CollectionEntry,
    definition: IndexDefinition,
    run_bytes: int = RUN_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> IndexDefinition:
    """Fill the empty tree of an index; return its definition, marked multikey if it became so.

    The transaction must hold the writer lock, or the collection must be its own. It may be
    interrupted at any record: the transaction is aborted and nothing has happened.

    :param progress: called now and then with the number of records done and of all records.

    :raises DuplicateKeyError: the index is unique and two records share a key.
    """
    txn.create_tree(definition.tree_id)
    is_multikey = False
    run: list[tuple[bytes, bytes, bytes]] = []
    size = 0
    records = txn.cursor(entry.record_tree)
    done = 0
    total = txn.count(entry.record_tree)
    more = records.first()
    while more:
        done += 1
        if done % YIELD_INTERVAL == 0:
            yield_point()
            if progress is not None and done % _PROGRESS_INTERVAL == 0:
                progress(done, total)
        record_key = records.key
        extracted = extract_keys(definition, records.value)
        is_multikey = is_multikey or extracted.is_multikey
        for key in extracted.keys:
            run.append((key, record_key, extracted.types))
            size += len(key) + _TUPLE_BYTES
        if size >= run_bytes:
            _put_run(txn, entry, definition, run)
            run = []
            size = 0
        more = records.step()
    _put_run(txn, entry, definition, run)
    if progress is not None:
        progress(total, total)
    return definition.replaced(is_multikey=True) if is_multikey else definition


def _put_run(
    txn: WriteTransaction,
    entry: CollectionEntry,
    definition: IndexDefinition,
    run: list[tuple[bytes, bytes, bytes]],
) -> None:
    run.sort()
    tree_id = definition.tree_id
    if not definition.is_unique:
        for position, (key, record_key, types) in enumerate(run):
            if position % YIELD_INTERVAL == 0:
                yield_point()
            txn.put(tree_id, key + record_key, types)
        return
    is_first_run = txn.count(tree_id) == 0
    before = b""
    for key, record_key, types in run:
        if key == before or (not is_first_run and txn.get(tree_id, key) is not None):
            raise _duplicate(txn, entry, definition, key, record_key)
        txn.put(tree_id, key, record_key + types)
        before = key


def _duplicate(
    txn: WriteTransaction,
    entry: CollectionEntry,
    definition: IndexDefinition,
    key: bytes,
    record_key: bytes,
) -> Exception:
    record_id = decode_record_id(record_key)
    document = read_record(txn, entry, record_id)
    if document is None:
        return CorruptDataError(
            "RECORD_MISSING",
            f"record {record_id} of {entry.namespace} was there a moment ago",
            "run `cbdd check`",
            {"namespace": entry.namespace, "record_id": record_id},
        )
    return duplicate_key_error(entry.namespace, definition, document, key)
