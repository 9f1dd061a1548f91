"""The different values at a path."""

from __future__ import annotations

from typing import Any

import bson
import pytest

from cbdd.query import DistinctValues


def distinct(path: str, *documents: dict[str, Any]) -> list[Any]:
    found = DistinctValues(path)
    for document in documents:
        found.add(bson.encode(document))
    values: list[Any] = bson.decode(found.to_bson())["values"]
    return values


def test_equal_values_count_once_as_first_seen() -> None:
    assert distinct("a", {"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": None}, {}) == [1, "1", None]


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"a": [1, [2], 1]}, "a", [1, [2]]),
        ({"a": []}, "a", []),
        ({"a": [{"b": 1}, {"b": [2, 3]}, 7]}, "a.b", [1, 2, 3]),
        ({"a": [{"b": 1}, {"b": 2}]}, "a.1.b", [2]),
        ({"a": {"1": {"b": 5}}}, "a.1.b", [5]),
        ({"a": 5}, "a.b", []),
    ],
)
def test_arrays_are_opened(document: dict[str, Any], path: str, expected: list[Any]) -> None:
    assert distinct(path, document) == expected
