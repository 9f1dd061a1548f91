"""Values as text for messages and explain, written as MongoDB's shell writes them."""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_DECIMAL128,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_MAX_KEY,
    TYPE_MIN_KEY,
    TYPE_NULL,
    TYPE_OBJECT_ID,
    TYPE_REGEX,
    TYPE_STRING,
    TYPE_TIMESTAMP,
    TYPE_UNDEFINED,
)
from cbdd.expression.pattern import regex_parts
from cbdd.expression.value import Value, id_element, read_decimal

_MAX_TEXT: Final = 500
_MAX_DEPTH: Final = 20

_CONSTANTS: Final = {
    TYPE_NULL: "null",
    TYPE_UNDEFINED: "undefined",
    TYPE_MIN_KEY: "MinKey",
    TYPE_MAX_KEY: "MaxKey",
}


def describe(value: Value) -> str:
    """Return `value` as text, cut when it is long."""
    text = _describe(value, 0)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."


def describe_field(name: str, value: Value) -> str:
    """Return the document {name: value} as text."""
    return "{" + f"{name}: {describe(value)}" + "}"


def describe_id(document: bytes) -> str:
    """Return the `_id` of `document` as text, for messages that must say which document."""
    identity = id_element(document)
    if not identity:
        return "{no _id}"
    return describe_field("_id", Value(identity[0], identity[5:]))


def _describe(value: Value, depth: int) -> str:
    bson_type = value.bson_type
    if bson_type == TYPE_DOCUMENT or bson_type == TYPE_ARRAY:
        if depth >= _MAX_DEPTH:
            return "..."
        fields = value.fields()
        if bson_type == TYPE_ARRAY:
            inner = ", ".join([_describe(field, depth + 1) for _, field in fields])
            return "[ " + inner + " ]" if inner else "[]"
        inner = ", ".join([f"{name}: {_describe(field, depth + 1)}" for name, field in fields])
        return "{ " + inner + " }" if inner else "{}"
    if bson_type in _CONSTANTS:
        return _CONSTANTS[bson_type]
    return _describe_scalar(value)


def _describe_scalar(value: Value) -> str:
    bson_type = value.bson_type
    data = value.data
    if bson_type == TYPE_STRING:
        text = value.text().replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if bson_type == TYPE_BOOLEAN:
        return "true" if data[0] else "false"
    if bson_type == TYPE_INT32 or bson_type == TYPE_INT64 or bson_type == TYPE_DOUBLE:
        return str(value.number())
    if bson_type == TYPE_DECIMAL128:
        return f'Decimal128("{read_decimal(data, 0)}")'
    if bson_type == TYPE_OBJECT_ID:
        return f"ObjectId('{data.hex()}')"
    if bson_type == TYPE_DATE:
        return f"new Date({read_i64_le(data, 0)})"
    if bson_type == TYPE_TIMESTAMP:
        seconds = int.from_bytes(data[4:8], "little")
        return f"Timestamp({seconds}, {int.from_bytes(data[:4], 'little')})"
    if bson_type == TYPE_REGEX:
        pattern, options = regex_parts(value)
        return f"/{pattern}/{options}"
    if bson_type == TYPE_BINARY:
        return f"BinData({data[4]}, {data[5:].hex().upper()})"
    return repr(value.python())
