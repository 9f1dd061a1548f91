"""The write of one document: the one place where a record and its index entries change together.

An index is a tree of key strings:

    index        key                                value
    unique       composite key string               record id, 8 bytes big-endian, then types
    not unique   composite key string + record id   types

*Types* are what key strings leave open, see `index.key_types`; mostly nothing.

Each operation first asks the validator and extracts every key. An update then checks the unique
ones, and only then writes; an insert writes the entries of unique indexes first, each if it is not
there, and takes them back when one is. So a document that is refused leaves the transaction as it
was.

A capped collection drops its oldest documents when it grows beyond its bytes or its number of
documents; how many bytes it has is kept in the sequence tree. Its record ids are never used again.

Invariants: every record has exactly the index entries its document asks for; an index that holds
more than one key of some record is marked multikey in the catalog in the same transaction.

Concurrency: a writer belongs to one transaction. It guards the catalog entry it works by, so a
transaction that did not see an index or a drop conflicts and is run again.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.catalog.duplicate_key import duplicate_key_error
from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.record_ids import RecordIdBlocks, first_free_record_id
from cbdd.catalog.record_store import (
    CATALOG_TREE,
    RECORD_ID_BYTES,
    capped_size,
    encode_record_id,
    last_record_id,
    put_capped_size,
    reserve_record_ids,
    reserved_record_id,
)
from cbdd.catalog.refusal import BAD_VALUE, refusal
from cbdd.catalog.validation import require_valid
from cbdd.errors import CorruptDataError
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import KeySet, extract_keys
from cbdd.storage import WriteTransaction


class CollectionWriter:
    """Inserts, updates and deletes of one transaction on one collection."""

    def __init__(
        self,
        txn: WriteTransaction,
        entry: CollectionEntry,
        blocks: RecordIdBlocks | None,
    ) -> None:
        """Start writing.

        :param blocks: where record ids come from; None when nobody else can take the next id,
            because the transaction holds the writer lock or made the collection itself.
        """
        self.txn = txn
        self.entry = entry
        self._blocks = blocks
        self._next_record_id = 0
        self.skips_validation = False
        """Set by a statement that asks for it: documents need not match the validator."""
        self._kept: dict[int, dict[bytes, bytes]] | None = None  # by tree, until `put_kept`
        txn.guard(CATALOG_TREE, entry.key)

    def keep_entries(self) -> None:
        """Keep the entries of indexes that are not unique: inserts of many put them in key order.

        Until `put_kept` there must be nothing but inserts.
        """
        if self._kept is None and not self.entry.is_capped:  # that deletes while it inserts
            self._kept = {}

    def put_kept(self) -> None:
        """Put the entries that were kept.

        :raises TransactionTooLargeError: the transaction is to be given up, as for others.
        """
        kept, self._kept = self._kept, None
        if kept is not None:
            for tree_id, entries in kept.items():
                if entries:
                    self.txn.put_many(tree_id, entries)

    def insert(self, document: bytes) -> int:
        """Store a validated document with `_id` in front; return its record id.

        :raises DuplicateKeyError: a unique index holds one of its keys; nothing was written.
        :raises WriteError: the validator refuses it; nothing was written.
        :raises OperationFailure: code 2, it is larger than the capped collection.
        """
        entry = self.entry
        if entry.validator is not None and not self.skips_validation:
            require_valid(entry, document, None)
        if entry.is_capped and len(document) > entry.capped_bytes:
            raise refusal(
                BAD_VALUE,
                f"object to insert exceeds cappedMaxSize: {len(document)} bytes of "
                f"{entry.capped_bytes}",
            )
        extracted: list[KeySet] = []
        multikey: list[str] = []
        for definition in entry.indexes:
            keys = extract_keys(definition, document)
            if keys.is_multikey and not definition.is_multikey:
                multikey.append(definition.name)
            extracted.append(keys)
        record_id = self._take_record_id()
        record_key = encode_record_id(record_id)
        self._insert_unique(extracted, record_key, document)
        if multikey:
            self._mark_multikey(multikey)
        self.txn.put(entry.record_tree, record_key, document)
        for position, definition in enumerate(entry.indexes):
            if not definition.is_unique:
                keys = extracted[position]
                if self._kept is None:
                    self._put_keys(definition, keys.keys, keys.types, record_key)
                    continue
                kept = self._kept.setdefault(definition.tree_id, {})
                for key in keys.keys:
                    kept[key + record_key] = keys.types
        if entry.is_capped:
            self._resize(len(document))
            self.drop_oldest(record_key)
        return record_id

    def update(
        self, record_id: int, old: bytes, new: bytes, touched: list[bytes] | None = None
    ) -> bool:
        """Store `new` in place of `old`; return False when they are the same.

        :param touched: the top-level fields that may differ, where they are known.

        :raises DuplicateKeyError: a unique index holds one of the new keys; nothing was written.
        :raises WriteError: the validator refuses it; nothing was written.
        """
        if old == new:
            return False
        if self.entry.validator is not None and not self.skips_validation:
            require_valid(self.entry, new, old)
        record_key = encode_record_id(record_id)
        changes: list[_IndexChange] = []
        multikey: list[str] = []
        for definition in self.entry.indexes:
            if touched is not None and not definition.depends_on(touched):
                changes.append(_UNCHANGED)
                continue
            before = extract_keys(definition, old)
            after = extract_keys(definition, new)
            added = _missing_from(after.keys, before.keys)
            if definition.is_unique:
                self._check_unique(definition, new, added, record_key)
            if after.is_multikey and not definition.is_multikey:
                multikey.append(definition.name)
            if before.types != after.types:
                added = after.keys
            changes.append(_IndexChange(_missing_from(before.keys, after.keys), added, after.types))
        if multikey:
            self._mark_multikey(multikey)
        self.txn.put(self.entry.record_tree, record_key, new)
        for position, definition in enumerate(self.entry.indexes):
            change = changes[position]
            self._delete_keys(definition, change.removed, record_key)
            self._put_keys(definition, change.added, change.types, record_key)
        if self.entry.is_capped:
            self._resize(len(new) - len(old))
        return True

    def delete(self, record_id: int, old: bytes) -> None:
        """Remove a record and its index entries."""
        record_key = encode_record_id(record_id)
        if self.entry.is_capped:
            self._keep_record_id(record_id)
        for definition in self.entry.indexes:
            self._delete_keys(definition, extract_keys(definition, old).keys, record_key)
        self.txn.delete(self.entry.record_tree, record_key)
        if self.entry.is_capped:
            self._resize(-len(old))

    def _keep_record_id(self, record_id: int) -> None:
        """Note that an id is taken for good: a tailable cursor may stand on it."""
        if record_id != last_record_id(self.txn, self.entry):
            return
        collection_id = self.entry.collection_id
        if record_id > reserved_record_id(self.txn, collection_id):
            reserve_record_ids(self.txn, collection_id, record_id)

    def _resize(self, added: int) -> None:
        """Note that the documents of a capped collection have `added` bytes more."""
        collection_id = self.entry.collection_id
        put_capped_size(self.txn, collection_id, capped_size(self.txn, collection_id) + added)

    def drop_oldest(self, newest: bytes) -> None:
        """Delete from the front until a capped collection is within its limits.

        :param newest: the key of a record that stays in any case.
        """
        entry = self.entry
        while True:
            is_within = capped_size(self.txn, entry.collection_id) <= entry.capped_bytes
            most = entry.capped_documents
            if is_within and (most == 0 or self.txn.count(entry.record_tree) <= most):
                return
            cursor = self.txn.cursor(entry.record_tree)
            if not cursor.first() or cursor.key == newest:
                return
            self.delete(int.from_bytes(cursor.key, "big"), cursor.value)

    def _take_record_id(self) -> int:
        if self._blocks is None:
            if self._next_record_id == 0:
                self._next_record_id = first_free_record_id(self.txn, self.entry)
            record_id = self._next_record_id
        else:
            if self._next_record_id == 0:
                self._next_record_id = last_record_id(self.txn, self.entry) + 1
            record_id = self._blocks.take(self.entry, self._next_record_id)
        self._next_record_id = record_id + 1
        return record_id

    def _insert_unique(self, extracted: list[KeySet], record_key: bytes, document: bytes) -> None:
        """Put the entries of all unique indexes, or raise and leave none."""
        txn = self.txn
        for position, definition in enumerate(self.entry.indexes):
            if not definition.is_unique:
                continue
            keys = extracted[position]
            value = record_key + keys.types if keys.types else record_key
            for at in range(len(keys.keys)):
                if not txn.insert(definition.tree_id, keys.keys[at], value):
                    self._take_back(extracted, position, at)
                    if self._blocks is None:
                        self._next_record_id -= 1  # nobody else has it
                    key = keys.keys[at]
                    raise duplicate_key_error(self.entry.namespace, definition, document, key)

    def _take_back(self, extracted: list[KeySet], position: int, at: int) -> None:
        """Undo what `_insert_unique` has put before a key of an index."""
        for before, definition in enumerate(self.entry.indexes):
            if not definition.is_unique or before > position:
                continue
            keys = extracted[before].keys
            for key in keys[:at] if before == position else keys:
                self.txn.take_back(definition.tree_id, key)

    def _check_unique(
        self, definition: IndexDefinition, document: bytes, keys: list[bytes], owner: bytes
    ) -> None:
        """Raise unless no record but `owner` (a record key, or b"") holds any of the keys."""
        for key in keys:
            holder = self.txn.get(definition.tree_id, key)
            if holder is not None and holder[:RECORD_ID_BYTES] != owner:
                raise duplicate_key_error(self.entry.namespace, definition, document, key)

    def _put_keys(
        self, definition: IndexDefinition, keys: list[bytes], types: bytes, record_key: bytes
    ) -> None:
        for key in keys:
            if definition.is_unique:
                self.txn.put(definition.tree_id, key, record_key + types if types else record_key)
            else:
                self.txn.put(definition.tree_id, key + record_key, types)

    def _delete_keys(
        self, definition: IndexDefinition, keys: list[bytes], record_key: bytes
    ) -> None:
        for key in keys:
            stored = key if definition.is_unique else key + record_key
            if not self.txn.delete(definition.tree_id, stored):
                raise _missing_entry(self.entry, definition, record_key)

    def _mark_multikey(self, names: list[str]) -> None:
        indexes: list[IndexDefinition] = []
        for definition in self.entry.indexes:
            if definition.name in names:
                indexes.append(definition.replaced(is_multikey=True))
            else:
                indexes.append(definition)
        self.entry = self.entry.with_indexes(indexes)
        self.txn.put(CATALOG_TREE, self.entry.key, self.entry.record)


@mypyc_attr(acyclic=True)
class _IndexChange:
    """What an update changes in one index."""

    def __init__(self, removed: list[bytes], added: list[bytes], types: bytes) -> None:
        self.removed = removed
        self.added = added
        self.types = types


_UNCHANGED: Final = _IndexChange([], [], b"")


def _missing_from(keys: list[bytes], others: list[bytes]) -> list[bytes]:
    """List the keys that are not among the others."""
    if len(keys) == 1 and len(others) == 1:
        return [] if keys[0] == others[0] else keys
    known = set(others)
    return [key for key in keys if key not in known]


def _missing_entry(
    entry: CollectionEntry, definition: IndexDefinition, record_key: bytes
) -> CorruptDataError:
    return CorruptDataError(
        "INDEX_ENTRY_MISSING",
        f"index {definition.name} of {entry.namespace} has no entry for record "
        f"{int.from_bytes(record_key, 'big')}",
        "run `cbdd check`, then drop the index and create it again",
        {"namespace": entry.namespace, "index": definition.name},
    )
