"""Which fields a projection returns."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from cbdd.query import Projection
from tests.unit.query.asking import projected

DOCUMENT = {"_id": 1, "a": {"b": 1, "c": [2]}, "d": [{"x": 1, "y": 2}, 5, [{"x": 3}]], "e": 9}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, DOCUMENT),
        ({"e": 1}, {"_id": 1, "e": 9}),
        ({"e": True, "_id": 0}, {"e": 9}),
        ({"_id": 1}, {"_id": 1}),
        ({"nothing": 1}, {"_id": 1}),
        ({"e": 1, "a.b": 2.5}, {"_id": 1, "a": {"b": 1}, "e": 9}),
        ({"a": {"b": 1}}, {"_id": 1, "a": {"b": 1}}),
        ({"d.x": 1, "_id": 0}, {"d": [{"x": 1}, [{"x": 3}]]}),
        ({"e.f": 1, "_id": 0}, {}),
        ({"d": 0, "a": False}, {"_id": 1, "e": 9}),
        ({"_id": 0}, {k: v for k, v in DOCUMENT.items() if k != "_id"}),
        ({"a.c": 0, "d": 0}, {"_id": 1, "a": {"b": 1}, "e": 9}),
        ({"d.x": 0, "_id": 0, "a": 0}, {"d": [{"y": 2}, 5, [{}]], "e": 9}),
        ({"e.f": 0, "a": 0, "d": 0, "_id": 1}, {"_id": 1, "e": 9}),
        ({"_id": 0, "d.0": 1}, {"d": [{}, [{}]]}),
    ],
)
def test_projection_keeps_and_drops_what_mongodb_does(
    spec: dict[str, Any], expected: dict[str, Any]
) -> None:
    result = projected(DOCUMENT, spec)
    assert result == expected
    assert list(result) == list(expected)


def test_empty_projection_is_none() -> None:
    assert Projection.compile({}) is None
    assert Projection.compile(None) is None


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"a": 1, "b": 0}, 31254),
        ({"a": 0, "b": 1}, 31253),
        ({"a": 1, "a.b": 1}, 31249),
        ({"a.b": 1, "a": 1}, 31250),
        ({"": 1}, 40352),
        ({"a.": 1}, 40353),
        ({"a..b": 1}, 15998),
        ({"a.$b": 1}, 16410),
        ({"a": {}}, 51270),
    ],
)
def test_wrong_projection_is_refused(spec: dict[str, Any], code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        Projection.compile(spec)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"a": {"$slice": 1}}, "$slice"),
        ({"a": {"$elemMatch": {"x": 1}}}, "$elemMatch"),
        ({"a.$": 1}, "positional operator $"),
        ({"a": "$b"}, "computed field ('a')"),
        ({"a": {"$add": [1, 2]}}, "$add"),
    ],
)
def test_projection_of_a_later_release_is_refused_by_name(spec: dict[str, Any], named: str) -> None:
    with pytest.raises(OperationFailure, match="not supported") as raised:
        Projection.compile(spec)
    assert named in str(raised.value)
