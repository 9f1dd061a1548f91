"""Databases and collections: what the file holds and under which trees.

The catalog tree (tree 1) has one entry per collection, see `cbdd.catalog.entry`. A database is
nothing of its own: it exists while it has a collection. Every change is made in a transaction that
the caller begins and commits, so collections, indexes and documents change together or not at all.

Concurrency: entries are cached by the bytes they were decoded from, and by the version of the tree
that holds them, so a snapshot always sees its own catalog. Definitions change only under the writer
lock; a transaction that works on a snapshot may make new collections, and indexes on them, but
leaves everything else alone, because writers it does not know of would miss the change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.catalog.entry import (
    ID_INDEX_NAME,
    CollectionEntry,
    compile_validator,
    decode_entry,
)
from cbdd.catalog.index_build import build_index
from cbdd.catalog.index_spec import IndexRequest, is_same_index
from cbdd.catalog.namespace import catalog_key, check_new_namespace
from cbdd.catalog.record_ids import RecordIdBlocks
from cbdd.catalog.record_store import (
    CATALOG_TREE,
    forget_collection,
    next_collection_id,
    next_tree_id,
)
from cbdd.catalog.refusal import (
    DATABASE_DIFFERS_IN_CASE,
    ILLEGAL_OPERATION,
    INDEX_NOT_FOUND,
    INVALID_OPTIONS,
    NAMESPACE_EXISTS,
    refusal,
)
from cbdd.catalog.stored_document import TimestampSource
from cbdd.document.filter import FilterCompiler
from cbdd.index.definition import IndexDefinition
from cbdd.storage import Clock, Randomness, ReadTransaction, StorageEngine, WriteTransaction
from cbdd.storage.tree import Tree

_CACHED_ENTRIES: Final = 10_000


@mypyc_attr(acyclic=True)
class SeenEntry:
    """What a version of the catalog tree says of a collection."""

    def __init__(self, version: Tree, entry: CollectionEntry | None) -> None:
        self.version = version
        self.entry = entry


class Catalog:
    """The collections of one open file; made with the engine and shared by all threads."""

    def __init__(
        self,
        engine: StorageEngine,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        filters: FilterCompiler | None = None,
    ) -> None:
        """
        :param filters: compiles the filters of partial indexes and validators.
        """
        self.engine = engine
        self.filters = filters
        self.has_expiring = False
        """Whether an index of a collection that was looked at lets documents expire."""
        self.timestamps = TimestampSource(clock or Clock())
        self.blocks = RecordIdBlocks(engine)
        self._randomness = randomness or Randomness()
        self._entries: dict[bytes, CollectionEntry] = {}
        self._seen: dict[bytes, SeenEntry] = {}

    def find(self, txn: ReadTransaction, database: str, name: str) -> CollectionEntry | None:
        """Return the collection as the transaction sees it, or None."""
        return self.find_key(txn, catalog_key(database, name))

    def find_key(self, txn: ReadTransaction, key: bytes) -> CollectionEntry | None:
        """Return the collection of a key of `catalog_key`, or None."""
        version = txn.version(CATALOG_TREE)
        seen = self._seen.get(key)
        if seen is not None and seen.version is version:
            return seen.entry
        record = txn.get(CATALOG_TREE, key)
        entry = None if record is None else self._decode(key, record)
        if version is not None:
            if len(self._seen) >= _CACHED_ENTRIES:
                self._seen.clear()
            self._seen[key] = SeenEntry(version, entry)
        return entry

    def last_seen(self, key: bytes) -> CollectionEntry | None:
        """Return the collection of a key as a transaction saw it, if one did: a hint, no more."""
        seen = self._seen.get(key)
        return None if seen is None else seen.entry

    def list_databases(self, txn: ReadTransaction) -> list[str]:
        """List the databases that have a collection, in order of their names."""
        names: list[str] = []
        cursor = txn.cursor(CATALOG_TREE)
        more = cursor.first()
        while more:
            database = cursor.key.partition(b"\0")[0]
            names.append(database.decode("utf-8"))
            more = cursor.seek(database + b"\x01")
        return names

    def list_names(self, txn: ReadTransaction, database: str) -> list[str]:
        """List the names of a database's collections, also of those whose entry is damaged."""
        names: list[str] = []
        prefix = database.encode("utf-8") + b"\0"
        cursor = txn.cursor(CATALOG_TREE)
        more = cursor.seek(prefix)
        while more and cursor.key.startswith(prefix):
            names.append(cursor.key[len(prefix) :].decode("utf-8"))
            more = cursor.step()
        return names

    def list_collections(self, txn: ReadTransaction, database: str) -> list[CollectionEntry]:
        """List the collections of a database, in order of their names."""
        entries: list[CollectionEntry] = []
        prefix = database.encode("utf-8") + b"\0"
        cursor = txn.cursor(CATALOG_TREE)
        more = cursor.seek(prefix)
        while more and cursor.key.startswith(prefix):
            entries.append(self._decode(cursor.key, cursor.value))
            more = cursor.step()
        return entries

    def create(
        self, txn: WriteTransaction, database: str, name: str, options: dict[str, object]
    ) -> CollectionEntry:
        """Make a collection with its `_id` index."""
        check_new_namespace(database, name)
        if self.find(txn, database, name) is not None:
            raise refusal(NAMESPACE_EXISTS, f"Collection {database}.{name} already exists.")
        self._check_case(txn, database)
        validator = compile_validator(options, self.filters)
        record_tree = next_tree_id(txn)
        id_index = IndexDefinition(
            name=ID_INDEX_NAME, fields=[("_id", 1)], tree_id=next_tree_id(txn), is_unique=True
        )
        entry = CollectionEntry(
            database,
            name,
            next_collection_id(txn),
            _uuid(self._randomness),
            record_tree,
            [id_index],
            options,
            b"",
            validator,
        )
        txn.create_tree(record_tree)
        txn.create_tree(id_index.tree_id)
        txn.put(CATALOG_TREE, entry.key, entry.record)
        return entry

    def drop(self, txn: WriteTransaction, entry: CollectionEntry) -> None:
        """Remove a collection with its records and indexes."""
        for definition in entry.indexes:
            txn.drop_tree(definition.tree_id)
        txn.drop_tree(entry.record_tree)
        forget_collection(txn, entry.collection_id)
        txn.delete(CATALOG_TREE, entry.key)

    def rename(
        self,
        txn: WriteTransaction,
        entry: CollectionEntry,
        database: str,
        name: str,
        drop_target: bool,
    ) -> CollectionEntry:
        """Give a collection another name.

        :param drop_target: whether a collection that has the name already is dropped.
        """
        check_new_namespace(database, name)
        if (database, name) == (entry.database, entry.name):
            raise refusal(ILLEGAL_OPERATION, "Can't rename a collection to itself")
        target = self.find(txn, database, name)
        if target is not None:
            if not drop_target:
                raise refusal(NAMESPACE_EXISTS, "target namespace exists")
            self.drop(txn, target)
        if database != entry.database:
            self._check_case(txn, database)
        renamed = entry.renamed(database, name)
        txn.delete(CATALOG_TREE, entry.key)
        txn.put(CATALOG_TREE, renamed.key, renamed.record)
        return renamed

    def create_index(
        self,
        txn: WriteTransaction,
        entry: CollectionEntry,
        request: IndexRequest,
        progress: Callable[[int, int], None] | None = None,
    ) -> CollectionEntry:
        """Build an index over the records there are; the same index a second time is no change.

        :param progress: called now and then with the number of records done and of all records.
        :raises OperationFailure: another index has its name or its key.
        :raises DuplicateKeyError: it is unique and two records share a key.
        """
        if is_same_index(entry, request, self.filters):
            return entry
        definition = request.to_definition(next_tree_id(txn), self.filters)
        built = build_index(txn, entry, definition, progress=progress)
        return self._put(txn, entry.with_indexes([*entry.indexes, built]))

    def drop_index(
        self, txn: WriteTransaction, entry: CollectionEntry, name: str
    ) -> CollectionEntry:
        """Remove one index by name."""
        definition = entry.index_named(name)
        if definition is None:
            raise refusal(INDEX_NOT_FOUND, f"index not found with name [{name}]")
        if name == ID_INDEX_NAME:
            raise refusal(INVALID_OPTIONS, "cannot drop _id index")
        return self._drop_indexes(txn, entry, [definition])

    def rebuild_indexes(
        self,
        txn: WriteTransaction,
        entry: CollectionEntry,
        name: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> CollectionEntry:
        """Make indexes anew from the documents, whatever the old ones hold.

        :param name: only this index.
        :param progress: called now and then with the number of records done and of all records.
        :raises OperationFailure: there is no index of this name.
        :raises DuplicateKeyError: it is unique and two records share a key.
        """
        if name is not None and entry.index_named(name) is None:
            raise refusal(INDEX_NOT_FOUND, f"index not found with name [{name}]")
        rebuilt: list[IndexDefinition] = []
        for old in entry.indexes:
            if name is not None and old.name != name:
                rebuilt.append(old)
                continue
            empty = old.replaced(is_multikey=False, tree_id=next_tree_id(txn))
            rebuilt.append(build_index(txn, entry, empty, progress=progress))
            if txn.has_tree(old.tree_id):
                txn.drop_tree(old.tree_id)
        return self._put(txn, entry.with_indexes(rebuilt))

    def drop_all_indexes(self, txn: WriteTransaction, entry: CollectionEntry) -> CollectionEntry:
        """Remove every index but the one on `_id`."""
        others = [each for each in entry.indexes if each.name != ID_INDEX_NAME]
        return self._drop_indexes(txn, entry, others) if others else entry

    def change(
        self,
        txn: WriteTransaction,
        entry: CollectionEntry,
        options: dict[str, object],
        indexes: list[IndexDefinition],
    ) -> CollectionEntry:
        """Give a collection other options, or its indexes; the documents stay as they are."""
        validator = compile_validator(options, self.filters)
        return self._put(txn, entry.with_options(options, validator).with_indexes(indexes))

    def _drop_indexes(
        self, txn: WriteTransaction, entry: CollectionEntry, dropped: list[IndexDefinition]
    ) -> CollectionEntry:
        for definition in dropped:
            txn.drop_tree(definition.tree_id)
        gone = [definition.name for definition in dropped]
        return self._put(
            txn, entry.with_indexes([each for each in entry.indexes if each.name not in gone])
        )

    def _put(self, txn: WriteTransaction, entry: CollectionEntry) -> CollectionEntry:
        txn.put(CATALOG_TREE, entry.key, entry.record)
        self._note_expiring(entry)
        return entry

    def _note_expiring(self, entry: CollectionEntry) -> None:
        for definition in entry.indexes:
            if definition.expires_after is not None:
                self.has_expiring = True

    def _decode(self, key: bytes, record: bytes) -> CollectionEntry:
        cached = self._entries.get(key)
        if cached is not None and cached.record == record:
            return cached
        entry = decode_entry(key, record, self.filters)
        self._note_expiring(entry)
        if len(self._entries) >= _CACHED_ENTRIES:
            self._entries.clear()
        self._entries[key] = entry
        return entry

    def _check_case(self, txn: WriteTransaction, database: str) -> None:
        folded = database.lower()
        for existing in self.list_databases(txn):
            if existing != database and existing.lower() == folded:
                raise refusal(
                    DATABASE_DIFFERS_IN_CASE,
                    f"db already exists with different case already have: [{existing}] trying to "
                    f"create [{database}]",
                )


def _uuid(randomness: Randomness) -> bytes:
    """Return the bytes of a random UUID, version 4."""
    token = bytearray(randomness.token(16))
    token[6] = (token[6] & 0x0F) | 0x40
    token[8] = (token[8] & 0x3F) | 0x80
    return bytes(token)
