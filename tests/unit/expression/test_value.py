"""BSON values as the query language holds them."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Decimal128, Int64

from cbdd.expression.value import Value, encode_document, id_element, value_of, wrap


@pytest.mark.parametrize(
    ("value", "integer"),
    [
        (5, 5),
        (Int64(-5), -5),
        (5.0, 5),
        (5.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (Decimal128("5.00"), 5),
        (Decimal128("5.1"), None),
        (Decimal128("NaN"), None),
        ("5", None),
        (True, None),
    ],
)
def test_whole_numbers_of_any_type_are_integers(value: Any, integer: int | None) -> None:
    assert value_of(value).integer() == integer


def test_bool_is_no_number() -> None:
    assert not value_of(True).is_number()
    assert value_of(True).type_name() == "bool"
    assert value_of(Int64(1)).type_name() == "long"


def test_documents_are_encoded_in_their_own_order() -> None:
    assert list(bson.decode(encode_document({"a": 1, "_id": 2}))) == ["a", "_id"]


def test_wrapped_value_is_a_field() -> None:
    assert bson.decode(wrap(value_of([1, "x"]), b"name")) == {"name": [1, "x"]}


def test_id_element_is_the_whole_element() -> None:
    document = bson.encode({"a": 1, "b": 2, "_id": 7})
    element = id_element(document)
    assert Value(element[0], element[5:]).python() == 7
    assert id_element(bson.encode({"a": {"_id": 1}})) == b""


def test_fields_of_documents_and_arrays() -> None:
    fields = value_of({"a": 1, "b": [2, 3]}).fields()
    assert [(name, value.python()) for name, value in fields] == [("a", 1), ("b", [2, 3])]
    assert [value.python() for _, value in fields[1][1].fields()] == [2, 3]
