"""The database commands this release answers, and the documents they answer with."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import bson
from bson.binary import Binary
from bson.int64 import Int64

from cbdd.catalog import Catalog, CollectionEntry
from cbdd.catalog.check import check_collection
from cbdd.catalog.refusal import (
    COMMAND_NOT_FOUND,
    NAMESPACE_NOT_FOUND,
    TYPE_MISMATCH,
    refusal,
)
from cbdd.client.unsupported import refuse_keywords
from cbdd.document.validate import MAX_DOCUMENT_BYTES
from cbdd.index.definition import IndexDefinition
from cbdd.query.parser import parse_filter
from cbdd.storage import ReadTransaction
from cbdd.storage.version import VERSION

if TYPE_CHECKING:
    from cbdd.client.store import Store

INDEX_VERSION: Final = 2
WIRE_VERSION: Final = 21


def run_command(
    catalog: Catalog, txn: ReadTransaction, database: str, command: Mapping[str, Any]
) -> dict[str, Any]:
    """Run a command that only reads.

    :raises OperationFailure: code 59 for a command this release does not know.
    """
    name = next(iter(command))
    folded = name.lower()
    if folded == "ping":
        return {"ok": 1.0}
    if folded == "buildinfo":
        return build_info()
    if folded in ("hello", "ismaster"):
        return _hello(name)
    if folded == "listdatabases":
        options = {key: command[key] for key in ("filter", "nameOnly") if key in command}
        return {"databases": list_databases(catalog, txn, options), "ok": 1.0}
    if folded == "dbstats":
        return _database_stats(catalog, txn, database)
    if folded == "collstats":
        return _collection_stats(catalog, txn, database, command[name])
    if folded == "validate":
        return _validate(catalog, txn, database, command[name])
    raise refusal(COMMAND_NOT_FOUND, f"no such command: {name!r}")


def server_status(store: Store) -> dict[str, Any]:
    """Return the answer of serverStatus: what this client did, and the state of the file."""
    counters = store.operations.counters()
    operations = cast("dict[str, int]", counters["operations"])
    counted = dict.fromkeys(("insert", "query", "update", "delete", "getmore", "command"), 0)
    for name, count in operations.items():
        kind = _KINDS.get(name, "command")
        counted[kind] += count
    now = store.clock.now_us()
    return {
        "version": VERSION,
        "process": "cbdd",
        "pid": Int64(os.getpid()),
        "uptime": (now - store.opened_us) / 1_000_000,
        "localTime": datetime.fromtimestamp(now / 1_000_000, UTC).replace(tzinfo=None),
        "storageEngine": {"name": "cbdd", "readOnly": store.engine.options.read_only},
        "opcounters": counted,
        "operations": counters,
        "cbdd": store.engine.statistics(),
        "ok": 1.0,
    }


_KINDS: Final = {
    "insert": "insert",
    "query": "query",
    "count": "command",
    "getMore": "getmore",
    "update": "update",
    "delete": "delete",
    "findAndModify": "command",
}
"""Where operations belong in MongoDB's opcounters; all others are commands."""


def build_info() -> dict[str, Any]:
    """Return the answer of buildInfo; the version is this release's own."""
    numbers = [int(part) for part in re.findall(r"\d+", VERSION)][:3]
    return {
        "version": VERSION,
        "versionArray": [*numbers, 0],
        "modules": [],
        "storageEngines": ["cbdd"],
        "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
        "ok": 1.0,
    }


def list_databases(
    catalog: Catalog, txn: ReadTransaction, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the documents of listDatabases.

    :param options: ``filter`` on these documents, ``nameOnly``.
    """
    matches = parse_filter(options.pop("filter", None))
    name_only = options.pop("nameOnly", False)
    options.pop("authorizedDatabases", None)
    refuse_keywords("list_databases", options)
    documents: list[dict[str, Any]] = []
    for name in catalog.list_databases(txn):
        document: dict[str, Any] = {"name": name}
        if not name_only:
            document["empty"] = False
        if matches.matches(bson.encode(document)):
            documents.append(document)
    return documents


def list_collections(
    catalog: Catalog,
    txn: ReadTransaction,
    database: str,
    filter: Mapping[str, Any] | None,
    options: dict[str, Any],
) -> list[dict[str, Any]]:
    """Return the documents of listCollections.

    :param filter: a filter on these documents.
    :param options: ``nameOnly``.
    """
    matches = parse_filter(filter)
    name_only = options.pop("nameOnly", False)
    options.pop("authorizedCollections", None)
    refuse_keywords("list_collections", options)
    documents: list[dict[str, Any]] = []
    for entry in catalog.list_collections(txn, database):
        document = _collection_document(entry)
        if matches.matches(bson.encode(document)):
            if name_only:
                document = {"name": entry.name, "type": "collection"}
            documents.append(document)
    return documents


def index_document(definition: IndexDefinition) -> dict[str, Any]:
    """Return an index as listIndexes shows it."""
    document: dict[str, Any] = {
        "v": INDEX_VERSION,
        "key": definition.key_pattern(),
        "name": definition.name,
    }
    if definition.is_unique and not definition.is_id_index:
        document["unique"] = True
    document.update(definition.options)
    return document


def _collection_document(entry: CollectionEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "type": "collection",
        "options": dict(entry.options),
        "info": {"readOnly": False, "uuid": Binary(entry.uuid, 4)},
        "idIndex": index_document(entry.indexes[0]),
    }


def _hello(name: str) -> dict[str, Any]:
    return {
        "isWritablePrimary" if name == "hello" else "ismaster": True,
        "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
        "logicalSessionTimeoutMinutes": 30,
        "minWireVersion": 0,
        "maxWireVersion": WIRE_VERSION,
        "readOnly": False,
        "ok": 1.0,
    }


def _database_stats(catalog: Catalog, txn: ReadTransaction, database: str) -> dict[str, Any]:
    entries = catalog.list_collections(txn, database)
    return {
        "db": database,
        "collections": Int64(len(entries)),
        "views": Int64(0),
        "objects": Int64(sum(txn.count(entry.record_tree) for entry in entries)),
        "indexes": Int64(sum(len(entry.indexes) for entry in entries)),
        "ok": 1.0,
    }


def _collection_stats(
    catalog: Catalog, txn: ReadTransaction, database: str, name: object
) -> dict[str, Any]:
    if not isinstance(name, str):
        raise refusal(TYPE_MISMATCH, f"collection name has invalid type {type(name).__name__}")
    entry = catalog.find(txn, database, name)
    return {
        "ns": f"{database}.{name}",
        "count": 0 if entry is None else txn.count(entry.record_tree),
        "nindexes": 0 if entry is None else len(entry.indexes),
        "capped": entry is not None and entry.is_capped,
        "ok": 1.0,
    }


def _validate(
    catalog: Catalog, txn: ReadTransaction, database: str, name: object
) -> dict[str, Any]:
    entry = catalog.find(txn, database, str(name))
    if entry is None:
        raise refusal(
            NAMESPACE_NOT_FOUND, f"Collection '{database}.{name}' does not exist to validate."
        )
    problems = check_collection(txn, entry)
    return {
        "ns": entry.namespace,
        "nrecords": txn.count(entry.record_tree),
        "nIndexes": len(entry.indexes),
        "keysPerIndex": {each.name: txn.count(each.tree_id) for each in entry.indexes},
        "valid": not problems,
        "warnings": [],
        "errors": [problem.message for problem in problems],
        "ok": 1.0,
    }
