"""Operators on documents."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.expression.evaluating import GONE, assert_value, refusal_code

DOCUMENT = {"d": {"x": 1, "a.b": 2, "$c": 3}, "e": {"y": 4, "x": 5}, "n": None, "s": "text"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$mergeObjects": ["$d", "$e"]}, {"x": 5, "a.b": 2, "$c": 3, "y": 4}),
        ({"$mergeObjects": ["$n", "$gone", {"z": 1}]}, {"z": 1}),
        ({"$mergeObjects": []}, {}),
        ({"$mergeObjects": "$e"}, {"y": 4, "x": 5}),
        ({"$getField": "s"}, "text"),
        ({"$getField": {"field": "a.b", "input": "$d"}}, 2),
        ({"$getField": {"field": {"$literal": "$c"}, "input": "$d"}}, 3),
        ({"$getField": {"field": "q", "input": "$d"}}, GONE),
        ({"$getField": {"field": "q", "input": "$n"}}, None),
        ({"$getField": {"field": "q", "input": "$s"}}, GONE),
        (
            {"$setField": {"field": "x", "input": "$e", "value": {"$add": ["$e.x", 1]}}},
            {"y": 4, "x": 6},
        ),
        ({"$setField": {"field": "z.w", "input": "$e", "value": 1}}, {"y": 4, "x": 5, "z.w": 1}),
        ({"$setField": {"field": "x", "input": "$e", "value": "$$REMOVE"}}, {"y": 4}),
        ({"$setField": {"field": "x", "input": "$n", "value": 1}}, None),
        ({"$unsetField": {"field": "y", "input": "$e"}}, {"x": 5}),
        ({"$bsonSize": "$e"}, 19),
        ({"$bsonSize": "$n"}, None),
        ({"$binarySize": "$s"}, 4),
        ({"$binarySize": {"$literal": b"abc"}}, 3),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$mergeObjects": ["$s"]}, 40400),
        ({"$getField": {"input": "$d"}}, 3041702),
        ({"$getField": {"field": "x"}}, 3041703),
        ({"$getField": {"field": "x", "input": "$d", "q": 1}}, 3041701),
        ({"$getField": 5}, 5654602),
        ({"$getField": "$s"}, 5654601),
        ({"$setField": {"field": 5, "input": "$d", "value": 1}}, 4161107),
        ({"$setField": {"field": "$s", "input": "$d", "value": 1}}, 4161106),
        ({"$setField": {"field": "x", "input": "$s", "value": 1}}, 4161105),
        ({"$setField": {"field": "x", "value": 1}}, 4161109),
        ({"$setField": 1}, 4161100),
        ({"$bsonSize": "$s"}, 31393),
        ({"$binarySize": "$d"}, 51276),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code
