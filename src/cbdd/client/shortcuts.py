"""The short way for single documents: no session, no query to be compiled, no cursor.

A collection keeps one `Shortcuts` of what its statements need, found once. Asking a collection
itself costs several times as much for each attribute, because it answers to any name.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from cbdd.client.session import bound_session, is_unbound
from cbdd.client.settings import durability_of
from cbdd.client.write_errors import write_error
from cbdd.index.key_string import encode_plain
from cbdd.query.planner import is_planner_on
from cbdd.query.point import (
    LONG_WAY,
    PointReader,
    SingleDelete,
    SingleInsert,
    SingleUpdate,
    SingleWrite,
    run_single,
)

if TYPE_CHECKING:
    from cbdd.client.client import Client


class Shortcuts:
    """One collection as its statements on single documents see it."""

    __slots__ = (
        "_catalog",
        "_durability",
        "_engine",
        "_full_name",
        "_name",
        "_options",
        "_store",
        "database",
        "find_one",
        "is_acknowledged",
    )

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
        self._store = client._store
        self._engine = client._store.engine
        self._catalog = client._store.catalog
        self.database = database
        self._name = name
        self._full_name = f"{database}.{name}"
        self._options = codec_options
        self._durability = durability_of(write_concern) or client._store.durability
        self.is_acknowledged = write_concern.acknowledged
        store = self._store
        reader = PointReader(
            store,
            store.operations,
            store.engine,
            store.catalog,
            key,
            self._full_name,
            codec_options,
            bound_session,
        )
        self.find_one: Callable[[Any], object] = reader.find_one
        """Find the document of a filter of one plain value; None, or `LONG_WAY`."""
        if client._monitor is not None:  # which is told of commands
            self.find_one = _long_way

    def insert(self, document: bytes, is_stored_form: bool) -> None:
        """Insert an encoded document.

        :param is_stored_form: what `validate_document` said.
        """
        self._run(SingleInsert(self._catalog, self.database, self._name, document, is_stored_form))

    def update(self, id_key: bytes, update: bytes, is_replacement: bool) -> SingleWrite:
        """Update or replace the document of an `_id`; return what was done."""
        catalog, options = self._catalog, self._options
        write = SingleUpdate(
            catalog, self.database, self._name, id_key, update, is_replacement, options
        )
        self._run(write)
        return write

    def delete(self, id_key: bytes) -> int:
        """Delete the document of an `_id`; return how many there were."""
        write = SingleDelete(self._catalog, self.database, self._name, id_key)
        self._run(write)
        return write.matched

    def _run(self, write: SingleWrite) -> None:
        """Run a write as a statement; refused silently if nobody asks to know."""
        store = self._store
        started = perf_counter()
        failed = True
        try:
            store.require_open()
            run_single(self._engine, self._durability, write)
            failed = False
        except OperationFailure as error:
            if self.is_acknowledged:
                raise write_error(error) from error
        finally:
            store.operations.note(write.operation, self._full_name, started, failed)
            store.watch_expiry()


def _long_way(filter: Any) -> object:
    return LONG_WAY


def plain_id(filter: Any) -> bytes | None:
    """Return the key string of the `_id` that a filter asks for, if it asks nothing else."""
    if type(filter) is dict and len(filter) == 1 and is_planner_on() and is_unbound():
        return encode_plain(filter.get("_id"))
    return None
