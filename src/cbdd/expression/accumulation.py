"""$sum, $avg, $min, $max, $stdDevPop and $stdDevSamp as expressions, and $minN and its kind.

With one operand that is an array they take its elements, with several operands their values. What
is no number is left out of sums, what is null or missing out of everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import TYPE_ARRAY, TYPE_DECIMAL128
from cbdd.expression.arithmetic import total_of
from cbdd.expression.describe import describe
from cbdd.expression.node import NULL_VALUE, array_of, is_nullish, items_of, order_key
from cbdd.expression.number import (
    DECIMAL_CONTEXT,
    decimal_of,
    decimal_value,
    double_of,
    double_value,
)
from cbdd.expression.value import Value


def _taken(values: list[Value]) -> list[Value]:
    if len(values) == 1 and values[0].bson_type == TYPE_ARRAY:
        return items_of(values[0])
    return values


def total(name: str, values: list[Value]) -> Value:
    """$sum."""
    return total_of([value for value in _taken(values) if value.is_number()])


def average(name: str, values: list[Value]) -> Value:
    """$avg: null when there is no number."""
    return average_of([value for value in _taken(values) if value.is_number()])


def average_of(numbers: list[Value]) -> Value:
    """Return the mean of numbers, null without any."""
    if not numbers:
        return NULL_VALUE
    whole = total_of(numbers)
    if whole.bson_type == TYPE_DECIMAL128:
        return decimal_value(DECIMAL_CONTEXT.divide(decimal_of(whole), Decimal(len(numbers))))
    return double_value(double_of(whole) / len(numbers))


def extreme(name: str, values: list[Value]) -> Value:
    """$min and $max: null when everything is null or missing."""
    best: Value | None = None
    best_key = b""
    for value in _taken(values):
        if is_nullish(value):
            continue
        key = order_key(value)
        if best is None or (key < best_key if name == "$min" else key > best_key):
            best, best_key = value, key
    return NULL_VALUE if best is None else best


def deviation(name: str, values: list[Value]) -> Value:
    """$stdDevPop and $stdDevSamp."""
    numbers = [double_of(value) for value in _taken(values) if value.is_number()]
    return deviation_of(numbers, name == "$stdDevSamp")


def deviation_of(numbers: list[float], is_sample: bool) -> Value:
    """Return the standard deviation of numbers, null when there are too few.

    Source: Welford, "Note on a Method for Calculating Corrected Sums of Squares" (1962).
    """
    count = len(numbers)
    if count < (2 if is_sample else 1):
        return NULL_VALUE
    mean = 0.0
    squares = 0.0
    for position in range(count):
        delta = numbers[position] - mean
        mean += delta / (position + 1)
        squares += delta * (numbers[position] - mean)
    if not math.isfinite(squares):
        return NULL_VALUE
    return double_value(math.sqrt(squares / (count - 1 if is_sample else count)))


def some(name: str, named: dict[str, Value]) -> Value:
    """$firstN, $lastN, $minN, $maxN: n elements of an array."""
    array = named["input"]
    if array.bson_type != TYPE_ARRAY:
        raise refusal(5788200, f"Input must be an array, but is {array.type_name()}")
    wanted = count_of(named["n"])
    items = items_of(array)
    if name == "$firstN":
        return array_of(items[:wanted])
    if name == "$lastN":
        return array_of(items[-wanted:])
    kept = [item for item in items if not is_nullish(item)]
    kept.sort(key=order_key, reverse=name == "$maxN")
    return array_of(kept[:wanted])


def count_of(value: Value) -> int:
    """Return the operand `n` of $firstN and its kind.

    :raises OperationFailure: it is no positive whole number.
    """
    if not value.is_number():
        raise refusal(
            5787902, f"Value for 'n' must be of integral type, but found {describe(value)}"
        )
    number = value.integer()
    if number is None:
        raise refusal(
            5787903, f"Value for 'n' must be of integral type, but found {describe(value)}"
        )
    if number <= 0:
        raise refusal(5787908, f"'n' must be greater than 0, found {number}")
    return number


ACCUMULATION: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$sum": (0, -1, total),
    "$avg": (0, -1, average),
    "$min": (0, -1, extreme),
    "$max": (0, -1, extreme),
    "$stdDevPop": (0, -1, deviation),
    "$stdDevSamp": (0, -1, deviation),
}
NAMED_ACCUMULATION: Final[
    dict[str, tuple[list[str], list[str], Callable[[str, dict[str, Value]], Value]]]
] = {
    "$firstN": (["n", "input"], [], some),
    "$lastN": (["n", "input"], [], some),
    "$minN": (["n", "input"], [], some),
    "$maxN": (["n", "input"], [], some),
}
