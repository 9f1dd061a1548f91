"""Writes of single documents, without compiling a query.

They do what statements do whose filter is ``{"_id": value}``, or speaks of another field with a
unique index, with the same look-up in the same index. `run_single` is a statement of one write,
which shares its transaction with others where each would wait for a sync. `PointWriter` has all of
a statement but its arguments and its result.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from bson.objectid import ObjectId
from pymongo.errors import OperationFailure

from cbdd.catalog import (
    Catalog,
    CollectionEntry,
    CollectionWriter,
    CollectionWriters,
    InsertRun,
)
from cbdd.catalog.namespace import catalog_key
from cbdd.catalog.record_store import RECORD_ID_BYTES, decode_record_id
from cbdd.document.encoding import encode_document
from cbdd.document.validate import validate_document
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import encode_plain
from cbdd.query.executor import Query
from cbdd.query.planner import is_planner_on
from cbdd.query.point import LONG_WAY, Client, Operations, is_whole
from cbdd.query.projection import Projection
from cbdd.query.stages import fetch_record
from cbdd.query.update import Update, compile_update
from cbdd.storage import QueuedWrite, StorageEngine, WriteTransaction
from cbdd.storage.options import FULL


class SingleWrite(QueuedWrite):
    """A write of one document."""

    def __init__(self, operation: str, catalog: Catalog, database: str, name: str) -> None:
        super().__init__(operation)
        self.catalog = catalog
        self.database = database
        self.name = name
        self.matched = 0
        self.modified = 0
        self.is_lost = False
        """Whether it found that there is no short way, and did nothing."""
        self._writers: CollectionWriters | None = None

    def apply(self, txn: WriteTransaction, before: QueuedWrite | None) -> None:
        """As in `QueuedWrite`."""
        self.matched = self.modified = 0
        self._writers = None
        if isinstance(before, SingleWrite) and before.catalog is self.catalog:
            self._writers = before._writers
        if self._writers is None:
            self._writers = CollectionWriters(self.catalog, txn, True)
        try:
            self.run(self._writers)
        except (OperationFailure, InvalidDocument) as error:
            self.problem = error.with_traceback(None)  # whose frames have all of the transaction

    def run(self, writers: CollectionWriters) -> None:
        """Do it in a transaction.

        :raises OperationFailure: it is refused; nothing was written.
        """
        raise NotImplementedError


class SingleInsert(SingleWrite):
    """An insert of an encoded, validated document."""

    def __init__(
        self, catalog: Catalog, database: str, name: str, document: bytes, is_stored_form: bool
    ) -> None:
        """
        :param is_stored_form: what `validate_document` said.
        """
        super().__init__("insert", catalog, database, name)
        self.document = document
        self.is_stored_form = is_stored_form

    def run(self, writers: CollectionWriters) -> None:
        run = InsertRun([self.document], self.is_stored_form)
        run.run(writers, self.database, self.name, False)


class SingleChange(SingleWrite):
    """A write of the document that has a value in a field with a unique index."""

    def __init__(
        self,
        operation: str,
        catalog: Catalog,
        database: str,
        name: str,
        field: str,
        value_key: bytes,
    ) -> None:
        """
        :param value_key: key string of the value, see `encode_plain`.
        """
        super().__init__(operation, catalog, database, name)
        self.field = field
        self.value_key = value_key
        self.before: bytes | None = None
        """The document that was found, None if there was none."""
        self.after: bytes | None = None
        """What became of it; or what was inserted, where there was none."""

    def run(self, writers: CollectionWriters) -> None:
        self.before = self.after = None
        writer = writers.find(self.database, self.name)
        if writer is None:
            return
        index = unique_index(writer.entry, self.field)
        self.is_lost = index is None
        if index is None:
            return
        value = writer.txn.get(index.tree_id, self.value_key)
        if value is None:
            return
        record_key = value[:RECORD_ID_BYTES]
        document = fetch_record(writer.txn, writer.entry, record_key, index.name)
        self.after = self.change(writer, decode_record_id(record_key), document)
        self.before = document
        self.matched = 1

    def change(self, writer: CollectionWriter, record_id: int, document: bytes) -> bytes | None:
        """Do it to the document that was found; return what it is now."""
        raise NotImplementedError


class SingleUpdate(SingleChange):
    """An update, or a replacement, of a document, which may be inserted if there is none."""

    def __init__(
        self,
        catalog: Catalog,
        database: str,
        name: str,
        field: str,
        value_key: bytes,
        update: bytes,
        is_replacement: bool,
        codec_options: CodecOptions[Any],
        upsert_filter: bytes | None = None,
    ) -> None:
        """
        :param upsert_filter: what a document that is to be inserted is made of; None inserts none.
        """
        super().__init__("update", catalog, database, name, field, value_key)
        self.upsert_filter = upsert_filter
        self.update = update
        self.is_replacement = is_replacement
        self.codec_options = codec_options
        self._compiled: Update | None = None

    def run(self, writers: CollectionWriters) -> None:
        timestamps = writers.catalog.timestamps
        self._compiled = compile_update(
            self.update, self.is_replacement, None, self.codec_options, timestamps
        )
        super().run(writers)
        if self.upsert_filter is None or self.before is not None or self.is_lost:
            return
        filter = Query.compile(
            self.upsert_filter, codec_options=self.codec_options, is_upsert=True
        ).filter
        document = self._compiled.insert_document(filter)
        writers.find_or_create(self.database, self.name).insert(document)
        self.after = document

    @property
    def upserted(self) -> bytes | None:
        """The document that was inserted, None if none was."""
        return self.after if self.before is None else None

    def change(self, writer: CollectionWriter, record_id: int, document: bytes) -> bytes | None:
        update = self._compiled
        assert update is not None
        changed = update.apply(document)
        if changed is not document:
            writer.update(record_id, document, changed, update.touched())
            self.modified = 1
        return changed


class SingleDelete(SingleChange):
    """A deletion of a document."""

    def __init__(
        self, catalog: Catalog, database: str, name: str, field: str, value_key: bytes
    ) -> None:
        super().__init__("delete", catalog, database, name, field, value_key)

    def change(self, writer: CollectionWriter, record_id: int, document: bytes) -> bytes | None:
        writer.delete(record_id, document)
        return None


def unique_index(entry: CollectionEntry, field: str) -> IndexDefinition | None:
    """Return the index that finds the only document with a plain value in a field, if one can."""
    if field == "_id":
        return entry.indexes[0]
    for index in entry.indexes:
        if index.is_unique and len(index.fields) == 1 and index.fields[0] == (field, 1):
            if is_whole(index):
                return index
    return None


def plain_value_key(filter: object, entry: CollectionEntry | None) -> tuple[str, bytes] | None:
    """Return field and key string of a filter of one plain value that a unique index finds.

    :param entry: the collection; None, where it is not known, has an index of `_id`.
    """
    if type(filter) is not dict or len(filter) != 1 or not is_planner_on():
        return None
    field: object = next(iter(filter))
    if type(field) is not str:
        return None
    if field != "_id" and (entry is None or unique_index(entry, field) is None):
        return None
    key = encode_plain(filter[field])
    return None if key is None else (field, key)


def run_single(engine: StorageEngine, durability: str, write: SingleWrite) -> None:
    """Run a write and commit it, so that it is as durable as is asked for.

    :raises OperationFailure: it is refused; nothing was written.
    """
    if durability == FULL:
        engine.write_durably(write)
        return
    begun: list[WriteTransaction] = []  # Ctrl-C may come between any two lines
    try:
        txn = engine.begin_write(write.operation)
        begun.append(txn)
        write.run(CollectionWriters(write.catalog, txn, True))
        if txn.has_changes:
            txn.commit(durability)
    finally:
        for each in begun:  # not a variable that may be None: compiled, it must not be by then
            each.abort()


class PointWriter:
    """Writes single documents of a collection, each as a statement without a session.

    Who calls knows that no option was given; what else keeps a statement from the short way is
    looked for here, before anything is done.
    """

    def __init__(
        self,
        client: Client,
        operations: Operations,
        engine: StorageEngine,
        catalog: Catalog,
        durability: str,
        database: str,
        name: str,
        codec_options: CodecOptions[Any],
        session: Callable[[], object],
    ) -> None:
        """
        :param database: the collection's, ``name`` is its own.
        :param session: returns the one that statements belong to now; None is none.
        """
        self._client = client
        self._operations = operations
        self._engine = engine
        self._catalog = catalog
        self._durability = durability
        self._database = database
        self._name = name
        self._key = catalog_key(database, name)
        self._full_name = f"{database}.{name}"
        self._options = codec_options
        self._session = session
        self._inserts = operations.counter("insert")
        self._updates = operations.counter("update")
        self._deletes = operations.counter("delete")
        self._modifies = operations.counter("findAndModify")

    def insert(self, document: object) -> object:
        """Insert a dictionary, which gets an `_id` if it has none.

        :returns: the `_id`, or `LONG_WAY`.
        :raises InvalidDocument: it cannot be stored.
        :raises OperationFailure: it is refused.
        """
        if type(document) is not dict or self._session() is not None:
            return LONG_WAY
        if "_id" not in document:
            document["_id"] = ObjectId()
        identity: object = document["_id"]
        encoded = encode_document(document, self._options)
        self.insert_encoded(encoded, validate_document(encoded))
        return identity

    def insert_encoded(self, document: bytes, is_stored_form: bool) -> None:
        """Insert a document; whether a session is bound is for the caller to know.

        :param is_stored_form: what `validate_document` said.
        :raises OperationFailure: it is refused.
        """
        self._run(
            SingleInsert(self._catalog, self._database, self._name, document, is_stored_form),
            self._inserts,
        )

    def update(self, filter: object, update: object, is_replacement: bool, upsert: bool) -> object:
        """Update or replace the document with a value in a field with a unique index, as `_id`.

        :param upsert: whether to insert a document if there is none.
        :returns: the `SingleWrite`, which knows what was done, or `LONG_WAY`.
        :raises InvalidDocument: the update cannot be encoded.
        :raises OperationFailure: it is refused.
        """
        if type(update) is not dict or _is_of_operators(update) == is_replacement:
            return LONG_WAY
        found = self._plain(filter)
        if found is None:
            return LONG_WAY
        encoded = encode_document(update, self._options)
        write = self._single_update(found, encoded, is_replacement, filter if upsert else None)
        self._run(write, self._updates)
        return LONG_WAY if write.is_lost else write

    def update_encoded(
        self, filter: object, update: bytes, is_replacement: bool, upsert: bool
    ) -> object:
        """As `update`, with what was encoded and looked at by who calls."""
        found = self._plain(filter)
        if found is None:
            return LONG_WAY
        write = self._single_update(found, update, is_replacement, filter if upsert else None)
        self._run(write, self._updates)
        return LONG_WAY if write.is_lost else write

    def modify(
        self,
        filter: object,
        update: bytes | None,
        is_replacement: bool,
        upsert: bool,
        returns_new: bool,
        fields: Projection | None,
    ) -> object:
        """Change a document as `update` does, or delete it, and return it.

        :param update: as it was judged by who calls; None deletes.
        :param returns_new: whether the document is returned as it is afterwards.
        :returns: the document, None if there is none to return, or `LONG_WAY`.
        :raises OperationFailure: it is refused.
        """
        found = self._plain(filter)
        if found is None:
            return LONG_WAY
        write: SingleChange
        if update is None:
            field, value_key = found
            write = SingleDelete(self._catalog, self._database, self._name, field, value_key)
        else:
            write = self._single_update(found, update, is_replacement, filter if upsert else None)
        write.operation = "findAndModify"
        self._run(write, self._modifies)
        if write.is_lost:
            return LONG_WAY
        document = write.after if returns_new else write.before
        if document is None:
            return None
        if fields is not None:
            document = fields.apply(document)
        return bson.decode(document, self._options)

    def delete(self, filter: object) -> object:
        """Delete the document with a value in a field with a unique index, as `_id`.

        :returns: the `SingleWrite`, which knows what was done, or `LONG_WAY`.
        :raises OperationFailure: it is refused.
        """
        found = self._plain(filter)
        if found is None:
            return LONG_WAY
        field, value_key = found
        write = SingleDelete(self._catalog, self._database, self._name, field, value_key)
        self._run(write, self._deletes)
        return LONG_WAY if write.is_lost else write

    def _single_update(
        self, found: tuple[str, bytes], update: bytes, is_replacement: bool, upsert_filter: object
    ) -> SingleUpdate:
        field, value_key = found
        return SingleUpdate(
            self._catalog,
            self._database,
            self._name,
            field,
            value_key,
            update,
            is_replacement,
            self._options,
            None if upsert_filter is None else encode_document(upsert_filter, self._options),
        )

    def _plain(self, filter: object) -> tuple[str, bytes] | None:
        """Return what `plain_value_key` does; None as well where a session is bound."""
        if self._session() is not None:
            return None
        return plain_value_key(filter, self._catalog.last_seen(self._key))

    def _run(self, write: SingleWrite, counter: count[int]) -> None:
        operations = self._operations
        started = perf_counter()
        failed = True
        try:
            if self._client.is_closed:
                self._client.require_open()
            run_single(self._engine, self._durability, write)
            failed = False
        finally:
            if failed or perf_counter() - started >= operations.slow_seconds:
                operations.note(write.operation, self._full_name, started, failed)
            elif not write.is_lost:
                next(counter)
            if self._catalog.has_expiring:
                self._client.watch_expiry()


def _is_of_operators(update: dict[Any, Any]) -> bool:
    """Tell whether this is a document of update operators, by its first name."""
    for name in update:
        return isinstance(name, str) and name.startswith("$")
    return False
