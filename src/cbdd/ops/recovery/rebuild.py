"""Writing what was saved into a new database file.

Documents keep their order; indexes are made anew from their definitions. Where two documents have
one key of a unique index, which only older versions or a gap in the log can bring about, the one
that was written later stays.

The file is made under a temporary name and gets its own when it is whole and on disk: a crash
leaves no half of it. Documents are put in commits of bounded size that are not synced; the close
syncs everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from cbdd.catalog.catalog import Catalog
from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.record_store import CATALOG_TREE, next_tree_id, put_capped_size
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import extract_keys
from cbdd.ops.recovery.report import CollectionOutcome
from cbdd.ops.recovery.salvaged_collection import (
    RESURRECTED,
    SAVED,
    STALE,
    SalvagedDocument,
    identity_of,
)
from cbdd.query.implication import QueryFilters
from cbdd.storage import StorageEngine

_BATCH_BYTES: Final = 16 << 20
_OPERATION: Final = "recover"


class Rebuilder:
    """Makes the collections of one new file."""

    def __init__(self, engine: StorageEngine, advance: Callable[[], None]) -> None:
        """
        :param advance: called for each document that was put.
        """
        self._engine = engine
        self._advance = advance
        self._catalog = Catalog(engine, filters=QueryFilters())

    def add(
        self,
        outcome: CollectionOutcome,
        old: CollectionEntry | None,
        documents: Iterator[SalvagedDocument],
    ) -> None:
        """Make one collection.

        :param old: its definition in the damaged file, None when that is lost.
        """
        entry = self._create(outcome, old)
        made = _MadeCollection(outcome, entry)
        self._put(made, documents)
        while not self._build(made):
            pass  # each time at least one document gave way
        if entry.is_capped:
            with self._engine.begin_write(_OPERATION) as txn:
                put_capped_size(txn, entry.collection_id, made.document_bytes)
                txn.commit("off")

    def _create(self, outcome: CollectionOutcome, old: CollectionEntry | None) -> CollectionEntry:
        """The collection with its indexes, all of them empty."""
        with self._engine.begin_write(_OPERATION) as txn:
            options = dict(old.options) if old is not None else {}
            entry = self._catalog.create(txn, outcome.database, outcome.name, options)
            if old is not None:
                indexes = list(entry.indexes)
                for each in old.indexes:
                    if not each.is_id_index:
                        indexes.append(each.replaced(is_multikey=False, tree_id=next_tree_id(txn)))
                        txn.create_tree(indexes[-1].tree_id)
                entry = CollectionEntry(
                    entry.database,
                    entry.name,
                    entry.collection_id,
                    old.uuid,
                    entry.record_tree,
                    indexes,
                    entry.options,
                    b"",
                    entry.validator,
                )
                txn.put(CATALOG_TREE, entry.key, entry.record)
            txn.commit("off")
        return entry

    def _put(self, made: _MadeCollection, documents: Iterator[SalvagedDocument]) -> None:
        txn = self._engine.begin_write(_OPERATION)
        try:
            size = 0
            for each in documents:
                txn.put(made.entry.record_tree, each.record_key, each.document)
                made.note(each)
                size += len(each.document)
                self._advance()
                if size >= _BATCH_BYTES:
                    txn.commit("off")
                    txn = self._engine.begin_write(_OPERATION)
                    size = 0
            if txn.has_changes:
                txn.commit("off")
        finally:
            txn.abort()

    def _build(self, made: _MadeCollection) -> bool:
        """Make every index anew; False when documents gave way and it is to be done again."""
        made.outcome.indexes = []
        for definition in list(made.entry.indexes):
            try:
                with self._engine.begin_write(_OPERATION) as txn:
                    made.entry = self._catalog.rebuild_indexes(txn, made.entry, definition.name)
                    txn.commit("off")
            except DuplicateKeyError:
                self._displace(made, definition)
                return False
            except OperationFailure as error:
                if definition.is_id_index:
                    raise
                self._leave_out(made, definition, error)
            else:
                made.outcome.indexes.append(definition.name)
        return True

    def _leave_out(
        self, made: _MadeCollection, definition: IndexDefinition, error: OperationFailure
    ) -> None:
        """An index that the documents do not allow: told, and not made."""
        made.outcome.indexes_left_out[definition.name] = str((error.details or {}).get("errmsg"))
        with self._engine.begin_write(_OPERATION) as txn:
            made.entry = self._catalog.drop_index(txn, made.entry, definition.name)
            txn.commit("off")

    def _displace(self, made: _MadeCollection, definition: IndexDefinition) -> None:
        """Of the documents that share a key of a unique index, keep the one written last.

        One that gives way only to documents that give way themselves stays: the next attempt to
        make the index tells whether it is still in the way of another.
        """
        tree = made.entry.record_tree
        with self._engine.begin_write(_OPERATION) as txn:
            holders: dict[bytes, bytes] = {}
            lost_keys: dict[bytes, list[bytes]] = {}
            records = txn.cursor(tree)
            more = records.first()
            while more:
                record_key, document = records.key, records.value
                for key in extract_keys(definition, document).keys:
                    other = holders.setdefault(key, record_key)
                    if other == record_key:
                        continue
                    loser = record_key
                    if made.rank(other) < made.rank(record_key):
                        holders[key] = record_key
                        loser = other
                    lost_keys.setdefault(loser, []).append(key)
                more = records.step()
            for record_key, keys in lost_keys.items():
                if all(holders[key] in lost_keys for key in keys):
                    continue
                made.displace(record_key, txn.get(tree, record_key) or b"")
                txn.delete(tree, record_key)
            txn.commit("off")


class _MadeCollection:
    """A collection that is being made, and what is known of the documents that may give way."""

    def __init__(self, outcome: CollectionOutcome, entry: CollectionEntry) -> None:
        self.outcome = outcome
        self.entry = entry
        self.document_bytes = 0
        self._uncertain: dict[bytes, SalvagedDocument] = {}

    def note(self, document: SalvagedDocument) -> None:
        """Note a document that was put."""
        self.document_bytes += len(document.document)
        if document.fate != SAVED or document.lsn:
            kept = SalvagedDocument(document.record_key, b"", document.fate, document.lsn)
            self._uncertain[document.record_key] = kept

    def rank(self, record_key: bytes) -> tuple[bool, int, int]:
        """Of two documents with one unique key the one of greater rank was written last."""
        known = self._uncertain.get(record_key)
        return (known or SalvagedDocument(record_key, b"", SAVED, 0)).rank

    def displace(self, record_key: bytes, document: bytes) -> None:
        """Take a document out of the counts: it gives way to another."""
        identity = identity_of(document)
        known = self._uncertain.get(record_key)
        fate = known.fate if known is not None else SAVED
        if fate == STALE:
            self.outcome.stale.remove(identity)
        elif fate == RESURRECTED:
            self.outcome.resurrected.remove(identity)
        else:
            self.outcome.saved -= 1
        self.outcome.displaced.add(identity)
        self.document_bytes -= len(document)
