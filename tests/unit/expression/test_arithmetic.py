"""Arithmetic: values, result types, nulls and refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
from bson import Decimal128, Int64

from tests.unit.expression.evaluating import GONE, assert_value, date, evaluated, refusal_code


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$add": []}, 0),
        ({"$add": [1, 2]}, 3),
        ({"$add": [2**31 - 1, 1]}, Int64(2**31)),
        ({"$add": [Int64(1), 2]}, Int64(3)),
        ({"$add": [Int64(2**63 - 1), 1]}, 9.223372036854776e18),
        ({"$add": [1, 2.5]}, 3.5),
        ({"$add": [0.1, 0.2, 0.3]}, 0.6),
        ({"$add": [1, Decimal128("2.50")]}, Decimal128("3.50")),
        ({"$add": [1, None]}, None),
        ({"$add": [date(2020, 1, 1), 1500]}, date(2020, 1, 1, 0, 0, 1, 500000)),
        ({"$add": [1.6, date(2020, 1, 1)]}, date(2020, 1, 1, 0, 0, 0, 2000)),
        ({"$add": [math.inf, -math.inf]}, math.nan),
        ({"$subtract": [5, 7]}, -2),
        ({"$subtract": [-(2**31), 1]}, Int64(-(2**31) - 1)),
        ({"$subtract": [date(2020, 1, 2), date(2020, 1, 1)]}, Int64(86_400_000)),
        ({"$subtract": [date(2020, 1, 2), 86_400_000]}, date(2020, 1, 1)),
        ({"$subtract": [None, 1]}, None),
        ({"$subtract": [Decimal128("1"), 3]}, Decimal128("-2")),
        ({"$multiply": []}, 1),
        ({"$multiply": [3, 4]}, 12),
        ({"$multiply": [2**20, 2**20]}, Int64(2**40)),
        ({"$multiply": [Int64(2**40), Int64(2**40)]}, float(2**80)),
        ({"$multiply": [2, 0.5, "$gone"]}, None),
        ({"$divide": [7, 2]}, 3.5),
        ({"$divide": [6, 2]}, 3.0),
        ({"$divide": [Decimal128("1"), 3]}, Decimal128("0." + "3" * 34)),
        ({"$divide": [1, None]}, None),
        ({"$mod": [7, 3]}, 1),
        ({"$mod": [-7, 3]}, -1),
        ({"$mod": [7, -3]}, 1),
        ({"$mod": [7.5, 2]}, 1.5),
        ({"$mod": [Int64(7), 4]}, Int64(3)),
        ({"$mod": [Decimal128("7.5"), 2]}, Decimal128("1.5")),
        ({"$mod": ["$gone", 2]}, None),
        ({"$abs": -3}, 3),
        ({"$abs": -(2**31)}, Int64(2**31)),
        ({"$abs": [-2.5]}, 2.5),
        ({"$abs": Decimal128("-1.0")}, Decimal128("1.0")),
        ({"$abs": None}, None),
        ({"$ceil": 1.2}, 2.0),
        ({"$ceil": -0.5}, -0.0),
        ({"$ceil": 7}, 7),
        ({"$ceil": Decimal128("-1.5")}, Decimal128("-1")),
        ({"$floor": 1.8}, 1.0),
        ({"$floor": -1.2}, -2.0),
        ({"$floor": math.inf}, math.inf),
        ({"$floor": Int64(4)}, Int64(4)),
        ({"$round": 2.5}, 2.0),
        ({"$round": 3.5}, 4.0),
        ({"$round": [19.25, 1]}, 19.2),
        ({"$round": [19.35, 1]}, 19.4),
        ({"$round": [1234, -2]}, 1200),
        ({"$round": [1250, -2]}, 1200),
        ({"$round": [1350, -2]}, 1400),
        ({"$round": [Decimal128("1.255"), 2]}, Decimal128("1.26")),
        ({"$round": [-0.4]}, -0.0),
        ({"$round": [None, 2]}, None),
        ({"$trunc": [7.85, 1]}, 7.8),
        ({"$trunc": -7.85}, -7.0),
        ({"$trunc": [9876, -2]}, 9800),
        ({"$trunc": ["$gone"]}, None),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$add": [1, "x"]}, 14),
        ({"$add": [date(2020, 1, 1), date(2020, 1, 1)]}, 16612),
        ({"$subtract": ["x", 1]}, 14),
        ({"$subtract": [1, date(2020, 1, 1)]}, 14),
        ({"$subtract": [1]}, 16020),
        ({"$multiply": [1, True]}, 14),
        ({"$divide": [1, 0]}, 2),
        ({"$divide": ["x", 1]}, 14),
        ({"$mod": [1, 0]}, 16610),
        ({"$mod": [1, "x"]}, 16611),
        ({"$abs": "x"}, 28765),
        ({"$abs": Int64(-(2**63))}, 28680),
        ({"$ceil": True}, 28765),
        ({"$floor": "x"}, 28765),
        ({"$round": "x"}, 51081),
        ({"$round": [1, 1.5]}, 51082),
        ({"$round": [1, 101]}, 51083),
        ({"$trunc": [1, -21]}, 51083),
        ({"$round": [1, 2, 3]}, 28667),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression) == code


def test_an_operand_is_judged_before_the_next_is_evaluated() -> None:
    fails = {"$divide": [1, "$zero"]}
    assert refusal_code({"$add": ["$text", fails]}, {"zero": 0, "text": "x"}) == 14
    assert refusal_code({"$add": ["$one", fails]}, {"zero": 0, "one": 1}) == 2
    assert evaluated({"$add": [None, fails]}, {"zero": 0}) is None


def test_constants_are_computed_once_and_their_errors_come_first() -> None:
    assert refusal_code({"$cond": [False, {"$divide": [1, 0]}, 1]}) == 2
    assert evaluated({"$cond": ["$gone", {"$divide": [1, "$gone"]}, 1]}) == 1
    assert evaluated("$gone") == GONE
