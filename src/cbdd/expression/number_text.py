"""Numbers as text, as MongoDB writes and reads them."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

from cbdd.document.raw import TYPE_DECIMAL128, TYPE_DOUBLE
from cbdd.expression.number import double_of, integer_of
from cbdd.expression.value import Value, read_decimal

_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_DECIMAL: Final = re.compile(
    r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf(inity)?|nan)\Z", re.IGNORECASE
)


def number_text(value: Value) -> str:
    """Return a number as text."""
    if value.bson_type == TYPE_DOUBLE:
        return double_text(double_of(value))
    if value.bson_type == TYPE_DECIMAL128:
        number = read_decimal(value.data, 0)
        if number.is_finite():
            return str(number)
        if number.is_nan():
            return "NaN"
        return "-Infinity" if number.is_signed() else "Infinity"
    return str(integer_of(value))


def double_text(number: float) -> str:
    """Return a double in the fewest digits that give it back."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) < 1e15:
        return "-0" if number == 0 and math.copysign(1, number) < 0 else str(int(number))
    text = repr(number)
    return text.replace("e-0", "e-").replace(".0e", "e")


def parse_integer(text: str) -> int | None:
    """Return the integer a text spells, None when it spells none."""
    return int(text) if _INTEGER.match(text) else None


def parse_double(text: str) -> float | None:
    """Return the double a text spells, None when it spells none."""
    return float(text) if _DECIMAL.match(text) else None


def parse_decimal(text: str) -> Decimal | None:
    """Return the decimal a text spells, None when it spells none."""
    return Decimal(text) if _DECIMAL.match(text) else None
