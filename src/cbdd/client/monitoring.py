"""PyMongo's command monitoring: listeners are told of every operation as of a command.

With the option ``event_listeners`` a client hands out `MonitoredDatabase` and
`MonitoredCollection`, which tell listeners of each operation before and after it; without
listeners there is nothing in the way. Commands are named and shaped as PyMongo sends them, but for
``count``, where PyMongo sends an aggregation, and ``bulkWrite``, where it sends one command for
each kind. There is no server: the connection is the path and port 0.

What a statement reports as write errors is a success with ``writeErrors``, as on a server. A
listener that raises does not disturb the operation; its error goes to the logger
``cbdd.monitoring``.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from pymongo.errors import BulkWriteError, OperationFailure, WriteError
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from pymongo.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)

from cbdd.client.collection import Collection
from cbdd.client.database import Database

_LOGGER: Final = logging.getLogger("cbdd.monitoring")
_requests: Final = itertools.count(1)

Document = dict[str, Any]


class CommandMonitor:
    """Tells the listeners of one client."""

    def __init__(self, path: str, listeners: Sequence[CommandListener]) -> None:
        self._address = (path, 0)
        self._listeners = listeners
        self._inside = threading.local()

    @contextmanager
    def observe(self, command: Document, database: str) -> Iterator[Document]:
        """Tell of an operation; the block may add to the reply that is yielded.

        An operation inside another one is part of that and not told of.
        """
        reply: Document = {"ok": 1.0}
        if getattr(self._inside, "is_set", False):
            yield reply
            return
        self._inside.is_set = True
        name = next(iter(command))
        request = next(_requests)
        self._tell(
            "started",
            CommandStartedEvent(command, database, request, self._address, request),
        )
        started = time.perf_counter()
        try:
            yield reply
        except BaseException as error:
            self._ended(error, reply, name, request, started, database)
            raise
        else:
            self._ended(None, reply, name, request, started, database)
        finally:
            self._inside.is_set = False

    def _ended(
        self,
        error: BaseException | None,
        reply: Document,
        name: str,
        request: int,
        started: float,
        database: str,
    ) -> None:
        duration = timedelta(seconds=time.perf_counter() - started)
        if isinstance(error, (WriteError, BulkWriteError)):
            details = dict(error.details or {})
            reply |= {"n": details.get("nInserted", 0)}
            reply["writeErrors"] = details.get("writeErrors", [details])
            error = None
        if error is None:
            self._tell(
                "succeeded",
                CommandSucceededEvent(
                    duration, reply, name, request, self._address, request, None, database
                ),
            )
            return
        failure = _failure_of(error)
        self._tell(
            "failed",
            CommandFailedEvent(
                duration, failure, name, request, self._address, request, None, database
            ),
        )

    def _tell(self, method: str, event: object) -> None:
        for listener in self._listeners:
            try:
                getattr(listener, method)(event)
            except Exception:
                _LOGGER.exception("a command listener failed")


def _failure_of(error: BaseException) -> Document:
    if isinstance(error, OperationFailure) and error.details:
        return dict(error.details)
    return {
        "ok": 0.0,
        "errmsg": str(error),
        "code": getattr(error, "code", None),
        "codeName": type(error).__name__,
    }


Build = Callable[[str, Document], Document]


def _update(multi: bool) -> Build:
    def build(name: str, given: Document) -> Document:
        change = given.get("update", given.get("replacement"))
        entry: Document = {"q": given["filter"], "u": change, "multi": multi}
        entry["upsert"] = bool(given.get("upsert"))
        return {"update": name, "ordered": True, "updates": [entry]}

    return build


def _delete(limit: int) -> Build:
    def build(name: str, given: Document) -> Document:
        entry = {"q": given["filter"], "limit": limit}
        return {"delete": name, "ordered": True, "deletes": [entry]}

    return build


def _modify(name: str, given: Document) -> Document:
    command: Document = {"findAndModify": name, "query": given["filter"]}
    change = given.get("update", given.get("replacement"))
    if change is None:
        command["remove"] = True
    else:
        command |= {"update": change, "new": bool(given.get("return_document"))}
        command["upsert"] = bool(given.get("upsert"))
    return command


def _bulk(name: str, given: Document) -> Document:
    ops = [str(type(each).__name__) for each in given["requests"]]
    return {"bulkWrite": name, "ops": ops, "ordered": bool(given.get("ordered", True))}


_WRITES: Final[dict[str, tuple[tuple[str, ...], Build]]] = {
    "insert_one": (
        ("document",),
        lambda name, given: {"insert": name, "ordered": True, "documents": [given["document"]]},
    ),
    "insert_many": (
        ("documents", "ordered"),
        lambda name, given: {
            "insert": name,
            "ordered": bool(given.get("ordered", True)),
            "documents": given["documents"],
        },
    ),
    "replace_one": (("filter", "replacement", "upsert"), _update(False)),
    "update_one": (("filter", "update", "upsert"), _update(False)),
    "update_many": (("filter", "update", "upsert"), _update(True)),
    "delete_one": (("filter",), _delete(1)),
    "delete_many": (("filter",), _delete(0)),
    "find_one_and_delete": (("filter",), _modify),
    "find_one_and_replace": (("filter", "replacement"), _modify),
    "find_one_and_update": (("filter", "update"), _modify),
    "bulk_write": (("requests", "ordered"), _bulk),
    "count_documents": (
        ("filter",),
        lambda name, given: {"count": name, "query": given["filter"]},
    ),
    "estimated_document_count": ((), lambda name, _given: {"count": name}),
    "distinct": (
        ("key", "filter"),
        lambda name, given: {
            "distinct": name,
            "key": given["key"],
            "query": given.get("filter") or {},
        },
    ),
    "create_index": (
        ("keys",),
        lambda name, given: {"createIndexes": name, "indexes": [{"key": given["keys"]}]},
    ),
    "create_indexes": (
        ("indexes",),
        lambda name, given: {
            "createIndexes": name,
            "indexes": [each.document for each in given["indexes"]],
        },
    ),
    "drop_index": (
        ("index_or_name",),
        lambda name, given: {"dropIndexes": name, "index": given["index_or_name"]},
    ),
    "drop_indexes": ((), lambda name, _given: {"dropIndexes": name, "index": "*"}),
    "list_indexes": ((), lambda name, _given: {"listIndexes": name}),
    "rename": (
        ("new_name",),
        lambda name, given: {"renameCollection": name, "to": given["new_name"]},
    ),
    "reindex": ((), lambda name, _given: {"reIndex": name}),
    "drop": ((), lambda name, _given: {"drop": name}),
}
"""Methods of a collection: the names of their first arguments, and the command they stand for."""


def _reply_of(result: object) -> Document:
    """What a server would say of a result."""
    if isinstance(result, InsertOneResult):
        return {"n": 1}
    if isinstance(result, InsertManyResult):
        return {"n": len(result.inserted_ids)}
    if isinstance(result, UpdateResult):
        return {"n": result.matched_count, "nModified": result.modified_count}
    if isinstance(result, DeleteResult):
        return {"n": result.deleted_count}
    if isinstance(result, BulkWriteResult):
        return dict(result.bulk_api_result)
    if isinstance(result, bool) or result is None:
        return {}
    if isinstance(result, int):
        return {"n": result}
    if isinstance(result, Mapping):
        return {"value": result}
    return {"values": result} if isinstance(result, list) else {}


def _watched(method: str, names: tuple[str, ...], build: Build) -> Callable[..., Any]:
    original = getattr(Collection, method)

    def run(self: MonitoredCollection, *args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if any(name not in given for name in names[:1]):
            return original(self, *args, **kwargs)  # which raises what Python raises
        if method == "insert_many" and isinstance(given["documents"], Iterator):
            given["documents"] = list(given["documents"])
            args, kwargs = (), given
        monitor = self.database.client._monitor
        assert monitor is not None
        with monitor.observe(build(self.name, given), self.database.name) as reply:
            result = original(self, *args, **kwargs)
            reply |= _reply_of(result)
            return result

    run.__name__ = method
    run.__doc__ = original.__doc__
    return run


class MonitoredCollection(Collection[Any]):
    """A collection whose operations are told to listeners."""


for _method, (_names, _build) in _WRITES.items():
    setattr(MonitoredCollection, _method, _watched(_method, _names, _build))


class MonitoredDatabase(Database[Any]):
    """A database whose commands are told to listeners."""

    def command(self, command: Any, value: Any = 1, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a command, see `Database.command`."""
        document = {command: value} if isinstance(command, str) else dict(command)
        shown = {name: each for name, each in kwargs.items() if name not in _NOT_OF_THE_COMMAND}
        with self._told({**document, **shown}) as reply:
            result = super().command(command, value, *args, **kwargs)
            reply |= result
            return result

    def create_collection(self, name: str, *args: Any, **kwargs: Any) -> Collection[Any]:
        """Create a collection, see `Database.create_collection`."""
        with self._told({"create": name}):
            return super().create_collection(name, *args, **kwargs)

    def list_collections(self, *args: Any, **kwargs: Any) -> Any:
        """List the collections, see `Database.list_collections`."""
        with self._told({"listCollections": 1}):
            return super().list_collections(*args, **kwargs)

    def drop_collection(self, name_or_collection: Any, *args: Any, **kwargs: Any) -> Any:
        """Drop a collection, see `Database.drop_collection`."""
        is_name = isinstance(name_or_collection, str)
        with self._told({"drop": name_or_collection if is_name else name_or_collection.name}):
            return super().drop_collection(name_or_collection, *args, **kwargs)

    @contextmanager
    def _told(self, command: Document) -> Iterator[Document]:
        monitor = self.client._monitor
        assert monitor is not None
        with monitor.observe(command, self.name) as reply:
            yield reply


_NOT_OF_THE_COMMAND: Final = frozenset(
    ["check", "allowable_errors", "read_preference", "codec_options", "session"]
)
