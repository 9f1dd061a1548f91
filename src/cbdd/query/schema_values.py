"""The rules of JSON schemas that look at what a value holds: lengths, multiples, equal values.

Equal values have equal keys, as in an index, with one difference: the fields of a document may
stand in any order, at any depth (`unordered_key`). So say MongoDB's `enum` and `uniqueItems`.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from bson.errors import InvalidBSON
from librt.strings import read_f64_le
from mypy_extensions import i64

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_STRING,
    skip_name,
    skip_value,
)
from cbdd.expression.number import decimal_of
from cbdd.expression.value import MISSING, Value, is_number, read_integer
from cbdd.index.key_string import CLASS_ARRAY, CLASS_OBJECT, MAX_KEY_DEPTH, encode_value
from cbdd.query.path import ValuePredicate

_EXACT: Final = Context(prec=12_500, traps=[])
"""Precise enough for the whole part of the largest Decimal128 divided by the smallest."""
_EXACT_DOUBLE: Final = 1e15
"""Whole doubles below are the same with 15 digits, which is how a double becomes a decimal."""
_CONTINUATIONS: Final = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that do not begin a character."""


class Length(ValuePredicate):
    """The value is a string of so many characters (code points)."""

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != TYPE_STRING:
            return False
        length = len(data[start + 4 : end - 1].translate(None, _CONTINUATIONS))
        return self.least <= length <= self.most


class Multiple(ValuePredicate):
    """The value is a number that the divisor divides without a rest; NaN and infinity are not."""

    def __init__(self, divisor: Decimal) -> None:
        """
        :param divisor: finite and above 0.
        """
        self.divisor = divisor
        is_whole = divisor.adjusted() < 15 and divisor == divisor.to_integral_value()
        self.whole = int(divisor) if is_whole else 0

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if not is_number(bson_type):
            return False
        if self.whole:
            if bson_type == TYPE_INT32 or bson_type == TYPE_INT64:
                return read_integer(data, bson_type, start) % self.whole == 0
            if bson_type == TYPE_DOUBLE:
                double = read_f64_le(data, start)
                if -_EXACT_DOUBLE < double < _EXACT_DOUBLE and double == int(double):
                    return int(double) % self.whole == 0
        number = decimal_of(Value(bson_type, data[start:end]))
        return number.is_finite() and _EXACT.remainder(number, self.divisor).is_zero()


class EqualsAny(ValuePredicate):
    """The value is one of a list."""

    def __init__(self, keys: set[bytes]) -> None:
        """
        :param keys: the `unordered_key` of each.
        """
        self.keys = keys

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return bson_type != MISSING and unordered_key(data, bson_type, start, end, 0) in self.keys


class UniqueItems(ValuePredicate):
    """The value is an array without two equal elements."""

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != TYPE_ARRAY:
            return False
        seen: set[bytes] = set()
        element: i64 = start + 4
        last: i64 = end - 1
        while element < last:
            element_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            element = skip_value(data, element_type, value)
            key = unordered_key(data, element_type, value, element, 0)
            if key in seen:
                return False
            seen.add(key)
        return True


def unordered_key(data: bytes, bson_type: i64, start: i64, end: i64, depth: i64) -> bytes:
    """Return bytes that equal values share: numbers by value, documents whatever their order.

    :param depth: how many documents and arrays are around the value.

    A document is its class, per field 01, name, 00 and key, sorted, and 00; an
    array is its class, per element 01 and key, and 00; everything else is its key string.
    """
    if bson_type != TYPE_DOCUMENT and bson_type != TYPE_ARRAY:
        return encode_value(data, bson_type, start, end)
    if depth >= MAX_KEY_DEPTH:
        raise InvalidBSON(f"value with more than {MAX_KEY_DEPTH} levels of nesting")
    parts: list[bytes] = []
    element: i64 = start + 4
    last: i64 = end - 1
    while element < last:
        inner_type: i64 = data[element]
        value: i64 = skip_name(data, element + 1)
        after: i64 = skip_value(data, inner_type, value)
        key = unordered_key(data, inner_type, value, after, depth + 1)
        if bson_type == TYPE_DOCUMENT:
            parts.append(b"\x01" + data[element + 1 : value] + key)
        else:
            parts.append(b"\x01" + key)
        element = after
    if bson_type == TYPE_DOCUMENT:
        parts.sort()
    kind: int = CLASS_OBJECT if bson_type == TYPE_DOCUMENT else CLASS_ARRAY
    return bytes([kind]) + b"".join(parts) + b"\0"
