"""Index bounds as text."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Regex

from cbdd.query import parse_filter
from cbdd.query.bounds_of import conjuncts_of
from cbdd.query.bounds_text import bounds_text
from tests.unit.query.conftest import Items


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (5, ["[5, 5]"]),
        ({"$gt": 5}, ["(5, inf]"]),
        ({"$lte": 5}, ["[-inf, 5]"]),
        ({"$gte": "a", "$lt": "b"}, ['["a", "b")']),
        ({"$gt": "a"}, ['("a", {})']),
        ({"$gt": 1, "$gte": 3, "$lt": 9, "$lte": 20}, ["[3, 9)"]),
        ({"$in": [3, 1]}, ["[1, 1]", "[3, 3]"]),
        ({"$ne": 1}, ["all but [1, 1]"]),
        ({"$exists": False}, ["[null, null]"]),
        ({"$type": "string"}, ["every string"]),
        (Regex("^a"), ['["", {}) matching /^a/', "[/^a/, /^a/]"]),
        ({"$size": 1}, ["[MinKey, MaxKey]"]),
    ],
)
def test_bounds_are_written_as_intervals(condition: Any, expected: list[str]) -> None:
    assert bounds_text(conjuncts_of(parse_filter({"a": condition})), False) == expected


def test_descending_fields_are_read_from_the_high_end() -> None:
    conjuncts = conjuncts_of(parse_filter({"a": {"$gt": 5, "$lte": 9}}))
    assert bounds_text(conjuncts, True) == ["[9, 5)"]
    assert bounds_text([], True) == ["[MaxKey, MinKey]"]
    points = conjuncts_of(parse_filter({"a": {"$in": [1, 3]}}))
    assert bounds_text(points, True) == ["[3, 3]", "[1, 1]"]


def test_bounds_of_nothing_and_something(items: Items) -> None:
    items.insert(*[{"_id": i, "a": i} for i in range(10)])
    items.create_index({"a": 1})
    for condition in ({"$in": [], "$gt": 1}, {"$in": [1, 2], "$gt": 1}, {"$nin": [], "$gt": 1}):
        assert items.explain({"a": condition})["queryPlanner"]["winningPlan"]
