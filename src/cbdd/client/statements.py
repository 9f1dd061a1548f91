"""The statements that write: which documents, what becomes of them, what is reported.

A statement runs on the writers of one transaction and works alike in a transaction of its own and
in a session's. What has to be in one commit is one call. `WriteTarget` knows the rest: the
collection, the session and how durable the commit must be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import bson
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure

from cbdd.catalog import CollectionWriter, CollectionWriters, InsertRun, read_record
from cbdd.catalog.stored_document import TimestampSource
from cbdd.client.store import Store
from cbdd.expression.value import id_element
from cbdd.query.executor import Execution, Query
from cbdd.query.update import Update, compile_update

if TYPE_CHECKING:
    from cbdd.client.session import ClientSession

T = TypeVar("T")


class WriteTarget:
    """The collection a statement writes to, in whose session, and how durably."""

    def __init__(
        self,
        store: Store,
        session: ClientSession | None,
        durability: str | None,
        database: str,
        name: str,
        bypass: bool = False,
    ) -> None:
        """
        :param bypass: whether documents need not match the validator of the collection.
        """
        self._bypass = bypass
        self._store = store
        self._session = session
        self._durability = durability
        self.database = database
        self.name = name

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def is_in_transaction(self) -> bool:
        """Whether what is written belongs to a transaction of the session."""
        return self._session is not None and self._session.in_transaction

    def write(self, operation: str, work: Callable[[CollectionWriters], T]) -> T:
        """Run `work` in one transaction, see `Store.write`."""
        return self._store.write(self._session, operation, self._durability, work, self)

    def insert(self, writers: CollectionWriters, run: InsertRun) -> None:
        """Insert the documents of a run from its position on, see `InsertRun.run`."""
        run.run(writers, self.database, self.name, self._bypass)

    def find(self, writers: CollectionWriters) -> CollectionWriter | None:
        """Return the writer of the collection, None when there is no such collection."""
        writer = writers.find(self.database, self.name)
        if writer is not None:
            writer.skips_validation = self._bypass
        return writer

    def find_or_create(self, writers: CollectionWriters) -> CollectionWriter:
        """Return the writer of the collection, which is made when it is not there."""
        writer = writers.find_or_create(self.database, self.name)
        writer.skips_validation = self._bypass
        return writer


class InsertStatement:
    """One document to insert, encoded and judged."""

    def __init__(self, document: bytes) -> None:
        self.document = document

    def run(self, target: WriteTarget, writers: CollectionWriters) -> None:
        """Insert it.

        :raises WriteError: its `_id` is not allowed, or a unique index holds one of its keys.
        """
        target.insert(writers, InsertRun([self.document]))


class UpdateCounts:
    """What an update did: documents matched and modified, and the `_id` of one inserted."""

    def __init__(self) -> None:
        self.matched = 0
        self.modified = 0
        self.upserted: bytes | None = None
        self.error: OperationFailure | None = None
        """Why it stopped; what it had done until then stays."""


class UpdateStatement:
    """An update or a replacement of the documents that match."""

    def __init__(self, query: Query, update: Update, is_multi: bool, upsert: bool) -> None:
        """
        :param query: the documents; its limit is 1 unless `is_multi`.
        """
        self.query = query
        self.update = update
        self.is_multi = is_multi
        self.upsert = upsert

    @staticmethod
    def compile(
        filter: Mapping[str, Any] | bytes,
        update: Sequence[Mapping[str, Any]] | bytes,
        is_replacement: bool,
        is_multi: bool,
        upsert: bool,
        array_filters: Sequence[Mapping[str, Any]] | None,
        hint: Any,
        sort: Any,
        codec_options: CodecOptions[Any],
        timestamps: TimestampSource,
        let: Mapping[str, Any] | None = None,
    ) -> UpdateStatement:
        """Compile an update, or a replacement."""
        query = Query.compile(
            filter,
            sort=sort,
            limit=0 if is_multi else 1,
            hint=hint,
            codec_options=codec_options,
            let=let,
            is_upsert=upsert,
        )
        compiled = compile_update(update, is_replacement, array_filters, codec_options, timestamps)
        return UpdateStatement(query, compiled, is_multi, upsert)

    def run(self, target: WriteTarget, writers: CollectionWriters) -> UpdateCounts:
        """Update the documents. A refusal half-way is reported, or raised in a transaction of a
        session, which it ends.
        """
        counts = UpdateCounts()
        writer = target.find(writers)
        try:
            if writer is not None:
                self._update_matches(writer, counts)
            if counts.matched == 0 and self.upsert:
                document = self.update.insert_document(self.query.filter)
                target.find_or_create(writers).insert(document)
                counts.upserted = document
        except OperationFailure as error:
            if not writers.is_exclusive or not counts.modified:
                raise
            counts.error = error
        return counts

    def _update_matches(self, writer: CollectionWriter, counts: UpdateCounts) -> None:
        record_ids = Execution(writer.txn, writer.entry, self.query).record_ids()
        for record_id in record_ids:
            document = read_record(writer.txn, writer.entry, record_id)
            assert document is not None
            changed = self.update.apply(document, filter=self.query.filter)
            counts.matched += 1
            if changed is not document:
                writer.update(record_id, document, changed, self.update.touched())
                counts.modified += 1


class DeleteStatement:
    """A deletion of the documents that match; of the first when the query's limit is 1."""

    def __init__(self, query: Query) -> None:
        self.query = query

    @staticmethod
    def compile(
        filter: Mapping[str, Any] | bytes,
        limit: int,
        hint: Any,
        let: Mapping[str, Any] | None = None,
    ) -> DeleteStatement:
        """Compile a deletion of one (limit 1) or all (0) documents that match."""
        return DeleteStatement(Query.compile(filter, limit=limit, hint=hint, let=let))

    def run(self, target: WriteTarget, writers: CollectionWriters) -> int:
        """Delete the documents and return how many there were."""
        writer = target.find(writers)
        if writer is None:
            return 0
        record_ids = Execution(writer.txn, writer.entry, self.query).record_ids()
        for record_id in record_ids:
            document = read_record(writer.txn, writer.entry, record_id)
            assert document is not None
            writer.delete(record_id, document)
        return len(record_ids)


