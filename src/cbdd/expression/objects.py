"""Operators on documents: $mergeObjects, $getField, $setField, $unsetField."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import TYPE_BINARY, TYPE_DOCUMENT, TYPE_STRING
from cbdd.expression.describe import describe
from cbdd.expression.node import (
    MISSING_VALUE,
    NULL_VALUE,
    document_of,
    field_of,
    fields_of,
    is_nullish,
)
from cbdd.expression.number import int32_value
from cbdd.expression.value import MISSING, Value


def merge(name: str, values: list[Value]) -> Value:
    """$mergeObjects: the fields of all; a later value replaces an earlier one in its place."""
    names: list[bytes] = []
    found: list[Value] = []
    for value in values:
        if is_nullish(value):
            continue
        if value.bson_type != TYPE_DOCUMENT:
            raise refusal(
                40400,
                f"$mergeObjects requires object inputs, but input {describe(value)} is of type"
                f" {value.type_name()}",
            )
        for key, item in fields_of(value):
            names.append(key)
            found.append(item)
    return document_of(names, found)


def _field_name(name: str, value: Value) -> bytes:
    if value.bson_type != TYPE_STRING:
        raise refusal(
            3041704 if name == "$getField" else 4161108,
            f"{name} requires 'field' to evaluate to type String, but got {value.type_name()}",
        )
    return value.data[4:-1]


def get_field(name: str, named: dict[str, Value]) -> Value:
    """$getField: a field by its whole name, dots and dollars included."""
    field = _field_name(name, named["field"])
    source = named["input"]
    if source.bson_type != TYPE_DOCUMENT:
        is_gone = source.bson_type == MISSING or not is_nullish(source)
        return MISSING_VALUE if is_gone else NULL_VALUE
    return field_of(source, field)


def set_field(name: str, named: dict[str, Value]) -> Value:
    """$setField and $unsetField: the document with one field changed, added or left out."""
    field = _field_name(name, named["field"])
    source = named["input"]
    if is_nullish(source):
        return NULL_VALUE
    if source.bson_type != TYPE_DOCUMENT:
        raise refusal(
            4161105,
            f"{name} requires 'input' to evaluate to type Object, but got {source.type_name()}",
        )
    wanted = named.get("value", MISSING_VALUE)
    names: list[bytes] = []
    values: list[Value] = []
    is_done = False
    for key, item in fields_of(source):
        names.append(key)
        values.append(wanted if key == field else item)
        is_done = is_done or key == field
    if not is_done:
        names.append(field)
        values.append(wanted)
    return document_of(names, values)


def bson_size(name: str, values: list[Value]) -> Value:
    """$bsonSize: bytes of a document."""
    value = values[0]
    if is_nullish(value):
        return NULL_VALUE
    if value.bson_type != TYPE_DOCUMENT:
        raise refusal(31393, f"$bsonSize requires a document input, found: {value.type_name()}")
    return int32_value(len(value.data))


def binary_size(name: str, values: list[Value]) -> Value:
    """$binarySize: bytes of a string or of binary data."""
    value = values[0]
    if is_nullish(value):
        return NULL_VALUE
    if value.bson_type != TYPE_STRING and value.bson_type != TYPE_BINARY:
        raise refusal(
            51276, f"$binarySize requires a string or BinData argument, found: {value.type_name()}"
        )
    return int32_value(len(value.data) - 5)


OBJECTS: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$mergeObjects": (0, -1, merge),
    "$bsonSize": (1, 1, bson_size),
    "$binarySize": (1, 1, binary_size),
}
NAMED_OBJECTS: Final[
    dict[str, tuple[list[str], list[str], Callable[[str, dict[str, Value]], Value]]]
] = {
    "$getField": (["field", "input"], [], get_field),
    "$setField": (["field", "input", "value"], [], set_field),
    "$unsetField": (["field", "input"], [], set_field),
}
