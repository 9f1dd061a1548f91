"""Comparison, truth and choice."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, MaxKey, MinKey

from tests.unit.expression.evaluating import GONE, assert_value, refusal_code

DOCUMENT = {"a": 5, "b": "x", "n": None, "z": 0, "list": [1, 2], "e": []}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$eq": ["$a", 5.0]}, True),
        ({"$eq": ["$n", "$gone"]}, False),
        ({"$lt": ["$gone", None]}, True),
        ({"$gt": ["$b", "$a"]}, True),
        ({"$gte": [{"x": 1}, {"x": Int64(1)}]}, True),
        ({"$lte": [[1, 2], [1, 3]]}, True),
        ({"$ne": ["$a", 5]}, False),
        ({"$cmp": [1, 2]}, -1),
        ({"$cmp": [2, 2.0]}, 0),
        ({"$cmp": [MaxKey(), MinKey()]}, 1),
        ({"$and": []}, True),
        ({"$or": []}, False),
        ({"$and": ["$a", "$b", "$e"]}, True),
        ({"$and": ["$a", "$z"]}, False),
        ({"$or": ["$z", "$n", "$gone"]}, False),
        ({"$or": ["$z", "$list"]}, True),
        ({"$not": ["$z"]}, True),
        ({"$not": "$a"}, False),
        ({"$cond": [{"$gt": ["$a", 3]}, "big", "small"]}, "big"),
        ({"$cond": {"if": "$z", "then": 1, "else": "$b"}}, "x"),
        ({"$cond": ["$a", "$gone", 1]}, GONE),
        ({"$ifNull": ["$n", "$gone", "$b", "$a"]}, "x"),
        ({"$ifNull": ["$n", "$gone"]}, GONE),
        (
            {
                "$switch": {
                    "branches": [{"case": "$z", "then": 1}, {"case": "$a", "then": 2}],
                    "default": 3,
                }
            },
            2,
        ),
        ({"$switch": {"branches": [{"case": "$z", "then": 1}], "default": 3}}, 3),
        ({"$let": {"vars": {"x": "$a", "y": 2}, "in": {"$add": ["$$x", "$$y"]}}}, 7),
        ({"$let": {"vars": {"x": 1}, "in": {"$let": {"vars": {"x": 2}, "in": "$$x"}}}}, 2),
        ({"$let": {"vars": {"CURRENT": {"a": 9}}, "in": "$a"}}, 9),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$eq": [1]}, 16020),
        ({"$not": [1, 2]}, 16020),
        ({"$cond": [1, 2]}, 16020),
        ({"$cond": {"then": 1, "else": 2}}, 17080),
        ({"$cond": {"if": 1, "else": 2}}, 17081),
        ({"$cond": {"if": 1, "then": 2}}, 17082),
        ({"$cond": {"if": 1, "then": 2, "else": 3, "x": 4}}, 17083),
        ({"$ifNull": [1]}, 1257300),
        ({"$switch": 1}, 40060),
        ({"$switch": {"branches": 1}}, 40061),
        ({"$switch": {"branches": [1]}}, 40062),
        ({"$switch": {"branches": [{"case": 1, "then": 1, "x": 1}]}}, 40063),
        ({"$switch": {"branches": [{"then": 1}]}}, 40064),
        ({"$switch": {"branches": [{"case": 1}]}}, 40065),
        ({"$switch": {"branches": [{"case": "$z", "then": 1}]}}, 40066),
        ({"$switch": {"branches": [], "x": 1}}, 40067),
        ({"$switch": {"branches": []}}, 40068),
        ({"$let": 1}, 16874),
        ({"$let": {"vars": {}, "in": 1, "x": 1}}, 16875),
        ({"$let": {"in": 1}}, 16876),
        ({"$let": {"vars": {}}}, 16877),
        ({"$let": {"vars": {"X": 1}, "in": 1}}, 9),
        ({"$let": {"vars": {"x": 1}, "in": "$$y"}}, 17276),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code
