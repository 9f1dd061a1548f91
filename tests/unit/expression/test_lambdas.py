"""Operators that evaluate an expression for each element."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.expression.evaluating import assert_value, evaluated, refusal_code

DOCUMENT = {
    "a": [1, 2, 3, 4],
    "items": [{"n": 2, "t": "b"}, {"n": 1, "t": "a"}, {"n": 2, "t": "a"}, {"t": "c"}],
    "b": ["x", "y"],
    "n": None,
    "s": "text",
    "k": 2,
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$filter": {"input": "$a", "cond": {"$gt": ["$$this", "$k"]}}}, [3, 4]),
        ({"$filter": {"input": "$a", "as": "x", "cond": {"$lt": ["$$x", 4]}, "limit": 2}}, [1, 2]),
        ({"$filter": {"input": "$a", "cond": True, "limit": "$n"}}, [1, 2, 3, 4]),
        ({"$filter": {"input": "$n", "cond": True}}, None),
        ({"$map": {"input": "$a", "in": {"$multiply": ["$$this", "$k"]}}}, [2, 4, 6, 8]),
        ({"$map": {"input": "$items", "as": "i", "in": "$$i.n"}}, [2, 1, 2, None]),
        ({"$map": {"input": "$gone", "in": 1}}, None),
        (
            {
                "$reduce": {
                    "input": "$a",
                    "initialValue": "$k",
                    "in": {"$add": ["$$value", "$$this"]},
                }
            },
            12,
        ),
        ({"$reduce": {"input": [], "initialValue": "$s", "in": 1}}, "text"),
        ({"$reduce": {"input": "$n", "initialValue": 0, "in": 1}}, None),
        ({"$sortArray": {"input": "$b", "sortBy": -1}}, ["y", "x"]),
        (
            {
                "$map": {
                    "input": {"$sortArray": {"input": "$items", "sortBy": {"n": -1, "t": 1}}},
                    "in": "$$this.t",
                }
            },
            ["a", "b", "a", "c"],
        ),
        ({"$sortArray": {"input": "$n", "sortBy": 1}}, None),
        ({"$zip": {"inputs": ["$a", "$b"]}}, [[1, "x"], [2, "y"]]),
        (
            {"$zip": {"inputs": [[1, 2], "$b", [3]], "useLongestLength": True}},
            [[1, "x", 3], [2, "y", None]],
        ),
        (
            {"$zip": {"inputs": [[1], "$b"], "useLongestLength": True, "defaults": [0, 0]}},
            [[1, "x"], [0, "y"]],
        ),
        ({"$zip": {"inputs": ["$a", "$n"]}}, None),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$filter": 1}, 28646),
        ({"$filter": {"input": "$a", "cond": 1, "x": 1}}, 28647),
        ({"$filter": {"cond": 1}}, 28648),
        ({"$filter": {"input": "$a"}}, 28650),
        ({"$filter": {"input": "$s", "cond": 1}}, 28651),
        ({"$filter": {"input": "$a", "cond": 1, "limit": 1.5}}, 327391),
        ({"$filter": {"input": "$a", "cond": 1, "limit": 0}}, 327392),
        ({"$filter": {"input": "$a", "as": "X", "cond": 1}}, 9),
        ({"$filter": {"input": "$a", "as": "x", "cond": "$$this"}}, 17276),
        ({"$map": 1}, 16878),
        ({"$map": {"input": "$a", "in": 1, "x": 1}}, 16879),
        ({"$map": {"in": 1}}, 16880),
        ({"$map": {"input": "$a"}}, 16882),
        ({"$map": {"input": "$s", "in": 1}}, 16883),
        ({"$reduce": 1}, 40075),
        ({"$reduce": {"input": "$a", "initialValue": 1, "in": 1, "x": 1}}, 40076),
        ({"$reduce": {"initialValue": 1, "in": 1}}, 40077),
        ({"$reduce": {"input": "$a", "in": 1}}, 40078),
        ({"$reduce": {"input": "$a", "initialValue": 1}}, 40079),
        ({"$reduce": {"input": "$s", "initialValue": 1, "in": 1}}, 40080),
        ({"$sortArray": 1}, 2942500),
        ({"$sortArray": {"input": "$s", "sortBy": 1}}, 2942504),
        ({"$sortArray": {"input": "$a", "sortBy": "x"}}, 2942507),
        ({"$sortArray": {"input": "$a", "sortBy": {"x": 2}}}, 15975),
        ({"$sortArray": {"input": "$a", "sortBy": {}}}, 15976),
        ({"$zip": 1}, 34460),
        ({"$zip": {"inputs": 1}}, 34461),
        ({"$zip": {"inputs": ["$a"], "defaults": 1}}, 34462),
        ({"$zip": {"inputs": ["$a"], "useLongestLength": 1}}, 34463),
        ({"$zip": {"inputs": ["$a"], "x": 1}}, 34464),
        ({"$zip": {"inputs": []}}, 34465),
        ({"$zip": {"inputs": ["$a"], "defaults": [1]}}, 34466),
        ({"$zip": {"inputs": ["$a"], "defaults": [1, 2], "useLongestLength": True}}, 34467),
        ({"$zip": {"inputs": ["$s"]}}, 34468),
        ({"$rand": 1}, 3040501),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code


def test_random_numbers_differ_and_are_fractions() -> None:
    numbers = evaluated({"$map": {"input": {"$range": [0, 100]}, "in": {"$rand": {}}}})
    assert len(set(numbers)) == 100
    assert all(0 <= number < 1 for number in numbers)
