"""The reading methods of `Collection`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

import bson
from pymongo.cursor import CursorType
from pymongo.errors import ConfigurationError

from cbdd.catalog import CollectionEntry
from cbdd.catalog.refusal import refusal
from cbdd.client.arguments import (
    IndexKeys,
    check_collation,
    check_mapping,
    hint_of,
    index_document,
    projection_of,
)
from cbdd.client.core import CollectionCore
from cbdd.client.cursor import Cursor, RawBatchCursor
from cbdd.client.session import ClientSession, session_for
from cbdd.client.unsupported import refuse_arguments, unsupported
from cbdd.query.executor import Query, count, distinct
from cbdd.query.explain import explain
from cbdd.query.point import LONG_WAY
from cbdd.storage import ReadTransaction

if TYPE_CHECKING:
    from cbdd.client.collection import Collection

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])

_SHORT_OPTIONS: Final = {"projection", "sort"}
"""Of `find_one`; whatever else is given has a cursor made."""


class CollectionReads(CollectionCore[DocumentT]):
    """Finding and counting documents."""

    def find(
        self,
        filter: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        cursor_type: int = CursorType.NON_TAILABLE,
        sort: IndexKeys | None = None,
        allow_partial_results: bool = False,
        oplog_replay: bool = False,
        batch_size: int = 0,
        collation: object = None,
        hint: IndexKeys | None = None,
        max_scan: int | None = None,
        max_time_ms: int | None = None,
        max: IndexKeys | None = None,
        min: IndexKeys | None = None,
        return_key: bool | None = None,
        show_record_id: bool | None = None,
        snapshot: bool | None = None,
        comment: object = None,
        session: ClientSession | None = None,
        allow_disk_use: bool | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> Cursor[DocumentT]:
        """Return a cursor over the documents that match.

        :param filter: what must match; None or ``{}`` is every document.
        :param projection: the fields to return: a list of names, or a document of 1s or 0s.
        :param skip: how many results to leave out at the beginning.
        :param limit: how many results to return at most; 0 is no limit.
        :param sort: a field name, or a list of (field, direction) pairs.
        :param hint: the index to use, by name or by its keys.
        :param batch_size: how many documents to read at a time.
        :param max_time_ms: how long reading may take before `ExecutionTimeout` is raised.
        :param min: the first key to read of the hinted index: pairs of field and value.
        :param max: the first key that is not read any more.
        :param return_key: whether to return the keys of the index instead of the documents.
        :param show_record_id: whether to add the record id as ``$recordId``.
        :param allow_disk_use: whether a sort that outgrows memory may use a temporary file;
            default: it may.
        :param cursor_type: ``CursorType.TAILABLE`` or ``TAILABLE_AWAIT`` follows a capped
            collection.
        :param session: a session, to read inside its transaction or from its snapshot.

        >>> import cbdd
        >>> with cbdd.connect("shop.cbdd") as client:
        ...     fruit = client.shop.fruit
        ...     _ = fruit.insert_many([{"_id": 1, "name": "fig"}, {"_id": 2, "name": "kiwi"}])
        ...     list(fruit.find({"name": {"$gt": "g"}}, {"name": 1}))
        [{'_id': 2, 'name': 'kiwi'}]
        """
        return Cursor(
            cast("Collection[DocumentT]", self),
            filter,
            projection,
            skip,
            limit,
            no_cursor_timeout,
            cursor_type,
            sort,
            allow_partial_results,
            oplog_replay,
            batch_size,
            collation,
            hint,
            max_scan,
            max_time_ms,
            max,
            min,
            return_key,
            show_record_id,
            snapshot,
            comment,
            session,
            allow_disk_use,
            let,
        )

    def find_one(self, filter: Any | None = None, *args: Any, **kwargs: Any) -> DocumentT | None:
        """Return the first document that matches, or None.

        :param filter: as in `find`; anything but a mapping is looked up as ``_id``.
        """
        sort = None
        if kwargs:
            is_short = not args and kwargs.keys() <= _SHORT_OPTIONS
            fields = kwargs.get("projection")
            sort = kwargs.get("sort")
        else:
            is_short = len(args) < 2
            fields = args[0] if args else None
        if is_short:
            if type(fields) is list:
                fields = projection_of(fields)
            if not sort:
                document = (self._shortcuts or self._find_shortcuts()).find_one(filter, fields)
                if document is not LONG_WAY:
                    return cast("DocumentT | None", document)
            if filter is None or type(filter) is dict:
                reading = self._reading()
                if reading.monitor is None and session_for(reading.client, None) is None:
                    fields = projection_of(fields)
                    keys = index_document(sort) if sort else None
                    return cast("DocumentT | None", reading.find_one(filter, fields, keys))
        if filter is not None and not isinstance(filter, Mapping):
            filter = {"_id": filter}
        cursor = self.find(filter, *args, **kwargs)
        for document in cursor.limit(-1):
            return document
        return None

    def find_raw_batches(self, *args: Any, **kwargs: Any) -> RawBatchCursor:
        """Return a cursor over batches of BSON bytes, documents one after another.

        Takes the arguments of `find`; `bson.decode_all` reads a batch.
        """
        return RawBatchCursor(cast("Collection[Any]", self), *args, **kwargs)

    def count_documents(
        self,
        filter: Mapping[str, Any],
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> int:
        """Count the documents that match.

        :param kwargs: ``skip``, ``limit``, ``hint``, ``maxTimeMS``, the simple ``collation``.
        """
        check_mapping("filter", filter)
        if not kwargs:
            reading = self._reading()
            query = Query.compile(filter, None, None, 0, 0, None, reading.codec_options)
            if session_for(reading.client, session) is None:
                return reading.count(query)
        query = Query.compile(
            filter,
            skip=_count_bound("skip", kwargs.pop("skip", None), 0, 5107200),
            limit=_count_bound("limit", kwargs.pop("limit", None), 1, 15958),
            hint=hint_of(kwargs.pop("hint", None)),
            codec_options=self.codec_options,
        )
        limit = kwargs.pop("maxTimeMS", None)
        check_collation(kwargs.pop("collation", None))
        refuse_arguments("count_documents", **kwargs)
        with self._store.time_limit(limit):
            return self._store.read(
                self._session(session),
                lambda txn: count(txn, self._entry(txn), query),
                "count",
                self.full_name,
            )

    def estimated_document_count(self, comment: object = None, **kwargs: Any) -> int:
        """Count all documents; here the count is exact and takes no reading."""
        if "session" in kwargs:
            raise ConfigurationError("estimated_document_count does not support sessions")
        kwargs.pop("maxTimeMS", None)
        refuse_arguments("estimated_document_count", **kwargs)

        def read(txn: ReadTransaction) -> int:
            entry = self._entry(txn)
            return 0 if entry is None else txn.count(entry.record_tree)

        return self._store.read(None, read, "count", self.full_name)

    def distinct(
        self,
        key: str,
        filter: Mapping[str, Any] | None = None,
        session: ClientSession | None = None,
        comment: object = None,
        hint: IndexKeys | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return the different values of a field among the documents that match.

        :param key: name or dotted path of the field; elements of arrays count one by one.
        """
        if not isinstance(key, str):
            raise TypeError(f"key must be an instance of str, not {type(key)}")
        if "query" in kwargs:
            if filter is not None:
                raise ConfigurationError("can't pass both filter and query")
            filter = kwargs.pop("query")
        if filter is not None:
            check_mapping("filter", filter)
        limit = kwargs.pop("maxTimeMS", None)
        check_collation(kwargs.pop("collation", None))
        refuse_arguments("distinct", **kwargs)
        query = Query.compile(filter, hint=hint_of(hint), codec_options=self.codec_options)
        with self._store.time_limit(limit):
            found = self._store.read(
                self._session(session),
                lambda txn: distinct(txn, self._entry(txn), key, query),
                "distinct",
                self.full_name,
            )
        values: list[Any] = bson.decode(found, self.codec_options)["values"]
        return values

    def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        session: ClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        stages = pipeline if isinstance(pipeline, list) else []
        names = [str(next(iter(stage), "")) for stage in stages if isinstance(stage, Mapping)]
        raise unsupported(f"aggregation ({', '.join(names) or 'an empty pipeline'})")

    def aggregate_raw_batches(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        session: ClientSession | None = None,
        comment: object = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Collection.aggregate_raw_batches")

    def watch(
        self,
        pipeline: Sequence[Mapping[str, Any]] | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: object = None,
        start_at_operation_time: object = None,
        session: ClientSession | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: object = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> NoReturn:
        """Not supported by this release."""
        raise unsupported("Collection.watch (a change stream)")

    def _entry(self, txn: ReadTransaction) -> CollectionEntry | None:
        return self._store.catalog.find(txn, self._database.name, self._name)

    def _explain(self, query: Query, session: ClientSession | None) -> dict[str, Any]:
        return self._store.read(
            self._session(session),
            lambda txn: explain(txn, self._entry(txn), query, namespace=self.full_name),
            "explain",
            self.full_name,
        )


def _count_bound(option: str, value: object, least: int, code: int) -> int:
    """Return skip or limit of a count, 0 when it was not given."""
    if value is None:
        return 0
    if not isinstance(value, int):
        raise TypeError(f"{option} must be an integer, not {type(value)}")
    if value < least:
        raise refusal(code, f"{option} must be at least {least}, not {value}")
    return value
