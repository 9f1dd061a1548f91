"""Operators on arrays and sets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.expression.evaluating import GONE, assert_value, refusal_code

DOCUMENT = {"a": [1, 2, 3], "b": [3, 4], "d": {"x": 1, "y": 2}, "s": "text", "n": None}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$size": "$a"}, 3),
        ({"$arrayElemAt": ["$a", 0]}, 1),
        ({"$arrayElemAt": ["$a", -1]}, 3),
        ({"$arrayElemAt": ["$a", 9]}, GONE),
        ({"$arrayElemAt": ["$n", 0]}, None),
        ({"$first": "$a"}, 1),
        ({"$last": "$a"}, 3),
        ({"$first": [[]]}, GONE),
        ({"$concatArrays": ["$a", "$b"]}, [1, 2, 3, 3, 4]),
        ({"$concatArrays": ["$a", "$n"]}, None),
        ({"$in": [2.0, "$a"]}, True),
        ({"$in": ["2", "$a"]}, False),
        ({"$indexOfArray": ["$a", 3]}, 2),
        ({"$indexOfArray": ["$a", 1, 1]}, -1),
        ({"$indexOfArray": ["$a", 3, 0, 2]}, -1),
        ({"$indexOfArray": ["$n", 3]}, None),
        ({"$isArray": "$a"}, True),
        ({"$isArray": ["$s"]}, False),
        ({"$range": [0, 10, 3]}, [0, 3, 6, 9]),
        ({"$range": [3, 0, -1]}, [3, 2, 1]),
        ({"$range": [3, 0]}, []),
        ({"$reverseArray": "$a"}, [3, 2, 1]),
        ({"$slice": ["$a", 2]}, [1, 2]),
        ({"$slice": ["$a", -2]}, [2, 3]),
        ({"$slice": ["$a", 1, 1]}, [2]),
        ({"$slice": ["$a", -9, 1]}, [1]),
        ({"$objectToArray": "$d"}, [{"k": "x", "v": 1}, {"k": "y", "v": 2}]),
        ({"$arrayToObject": [[["x", 1], ["y", 2]]]}, {"x": 1, "y": 2}),
        ({"$arrayToObject": {"$literal": [{"k": "x", "v": 1}, {"k": "x", "v": 2}]}}, {"x": 2}),
        ({"$setUnion": ["$a", "$b"]}, [1, 2, 3, 4]),
        ({"$setIntersection": ["$a", "$b"]}, [3]),
        ({"$setIntersection": []}, []),
        ({"$setDifference": ["$a", "$b"]}, [1, 2]),
        ({"$setEquals": ["$a", [3, 2, 1, 1]]}, True),
        ({"$setIsSubset": [[1], "$a"]}, True),
        ({"$setIsSubset": ["$b", "$a"]}, False),
        ({"$anyElementTrue": [[0, None, 1]]}, True),
        ({"$allElementsTrue": [[1, "x", []]]}, True),
        ({"$allElementsTrue": [[]]}, True),
        ({"$anyElementTrue": [[]]}, False),
        ({"$setUnion": ["$a", "$n"]}, None),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$size": "$s"}, 17124),
        ({"$size": "$gone"}, 17124),
        ({"$arrayElemAt": ["$s", 0]}, 28689),
        ({"$arrayElemAt": ["$a", "x"]}, 28690),
        ({"$arrayElemAt": ["$a", 1.5]}, 28691),
        ({"$first": "$s"}, 28689),
        ({"$concatArrays": ["$s"]}, 28664),
        ({"$in": [1, "$s"]}, 40081),
        ({"$indexOfArray": ["$s", 1]}, 40090),
        ({"$indexOfArray": ["$a", 1, "x"]}, 40096),
        ({"$indexOfArray": ["$a", 1, -1]}, 40097),
        ({"$range": ["x", 1]}, 34443),
        ({"$range": [1.5, 1]}, 34444),
        ({"$range": [1, 2, 0]}, 34449),
        ({"$reverseArray": "$s"}, 34435),
        ({"$slice": ["$s", 1]}, 28724),
        ({"$slice": ["$a", "x"]}, 28725),
        ({"$slice": ["$a", 1, 0]}, 28729),
        ({"$objectToArray": "$s"}, 40390),
        ({"$arrayToObject": "$s"}, 40386),
        ({"$arrayToObject": [[1]]}, 40398),
        ({"$arrayToObject": [[["x", 1], {"k": 1, "v": 1}]]}, 40396),
        ({"$arrayToObject": [[["x"]]]}, 40397),
        ({"$arrayToObject": [[[1, 2]]]}, 40395),
        ({"$arrayToObject": [[{"k": "x"}]]}, 40392),
        ({"$arrayToObject": [[{"k": "x", "w": 1}]]}, 40393),
        ({"$arrayToObject": [[{"k": 1, "v": 1}]]}, 40394),
        ({"$setUnion": ["$s"]}, 17043),
        ({"$setIntersection": ["$s"]}, 17047),
        ({"$setDifference": ["$s", "$a"]}, 17048),
        ({"$setDifference": ["$a", "$s"]}, 17049),
        ({"$setEquals": ["$s", "$a"]}, 17044),
        ({"$setIsSubset": ["$s", "$a"]}, 17046),
        ({"$setIsSubset": ["$a", "$s"]}, 17042),
        ({"$anyElementTrue": "$s"}, 17041),
        ({"$allElementsTrue": "$s"}, 17040),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code
