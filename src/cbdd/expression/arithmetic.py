"""Arithmetic operators, with MongoDB's result types and refusals.

int32 and int64 give int32 while the result fits and both were int32, else int64, else double; a
double makes it a double, a Decimal128 a Decimal128. An operand that is null or missing makes the
result null.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Decimal,
)
from typing import Final

from cbdd.catalog.refusal import BAD_VALUE, TYPE_MISMATCH, refusal
from cbdd.document.raw import TYPE_DATE, TYPE_DECIMAL128, TYPE_DOUBLE, TYPE_INT32, TYPE_INT64
from cbdd.expression.node import NULL_VALUE, is_nullish
from cbdd.expression.number import (
    DECIMAL_CONTEXT,
    decimal_of,
    decimal_value,
    double_of,
    double_value,
    int32_value,
    int64_value,
    integer_of,
)
from cbdd.expression.value import Value

INT32_LOW: Final = -(1 << 31)
INT32_HIGH: Final = 1 << 31
INT64_LOW: Final = -(1 << 63)
INT64_HIGH: Final = 1 << 63
_MAX_PLACES: Final = 100
_MIN_PLACES: Final = -20


def is_integer(value: Value) -> bool:
    """Tell whether a value is an int32 or int64."""
    return value.bson_type == TYPE_INT32 or value.bson_type == TYPE_INT64


def integer_value(number: int, is_small: bool) -> Value:
    """Return an integer result: int32 when the operands were and it fits, int64, else a double."""
    if is_small and INT32_LOW <= number < INT32_HIGH:
        return int32_value(number)
    if INT64_LOW <= number < INT64_HIGH:
        return int64_value(number)
    return double_value(float(number))


def date_value(milliseconds: int) -> Value:
    """Return a date.

    :raises OperationFailure: it is out of range.
    """
    if not INT64_LOW <= milliseconds < INT64_HIGH:
        raise refusal(15, "date overflow")
    return Value(TYPE_DATE, int64_value(milliseconds).data)


def milliseconds_of(value: Value) -> int:
    """Return a date value as milliseconds since the epoch."""
    return int.from_bytes(value.data, "little", signed=True)


def total_of(values: list[Value]) -> Value:
    """Return the sum of numbers; without any, int32 0."""
    is_small = True
    has_double = False
    has_decimal = False
    for value in values:
        if value.bson_type == TYPE_DECIMAL128:
            has_decimal = True
        elif value.bson_type == TYPE_DOUBLE:
            has_double = True
        elif value.bson_type == TYPE_INT64:
            is_small = False
    if has_decimal:
        total = Decimal(0)
        for value in values:
            total = DECIMAL_CONTEXT.add(total, decimal_of(value))
        return decimal_value(total)
    if has_double:
        return double_value(_double_total([double_of(value) for value in values]))
    return integer_value(sum([integer_of(value) for value in values]), is_small)


def _double_total(numbers: list[float]) -> float:
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # fsum refuses what IEEE answers with inf or NaN
        total = 0.0
        for number in numbers:
            total += number
        return total


def add(name: str, values: list[Value]) -> Value:
    """$add: numbers, and at most one date to which milliseconds are added."""
    date: Value | None = None
    numbers: list[Value] = []
    for value in values:
        if value.is_number():
            numbers.append(value)
        elif value.bson_type == TYPE_DATE:
            if date is not None:
                raise refusal(16612, "only one date allowed in an $add expression")
            date = value
        elif is_nullish(value):
            return NULL_VALUE
        else:
            raise refusal(
                TYPE_MISMATCH,
                f"$add only supports numeric or date types, not {value.type_name()}",
            )
    total = total_of(numbers)
    if date is None:
        return total
    return date_value(milliseconds_of(date) + whole_milliseconds(total))


def whole_milliseconds(number: Value) -> int:
    """Return a number of milliseconds, rounded to a whole one."""
    if is_integer(number):
        return integer_of(number)
    exact = (
        decimal_of(number) if number.bson_type == TYPE_DECIMAL128 else Decimal(double_of(number))
    )
    if not exact.is_finite():
        raise refusal(15, "date overflow")
    return int(exact.to_integral_value(ROUND_HALF_EVEN))


def subtract(name: str, values: list[Value]) -> Value:
    """$subtract: numbers, two dates, or milliseconds from a date."""
    left, right = values
    if is_nullish(left) or is_nullish(right):
        return NULL_VALUE
    if left.is_number() and right.is_number():
        if left.bson_type == TYPE_DECIMAL128 or right.bson_type == TYPE_DECIMAL128:
            return decimal_value(DECIMAL_CONTEXT.subtract(decimal_of(left), decimal_of(right)))
        if left.bson_type == TYPE_DOUBLE or right.bson_type == TYPE_DOUBLE:
            return double_value(double_of(left) - double_of(right))
        is_small = left.bson_type == TYPE_INT32 and right.bson_type == TYPE_INT32
        return integer_value(integer_of(left) - integer_of(right), is_small)
    if left.bson_type == TYPE_DATE and right.bson_type == TYPE_DATE:
        return int64_value(milliseconds_of(left) - milliseconds_of(right))
    if left.bson_type == TYPE_DATE and right.is_number():
        return date_value(milliseconds_of(left) - whole_milliseconds(right))
    raise refusal(TYPE_MISMATCH, f"can't $subtract {right.type_name()} from {left.type_name()}")


def multiply(name: str, values: list[Value]) -> Value:
    """$multiply: the product; 1 without operands."""
    is_small = True
    has_double = False
    has_decimal = False
    for value in values:
        if is_nullish(value):
            return NULL_VALUE
        if not value.is_number():
            raise refusal(
                TYPE_MISMATCH, f"$multiply only supports numeric types, not {value.type_name()}"
            )
        has_decimal = has_decimal or value.bson_type == TYPE_DECIMAL128
        has_double = has_double or value.bson_type == TYPE_DOUBLE
        is_small = is_small and value.bson_type == TYPE_INT32
    if has_decimal:
        product = Decimal(1)
        for value in values:
            product = DECIMAL_CONTEXT.multiply(product, decimal_of(value))
        return decimal_value(product)
    if has_double:
        result = 1.0
        for value in values:
            result *= double_of(value)
        return double_value(result)
    exact = 1
    for value in values:
        exact *= integer_of(value)
    return integer_value(exact, is_small)


def divide(name: str, values: list[Value]) -> Value:
    """$divide: always a double or Decimal128."""
    left, right = values
    if is_nullish(left) or is_nullish(right):
        return NULL_VALUE
    if not (left.is_number() and right.is_number()):
        raise refusal(
            TYPE_MISMATCH,
            f"$divide only supports numeric types, not {left.type_name()} and {right.type_name()}",
        )
    if double_of(right) == 0:
        raise refusal(BAD_VALUE, "can't $divide by zero")
    if left.bson_type == TYPE_DECIMAL128 or right.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.divide(decimal_of(left), decimal_of(right)))
    return double_value(double_of(left) / double_of(right))


def mod(name: str, values: list[Value]) -> Value:
    """$mod: the remainder of the division that rounds toward zero."""
    left, right = values
    if not (left.is_number() and right.is_number()):
        if is_nullish(left) or is_nullish(right):
            return NULL_VALUE
        raise refusal(
            16611,
            f"$mod only supports numeric types, not {left.type_name()} and {right.type_name()}",
        )
    if double_of(right) == 0:
        raise refusal(16610, "can't $mod by zero")
    if left.bson_type == TYPE_DECIMAL128 or right.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.remainder(decimal_of(left), decimal_of(right)))
    if left.bson_type == TYPE_DOUBLE or right.bson_type == TYPE_DOUBLE:
        number = double_of(left)
        return double_value(math.nan if math.isinf(number) else math.fmod(number, double_of(right)))
    dividend, divisor = integer_of(left), integer_of(right)
    remainder = abs(dividend) % abs(divisor)
    is_small = left.bson_type == TYPE_INT32 and right.bson_type == TYPE_INT32
    return integer_value(-remainder if dividend < 0 else remainder, is_small)


def numeric(name: str, value: Value, code: int) -> Value | None:
    """Return the value when it is a number, None when it is nullish.

    :raises OperationFailure: it is something else.
    """
    if is_nullish(value):
        return None
    if not value.is_number():
        raise refusal(code, f"{name} only supports numeric types, not {value.type_name()}")
    return value


def absolute(name: str, values: list[Value]) -> Value:
    """$abs."""
    value = numeric(name, values[0], 28765)
    if value is None:
        return NULL_VALUE
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(decimal_of(value).copy_abs())
    if value.bson_type == TYPE_DOUBLE:
        return double_value(abs(double_of(value)))
    number = abs(integer_of(value))
    if number >= INT64_HIGH:
        raise refusal(28680, "can't take $abs of long long min")
    return integer_value(number, value.bson_type == TYPE_INT32)


def ceil(name: str, values: list[Value]) -> Value:
    """$ceil."""
    return _to_whole(name, values[0], ROUND_CEILING)


def floor(name: str, values: list[Value]) -> Value:
    """$floor."""
    return _to_whole(name, values[0], ROUND_FLOOR)


def _to_whole(name: str, operand: Value, rounding: str) -> Value:
    value = numeric(name, operand, 28765)
    if value is None:
        return NULL_VALUE
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(_whole_decimal(decimal_of(value), rounding))
    if value.bson_type == TYPE_DOUBLE:
        number = double_of(value)
        if not math.isfinite(number):
            return value
        whole = math.ceil(number) if rounding == ROUND_CEILING else math.floor(number)
        return double_value(math.copysign(float(whole), number) if whole == 0 else float(whole))
    return value


def _whole_decimal(number: Decimal, rounding: str) -> Decimal:
    if not number.is_finite() or number == number.to_integral_value():
        return number
    return number.quantize(Decimal(1), rounding=rounding, context=DECIMAL_CONTEXT)


def round_half_even(name: str, values: list[Value]) -> Value:
    """$round: to a number of decimal places, halves to even."""
    return _to_places(name, values, ROUND_HALF_EVEN)


def truncate(name: str, values: list[Value]) -> Value:
    """$trunc: cut after a number of decimal places."""
    return _to_places(name, values, ROUND_DOWN)


def _to_places(name: str, values: list[Value], rounding: str) -> Value:
    places = 0
    if len(values) > 1:
        if is_nullish(values[0]) or is_nullish(values[1]):
            return NULL_VALUE
        wanted = values[1].integer()
        if wanted is None:
            raise refusal(51082, f"precision argument to  {name} must be a integral value")
        if not _MIN_PLACES <= wanted <= _MAX_PLACES:
            raise refusal(
                51083,
                f"cannot apply {name} with precision value {wanted} value must be in [-20, 100]",
            )
        places = wanted
    value = numeric(name, values[0], 51081)
    if value is None:
        return NULL_VALUE
    if is_integer(value):
        return _integer_to_places(name, value, places, rounding)
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(_decimal_to_places(decimal_of(value), places, rounding))
    number = double_of(value)
    if not math.isfinite(number):
        return value
    exact = _decimal_to_places(Decimal(repr(number)), places, rounding)
    return double_value(math.copysign(float(exact), number))


def _integer_to_places(name: str, value: Value, places: int, rounding: str) -> Value:
    if places >= 0:
        return value
    unit = 10**-places
    number = integer_of(value)
    whole, rest = divmod(abs(number), unit)
    if rounding == ROUND_HALF_EVEN and (rest * 2 > unit or (rest * 2 == unit and whole % 2)):
        whole += 1
    result = whole * unit if number >= 0 else -whole * unit
    if not INT64_LOW <= result < INT64_HIGH:
        raise refusal(51080, f"invalid conversion from Decimal128 result in {name}")
    return integer_value(result, value.bson_type == TYPE_INT32)


def _decimal_to_places(number: Decimal, places: int, rounding: str) -> Decimal:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent <= places:
        return number
    if number.adjusted() < -places - 1:
        return Decimal((number.is_signed(), (0,), -places))
    return number.quantize(Decimal((0, (1,), -places)), rounding=rounding)


ARITHMETIC: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$add": (0, -1, add),
    "$subtract": (2, 2, subtract),
    "$multiply": (0, -1, multiply),
    "$divide": (2, 2, divide),
    "$mod": (2, 2, mod),
    "$abs": (1, 1, absolute),
    "$ceil": (1, 1, ceil),
    "$floor": (1, 1, floor),
    "$round": (1, 2, round_half_even),
    "$trunc": (1, 2, truncate),
}
"""Operator -> fewest operands, most (-1: any number), function."""
