"""Dotted paths through documents and arrays.

What a path shows is seen by asking for equality with each of some values, None standing for
nothing at all.
"""

from __future__ import annotations

from typing import Any

import pytest

from cbdd.query.path import array_position
from tests.unit.query.asking import matches

PROBES: list[Any] = [1, 2, 5, [1, 2], [8], [7, [8]], [[1, 2]], [], {"0": 5}, {"b": 1}, None]


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"a": {"b": 1}}, "a.b", [1]),
        ({"a": 5}, "a.b", [None]),
        ({"a": {}}, "a.b", [None]),
        ({}, "a.b", [None]),
        ({"a": [1, 2]}, "a", [1, 2, [1, 2]]),
        ({"a": [[1, 2]]}, "a", [[1, 2], [[1, 2]]]),
        ({"a": []}, "a", [[]]),
        ({"a": [{"b": 1}, {"b": 2}, 7]}, "a.b", [1, 2]),
        ({"a": [{"b": 1}, {}]}, "a.b", [1, None]),
        ({"a": []}, "a.b", [None]),
        ({"a": [7, [8]]}, "a.b", [None]),
        ({"a": [[{"b": 1}]]}, "a.b", [None]),
        ({"a": [[1, 2]]}, "a.0", [[1, 2]]),
        ({"a": [{"0": 5}]}, "a.0", [5, {"0": 5}]),
        ({"a": [[{"b": 1}]]}, "a.0.b", [1]),
        ({"a": {"0": 5}}, "a.0", [5]),
        ({"a": [1, 2]}, "a.1", [2]),
        ({"a": [1, 2]}, "a.01", [None]),
        ({"a": [1, 2]}, "a.2", [None]),
        ({"": 1}, "", [1]),
        ({"a": {"": 1}}, "a.", [1]),
        ({"a": {"b": {"b": 1}}}, "a.b", [{"b": 1}]),
    ],
)
def test_path_shows_the_values_mongodb_looks_at(
    document: dict[str, Any], path: str, expected: list[Any]
) -> None:
    assert [probe for probe in PROBES if matches({path: probe}, document)] == expected


def test_array_at_the_end_stays_whole_for_operators_on_arrays() -> None:
    assert matches({"a.b": {"$size": 1}}, {"a": [{"b": [[1, 2]]}]})
    assert not matches({"a.b": {"$size": 2}}, {"a": [{"b": [[1, 2]]}]})


@pytest.mark.parametrize(
    ("name", "position"), [("0", 0), ("12", 12), ("01", -1), ("", -1), ("-1", -1), ("x", -1)]
)
def test_only_plain_decimal_names_are_positions(name: str, position: int) -> None:
    assert array_position(name.encode()) == position


def test_numeric_name_longer_than_any_array_is_no_position() -> None:
    assert array_position(b"9" * 30) == -1
