"""What goes into a bundle: by an allow-list, each value by what it must look like.

Nothing is taken over as it is found. Numbers and truth values of known fields stay; codes,
severities and names of events must be ones this release knows; versions must look like versions;
names of databases, collections, indexes and fields become pseudonyms. Messages, paths, values,
environment and everything else is left out.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError

from cbdd.build_info import build_kind
from cbdd.catalog.entry import CollectionEntry
from cbdd.client import Client
from cbdd.client.connect import connect
from cbdd.codes import CODES, SEVERITIES
from cbdd.errors import CbddError
from cbdd.index.definition import IndexDefinition
from cbdd.ops.bundle.pseudonyms import Pseudonyms
from cbdd.ops.diagnosis import Diagnosis
from cbdd.ops.doctor import diagnose
from cbdd.ops.inspection.tree_shape import shape_of
from cbdd.storage import ReadTransaction
from cbdd.storage.events import read_events
from cbdd.storage.io import Io
from cbdd.storage.tree import Tree
from cbdd.storage.version import VERSION

BUNDLE_FORMAT: Final = 1
MEMBERS: Final = ("doctor.json", "events.json", "structure.json", "statistics.json")
MOST_COLLECTIONS: Final = 500
MOST_EVENTS: Final = 500
EVENTS: Final = frozenset(
    [
        "archive_failed",
        "background_error",
        "checkpoint",
        "clock_leapt",
        "close",
        "close_refused",
        "damage",
        "expiry_error",
        "freelist_rebuilt",
        "hole",
        "meta_copy_renewed",
        "network_file_system",
        "open",
        "open_failed",
        "pages_leaked",
        "recovery",
        "relief_failed",
        "sync_failed",
    ]
)
NUMBERS: Final = frozenset(
    [
        "bytes_cut",
        "cache_budget_bytes",
        "cache_clean_bytes",
        "cache_dirty_bytes",
        "checkpoint_lsn",
        "checkpoint_us",
        "clean",
        "commits_redone",
        "created_us",
        "disk_free_bytes",
        "documents",
        "duration_seconds",
        "durable_lsn",
        "durable_lsn_proven",
        "expected",
        "file_size_bytes",
        "format",
        "found",
        "frames_dropped",
        "frames_redone",
        "free_pages",
        "generation",
        "is_clean",
        "is_poisoned",
        "last_commit_us",
        "last_lsn",
        "length",
        "log_bytes",
        "log_segment",
        "lsn",
        "min_reader",
        "min_writer",
        "offset",
        "page",
        "page_count",
        "page_size_bytes",
        "pages_read",
        "pid",
        "preallocated_bytes",
        "seconds",
        "segment",
        "segments_read",
        "time_us",
        "trees",
        "visible_lsn",
        "was_clean",
    ]
)
_VERSION: Final = re.compile(
    r"(cpython |pypy )?[0-9]{1,4}(\.[0-9]{1,4}){0,3}([a-z]{1,4}[0-9]{0,3})?"
)
_SYSTEMS: Final = ("Linux", "Darwin", "Windows", "FreeBSD")
_MACHINES: Final = ("x86_64", "aarch64", "arm64", "AMD64", "armv7l", "ppc64le", "s390x", "riscv64")
_MOST_PAGES: Final = 1000
_LARGEST: Final = 1 << 64
Content = dict[str, Any]


def collect(
    path: str, pseudonyms: Pseudonyms, diagnosis: Diagnosis | None = None
) -> dict[str, Any]:
    """The members of a bundle about a file, by name, as values for JSON.

    Never writes, and never raises for what is wrong with the file.

    :param diagnosis: what was found of the file just now; it is not read again then.
    """
    diagnosis = diagnosis or diagnose(path)
    structure, statistics = _of_open_file(path, pseudonyms)
    statistics |= {
        "cbdd": VERSION,
        "build": build_kind(),
        "python": platform.python_version(),
        "pymongo": _version(pymongo.version),
        "system": _one_of(platform.system(), _SYSTEMS),
        "machine": _one_of(platform.machine(), _MACHINES),
        "bits": 64 if sys.maxsize > 1 << 32 else 32,
    }
    return {
        "doctor.json": _doctor(diagnosis, pseudonyms),
        "events.json": _events(path),
        "structure.json": structure,
        "statistics.json": statistics,
    }


def numbers_of(facts: Mapping[str, object]) -> Content:
    """The fields of known names that are numbers or truth values."""
    return {
        name: value
        for name, value in facts.items()
        if name in NUMBERS and isinstance(value, (int, float)) and -_LARGEST < value < _LARGEST
    }


def _one_of(value: object, allowed: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in allowed else "other"


def _version(value: object) -> str:
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else "other"


def _code(value: object) -> str:
    return value if isinstance(value, str) and value in CODES else "other"


def _severity(value: object) -> str:
    return value if isinstance(value, str) and value in SEVERITIES else "other"


# -- the parts -------------------------------------------------------------------------------


def _doctor(diagnosis: Diagnosis, pseudonyms: Pseudonyms) -> Content:
    findings: list[Content] = []
    for finding in diagnosis.findings:
        where = numbers_of(finding.where)
        for kind in ("database", "collection", "index"):
            name = finding.where.get(kind)
            if isinstance(name, str):
                where[kind] = pseudonyms.of(kind, name)
        for name in ("pages", "pids"):
            listed = finding.where.get(name)
            if isinstance(listed, list):
                where[name] = [each for each in listed if isinstance(each, int)][:_MOST_PAGES]
        findings.append(
            {
                "code": _code(finding.code),
                "severity": _severity(finding.severity),
                "where": where,
            }
        )
    return {
        "verdict": diagnosis.verdict,
        "findings": findings,
        "facts": numbers_of(diagnosis.facts),
        "seconds": diagnosis.seconds,
    }


def _events(path: str) -> list[Content]:
    try:
        found = read_events(Io(), f"{os.path.realpath(path)}-events")
    except CbddError as error:
        return [{"event": "unreadable", "code": _code(error.code)}]
    events: list[Content] = []
    for event in found[-MOST_EVENTS:]:
        kept = numbers_of(event)
        name = event.get("event")
        kept["event"] = name if isinstance(name, str) and name in EVENTS else "other"
        if event.get("code") is not None:
            kept["code"] = _code(event["code"])
        for name in ("cbdd", "python"):
            if name in event:
                kept[name] = _version(event[name])
        findings = event.get("findings")
        if isinstance(findings, list):
            kept["findings"] = [
                {"code": _code(each.get("code")), "severity": _severity(each.get("severity"))}
                for each in findings
                if isinstance(each, dict)
            ]
        events.append(kept)
    return events


def _of_open_file(path: str, pseudonyms: Pseudonyms) -> tuple[Content, Content]:
    """Structure and statistics, as far as the file can be opened."""
    try:
        client = connect(path, must_exist=True, read_only=True, salvage=True)
    except CbddError as error:
        return {"code": _code(error.code)}, {}
    with client:
        try:
            facts = client.statistics()
            statistics = numbers_of(facts)
            statistics["uuid"] = pseudonyms.of("uuid", str(facts["uuid"]))
            statistics["writer_version"] = _version(facts["writer_version"])
            statistics["processes"] = len(facts["processes"])  # type: ignore[arg-type]
            return _structure(client, pseudonyms), statistics
        except CbddError as error:
            return {"code": _code(error.code)}, {}


def _structure(client: Client[Any], pseudonyms: Pseudonyms) -> Content:
    collections: list[Content] = []
    unreadable = 0
    store = client._store
    with store.begin_read() as txn:
        for database in store.catalog.list_databases(txn):
            for name in store.catalog.list_names(txn, database):
                if len(collections) >= MOST_COLLECTIONS:
                    break
                try:
                    entry = store.catalog.find(txn, database, name)
                except PyMongoError:
                    unreadable += 1
                    continue
                if entry is not None:
                    collections.append(_collection(client, txn, entry, pseudonyms))
    return {"collections": collections, "unreadable_collections": unreadable}


def _collection(
    client: Client[Any], txn: ReadTransaction, entry: CollectionEntry, pseudonyms: Pseudonyms
) -> Content:
    return {
        "database": pseudonyms.of("database", entry.database),
        "collection": pseudonyms.of("collection", entry.name),
        "capped": entry.is_capped,
        "validated": entry.validator is not None,
        "documents": _tree(client, txn, entry.record_tree),
        "indexes": [
            {**_index(each, pseudonyms), "tree": _tree(client, txn, each.tree_id)}
            for each in entry.indexes
        ],
    }


def _index(definition: IndexDefinition, pseudonyms: Pseudonyms) -> Content:
    return {
        "index": "_id_" if definition.is_id_index else pseudonyms.of("index", definition.name),
        "fields": [
            [pseudonyms.of_path(path), direction]
            for path, direction in definition.key_pattern().items()
        ],
        "unique": definition.is_unique,
        "sparse": definition.is_sparse,
        "partial": definition.is_partial,
        "multikey": definition.is_multikey,
        "hidden": definition.is_hidden,
        "expires": definition.expires_after is not None,
    }


def _tree(client: Client[Any], txn: ReadTransaction, number: int) -> Content:
    if not txn.has_tree(number):
        return {"code": "TREE_MISSING"}
    tree: Tree = txn._tree(number)
    return shape_of(client._store.engine._state, tree, number).to_dict()
