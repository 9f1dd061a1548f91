"""Roots, powers, logarithms, angles and bits."""

from __future__ import annotations

import math
from typing import Any

import pytest
from bson import Decimal128, Int64

from tests.unit.expression.evaluating import assert_value, evaluated, refusal_code


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$sqrt": 25}, 5.0),
        ({"$sqrt": Decimal128("4")}, Decimal128("2")),
        ({"$sqrt": None}, None),
        ({"$exp": 0}, 1.0),
        ({"$exp": 1000}, math.inf),
        ({"$ln": 1}, 0.0),
        ({"$log10": 1000}, 3.0),
        ({"$log": [8, 2]}, 3.0),
        ({"$log": [None, 2]}, None),
        ({"$pow": [5, 2]}, 25),
        ({"$pow": [5, 0]}, 1),
        ({"$pow": [2, 40]}, Int64(2**40)),
        ({"$pow": [2, 63]}, float(2**63)),
        ({"$pow": [2, 100]}, float(2**100)),
        ({"$pow": [-1, 101]}, -1),
        ({"$pow": [-1, -2]}, 1),
        ({"$pow": [2, -1]}, 0.5),
        ({"$pow": [-8, 0.5]}, math.nan),
        ({"$pow": [Int64(2), 3]}, Int64(8)),
        ({"$pow": [Decimal128("2"), 2]}, Decimal128("4")),
        ({"$sin": 0}, 0.0),
        ({"$cos": 0}, 1.0),
        ({"$atan2": [0, 1]}, 0.0),
        ({"$atanh": 1}, math.inf),
        ({"$degreesToRadians": 180}, math.pi),
        ({"$radiansToDegrees": math.pi}, 180.0),
        ({"$tan": None}, None),
        ({"$bitAnd": [12, 10]}, 8),
        ({"$bitOr": [12, Int64(3)]}, Int64(15)),
        ({"$bitXor": [12, 10]}, 6),
        ({"$bitAnd": []}, -1),
        ({"$bitNot": 5}, -6),
        ({"$bitAnd": [1, None]}, None),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$sqrt": -1}, 28714),
        ({"$sqrt": "x"}, 28765),
        ({"$ln": 0}, 28766),
        ({"$log10": -1}, 28761),
        ({"$log": [0, 2]}, 28758),
        ({"$log": [2, 1]}, 28759),
        ({"$log": ["x", 2]}, 28756),
        ({"$log": [2, "x"]}, 28757),
        ({"$pow": ["x", 2]}, 28762),
        ({"$pow": [2, "x"]}, 28763),
        ({"$pow": [0, -1]}, 28764),
        ({"$asin": 2}, 50989),
        ({"$sin": math.inf}, 50989),
        ({"$atan2": ["x", 1]}, 51044),
        ({"$bitAnd": [1.5]}, 14),
        ({"$bitNot": "x"}, 14),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression) == code


def test_angles_of_decimals_are_decimals() -> None:
    assert isinstance(evaluated({"$cos": Decimal128("0")}), Decimal128)
