"""Roots, powers, logarithms, trigonometry and bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from cbdd.catalog.refusal import TYPE_MISMATCH, refusal
from cbdd.document.raw import TYPE_DECIMAL128, TYPE_DOUBLE, TYPE_INT32
from cbdd.expression.arithmetic import integer_value, is_integer, numeric
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

_NOT_A_NUMBER: Final = 28765
_OUT_OF_DOMAIN: Final = 50989


def square_root(name: str, values: list[Value]) -> Value:
    """$sqrt."""
    value = numeric(name, values[0], _NOT_A_NUMBER)
    if value is None:
        return NULL_VALUE
    if double_of(value) < 0:
        raise refusal(28714, "$sqrt's argument must be greater than or equal to 0")
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.sqrt(decimal_of(value)))
    return double_value(math.sqrt(double_of(value)))


def exponential(name: str, values: list[Value]) -> Value:
    """$exp."""
    value = numeric(name, values[0], _NOT_A_NUMBER)
    if value is None:
        return NULL_VALUE
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.exp(decimal_of(value)))
    return double_value(_or_infinity(math.exp, double_of(value)))


def _or_infinity(function: Callable[[float], float], number: float) -> float:
    try:
        return function(number)
    except OverflowError:
        return math.inf


def natural_logarithm(name: str, values: list[Value]) -> Value:
    """$ln."""
    value = numeric(name, values[0], _NOT_A_NUMBER)
    if value is None:
        return NULL_VALUE
    if double_of(value) <= 0:
        raise refusal(28766, f"$ln's argument must be a positive number, but is {value.python()}")
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.ln(decimal_of(value)))
    return double_value(math.log(double_of(value)))


def decimal_logarithm(name: str, values: list[Value]) -> Value:
    """$log10."""
    value = numeric(name, values[0], _NOT_A_NUMBER)
    if value is None:
        return NULL_VALUE
    if double_of(value) <= 0:
        raise refusal(
            28761, f"$log10's argument must be a positive number, but is {value.python()}"
        )
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.log10(decimal_of(value)))
    return double_value(math.log10(double_of(value)))


def logarithm(name: str, values: list[Value]) -> Value:
    """$log: of a number to a base."""
    number, base = values
    if is_nullish(number) or is_nullish(base):
        return NULL_VALUE
    if not number.is_number():
        raise refusal(28756, f"$log's argument must be numeric, not {number.type_name()}")
    if not base.is_number():
        raise refusal(28757, f"$log's base must be numeric, not {base.type_name()}")
    if double_of(number) <= 0:
        raise refusal(28758, f"$log's argument must be a positive number, but is {number.python()}")
    if double_of(base) <= 0 or double_of(base) == 1:
        raise refusal(
            28759, f"$log's base must be a positive number not equal to 1, but is {base.python()}"
        )
    if number.bson_type == TYPE_DECIMAL128 or base.bson_type == TYPE_DECIMAL128:
        above = DECIMAL_CONTEXT.ln(decimal_of(number))
        return decimal_value(DECIMAL_CONTEXT.divide(above, DECIMAL_CONTEXT.ln(decimal_of(base))))
    return double_value(math.log(double_of(number)) / math.log(double_of(base)))


def power(name: str, values: list[Value]) -> Value:
    """$pow."""
    base, exponent = values
    if is_nullish(base) or is_nullish(exponent):
        return NULL_VALUE
    if not base.is_number():
        raise refusal(28762, f"$pow's base must be numeric, not {base.type_name()}")
    if not exponent.is_number():
        raise refusal(28763, f"$pow's exponent must be numeric, not {exponent.type_name()}")
    if double_of(base) == 0 and double_of(exponent) < 0:
        raise refusal(28764, "$pow cannot take a base of 0 and a negative exponent")
    if base.bson_type == TYPE_DECIMAL128 or exponent.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.power(decimal_of(base), decimal_of(exponent)))
    if base.bson_type == TYPE_DOUBLE or exponent.bson_type == TYPE_DOUBLE:
        return double_value(_float_power(double_of(base), double_of(exponent)))
    a, b = integer_of(base), integer_of(exponent)
    if b < 0 and abs(a) != 1:
        return double_value(_float_power(float(a), float(b)))
    is_small = base.bson_type == TYPE_INT32 and exponent.bson_type == TYPE_INT32
    if abs(a) > 1 and b > 63:
        return double_value(_float_power(float(a), float(b)))
    if b < 0:
        b = -b
    return integer_value(_integer_power(a, b), is_small)


def _integer_power(base: int, exponent: int) -> int:
    if abs(base) <= 1:
        return base if base == 0 and exponent else (1 if exponent % 2 == 0 else base)
    result = 1
    for _ in range(exponent):
        result *= base
    return result


def _float_power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        is_odd = exponent.is_integer() and int(exponent) % 2 == 1
        return -math.inf if base < 0 and is_odd else math.inf
    except ValueError:
        return math.nan


_ANGLES: Final[dict[str, Callable[[float], float]]] = {
    "$sin": math.sin,
    "$cos": math.cos,
    "$tan": math.tan,
    "$asin": math.asin,
    "$acos": math.acos,
    "$atan": math.atan,
    "$sinh": math.sinh,
    "$cosh": math.cosh,
    "$tanh": math.tanh,
    "$asinh": math.asinh,
    "$acosh": math.acosh,
    "$atanh": math.atanh,
    "$degreesToRadians": math.radians,
    "$radiansToDegrees": math.degrees,
}


def trigonometry(name: str, values: list[Value]) -> Value:
    """$sin and its kind; Decimal128 operands are computed as doubles of 15 digits."""
    value = numeric(name, values[0], _NOT_A_NUMBER)
    if value is None:
        return NULL_VALUE
    number = double_of(value)
    if math.isnan(number):
        return value
    try:
        result = _ANGLES[name](number)
    except OverflowError:
        result = math.copysign(math.inf, number) if name == "$sinh" else math.inf
    except ValueError as error:
        if abs(number) == 1 and name == "$atanh":
            result = math.copysign(math.inf, number)
        else:
            raise refusal(
                _OUT_OF_DOMAIN, f"cannot apply {name} to {value.python()}, value is out of domain"
            ) from error
    if value.bson_type == TYPE_DECIMAL128:
        return decimal_value(Decimal(repr(result)))
    return double_value(result)


def two_argument_arctangent(name: str, values: list[Value]) -> Value:
    """$atan2."""
    y, x = values
    if is_nullish(y) or is_nullish(x):
        return NULL_VALUE
    for value in values:
        if not value.is_number():
            raise refusal(
                51044,
                f"$atan2 only supports numeric types, not {y.type_name()} and {x.type_name()}",
            )
    result = math.atan2(double_of(y), double_of(x))
    if y.bson_type == TYPE_DECIMAL128 or x.bson_type == TYPE_DECIMAL128:
        return decimal_value(Decimal(repr(result)))
    return double_value(result)


def bitwise(name: str, values: list[Value]) -> Value:
    """$bitAnd, $bitOr, $bitXor."""
    result = -1 if name == "$bitAnd" else 0
    is_small = True
    for value in values:
        if is_nullish(value):
            return NULL_VALUE
        if not is_integer(value):
            raise refusal(
                TYPE_MISMATCH,
                f"{name} only supports int and long operands, not {value.type_name()}.",
            )
        number = integer_of(value)
        is_small = is_small and value.bson_type == TYPE_INT32
        if name == "$bitAnd":
            result &= number
        elif name == "$bitOr":
            result |= number
        else:
            result ^= number
    return int32_value(result) if is_small else int64_value(result)


def bitwise_not(name: str, values: list[Value]) -> Value:
    """$bitNot."""
    value = values[0]
    if is_nullish(value):
        return NULL_VALUE
    if not is_integer(value):
        raise refusal(
            TYPE_MISMATCH, f"$bitNot only supports int and long, not {value.type_name()}."
        )
    result = ~integer_of(value)
    return int32_value(result) if value.bson_type == TYPE_INT32 else int64_value(result)


MATHEMATICS: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$sqrt": (1, 1, square_root),
    "$exp": (1, 1, exponential),
    "$ln": (1, 1, natural_logarithm),
    "$log10": (1, 1, decimal_logarithm),
    "$log": (2, 2, logarithm),
    "$pow": (2, 2, power),
    "$atan2": (2, 2, two_argument_arctangent),
    "$bitAnd": (0, -1, bitwise),
    "$bitOr": (0, -1, bitwise),
    "$bitXor": (0, -1, bitwise),
    "$bitNot": (1, 1, bitwise_not),
}
for _name in _ANGLES:
    MATHEMATICS[_name] = (1, 1, trigonometry)
