"""Sums, means and extremes as expressions."""

from __future__ import annotations

import math
from typing import Any

import pytest
from bson import Decimal128, Int64

from tests.unit.expression.evaluating import assert_value, refusal_code

DOCUMENT = {"a": [3, 1, None, "x", 2], "n": None, "one": 1}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$sum": "$a"}, 6),
        ({"$sum": ["$one", 2.5, "x"]}, 3.5),
        ({"$sum": ["$a", 1]}, 1),
        ({"$sum": "$gone"}, 0),
        ({"$sum": [2**31 - 1, 1]}, Int64(2**31)),
        ({"$avg": "$a"}, 2.0),
        ({"$avg": ["$gone", "x"]}, None),
        ({"$avg": [Decimal128("1"), 2]}, Decimal128("1.5")),
        ({"$min": "$a"}, 1),
        ({"$max": "$a"}, "x"),
        ({"$max": ["$n", "$gone"]}, None),
        ({"$min": [5, "$one", None]}, 1),
        ({"$stdDevPop": [1, 2, 3, 4]}, math.sqrt(1.25)),
        ({"$stdDevSamp": [1, 3]}, math.sqrt(2.0)),
        ({"$stdDevSamp": [1]}, None),
        ({"$stdDevPop": ["x"]}, None),
        ({"$firstN": {"n": 2, "input": "$a"}}, [3, 1]),
        ({"$lastN": {"n": 2, "input": "$a"}}, ["x", 2]),
        ({"$lastN": {"n": 9, "input": "$a"}}, [3, 1, None, "x", 2]),
        ({"$minN": {"n": 2, "input": "$a"}}, [1, 2]),
        ({"$maxN": {"n": 2, "input": "$a"}}, ["x", 3]),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$firstN": {"n": 2, "input": "$one"}}, 5788200),
        ({"$firstN": {"n": "x", "input": "$a"}}, 5787902),
        ({"$firstN": {"n": 1.5, "input": "$a"}}, 5787903),
        ({"$firstN": {"n": 0, "input": "$a"}}, 5787908),
        ({"$firstN": {"input": "$a"}}, 5787906),
        ({"$firstN": {"n": 1}}, 5787907),
        ({"$firstN": 1}, 5787801),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code
