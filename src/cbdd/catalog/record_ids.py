"""Record ids for transactions that do not hold the writer lock.

A statement that holds the writer lock takes the last record id + 1. A transaction that works on a
snapshot cannot: another one would take the same. So a process reserves blocks of ids with a small
commit of its own on the sequence tree, and its transactions take ids from the block. Ids of
transactions that abort are gaps, which is normal.

Invariants: an id is handed out once; it lies above every record in the snapshot of the transaction
that takes it and inside a block that only this process holds.

Concurrency: one mutex around the table of blocks, held while a block is reserved.
"""

from __future__ import annotations

import threading
from typing import Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.record_store import last_record_id, reserve_record_ids, reserved_record_id
from cbdd.errors import WriteConflictError
from cbdd.storage import StorageEngine, WriteTransaction

BLOCK_IDS: Final = 1024
RESERVE_OPERATION: Final = "reserveRecordIds"


class RecordIdBlocks:
    """The blocks this process holds, by collection id; lives as long as the catalog."""

    def __init__(self, engine: StorageEngine) -> None:
        self._engine = engine
        self._mutex = threading.Lock()
        self._blocks: dict[int, tuple[int, int]] = {}

    def take(self, entry: CollectionEntry, at_least: int) -> int:
        """Return a record id of our own that is not below `at_least`.

        :raises WriteConflictError: the collection was dropped meanwhile.
        """
        with self._mutex:
            block = self._blocks.get(entry.collection_id)
            if block is None or max(block[0], at_least) >= block[1]:
                block = self._reserve(entry, at_least)
            record_id = max(block[0], at_least)
            self._blocks[entry.collection_id] = (record_id + 1, block[1])
            return record_id

    def _reserve(self, entry: CollectionEntry, at_least: int) -> tuple[int, int]:
        """Reserve a block above all records, and above those deleted since a snapshot was taken."""
        txn: WriteTransaction | None = None
        try:
            txn = self._engine.begin_write(RESERVE_OPERATION)
            if not txn.has_tree(entry.record_tree):
                raise WriteConflictError(
                    f"write conflict: collection {entry.namespace} was dropped by another "
                    "transaction; run it again"
                )
            first = max(first_free_record_id(txn, entry), at_least)
            reserve_record_ids(txn, entry.collection_id, first + BLOCK_IDS - 1)
            # No sync of its own: whatever uses these ids comes later in the log.
            txn.commit("off")
            return first, first + BLOCK_IDS
        finally:
            if txn is not None:
                txn.abort()


def first_free_record_id(txn: WriteTransaction, entry: CollectionEntry) -> int:
    """Return the lowest id above all records and reservations; needs the writer lock."""
    reserved = reserved_record_id(txn, entry.collection_id)
    return max(last_record_id(txn, entry), reserved) + 1
