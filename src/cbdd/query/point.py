"""Single documents, without compiling a query: what is asked most often of all.

The answers are those of `Execution` for filters like ``{"_id": value}``: the same look-up in the
same index. `run_single` is a statement of one write, which shares its transaction with others where
each would wait for a sync.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any, Final, Protocol

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from pymongo.errors import OperationFailure

from cbdd.catalog import Catalog, CollectionWriter, CollectionWriters, InsertRun
from cbdd.catalog.record_store import RECORD_ID_BYTES, decode_record_id
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import encode_plain
from cbdd.query.planner import is_planner_on
from cbdd.query.stages import fetch_record
from cbdd.query.update import compile_update
from cbdd.storage import QueuedWrite, ReadTransaction, StorageEngine, WriteTransaction
from cbdd.storage.options import FULL

LONG_WAY: Final = object()
"""What is returned where there is no short way."""


class Client(Protocol):
    """What a reader must know of the client it reads for."""

    is_closed: bool

    def require_open(self) -> None:
        """Raise what is due when a closed client is used."""


class Operations(Protocol):
    """Where operations are noted."""

    slow_seconds: float
    queries: count[int]
    """Stepped for an operation that was not slow."""

    def note(self, operation: str, namespace: object, started: float, failed: bool) -> None:
        """Note any operation."""


class PointReader:
    """Finds the first document of a filter of one value, where an index can tell.

    An index cannot where the value is other than an integer, a string or an ObjectId, or the index
    does not have every document, or several keys of some.
    """

    def __init__(
        self,
        client: Client,
        operations: Operations,
        engine: StorageEngine,
        catalog: Catalog,
        key: bytes,
        full_name: str,
        codec_options: CodecOptions[Any],
        session: Callable[[], object],
    ) -> None:
        """
        :param key: the collection's, of `catalog_key`.
        :param full_name: the collection's, to be noted.
        :param session: returns the one that statements belong to now; None is none.
        """
        self._client = client
        self._operations = operations
        self._engine = engine
        self._catalog = catalog
        self._key = key
        self._full_name = full_name
        self._options = codec_options
        self._session = session

    def find_one(self, filter: object) -> object:
        """Return the document, None if there is none, or `LONG_WAY`.

        :param filter: anything but a plain dictionary is looked up as `_id`.
        """
        name: object = "_id"
        value = filter
        if type(filter) is dict:
            if len(filter) != 1:
                return LONG_WAY
            name = next(iter(filter))
            value = filter[name]
        if type(name) is not str or self._session() is not None:
            return LONG_WAY
        operations = self._operations
        started = perf_counter()
        try:
            if self._client.is_closed:
                self._client.require_open()
            value_key = encode_plain(value)
            if value_key is None or not is_planner_on():
                return LONG_WAY
            found = self._find(name, value_key)
            if isinstance(found, bytes):
                found = bson.decode(found, self._options)
        except BaseException:
            operations.note("query", self._full_name, started, True)
            raise
        if found is LONG_WAY:
            return found
        if perf_counter() - started < operations.slow_seconds:
            next(operations.queries)
        else:
            operations.note("query", self._full_name, started, False)
        return found

    def _find(self, field: str, value_key: bytes) -> object:
        txn = self._engine.begin_read()
        try:
            entry = self._catalog.find_key(txn, self._key)
            if entry is None:
                return None
            for index in entry.indexes:
                if len(index.fields) != 1 or index.fields[0] != (field, 1):
                    continue
                if index.is_multikey or index.is_hidden or index.is_sparse or index.is_partial:
                    continue
                record_key = _first_of(txn, index, value_key)
                if record_key is None:
                    return None
                return fetch_record(txn, entry, record_key, index.name)
            return LONG_WAY
        finally:
            txn.close()


def _first_of(txn: ReadTransaction, index: IndexDefinition, value_key: bytes) -> bytes | None:
    """Return the record key of the first entry of a value in an index of one field, or None."""
    if index.is_unique:
        value = txn.get(index.tree_id, value_key)
        return None if value is None else value[:RECORD_ID_BYTES]
    cursor = txn.cursor(index.tree_id)
    if not cursor.seek(value_key):
        return None
    key = cursor.key
    end = len(value_key)
    if len(key) != end + RECORD_ID_BYTES or key[:end] != value_key:
        return None
    return key[end:]


class SingleWrite(QueuedWrite):
    """A write of one document."""

    def __init__(self, operation: str, catalog: Catalog, database: str, name: str) -> None:
        super().__init__(operation)
        self.catalog = catalog
        self.database = database
        self.name = name
        self.matched = 0
        self.modified = 0
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


class SingleUpdate(SingleWrite):
    """An update, or a replacement, of the document with an `_id`."""

    def __init__(
        self,
        catalog: Catalog,
        database: str,
        name: str,
        id_key: bytes,
        update: bytes,
        is_replacement: bool,
        codec_options: CodecOptions[Any],
    ) -> None:
        """
        :param id_key: key string of the value, see `encode_plain`.
        """
        super().__init__("update", catalog, database, name)
        self.id_key = id_key
        self.update = update
        self.is_replacement = is_replacement
        self.codec_options = codec_options

    def run(self, writers: CollectionWriters) -> None:
        timestamps = writers.catalog.timestamps
        update = compile_update(
            self.update, self.is_replacement, None, self.codec_options, timestamps
        )
        writer = writers.find(self.database, self.name)
        record_key = _record_key(writer, self.id_key)
        if writer is None or record_key is None:
            return
        document = fetch_record(writer.txn, writer.entry, record_key, writer.entry.indexes[0].name)
        changed = update.apply(document)
        self.matched = 1
        if changed is not document:
            record_id = decode_record_id(record_key)
            writer.update(record_id, document, changed, update.touched())
            self.modified = 1


class SingleDelete(SingleWrite):
    """A deletion of the document with an `_id`."""

    def __init__(self, catalog: Catalog, database: str, name: str, id_key: bytes) -> None:
        """
        :param id_key: key string of the value, see `encode_plain`.
        """
        super().__init__("delete", catalog, database, name)
        self.id_key = id_key

    def run(self, writers: CollectionWriters) -> None:
        writer = writers.find(self.database, self.name)
        record_key = _record_key(writer, self.id_key)
        if writer is None or record_key is None:
            return
        document = fetch_record(writer.txn, writer.entry, record_key, writer.entry.indexes[0].name)
        writer.delete(decode_record_id(record_key), document)
        self.matched = 1


def _record_key(writer: CollectionWriter | None, id_key: bytes) -> bytes | None:
    if writer is None:
        return None
    value = writer.txn.get(writer.entry.indexes[0].tree_id, id_key)
    return None if value is None else value[:RECORD_ID_BYTES]


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
