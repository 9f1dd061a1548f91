"""What a real MongoDB answered, asked of the client: indexes, updates and find_one_and_update.

What this release does not support is left out; every other answer, error code and state of the
collection afterwards must be the recorded one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure, WriteError

import cbdd
from tests.compat.test_query_golden import UNSUPPORTED, Case, golden, text

Golden = cbdd.Collection[dict[str, Any]]


@pytest.fixture
def collection(client: cbdd.Client[dict[str, Any]]) -> Golden:
    aware: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
    return client.golden.get_collection("t", codec_options=aware)


def fill(collection: Golden, case: Case) -> None:
    collection.drop()
    if case["docs"]:
        collection.insert_many(case["docs"])


def contents(collection: Golden) -> list[str]:
    return [text(document) for document in collection.find().sort("_id")]


def is_unsupported(error: OperationFailure) -> bool:
    return error.code == 238 or UNSUPPORTED.search(str(error)) is not None


def same_but_for_made_up_ids(found: list[str], expected: list[Any]) -> bool:
    return sorted(found) == sorted(text(document) for document in expected)


def test_indexes_refuse_and_find_what_mongodb_refuses_and_finds(collection: Golden) -> None:
    seen: Counter[str] = Counter()
    for case in golden("index"):
        fill(collection, case)
        try:
            collection.create_index(
                [(path, value) for path, value in case["keys"]], **case["options"]
            )
            refused = insert_error(collection, case)
            found = sorted([text(d["_id"]) for d in collection.find(case["filter"])])
        except OperationFailure as error:
            if is_unsupported(error):
                seen["unsupported"] += 1
                continue
            assert "error" in case, (case, error)
            assert error.code == case["error"]["code"], (case, error)
            seen["errors"] += 1
            continue
        assert "error" not in case, case
        assert refused == case.get("insert_error"), case
        assert found == sorted(text(each) for each in case["expect"]["ids"]), case
        assert collection.count_documents({}) == case["expect"]["docs"]
        seen["answers"] += 1
    assert seen["answers"] + seen["errors"] > 200, seen


def insert_error(collection: Golden, case: Case) -> dict[str, Any] | None:
    """Return code and message of the refused insert, None when it was accepted."""
    try:
        collection.insert_one(case["insert"])
    except WriteError as error:
        assert error.details is not None
        return {"code": error.code, "message": error.details["errmsg"][:200]}
    return None


def test_find_one_and_update_answers_as_mongodb_does(collection: Golden) -> None:
    seen: Counter[str] = Counter()
    for case in golden("fam"):
        fill(collection, case)
        try:
            found = collection.find_one_and_update(
                case["filter"],
                case["update"],
                sort=[tuple(pair) for pair in case.get("sort") or []] or None,
                upsert=case["upsert"],
                return_document=case["after"],
                array_filters=case.get("array_filters"),
            )
        except OperationFailure as error:
            if is_unsupported(error):
                seen["unsupported"] += 1
                continue
            assert "error" in case, (case, error)
            assert same_but_for_made_up_ids(contents(collection), case["after_error"]), case
            seen["errors"] += 1
            continue
        assert "error" not in case, case
        assert text(found) == text(case["expect"]["doc"]), case
        assert same_but_for_made_up_ids(contents(collection), case["expect"]["docs"]), case
        seen["answers"] += 1
    assert seen["answers"] + seen["errors"] > 250, seen


def test_updates_leave_the_collection_as_mongodb_leaves_it(collection: Golden) -> None:
    seen: Counter[str] = Counter()
    for case in golden("update")[::3]:
        fill(collection, case)
        update = collection.update_many if case["multi"] else collection.update_one
        try:
            result = update(
                case["filter"],
                case["update"],
                upsert=case["upsert"],
                array_filters=case.get("array_filters"),
            )
        except OperationFailure as error:
            if is_unsupported(error):
                seen["unsupported"] += 1
                continue
            assert "error" in case, (case, error)
            assert same_but_for_made_up_ids(contents(collection), case["after_error"]), case
            seen["errors"] += 1
            continue
        assert "error" not in case, case
        expected = case["expect"]
        assert result.matched_count == expected["matched"], case
        assert result.modified_count == expected["modified"], case
        assert text(result.upserted_id) == text(expected["upserted"]), case
        assert same_but_for_made_up_ids(contents(collection), expected["docs"]), case
        seen["answers"] += 1
    assert seen["answers"] + seen["errors"] > 250, seen
