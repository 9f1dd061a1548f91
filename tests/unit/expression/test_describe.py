"""Values as text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.code import Code

from cbdd.expression.describe import describe, describe_field, describe_id
from cbdd.expression.value import value_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (5.0, "5.0"),
        (None, "null"),
        (True, "true"),
        ('a"b', '"a\\"b"'),
        ({"a": [1, {}]}, "{ a: [ 1, {} ] }"),
        ([], "[]"),
        (datetime(1970, 1, 1), "new Date(0)"),
        (ObjectId("0" * 24), "ObjectId('" + "0" * 24 + "')"),
        (Decimal128("1.0"), 'Decimal128("1.0")'),
        (Timestamp(1, 2), "Timestamp(1, 2)"),
        (Regex("a", "i"), "/a/i"),
        (b"\x01\xff", "BinData(0, 01FF)"),
        (MinKey(), "MinKey"),
        (MaxKey(), "MaxKey"),
    ],
)
def test_values_look_as_in_the_shell(value: Any, text: str) -> None:
    assert describe(value_of(value)) == text


def test_long_text_is_cut() -> None:
    assert len(describe(value_of("x" * 10_000))) < 600


def test_rare_types_have_some_text() -> None:
    assert "f()" in describe(value_of(Code("f()")))


def test_field_and_id() -> None:
    assert describe_field("a", value_of(1)) == "{a: 1}"
    assert describe_id(bson.encode({"a": 1, "_id": "x"})) == '{_id: "x"}'
    assert describe_id(bson.encode({"a": 1})) == "{no _id}"
