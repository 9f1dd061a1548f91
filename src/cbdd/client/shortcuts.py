"""What the statements of a collection need, found once, and the short way for single documents.

Asking a collection itself costs several times as much for each attribute, because it answers to any
name. The short way has no session, no query to be compiled and no cursor.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import bson
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure
from pymongo.results import DeleteResult, InsertOneResult, UpdateResult
from pymongo.write_concern import WriteConcern

from cbdd.client.session import bound_session
from cbdd.client.settings import durability_of
from cbdd.client.statements import decode_id
from cbdd.client.write_errors import write_error
from cbdd.query.executor import Query
from cbdd.query.first_batch import QueryReader
from cbdd.query.point import LONG_WAY, PointReader
from cbdd.query.point_write import PointWriter, SingleUpdate, SingleWrite
from cbdd.query.projection_parser import plain_projection

if TYPE_CHECKING:
    from cbdd.client.client import Client


class Reading:
    """What the queries of one collection need."""

    __slots__ = (
        "client",
        "codec_options",
        "full_name",
        "monitor",
        "operations",
        "reader",
        "store",
    )

    def __init__(
        self,
        client: Client[Any],
        key: bytes,
        full_name: str,
        codec_options: CodecOptions[Any],
    ) -> None:
        """
        :param key: the collection's, of `catalog_key`.
        """
        store = client._store
        self.client = client
        self.store = store
        self.operations = store.operations
        self.monitor = client._monitor
        self.full_name = full_name
        self.codec_options = codec_options
        self.reader = QueryReader(store, store.engine, store.catalog, key)

    def find_one(self, filter: Any, projection: Any, sort: Any) -> Any:
        """Return the first document that matches, or None, outside any session.

        What a cursor would do whose limit is -1.
        """
        started = perf_counter()
        failed = True
        try:
            options = self.codec_options
            query = Query.compile(filter, projection, sort, 0, -1, None, options)
            first = self.reader.begin(query, 1, 0)
            if first.txn is not None:
                first.txn.close()
            failed = False
        finally:
            self.operations.note("query", self.full_name, started, failed)
        return bson.decode(first.documents[0], options) if first.documents else None

    def count(self, query: Query) -> int:
        """Count the documents of a query, outside any session."""
        self.store.require_open()
        started = perf_counter()
        failed = True
        try:
            total = self.reader.count(query)
            failed = False
        finally:
            self.operations.note("count", self.full_name, started, failed)
        return total


class Shortcuts:
    """One collection as its statements on single documents see it.

    What returns None found no short way and did nothing.
    """

    __slots__ = ("_is_acknowledged", "_writer", "find_one")

    def __init__(
        self,
        client: Client[Any],
        database: str,
        name: str,
        key: bytes,
        codec_options: CodecOptions[Any],
        write_concern: WriteConcern,
    ) -> None:
        """
        :param key: the collection's, of `catalog_key`.
        """
        store = client._store
        self._is_acknowledged = write_concern.acknowledged
        self._writer: PointWriter | None = None
        with suppress(OperationFailure):  # which the long way raises, if it comes to that
            self._writer = PointWriter(
                store,
                store.operations,
                store.engine,
                store.catalog,
                durability_of(write_concern) or store.durability,
                database,
                name,
                codec_options,
                bound_session,
            )
        reader = PointReader(
            store,
            store.operations,
            store.engine,
            store.catalog,
            key,
            f"{database}.{name}",
            codec_options,
            bound_session,
        )
        self.find_one: Callable[[Any, Any], object] = reader.find_one
        """Find the document of a filter of one plain value, or the fields of it that a plain
        projection names; None, or `LONG_WAY`."""
        if client._monitor is not None:  # which is told of commands
            self.find_one = _long_way

    def insert(self, document: Any) -> InsertOneResult | None:
        """Insert a dictionary."""
        writer = self._writer
        if writer is None:
            return None
        try:
            identity = writer.insert(document)
        except OperationFailure as error:
            self._refuse(error)
            identity = document["_id"]
        return None if identity is LONG_WAY else InsertOneResult(identity, self._is_acknowledged)

    def insert_encoded(
        self, document: bytes, is_stored_form: bool, identity: Any
    ) -> InsertOneResult | None:
        """Insert an encoded document, where no session is bound.

        :param is_stored_form: what `validate_document` said.
        """
        writer = self._writer
        if writer is None:
            return None
        try:
            writer.insert_encoded(document, is_stored_form)
        except OperationFailure as error:
            self._refuse(error)
        return InsertOneResult(identity, self._is_acknowledged)

    def update(
        self, filter: Any, update: Any, is_replacement: bool, upsert: bool
    ) -> UpdateResult | None:
        """Update or replace the document of an `_id`, which may be inserted if there is none."""
        writer = self._writer
        if writer is None:
            return None
        try:
            write = writer.update(filter, update, is_replacement, upsert)
        except OperationFailure as error:
            return self._refuse_update(error)
        return None if write is LONG_WAY else self._updated(cast("SingleUpdate", write))

    def update_encoded(
        self, filter: Any, update: bytes, is_replacement: bool, upsert: bool
    ) -> UpdateResult | None:
        """Update or replace the document of an `_id`, with an update that was judged."""
        writer = self._writer
        if writer is None:
            return None
        try:
            write = writer.update_encoded(filter, update, is_replacement, upsert)
        except OperationFailure as error:
            return self._refuse_update(error)
        return None if write is LONG_WAY else self._updated(cast("SingleUpdate", write))

    def modify(
        self,
        filter: Any,
        update: bytes | None,
        is_replacement: bool,
        upsert: bool,
        returns_new: bool,
        projection: Any,
    ) -> Any:
        """Change the document of an `_id`, or delete it, and return it; or `LONG_WAY`.

        :param update: as it was judged; None deletes.
        """
        writer = self._writer
        if writer is None:
            return LONG_WAY
        fields = None
        if projection is not None:
            fields = plain_projection(projection)
            if fields is None:
                return LONG_WAY
        return writer.modify(filter, update, is_replacement, upsert, returns_new, fields)

    def delete(self, filter: Any) -> DeleteResult | None:
        """Delete the document of an `_id`."""
        writer = self._writer
        if writer is None:
            return None
        try:
            write = writer.delete(filter)
        except OperationFailure as error:
            self._refuse(error)
            return DeleteResult({"n": 0, "ok": 1.0}, False)
        if write is LONG_WAY:
            return None
        return DeleteResult(
            {"n": cast("SingleWrite", write).matched, "ok": 1.0}, self._is_acknowledged
        )

    def _updated(self, write: SingleUpdate) -> UpdateResult:
        if not self._is_acknowledged:
            return UpdateResult(None, False)
        matched = write.matched
        document = {"n": matched, "nModified": write.modified, "ok": 1.0}
        document["updatedExisting"] = matched > 0
        upserted = write.upserted
        if upserted is not None:
            document["n"] = 1
            document["upserted"] = decode_id(upserted, write.codec_options)
        return UpdateResult(document, True)

    def _refuse_update(self, error: OperationFailure) -> UpdateResult:
        self._refuse(error)
        return UpdateResult(None, False)

    def _refuse(self, error: OperationFailure) -> None:
        """Raise what was refused as PyMongo does, unless nobody asks to know."""
        if self._is_acknowledged:
            raise write_error(error) from error


def _long_way(filter: Any, projection: Any) -> object:
    return LONG_WAY
