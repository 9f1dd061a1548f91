"""A real MongoDB's answers to sorts and unique indexes, against our index keys.

The smallest key of a document in an index on the sort's fields is MongoDB's sort key, so the
recorded sorts judge order, paths, arrays and directions at once.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import bson
from bson import Timestamp, json_util
from pymongo.errors import OperationFailure

from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import extract_keys

GOLDEN = Path(__file__).with_name("golden.jsonl.gz")
OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False)
LATER = Timestamp(2**31, 1)
DUPLICATE_KEY = 11000
PARALLEL_ARRAYS = 171


def golden(kind: str) -> list[dict[str, Any]]:
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        return [
            json_util.loads(line, json_options=OPTIONS)
            for line in lines
            if f'"kind": "{kind}"' in line
        ]


def as_inserted(document: dict[str, Any]) -> bytes:
    """Encode a document as the server stored it: empty top-level timestamps became its time."""
    stored = {
        name: LATER if value == Timestamp(0, 0) else value for name, value in document.items()
    }
    return bson.encode(stored)


def definition_of(case: dict[str, Any], key: str) -> IndexDefinition:
    options = case.get("options", {})
    fields = [(path, int(direction)) for path, direction in case[key]]
    return IndexDefinition("n", fields, bool(options.get("unique")), options=options)


def test_smallest_keys_sort_documents_as_mongodb_does() -> None:
    sorted_cases = refused_cases = 0
    for case in golden("sort"):
        definition = definition_of(case, "sort")
        keys: list[tuple[bytes, Any]] = []
        try:
            for document in case["docs"]:
                key = extract_keys(definition, as_inserted(document)).keys[0]
                keys.append((key, document["_id"]))
        except OperationFailure as error:
            assert error.code == PARALLEL_ARRAYS
            assert "parallel arrays" in case["error"]["message"]
            refused_cases += 1
            continue
        assert [identity for _, identity in sorted(keys)] == case["expect"]["ids"]
        sorted_cases += 1
    assert sorted_cases > 250 and refused_cases > 20


def insert(definition: IndexDefinition, taken: set[bytes], document: dict[str, Any]) -> int | None:
    """Return the code of the error that inserting raises, taking the document's keys if none."""
    try:
        keys = extract_keys(definition, as_inserted(document)).keys
    except OperationFailure as error:
        return error.code
    if definition.is_unique and not taken.isdisjoint(keys):
        return DUPLICATE_KEY
    taken.update(keys)
    return None


def test_unique_and_parallel_keys_are_refused_as_mongodb_does() -> None:
    outcomes: dict[int | None, int] = {}
    for case in golden("index"):
        if "partialFilterExpression" in case["options"]:
            continue
        definition = definition_of(case, "keys")
        taken: set[bytes] = set()
        codes = [insert(definition, taken, document) for document in case["docs"]]
        server = case.get("error", {}).get("code")
        if server in (DUPLICATE_KEY, PARALLEL_ARRAYS):
            # The server extracts all keys before it looks for duplicates.
            assert server in codes
            outcomes[server] = outcomes.get(server, 0) + 1
            continue
        assert codes == [None] * len(codes)
        if "insert_error" in case:
            refused = case["insert_error"]
            code = insert(definition, taken, case["insert"])
            assert code == (refused["code"] if refused else None)
            outcomes[code] = outcomes.get(code, 0) + 1
    assert outcomes[DUPLICATE_KEY] > 50 and outcomes[PARALLEL_ARRAYS] > 10 and outcomes[None] > 100
