"""Comparison, truth and choice: $eq ... $cmp, $and, $or, $not, $cond, $ifNull, $switch, $let."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.catalog.refusal import refusal
from cbdd.expression.node import (
    FALSE_VALUE,
    MISSING_VALUE,
    TRUE_VALUE,
    Environment,
    Expression,
    is_nullish,
    is_truthy,
    order_key,
    truth,
)
from cbdd.expression.number import int32_value
from cbdd.expression.value import Value


def compare(name: str, values: list[Value]) -> Value:
    """$eq, $ne, $gt, $gte, $lt, $lte: across all types, unlike in filters."""
    left, right = order_key(values[0]), order_key(values[1])
    if name == "$eq":
        return truth(left == right)
    if name == "$ne":
        return truth(left != right)
    if name == "$gt":
        return truth(left > right)
    if name == "$gte":
        return truth(left >= right)
    if name == "$lt":
        return truth(left < right)
    return truth(left <= right)


def three_way(name: str, values: list[Value]) -> Value:
    """$cmp: -1, 0 or 1."""
    left, right = order_key(values[0]), order_key(values[1])
    return int32_value((left > right) - (left < right))


def negation(name: str, values: list[Value]) -> Value:
    """$not."""
    return truth(not is_truthy(values[0]))


class AllTrue(Expression):
    """$and: evaluates operands up to the first that is false."""

    def __init__(self, operands: list[Expression]) -> None:
        self.operands = operands

    def evaluate(self, environment: Environment) -> Value:
        for operand in self.operands:
            if not is_truthy(operand.evaluate(environment)):
                return FALSE_VALUE
        return TRUE_VALUE

    def constant(self) -> Value | None:
        known = True
        for operand in self.operands:
            value = operand.constant()
            if value is None:
                known = False
            elif not is_truthy(value):
                return FALSE_VALUE
        return TRUE_VALUE if known else None


class AnyTrue(Expression):
    """$or: evaluates operands up to the first that is true."""

    def __init__(self, operands: list[Expression]) -> None:
        self.operands = operands

    def evaluate(self, environment: Environment) -> Value:
        for operand in self.operands:
            if is_truthy(operand.evaluate(environment)):
                return TRUE_VALUE
        return FALSE_VALUE

    def constant(self) -> Value | None:
        known = True
        for operand in self.operands:
            value = operand.constant()
            if value is None:
                known = False
            elif is_truthy(value):
                return TRUE_VALUE
        return FALSE_VALUE if known else None


class Choice(Expression):
    """$cond and $switch: the value of the first branch whose case is true."""

    def __init__(
        self, cases: list[Expression], results: list[Expression], otherwise: Expression | None
    ) -> None:
        self.cases = cases
        self.results = results
        self.otherwise = otherwise

    def evaluate(self, environment: Environment) -> Value:
        for position in range(len(self.cases)):
            if is_truthy(self.cases[position].evaluate(environment)):
                return self.results[position].evaluate(environment)
        if self.otherwise is None:
            raise refusal(
                40066,
                "$switch could not find a matching branch for an input, and no default was"
                " specified.",
            )
        return self.otherwise.evaluate(environment)

    def constant(self) -> Value | None:
        for position in range(len(self.cases)):
            case = self.cases[position].constant()
            if case is None:
                return None
            if is_truthy(case):
                return self.results[position].constant()
        return None if self.otherwise is None else self.otherwise.constant()


class FirstGiven(Expression):
    """$ifNull: the first operand that is neither null nor missing, else the last."""

    def __init__(self, operands: list[Expression]) -> None:
        self.operands = operands

    def evaluate(self, environment: Environment) -> Value:
        value = MISSING_VALUE
        for operand in self.operands:
            value = operand.evaluate(environment)
            if not is_nullish(value):
                return value
        return value


class Let(Expression):
    """$let: variables, which are evaluated outside, and an expression in which they are bound."""

    def __init__(self, names: list[str], values: list[Expression], inner: Expression) -> None:
        self.names = names
        self.values = values
        self.inner = inner

    def evaluate(self, environment: Environment) -> Value:
        bound = environment
        for position in range(len(self.names)):
            bound = bound.bound(self.names[position], self.values[position].evaluate(environment))
        return self.inner.evaluate(bound)


LOGIC: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$eq": (2, 2, compare),
    "$ne": (2, 2, compare),
    "$gt": (2, 2, compare),
    "$gte": (2, 2, compare),
    "$lt": (2, 2, compare),
    "$lte": (2, 2, compare),
    "$cmp": (2, 2, three_way),
    "$not": (1, 1, negation),
}
