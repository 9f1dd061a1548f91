"""$exists, $type, $mod and the $bits operators: questions about a value that compare nothing."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from librt.strings import read_f64_le

from cbdd.document.raw import TYPE_BINARY, TYPE_DECIMAL128, TYPE_DOUBLE, TYPE_INT32, TYPE_INT64
from cbdd.expression.value import MISSING, read_decimal, read_integer
from cbdd.query.matcher import PathExpression
from cbdd.query.path import FieldPath

_LOW: Final = -(1 << 63)
_HIGH: Final = 1 << 63


class Exists(PathExpression):
    """$exists: true, something is there, null included; $exists: false is its negation."""

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return bson_type != MISSING


class HasType(PathExpression):
    """$type: the value has one of these BSON types."""

    def __init__(self, path: FieldPath, types: set[int]) -> None:
        super().__init__(path)
        self.types = types

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return bson_type in self.types


class Modulo(PathExpression):
    """$mod: the number, cut to an int64, leaves this remainder (with the sign of the number)."""

    def __init__(self, path: FieldPath, divisor: int, remainder: int) -> None:
        super().__init__(path)
        self.divisor = divisor
        self.remainder = remainder

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        number = truncated_integer(data, bson_type, start)
        return number is not None and truncated_remainder(number, self.divisor) == self.remainder


class Bits(PathExpression):
    """$bitsAllSet, $bitsAllClear, $bitsAnySet, $bitsAnyClear, of whole numbers and binary values.

    Negative numbers have infinitely many leading ones, as in two's complement; binary values are
    little-endian and end with zeros.
    """

    def __init__(self, path: FieldPath, operator: str, mask: int) -> None:
        super().__init__(path)
        self.mask = mask
        self.wants_all = operator == "$bitsAllSet" or operator == "$bitsAllClear"
        self.wants_set = operator == "$bitsAllSet" or operator == "$bitsAnySet"

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type == TYPE_BINARY:
            bits = int.from_bytes(data[start + 5 : end], "little")
        else:
            number = whole_integer(data, bson_type, start)
            if number is None:
                return False
            bits = number
        found = (bits if self.wants_set else ~bits) & self.mask
        return found == self.mask if self.wants_all else found != 0


def truncated_integer(data: bytes, bson_type: int, start: int) -> int | None:
    """Return the number at `start` cut toward zero, or None when it is none or beyond int64."""
    if bson_type == TYPE_INT32 or bson_type == TYPE_INT64:
        return read_integer(data, bson_type, start)
    if bson_type == TYPE_DOUBLE:
        double = read_f64_le(data, start)
        if not math.isfinite(double):
            return None
        return _within_int64(int(double))
    if bson_type == TYPE_DECIMAL128:
        decimal = read_decimal(data, start)
        if not decimal.is_finite() or decimal.adjusted() > 20:
            return None
        return _within_int64(int(decimal))
    return None


def whole_integer(data: bytes, bson_type: int, start: int) -> int | None:
    """Return the number at `start` when it is whole and fits an int64, else None."""
    number = truncated_integer(data, bson_type, start)
    if number is None:
        return None
    if bson_type == TYPE_DOUBLE and read_f64_le(data, start) != number:
        return None
    if bson_type == TYPE_DECIMAL128 and read_decimal(data, start) != Decimal(number):
        return None
    return number


def _within_int64(number: int) -> int | None:
    return number if _LOW <= number < _HIGH else None


def truncated_remainder(number: int, divisor: int) -> int:
    """Return the remainder of the division that rounds toward zero, as C and MongoDB divide."""
    remainder = abs(number) % abs(divisor)
    return -remainder if number < 0 else remainder
