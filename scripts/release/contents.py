"""What is in a database file, as JSON: written with a release, compared with by every later one.

Documents count as canonical Extended JSON, one on a line: the same values of the same types with
the same fields in the same order give the same sum, in whatever release.

Invariants: nothing here asks a file for more than PyMongo's API and `check` give, so that the
description can be made again by later releases.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bson.json_util import CANONICAL_JSON_OPTIONS, dumps

import cbdd

QUERIES: Final[dict[str, list[dict[str, Any]]]] = {
    "orders": [
        {"filter": {"number": {"$gte": 40}}, "index": "number_1"},
        {"filter": {"customer": "ada"}, "index": "customer_1_total_-1"},
        {"filter": {"tags": "b"}, "index": "tags_1"},
        {"filter": {"total": {"$gt": 60}, "is_paid": True}, "index": "paid"},
        {"filter": {"coupon": {"$gte": "c"}}, "index": "coupon_1"},
        {"filter": {"region": "north"}, "index": "region_hashed"},
        {"filter": {"attributes.size": 3}, "index": "attributes.$**_1"},
        {"filter": {"expires": {"$exists": True}}, "index": "expires_1"},
    ],
    "types": [{"filter": {}, "index": "value_1", "sort": "value"}],
}
"""What is asked of each index of a collection; in the order of `_id` unless it says another."""


def digest(documents: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    """The number of documents, and the SHA-256 of all of them in order."""
    count = 0
    total = hashlib.sha256()
    for document in documents:
        line = dumps(document, json_options=CANONICAL_JSON_OPTIONS, allow_nan=True)
        total.update(f"{line}\n".encode())
        count += 1
    return {"count": count, "sha256": total.hexdigest()}


def describe(client: cbdd.Client[Any]) -> dict[str, object]:
    """Everything that a later release must find."""
    report = client.check()
    return {
        "check": {"problems": [problem.code for problem in report.problems]},
        "collections": {
            f"{name}.{each['name']}": _collection(client[name][each["name"]], each)
            for name in sorted(client.list_database_names())
            for each in sorted(client[name].list_collections(), key=lambda found: found["name"])
        },
    }


def _collection(
    collection: cbdd.Collection[Any], described: Mapping[str, Any]
) -> dict[str, object]:
    return {
        **digest(collection.find()),
        "options": plain(described["options"]),
        "indexes": plain(collection.index_information()),
        "queries": [_query(collection, each) for each in QUERIES.get(collection.name, [])],
    }


def _query(collection: cbdd.Collection[Any], query: Mapping[str, Any]) -> dict[str, object]:
    found = collection.find(query["filter"], hint=query["index"])
    return {**query, **digest(found.sort(query.get("sort", "_id"), 1))}


def plain(value: object) -> Any:
    """A value as what JSON keeps of it."""
    return json.loads(dumps(value, json_options=CANONICAL_JSON_OPTIONS))
