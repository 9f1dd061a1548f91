"""Filters of plain values, compiled without making BSON of them first.

Most filters compare a field with a number or a text. To encode them and to take the BSON apart
again costs more than all the rest of the compiling. What is compiled here is what `parse_filter`
makes of the same filter; whatever it would refuse or encode in a way of its own is left to it.
"""

from __future__ import annotations

import struct
from typing import Final, cast

from bson.objectid import ObjectId

from cbdd.document.raw import (
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_NULL,
    TYPE_OBJECT_ID,
    TYPE_STRING,
)
from cbdd.expression.value import Value
from cbdd.query.comparison import EQ, GT, GTE, LT, LTE, Comparison, In, equality, ordering
from cbdd.query.matcher import And, MatchExpression
from cbdd.query.path import FieldPath, is_plain_path

_ORDERINGS: Final = (GT, GTE, LT, LTE)
_IN: Final = "$in"
_MOST_CHARACTERS: Final = 1 << 16
_MOST_BYTES: Final = 1 << 20
"""Of all names and values: a larger filter may be too large, which is not judged here."""
_MOST_VALUES: Final = 1024
_INT32: Final = 1 << 31
_INT64: Final = 1 << 63
_DOUBLE: Final = struct.Struct("<d")


def plain_filter(filter: object) -> MatchExpression | None:
    """Compile a filter of plain values; None if it is another.

    Plain are numbers that are Python's own, texts, booleans, None and ObjectIds, alone or as
    operands of $eq, $gt, $gte, $lt, $lte and, in a list, of $in.
    """
    if filter is None:
        return And([])
    if type(filter) is not dict:
        return None
    children: list[MatchExpression] = []
    size = 0
    for name, condition in filter.items():
        if type(name) is not str or not is_plain_path(name):
            return None
        size += len(name)
        if type(condition) is dict:
            if not condition:
                return None
            for operator, operand in condition.items():
                expression = _plain_operator(name, operator, operand)
                if expression is None:
                    return None
                size += _size_of(expression)
                children.append(expression)
            continue
        value = plain_value(condition)
        if value is None:
            return None
        size += len(value.data)
        children.append(equality(FieldPath(name), value))
    if size > _MOST_BYTES:
        return None
    return children[0] if len(children) == 1 else And(children)


def _size_of(expression: MatchExpression) -> int:
    if isinstance(expression, Comparison):
        return len(expression.value.data)
    if isinstance(expression, In):
        return sum([len(value.data) for value in expression.values])
    return 0


def _plain_operator(name: str, operator: object, operand: object) -> MatchExpression | None:
    if type(operator) is not str:
        return None
    if operator == _IN:
        values = _plain_values(operand)
        return None if values is None else In(FieldPath(name), values, [])
    value = plain_value(operand)
    if value is None:
        return None
    if operator == EQ:
        return equality(FieldPath(name), value)
    if operator in _ORDERINGS:
        return ordering(FieldPath(name), operator, value)
    return None


def _plain_values(operands: object) -> list[Value] | None:
    if type(operands) is not list or len(operands) > _MOST_VALUES:
        return None
    values: list[Value] = []
    for operand in operands:
        value = plain_value(operand)
        if value is None:
            return None
        values.append(value)
    return values


def plain_value(value: object) -> Value | None:
    """Return a plain value as BSON has it; None if it is another."""
    kind = type(value)
    if kind is int:
        number = cast("int", value)
        if -_INT32 <= number < _INT32:
            return Value(TYPE_INT32, number.to_bytes(4, "little", signed=True))
        if -_INT64 <= number < _INT64:
            return Value(TYPE_INT64, number.to_bytes(8, "little", signed=True))
        return None
    if kind is str:
        return _plain_text(cast("str", value))
    if kind is float:
        return Value(TYPE_DOUBLE, _DOUBLE.pack(value))
    if kind is bool:
        return Value(TYPE_BOOLEAN, b"\x01" if value else b"\0")
    if value is None:
        return Value(TYPE_NULL, b"")
    if kind is ObjectId:
        return Value(TYPE_OBJECT_ID, cast("ObjectId", value).binary)
    return None


def _plain_text(text: str) -> Value | None:
    if len(text) > _MOST_CHARACTERS:
        return None
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair
        return None
    return Value(TYPE_STRING, (len(data) + 1).to_bytes(4, "little") + data + b"\0")
