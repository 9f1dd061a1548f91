"""$eq $gt $gte $lt $lte $in: comparing stored values with an operand, where they lie.

Two rules make MongoDB's comparison different from a plain order of values:

- Type bracketing: `{$gt: 5}` speaks of numbers only; a string is neither above nor below 5. MinKey
  and MaxKey as operands are the exception, they compare with everything.
- NaN equals itself and is neither above nor below any other number, though it sorts first.

The general answer is given by key strings (`cbdd.index.key_string`). The usual types (strings,
numbers, dates, ObjectIds) are compared on their BSON bytes, which says the same and is faster.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_f64_le, read_i32_le, read_i64_le
from mypy_extensions import i64

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_CODE_WITH_SCOPE,
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
    TYPE_STRING,
    TYPE_SYMBOL,
)
from cbdd.expression.value import MISSING, Value, is_number, read_integer
from cbdd.index.key_string import NAN_KEY, encode_value, type_bracket
from cbdd.query.matcher import MatchExpression, Or, PathExpression
from cbdd.query.path import FieldPath

EQ: Final = "$eq"
GT: Final = "$gt"
GTE: Final = "$gte"
LT: Final = "$lt"
LTE: Final = "$lte"

_EXACT_DOUBLE: Final = 1 << 53
"""Integers up to here (and their negatives) are doubles without rounding."""


class Comparison(PathExpression):
    """One operator and one operand; the planner reads both."""

    def __init__(self, path: FieldPath, operator: str, value: Value) -> None:
        super().__init__(path)
        self.operator = operator
        self.value = value
        self.key = value.key()


class EqualsNull(Comparison):
    """Equality with null: null itself, and nothing there at all."""

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return bson_type == TYPE_NULL or bson_type == MISSING


class EqualsBytes(Comparison):
    """Equality where equal values have equal bytes: every type not handled by another class."""

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        value = self.value
        if bson_type == value.bson_type:
            return end - start == len(value.data) and data[start:end] == value.data
        if (bson_type == TYPE_STRING or bson_type == TYPE_SYMBOL) and (
            value.bson_type == TYPE_STRING or value.bson_type == TYPE_SYMBOL
        ):
            return encode_value(data, bson_type, start, end) == self.key
        return False


class EqualsNested(Comparison):
    """Equality of documents or arrays: the same fields in the same order, numbers by value."""

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != self.value.bson_type:
            return False
        if data[start:end] == self.value.data:
            return True
        return encode_value(data, bson_type, start, end) == self.key


class ComparesNumber(Comparison):
    """Any comparison with a number.

    int32, int64 and double are compared directly where that is exact, everything else (Decimal128,
    and int64 against double beyond 2**53) by key.
    """

    def __init__(self, path: FieldPath, operator: str, value: Value) -> None:
        super().__init__(path, operator, value)
        self.accepts_less = operator == LT or operator == LTE
        self.accepts_equal = operator == EQ or operator == LTE or operator == GTE
        self.accepts_greater = operator == GT or operator == GTE
        self.is_nan = self.key == NAN_KEY
        self.has_integer = value.bson_type == TYPE_INT32 or value.bson_type == TYPE_INT64
        self.integer: i64 = 0
        self.has_double = value.bson_type == TYPE_DOUBLE and not self.is_nan
        self.double: float = 0.0
        if self.has_integer:
            integer = value.integer()
            assert integer is not None
            self.integer = integer
            if -_EXACT_DOUBLE <= integer <= _EXACT_DOUBLE:
                self.has_double = True
                self.double = float(integer)
        elif self.has_double:
            self.double = read_f64_le(value.data, 0)

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type == TYPE_INT32:
            if self.has_integer:
                return self._accepts_integer(read_integer(data, bson_type, start))
            if self.has_double:
                return self._accepts_double(float(read_i32_le(data, start)))
        elif bson_type == TYPE_INT64:
            if self.has_integer:
                return self._accepts_integer(read_i64_le(data, start))
        elif bson_type == TYPE_DOUBLE:
            if self.has_double:
                return self._accepts_double(read_f64_le(data, start))
        elif bson_type != TYPE_DECIMAL128:
            return False
        return self._accepts_key(encode_value(data, bson_type, start, end))

    def _accepts_integer(self, number: i64) -> bool:
        if number == self.integer:
            return self.accepts_equal
        return self.accepts_less if number < self.integer else self.accepts_greater

    def _accepts_double(self, number: float) -> bool:
        if number == self.double:
            return self.accepts_equal
        if number < self.double:
            return self.accepts_less
        return self.accepts_greater and number > self.double

    def _accepts_key(self, key: bytes) -> bool:
        if key == self.key:
            return self.accepts_equal
        if self.is_nan or key == NAN_KEY:
            return False
        return self.accepts_less if key < self.key else self.accepts_greater


class Ordered(Comparison):
    """$gt $gte $lt $lte within one bracket of types, by the bytes or by the key."""

    def __init__(self, path: FieldPath, operator: str, value: Value) -> None:
        super().__init__(path, operator, value)
        self.accepts_less = operator == LT or operator == LTE
        self.accepts_equal = operator == LTE or operator == GTE
        self.accepts_greater = operator == GT or operator == GTE
        self.bracket = type_bracket(value.bson_type)
        self.date: i64 = 0
        if value.bson_type == TYPE_DATE:
            self.date = read_i64_le(value.data, 0)
        self.content = value.data[4:-1] if value.bson_type == TYPE_STRING else value.data

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type == self.value.bson_type:
            if bson_type == TYPE_STRING:
                return self._accepts(data[start + 4 : end - 1], self.content)
            if bson_type == TYPE_DATE:
                return self._accepts_date(read_i64_le(data, start))
            if bson_type == TYPE_OBJECT_ID:
                return self._accepts(data[start:end], self.content)
        elif bson_type == MISSING or type_bracket(bson_type) != self.bracket:
            return False
        return self._accepts(encode_value(data, bson_type, start, end), self.key)

    def _accepts(self, found: bytes, wanted: bytes) -> bool:
        if found == wanted:
            return self.accepts_equal
        return self.accepts_less if found < wanted else self.accepts_greater

    def _accepts_date(self, found: i64) -> bool:
        if found == self.date:
            return self.accepts_equal
        return self.accepts_less if found < self.date else self.accepts_greater


class OrderedByExtreme(Comparison):
    """$gt $gte $lt $lte with MinKey or MaxKey, which compare with every type and with missing."""

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type == self.value.bson_type:
            return self.operator == GTE or self.operator == LTE
        if self.value.bson_type == TYPE_MIN_KEY:
            return self.operator == GT or self.operator == GTE
        return self.operator == LT or self.operator == LTE


class In(PathExpression):
    """$in: equality with any of a list; patterns among the list are kept apart.

    `keys` holds the key strings of the operands, so that a list of thousands costs one look-up.
    """

    def __init__(
        self, path: FieldPath, values: list[Value], patterns: list[MatchExpression]
    ) -> None:
        super().__init__(path)
        self.values = values
        self.patterns = patterns
        self.keys = {value.key() for value in values}
        self.raw_strings = {value.data for value in values if value.bson_type == TYPE_STRING}
        self.has_null = any(value.bson_type == TYPE_NULL for value in values)
        self.brackets = {type_bracket(value.bson_type) for value in values}

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type == MISSING:
            return self.has_null
        if bson_type == TYPE_STRING and data[start:end] in self.raw_strings:
            return True
        if (
            type_bracket(bson_type) in self.brackets
            and encode_value(data, bson_type, start, end) in self.keys
        ):
            return True
        for pattern in self.patterns:
            if pattern.matches_value(data, bson_type, start, end):
                return True
        return False


def equality(path: FieldPath, value: Value) -> Comparison:
    """Return the expression for equality with `value`."""
    bson_type = value.bson_type
    if bson_type == TYPE_NULL:
        return EqualsNull(path, EQ, value)
    if is_number(bson_type):
        return ComparesNumber(path, EQ, value)
    if bson_type == TYPE_DOCUMENT or bson_type == TYPE_ARRAY or bson_type == TYPE_CODE_WITH_SCOPE:
        return EqualsNested(path, EQ, value)
    return EqualsBytes(path, EQ, value)


def ordering(path: FieldPath, operator: str, value: Value) -> MatchExpression:
    """Return the expression for $gt, $gte, $lt or $lte with `value`."""
    bson_type = value.bson_type
    if bson_type == TYPE_NULL:
        if operator == GTE or operator == LTE:
            return EqualsNull(path, operator, value)
        return Or([])
    if bson_type == TYPE_MIN_KEY or bson_type == TYPE_MAX_KEY:
        return OrderedByExtreme(path, operator, value)
    if is_number(bson_type):
        return ComparesNumber(path, operator, value)
    return Ordered(path, operator, value)
