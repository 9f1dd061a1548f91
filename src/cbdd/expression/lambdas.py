"""Operators that evaluate an expression for each element of an array, and $sortArray and $zip."""

from __future__ import annotations

from collections.abc import Callable

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT
from cbdd.expression.describe import describe
from cbdd.expression.node import (
    MISSING_VALUE,
    NULL_VALUE,
    Environment,
    Expression,
    array_of,
    field_of,
    is_nullish,
    is_truthy,
    items_of,
    order_key,
)
from cbdd.expression.value import Value


class Filter(Expression):
    """$filter: the elements for which a condition is true, the first `limit` of them."""

    def __init__(
        self, source: Expression, name: str, condition: Expression, limit: Expression | None
    ) -> None:
        self.source = source
        self.name = name
        self.condition = condition
        self.limit = limit

    def evaluate(self, environment: Environment) -> Value:
        array = self.source.evaluate(environment)
        if is_nullish(array):
            return NULL_VALUE
        if array.bson_type != TYPE_ARRAY:
            raise refusal(28651, f"input to $filter must be an array not {array.type_name()}")
        left = self._limit(environment)
        kept: list[Value] = []
        for item in items_of(array):
            if left == 0:
                break
            if is_truthy(self.condition.evaluate(environment.bound(self.name, item))):
                kept.append(item)
                left -= 1
        return array_of(kept)

    def _limit(self, environment: Environment) -> int:
        if self.limit is None:
            return -1
        value = self.limit.evaluate(environment)
        if is_nullish(value):
            return -1
        number = value.integer()
        if number is None:
            raise refusal(
                327391,
                f"$filter: limit must be represented as a 32-bit integral value: {describe(value)}",
            )
        if number <= 0:
            raise refusal(327392, f"$filter: limit must be greater than 0: {number}")
        return number


class Map(Expression):
    """$map: an expression's value for each element."""

    def __init__(self, source: Expression, name: str, inner: Expression) -> None:
        self.source = source
        self.name = name
        self.inner = inner

    def evaluate(self, environment: Environment) -> Value:
        array = self.source.evaluate(environment)
        if is_nullish(array):
            return NULL_VALUE
        if array.bson_type != TYPE_ARRAY:
            raise refusal(16883, f"input to $map must be an array not {array.type_name()}")
        return array_of(
            [self.inner.evaluate(environment.bound(self.name, item)) for item in items_of(array)]
        )


class Reduce(Expression):
    """$reduce: combine the elements from the first to the last."""

    def __init__(self, source: Expression, initial: Expression, inner: Expression) -> None:
        self.source = source
        self.initial = initial
        self.inner = inner

    def evaluate(self, environment: Environment) -> Value:
        array = self.source.evaluate(environment)
        if is_nullish(array):
            return NULL_VALUE
        if array.bson_type != TYPE_ARRAY:
            raise refusal(
                40080, f"$reduce requires that 'input' be an array, found: {describe(array)}"
            )
        value = self.initial.evaluate(environment)
        for item in items_of(array):
            value = self.inner.evaluate(environment.bound("this", item).bound("value", value))
        return value


class SortKey:
    """One part of the order of $sortArray: a path, empty for the element itself."""

    def __init__(self, names: list[bytes], is_descending: bool) -> None:
        self.names = names
        self.is_descending = is_descending

    def of(self, item: Value) -> bytes:
        """Return the bytes that order `item`; of an array's elements the one that comes first."""
        if not self.names:
            return order_key(item)
        keys = [order_key(value) for value in _reached(item, self.names, 0)]
        if not keys:
            return order_key(NULL_VALUE)
        return max(keys) if self.is_descending else min(keys)


def _reached(value: Value, names: list[bytes], depth: int) -> list[Value]:
    if depth == len(names):
        if value.bson_type == TYPE_ARRAY:
            return items_of(value)
        return [value]
    if value.bson_type == TYPE_DOCUMENT:
        below = field_of(value, names[depth])
        return [] if below is MISSING_VALUE else _reached(below, names, depth + 1)
    found: list[Value] = []
    if value.bson_type == TYPE_ARRAY:
        for item in items_of(value):
            if item.bson_type == TYPE_DOCUMENT:
                found.extend(_reached(item, names, depth))
    return found


class SortArray(Expression):
    """$sortArray."""

    def __init__(self, source: Expression, keys: list[SortKey]) -> None:
        self.source = source
        self.keys = keys

    def evaluate(self, environment: Environment) -> Value:
        array = self.source.evaluate(environment)
        if is_nullish(array):
            return NULL_VALUE
        if array.bson_type != TYPE_ARRAY:
            raise refusal(
                2942504,
                f"The input argument to $sortArray must be an array, but was of type:"
                f" {array.type_name()}",
            )
        items = items_of(array)
        for position in range(len(self.keys) - 1, -1, -1):
            key = self.keys[position]
            items.sort(key=key.of, reverse=key.is_descending)
        return array_of(items)


class Zip(Expression):
    """$zip: arrays of the elements at the same position."""

    def __init__(
        self, inputs: list[Expression], defaults: list[Expression], is_longest: bool
    ) -> None:
        self.inputs = inputs
        self.defaults = defaults
        self.is_longest = is_longest

    def evaluate(self, environment: Environment) -> Value:
        arrays: list[list[Value]] = []
        for source in self.inputs:
            value = source.evaluate(environment)
            if is_nullish(value):
                return NULL_VALUE
            if value.bson_type != TYPE_ARRAY:
                raise refusal(
                    34468,
                    f"$zip found a non-array expression in input: {describe(value)}",
                )
            arrays.append(items_of(value))
        fill = [default.evaluate(environment) for default in self.defaults]
        lengths = [len(items) for items in arrays]
        rows: list[Value] = []
        for position in range(max(lengths) if self.is_longest else min(lengths)):
            row: list[Value] = []
            for column in range(len(arrays)):
                items = arrays[column]
                if position < len(items):
                    row.append(items[position])
                else:
                    row.append(fill[column] if fill else NULL_VALUE)
            rows.append(array_of(row))
        return array_of(rows)


class Random(Expression):
    """$rand: a double from 0 up to 1, another one each time."""

    def __init__(self, source: Callable[[], Value]) -> None:
        self.source = source

    def evaluate(self, environment: Environment) -> Value:
        return self.source()
