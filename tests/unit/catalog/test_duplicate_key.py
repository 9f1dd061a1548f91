"""The error for a duplicate key, in MongoDB's words."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from cbdd.catalog.duplicate_key import duplicate_key_error, key_values, show
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import extract_keys


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (Int64(5), "5"),
        (2.0, "2.0"),
        ('a"b\\', '"a\\"b\\\\"'),
        ({}, "{}"),
        ({"a": {"b": [1, "x"]}}, '{ a: { b: [ 1, "x" ] } }'),
        ([], "[]"),
        (ObjectId("5f00000000000000000001f4"), "ObjectId('5f00000000000000000001f4')"),
        (datetime(1970, 1, 2, tzinfo=UTC), "new Date(86400000)"),
        (Decimal128("1.50"), "1.50"),
        (MinKey(), "MinKey"),
        (MaxKey(), "MaxKey"),
        (Timestamp(5, 6), "Timestamp(5, 6)"),
        (Regex("a.b"), "/a.b/"),
        (Code("f()"), "f()"),
        (b"\x01\xff", "BinData(0, 01FF)"),
        (Binary(b"\x01", 5), "BinData(5, 01)"),
        (
            Binary.from_uuid(uuid.UUID(int=1)),
            'UUID("00000000-0000-0000-0000-000000000001")',
        ),
    ],
)
def test_values_are_shown_as_mongodb_shows_them(value: object, shown: str) -> None:
    assert show(value) == shown


@pytest.mark.parametrize(
    ("fields", "document", "place", "expected"),
    [
        ([("a", 1)], {"a": 5}, 0, {"a": 5}),
        ([("a", -1)], {"a": 5}, 0, {"a": 5}),
        ([("a", 1)], {}, 0, {"a": None}),
        ([("a.b", 1)], {"a": {"b": "x"}}, 0, {"a.b": "x"}),
        ([("a.b", 1)], {"a": [{"b": 2}, {"b": 1}, 7]}, 0, {"a.b": None}),
        ([("a.b", 1)], {"a": [{"b": 2}, {"b": 1}, 7]}, 2, {"a.b": 2}),
        ([("a", 1)], {"a": [3, 1, 2]}, 1, {"a": 2}),
        ([("a", 1)], {"a": [[1, 2]]}, 0, {"a": [1, 2]}),
        ([("a.0", 1)], {"a": [9, 8]}, 0, {"a.0": 9}),
        ([("a", 1), ("b", -1)], {"a": "x", "b": [1, 2]}, 0, {"a": "x", "b": 2}),
        ([("b", -1), ("a", 1)], {"a": None, "b": {"c": 1}}, 0, {"b": {"c": 1}, "a": None}),
    ],
)
def test_values_of_a_key_are_found_again_in_the_document(
    fields: list[tuple[str, int]], document: dict[str, Any], place: int, expected: dict[str, Any]
) -> None:
    definition = IndexDefinition("i", fields, is_unique=True)
    encoded = bson.encode({"_id": 1, **document})
    keys = extract_keys(definition, encoded).keys
    assert key_values(definition, encoded, keys[place]) == expected


def test_error_has_code_message_and_details() -> None:
    definition = IndexDefinition("a_1_b_-1", [("a", 1), ("b", -1)], is_unique=True)
    document = bson.encode({"_id": 1, "a": "x"})
    [key] = extract_keys(definition, document).keys
    error = duplicate_key_error("shop.orders", definition, document, key)
    message = (
        "E11000 duplicate key error collection: shop.orders index: a_1_b_-1 "
        'dup key: { a: "x", b: null }'
    )
    assert error.code == 11000
    assert error.details == {
        "index": 0,
        "code": 11000,
        "errmsg": message,
        "keyPattern": {"a": 1, "b": -1},
        "keyValue": {"a": "x", "b": None},
    }


def test_dates_beyond_pythons_years_do_not_spoil_the_error() -> None:
    definition = IndexDefinition("a_1", [("a", 1)], is_unique=True)
    document = bson.encode({"_id": 1, "a": bson.DatetimeMS(1 << 60)})
    [key] = extract_keys(definition, document).keys
    error = duplicate_key_error("shop.orders", definition, document, key)
    assert f"new Date({1 << 60})" in str(error)