class ModifyStatement:
    """A change of the first document that matches, which is returned: findAndModify."""

    def __init__(
        self,
        query: Query,
        update: Update | None,
        upsert: bool,
        return_new: bool,
    ) -> None:
        """
        :param update: what becomes of the document, None to delete it.
        :param return_new: whether the document is returned as it is afterwards.
        """
        self.query = query
        self.update = update
        self.upsert = upsert
        self.return_new = return_new

    def run(self, target: WriteTarget, writers: CollectionWriters) -> bytes | None:
        """Change the document; return what is asked for, None when there is nothing to return."""
        writer = target.find(writers)
        if writer is not None:
            execution = Execution(writer.txn, writer.entry, self.query)
            if execution.step():
                return self._change(writer, execution.record_id, execution.document)
        if self.update is None or not self.upsert:
            return None
        document = self.update.insert_document(self.query.filter)
        target.find_or_create(writers).insert(document)
        return self._project(document) if self.return_new else None

    def _change(self, writer: CollectionWriter, record_id: int, document: bytes) -> bytes:
        if self.update is None:
            writer.delete(record_id, document)
            return self._project(document)
        changed = self.update.apply(document, filter=self.query.filter)
        if changed is not document:
            writer.update(record_id, document, changed, self.update.touched())
        return self._project(changed if self.return_new else document)

    def _project(self, document: bytes) -> bytes:
        projection = self.query.projection
        return document if projection is None else projection.apply(document)


def decode_id(document: bytes, codec_options: CodecOptions[Any]) -> Any:
    """Return the `_id` of a stored document as Python sees it."""
    body = id_element(document) + b"\0"
    wrapped = (len(body) + 4).to_bytes(4, "little") + body
    return bson.decode(wrapped, codec_options.with_options(document_class=dict))["_id"]
