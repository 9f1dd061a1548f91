"""$convert and its short forms $toInt, $toString, ..., $type and $isNumber."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Final

from bson import json_util

from cbdd.catalog.refusal import BAD_VALUE, FAILED_TO_PARSE, refusal
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_DECIMAL128,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_OBJECT_ID,
    TYPE_STRING,
    TYPE_TIMESTAMP,
)
from cbdd.expression.arithmetic import (
    INT32_HIGH,
    INT32_LOW,
    INT64_HIGH,
    INT64_LOW,
    milliseconds_of,
)
from cbdd.expression.calendar import iso_text
from cbdd.expression.date_text import parse_date
from cbdd.expression.node import NULL_VALUE, is_nullish, truth
from cbdd.expression.number import (
    decimal_of,
    decimal_value,
    double_of,
    double_value,
    int32_value,
    int64_value,
)
from cbdd.expression.number_text import number_text, parse_decimal, parse_double, parse_integer
from cbdd.expression.text import string_value
from cbdd.expression.value import Value

CONVERSION_FAILURE: Final = 241
_TARGETS: Final = {
    "double": TYPE_DOUBLE,
    "string": TYPE_STRING,
    "objectId": TYPE_OBJECT_ID,
    "bool": TYPE_BOOLEAN,
    "date": TYPE_DATE,
    "int": TYPE_INT32,
    "long": TYPE_INT64,
    "decimal": TYPE_DECIMAL128,
}
_TARGET_NAMES: Final = {number: name for name, number in _TARGETS.items()}
_SHORT_FORMS: Final = {
    "$toDouble": TYPE_DOUBLE,
    "$toString": TYPE_STRING,
    "$toObjectId": TYPE_OBJECT_ID,
    "$toBool": TYPE_BOOLEAN,
    "$toDate": TYPE_DATE,
    "$toInt": TYPE_INT32,
    "$toLong": TYPE_INT64,
    "$toDecimal": TYPE_DECIMAL128,
}


class ConversionError(Exception):
    """A value cannot be converted; the message says why."""


def short_form(name: str, values: list[Value]) -> Value:
    """$toInt and its kind: null for null, an error where there is no conversion."""
    value = values[0]
    if is_nullish(value):
        return NULL_VALUE
    try:
        return converted(value, _SHORT_FORMS[name])
    except ConversionError as error:
        raise refusal(CONVERSION_FAILURE, f"{error} in $convert with no onError value") from error


def convert(name: str, named: dict[str, Value]) -> Value:
    """$convert: `onNull` for null, `onError` where there is no conversion."""
    value = named["input"]
    target = _target(named["to"])
    if is_nullish(value):
        return named.get("onNull", NULL_VALUE)
    if target is None:
        return NULL_VALUE
    try:
        return converted(value, target)
    except ConversionError as error:
        if "onError" in named:
            return named["onError"]
        raise refusal(CONVERSION_FAILURE, f"{error} in $convert with no onError value") from error


def _target(to: Value) -> int | None:
    if is_nullish(to):
        return None
    if to.bson_type == TYPE_STRING:
        number = _TARGETS.get(to.text())
        if number is None:
            raise refusal(BAD_VALUE, f"Unknown type name: {to.text()}")
        return number
    if not to.is_number():
        raise refusal(
            FAILED_TO_PARSE,
            f"$convert's 'to' argument must be a string or number, but is {to.type_name()}",
        )
    wanted = to.integer()
    if wanted is None or wanted not in _TARGET_NAMES:
        raise refusal(
            FAILED_TO_PARSE,
            "In $convert, numeric 'to' argument does not name a type that can be converted to",
        )
    return wanted


def converted(value: Value, target: int) -> Value:
    """Return a value, which is not null, as another type.

    :raises ConversionError: there is no such conversion, or not of this value.
    """
    if value.bson_type == target:
        return value
    if target == TYPE_BOOLEAN:
        return truth(value.is_true())
    if target == TYPE_STRING:
        return _to_string(value)
    if target == TYPE_DATE:
        return _to_date(value)
    if target == TYPE_OBJECT_ID:
        return _to_object_id(value)
    return _to_number(value, target)


def _unsupported(value: Value, target: int) -> ConversionError:
    return ConversionError(
        f"Unsupported conversion from {value.type_name()} to {_TARGET_NAMES[target]}"
    )


def _to_string(value: Value) -> Value:
    if value.is_number():
        return string_value(number_text(value))
    if value.bson_type == TYPE_BOOLEAN:
        return string_value("true" if value.is_true() else "false")
    if value.bson_type == TYPE_OBJECT_ID:
        return string_value(value.data.hex())
    if value.bson_type == TYPE_DATE:
        return string_value(iso_text(milliseconds_of(value)))
    if value.bson_type == TYPE_ARRAY or value.bson_type == TYPE_DOCUMENT:
        return string_value(
            json_util.dumps(
                value.python(),
                json_options=json_util.RELAXED_JSON_OPTIONS,
                separators=(",", ":"),
            )
        )
    raise _unsupported(value, TYPE_STRING)


def _to_object_id(value: Value) -> Value:
    if value.bson_type != TYPE_STRING:
        raise _unsupported(value, TYPE_OBJECT_ID)
    text = value.text()
    if len(text) != 24 or text.strip("0123456789abcdefABCDEF"):
        raise ConversionError(f"Failed to parse objectId '{text}'")
    return Value(TYPE_OBJECT_ID, bytes.fromhex(text))


def _to_date(value: Value) -> Value:
    bson_type = value.bson_type
    if bson_type == TYPE_STRING:
        milliseconds = parse_date(value.text(), None)
        if milliseconds is None:
            raise ConversionError(f"Error parsing date string '{value.text()}'")
        return Value(TYPE_DATE, int64_value(milliseconds).data)
    if bson_type == TYPE_OBJECT_ID:
        seconds = int.from_bytes(value.data[:4], "big")
        return Value(TYPE_DATE, int64_value(seconds * 1000).data)
    if bson_type == TYPE_TIMESTAMP:
        seconds = int.from_bytes(value.data[4:8], "little")
        return Value(TYPE_DATE, int64_value(seconds * 1000).data)
    if bson_type in (TYPE_DOUBLE, TYPE_INT64, TYPE_DECIMAL128):
        return Value(TYPE_DATE, int64_value(_whole(value, INT64_LOW, INT64_HIGH)).data)
    raise _unsupported(value, TYPE_DATE)


def _to_number(value: Value, target: int) -> Value:
    source = _numeric_source(value, target)
    if target == TYPE_DOUBLE:
        number = double_of(source)
        if math.isinf(number) and source.bson_type == TYPE_DECIMAL128:
            if decimal_of(source).is_finite():
                raise ConversionError("Conversion would overflow target type")
        return double_value(number)
    if target == TYPE_DECIMAL128:
        return decimal_value(decimal_of(source))
    if target == TYPE_INT32:
        return int32_value(_whole(source, INT32_LOW, INT32_HIGH))
    return int64_value(_whole(source, INT64_LOW, INT64_HIGH))


def _numeric_source(value: Value, target: int) -> Value:
    """Return the number a value stands for, of any numeric type."""
    if value.is_number():
        return value
    if value.bson_type == TYPE_BOOLEAN:
        return int32_value(1 if value.is_true() else 0)
    if value.bson_type == TYPE_DATE and target != TYPE_INT32:
        return int64_value(milliseconds_of(value))
    if value.bson_type == TYPE_STRING:
        return _parsed(value.text(), target)
    raise _unsupported(value, target)


def _parsed(text: str, target: int) -> Value:
    problem = ConversionError(f"Failed to parse number '{text}'")
    if target == TYPE_DOUBLE:
        number = parse_double(text)
        if number is None:
            raise problem
        return double_value(number)
    if target == TYPE_DECIMAL128:
        decimal = parse_decimal(text)
        if decimal is None:
            raise problem
        return decimal_value(decimal)
    integer = parse_integer(text)
    if integer is None or not INT64_LOW <= integer < INT64_HIGH:
        raise problem
    return int64_value(integer)


def _whole(value: Value, low: int, high: int) -> int:
    """Return a number cut after the point, within bounds."""
    if value.bson_type == TYPE_DOUBLE:
        double = double_of(value)
        if not math.isfinite(double):
            what = "NaN" if math.isnan(double) else "infinity"
            raise ConversionError(f"Attempt to convert {what} value to integer type")
        number = int(double)
    elif value.bson_type == TYPE_DECIMAL128:
        decimal: Decimal = decimal_of(value)
        if not decimal.is_finite():
            what = "NaN" if decimal.is_nan() else "infinity"
            raise ConversionError(f"Attempt to convert {what} value to integer type")
        number = int(decimal.to_integral_value(ROUND_DOWN))
    else:
        number = value.integer() or 0
    if not low <= number < high:
        raise ConversionError("Conversion would overflow target type")
    return number


def type_of(name: str, values: list[Value]) -> Value:
    """$type: the name of the type."""
    return string_value(values[0].type_name())


def is_numeric(name: str, values: list[Value]) -> Value:
    """$isNumber."""
    return truth(values[0].is_number())


CONVERSION: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$type": (1, 1, type_of),
    "$isNumber": (1, 1, is_numeric),
}
for _name in _SHORT_FORMS:
    CONVERSION[_name] = (1, 1, short_form)
NAMED_CONVERSION: Final[
    dict[str, tuple[list[str], list[str], Callable[[str, dict[str, Value]], Value]]]
] = {
    "$convert": (["input", "to"], ["onError", "onNull"], convert),
}
