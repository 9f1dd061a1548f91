"""Record ids for transactions that do not hold the writer lock.

A statement that holds the writer lock takes the last record id + 1. A transaction that works on a
snapshot cannot: another one would take the same. So a process reserves blocks of ids with a small
commit of its own on the sequence tree, and its transactions take ids from the block. Ids of
transactions that abort are gaps, which is normal.

Invariants: an id is handed out once; it lies above every record in the snapshot of the transaction
that takes it and inside a block that only this process holds.

Concurrency: no mutex, which an interrupt could leave locked: taking the next number of a block is
one step, and threads that find a block used up reserve one each, of which the last one stays.
"""

from __future__ import annotations

import itertools
from typing import Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.record_store import last_record_id, reserve_record_ids, reserved_record_id
from cbdd.errors import WriteConflictError
from cbdd.storage import StorageEngine, WriteTransaction

BLOCK_IDS: Final = 1024
RESERVE_OPERATION: Final = "reserveRecordIds"


class RecordIdBlock:
    """Ids from ``first`` to ``end``, exclusive; each comes once."""

    def __init__(self, first: int, end: int) -> None:
        self.end = end
        self._numbers = itertools.count(first)

    def take(self, at_least: int) -> int:
        """Return the next id from ``at_least`` on; ``end`` or more when there is none."""
        record_id = next(self._numbers)
        while record_id < at_least < self.end:
            record_id = next(self._numbers)
        return record_id if at_least < self.end else self.end


class RecordIdBlocks:
    """The blocks this process holds, by collection id; lives as long as the catalog."""

    def __init__(self, engine: StorageEngine) -> None:
        self._engine = engine
        self._blocks: dict[int, RecordIdBlock] = {}

    def take(self, entry: CollectionEntry, at_least: int) -> int:
        """Return a record id of our own that is not below `at_least`.

        :raises WriteConflictError: the collection was dropped meanwhile.
        """
        while True:
            block = self._blocks.get(entry.collection_id)
            if block is not None:
                record_id = block.take(at_least)
                if record_id < block.end:
                    return record_id
            self._blocks[entry.collection_id] = self._reserve(entry, at_least)

    def _reserve(self, entry: CollectionEntry, at_least: int) -> RecordIdBlock:
        """Reserve a block above all records, and above those deleted since a snapshot was taken."""
        begun: list[WriteTransaction] = []
        try:
            txn = self._engine.begin_write(RESERVE_OPERATION)
            begun.append(txn)
            if not txn.has_tree(entry.record_tree):
                raise WriteConflictError(
                    f"write conflict: collection {entry.namespace} was dropped by another "
                    "transaction; run it again"
                )
            first = max(first_free_record_id(txn, entry), at_least)
            reserve_record_ids(txn, entry.collection_id, first + BLOCK_IDS - 1)
            # No sync of its own: whatever uses these ids comes later in the log.
            txn.commit("off")
            return RecordIdBlock(first, first + BLOCK_IDS)
        finally:
            for each in begun:  # see `run_single`
                each.abort()


def first_free_record_id(txn: WriteTransaction, entry: CollectionEntry) -> int:
    """Return the lowest id above all records and reservations; needs the writer lock."""
    reserved = reserved_record_id(txn, entry.collection_id)
    return max(last_record_id(txn, entry), reserved) + 1
