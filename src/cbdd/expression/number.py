"""Arithmetic of $inc, $mul and $bit on BSON numbers, with MongoDB's result types.

int32 op int32      int32, or int64 when it does not fit
int32 op int64      int64; refused when it does not fit
... op double       double
... op Decimal128   Decimal128; a double takes part with its first 15 digits
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from bson.decimal128 import Decimal128
from librt.strings import BytesWriter, read_f64_le, write_f64_le, write_i32_le, write_i64_le

from cbdd.document.raw import TYPE_DECIMAL128, TYPE_DOUBLE, TYPE_INT32, TYPE_INT64
from cbdd.expression.value import Value, read_decimal, read_integer

_INT32_LOW: Final = -(1 << 31)
_INT32_HIGH: Final = 1 << 31
_INT64_LOW: Final = -(1 << 63)
_INT64_HIGH: Final = 1 << 63
DECIMAL_CONTEXT: Final = Context(
    prec=34, rounding=ROUND_HALF_EVEN, Emin=-6143, Emax=6144, clamp=1, traps=[]
)
_DOUBLE_DIGITS: Final = 15


def add(left: Value, right: Value) -> Value | None:
    """Return left + right, or None when the int64 result does not fit."""
    if left.bson_type == TYPE_DECIMAL128 or right.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.add(decimal_of(left), decimal_of(right)))
    if left.bson_type == TYPE_DOUBLE or right.bson_type == TYPE_DOUBLE:
        return double_value(double_of(left) + double_of(right))
    return _integer_result(integer_of(left) + integer_of(right), left, right)


def multiply(left: Value, right: Value) -> Value | None:
    """Return left * right, or None when the int64 result does not fit."""
    if left.bson_type == TYPE_DECIMAL128 or right.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.multiply(decimal_of(left), decimal_of(right)))
    if left.bson_type == TYPE_DOUBLE or right.bson_type == TYPE_DOUBLE:
        return double_value(double_of(left) * double_of(right))
    return _integer_result(integer_of(left) * integer_of(right), left, right)


def bitwise(operator: str, left: Value, right: Value) -> Value:
    """Return left and/or/xor right for two integers."""
    a, b = integer_of(left), integer_of(right)
    if operator == "and":
        result = a & b
    elif operator == "or":
        result = a | b
    else:
        result = a ^ b
    if left.bson_type == TYPE_INT32 and right.bson_type == TYPE_INT32:
        return int32_value(result)
    return int64_value(result)


def int32_value(number: int) -> Value:
    """Return `number` as an int32."""
    writer = BytesWriter()
    write_i32_le(writer, number)
    return Value(TYPE_INT32, writer.getvalue())


def int64_value(number: int) -> Value:
    """Return `number` as an int64."""
    writer = BytesWriter()
    write_i64_le(writer, number)
    return Value(TYPE_INT64, writer.getvalue())


def double_value(number: float) -> Value:
    """Return `number` as a double."""
    writer = BytesWriter()
    write_f64_le(writer, number)
    return Value(TYPE_DOUBLE, writer.getvalue())


def decimal_value(number: Decimal) -> Value:
    """Return `number` as a Decimal128."""
    return Value(TYPE_DECIMAL128, Decimal128(number).bid)


def integer_of(value: Value) -> int:
    """Return an int32 or int64 as an int."""
    return read_integer(value.data, value.bson_type, 0)


def double_of(value: Value) -> float:
    """Return a number as a double."""
    if value.bson_type == TYPE_DOUBLE:
        return read_f64_le(value.data, 0)
    if value.bson_type == TYPE_DECIMAL128:
        return float(read_decimal(value.data, 0))
    return float(integer_of(value))


def decimal_of(value: Value) -> Decimal:
    """Return a number as a Decimal; a double with its first 15 digits."""
    if value.bson_type == TYPE_DECIMAL128:
        return read_decimal(value.data, 0)
    if value.bson_type == TYPE_DOUBLE:
        return _decimal_of_double(read_f64_le(value.data, 0))
    return Decimal(integer_of(value))


def _decimal_of_double(number: float) -> Decimal:
    """Return `number` with 15 digits, also where fewer would do, as MongoDB makes a decimal."""
    decimal = DECIMAL_CONTEXT.create_decimal_from_float(number)
    if decimal.is_zero() or not decimal.is_finite():
        return decimal
    unit = Decimal((0, (1,), decimal.adjusted() - _DOUBLE_DIGITS + 1))
    return decimal.quantize(unit, context=DECIMAL_CONTEXT)


def _integer_result(result: int, left: Value, right: Value) -> Value | None:
    is_int32 = left.bson_type == TYPE_INT32 and right.bson_type == TYPE_INT32
    if is_int32 and _INT32_LOW <= result < _INT32_HIGH:
        return int32_value(result)
    if _INT64_LOW <= result < _INT64_HIGH:
        return int64_value(result)
    return None
