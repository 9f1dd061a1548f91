"""Filters compiled without BSON are those that are compiled with it."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Int64, ObjectId

from cbdd.query import parse_filter
from cbdd.query.comparison import Comparison, In
from cbdd.query.matcher import And, MatchExpression, Or
from cbdd.query.plain_filter import plain_filter

NAMES = ["a", "b.c", "a.0", "_id", "x" * 40, "a.", ".", "0"]
VALUES = [
    *[0, 1, -1, 5, (1 << 31) - 1, 1 << 31, -(1 << 31), -(1 << 31) - 1, (1 << 63) - 1, -(1 << 63)],
    *["", "a", "a\0b", "ä€😀", "x" * 300],
    *[0.0, -0.0, 1.5, float("inf"), -float("inf"), float("nan"), 2.0**60],
    *[True, False, None, ObjectId("0123456789abcdef01234567")],
]
OPERATORS = ["$eq", "$gt", "$gte", "$lt", "$lte"]


def shape(expression: MatchExpression) -> Any:
    """What an expression is, to be compared."""
    if isinstance(expression, Comparison):
        value = expression.value
        path = expression.path
        return (
            type(expression).__name__,
            (path.text, path.names, path.positions, path.expands_leaf),
            expression.operator,
            (value.bson_type, value.data, expression.key),
        )
    if isinstance(expression, In):
        values = [(each.bson_type, each.data) for each in expression.values]
        return ("In", expression.path.text, values, expression.patterns)
    assert isinstance(expression, (And, Or))
    return (type(expression).__name__, [shape(child) for child in expression.children])


def random_condition(source: random.Random) -> Any:
    kind = source.randrange(4)
    if kind == 0:
        return {"$in": source.choices(VALUES, k=source.randrange(5))}
    if kind == 1:
        return source.choice(VALUES)
    names = source.sample(OPERATORS, source.randrange(1, 4))
    return {name: source.choice(VALUES) for name in names}


@pytest.mark.parametrize("seed", range(20))
def test_a_plain_filter_is_what_bson_makes_of_it(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(50):
        names = source.sample(NAMES, source.randrange(4))
        filter = {name: random_condition(source) for name in names}
        found = plain_filter(filter)
        assert found is not None, filter
        assert shape(found) == shape(parse_filter(bson.encode({"": filter})[6:-1])), filter


def test_no_filter_is_plain() -> None:
    for nothing in (None, {}):
        found = plain_filter(nothing)
        assert found is not None
        assert shape(found) == ("And", [])


class Number(int):
    """A number of somebody's own, which a codec may encode as it likes."""


@pytest.mark.parametrize(
    "filter",
    [
        bson.encode({"a": 1}),
        bson.SON([("a", 1)]),
        {"$and": [{"a": 1}]},
        {"$comment": "x"},
        {"": 1},
        {"a\0": 1},
        {"ä": 1},
        {1: 1},
        {"a": {}},
        {"a": {"b": 1}},
        {"a": {"$ne": 1}},
        {"a": {"$gt": 1, "b": 1}},
        {"a": {"$gt": [1]}},
        {"a": {"$in": 1}},
        {"a": {"$in": (1, 2)}},
        {"a": {"$in": [[1]]}},
        {"a": {1: 1}},
        {"a": [1]},
        {"a": 1 << 63},
        {"a": Int64(1)},
        {"a": Number(1)},
        {"a": "\ud800"},
        {"a": "x" * (1 << 17)},
        {"a": datetime(2020, 1, 1)},
        {"a": 1, "b": {"$exists": True}},
        {"a": {"$in": ["x" * 60_000] * 20}},
        {f"a{n}": "x" * 60_000 for n in range(20)},
        {f"a{n}": {"$gt": "x" * 60_000} for n in range(20)},
        {"a" * (2 << 20): 1},
    ],
    ids=lambda filter: str(filter)[:40],
)
def test_other_filters_are_left_to_the_parser(filter: Any) -> None:
    assert plain_filter(filter) is None
