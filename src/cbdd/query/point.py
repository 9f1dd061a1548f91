"""Single documents, without compiling a query: what is asked most often of all.

The answers are those of `Execution` for filters like ``{"_id": value}``: the same look-up in the
same index. Writes are in `point_write`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any, Final, Protocol

import bson
from bson.codec_options import CodecOptions

from cbdd.catalog import Catalog
from cbdd.catalog.record_store import RECORD_ID_BYTES
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import encode_plain
from cbdd.query.planner import is_planner_on
from cbdd.query.projection import Projection
from cbdd.query.projection_parser import plain_projection
from cbdd.query.stages import fetch_record
from cbdd.storage import ReadTransaction, StorageEngine

LONG_WAY: Final = object()
"""What is returned where there is no short way."""


class Client(Protocol):
    """What must be known of the client that something is done for."""

    is_closed: bool

    def require_open(self) -> None:
        """Raise what is due when a closed client is used."""

    def watch_expiry(self) -> None:
        """See to it that documents expire, if some do."""


class Operations(Protocol):
    """Where operations are noted."""

    slow_seconds: float
    queries: count[int]
    """Stepped for a query that was not slow."""

    def counter(self, operation: str) -> count[int]:
        """Return what is stepped for such an operation that was not slow."""

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

    def find_one(self, filter: object, projection: object = None) -> object:
        """Return the document, None if there is none, or `LONG_WAY`.

        :param filter: anything but a plain dictionary is looked up as `_id`.
        :param projection: a dictionary of fields with 1 or 0; None is the whole document.
        :raises OperationFailure: the projection is refused.
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
            fields: Projection | None = None
            if projection is not None:
                fields = plain_projection(projection)
                if fields is None:
                    return LONG_WAY
            found = self._find(name, value_key)
            if isinstance(found, bytes):
                if fields is not None:
                    found = fields.apply(found)
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
                if not is_whole(index):
                    continue
                record_key = _first_of(txn, index, value_key)
                if record_key is None:
                    return None
                return fetch_record(txn, entry, record_key, index.name)
            return LONG_WAY
        finally:
            txn.close()


def is_whole(index: IndexDefinition) -> bool:
    """Tell whether a query may use an index that has one key of every document."""
    return not (index.is_multikey or index.is_hidden or index.is_sparse or index.is_partial)


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
