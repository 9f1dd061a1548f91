"""Dotted paths through documents and arrays."""

from __future__ import annotations

from typing import Any

import bson
import pytest

from cbdd.query.path import FieldPath, ValuePredicate, any_value, array_position
from cbdd.query.value import MISSING, Value


class Recorder(ValuePredicate):
    """Matches nothing and remembers every value it is shown."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        self.seen.append(
            "missing" if bson_type == MISSING else Value(bson_type, data[start:end]).python()
        )
        return False


def shown(document: dict[str, Any], path: str, expands_leaf: bool = True) -> list[Any]:
    recorder = Recorder()
    any_value(bson.encode(document), 0, FieldPath(path, expands_leaf), 0, recorder)
    return recorder.seen


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"a": {"b": 1}}, "a.b", [1]),
        ({"a": 5}, "a.b", ["missing"]),
        ({"a": {}}, "a.b", ["missing"]),
        ({}, "a.b", ["missing"]),
        ({"a": [1, 2]}, "a", [1, 2, [1, 2]]),
        ({"a": []}, "a", [[]]),
        ({"a": [{"b": 1}, {"b": 2}, {}, 7]}, "a.b", [1, 2, "missing"]),
        ({"a": []}, "a.b", ["missing"]),
        ({"a": [7, [8]]}, "a.b", ["missing"]),
        ({"a": [[1, 2]]}, "a.0", [[1, 2]]),
        ({"a": [{"0": 5}]}, "a.0", [5, {"0": 5}]),
        ({"a": [[{"b": 1}]]}, "a.0.b", [1]),
        ({"a": [1, 2]}, "a.01", ["missing"]),
        ({"": 1}, "", [1]),
        ({"a": {"": 1}}, "a.", [1]),
    ],
)
def test_path_shows_the_values_mongodb_looks_at(
    document: dict[str, Any], path: str, expected: list[Any]
) -> None:
    assert shown(document, path) == expected


def test_array_at_the_end_stays_whole_for_operators_on_arrays() -> None:
    assert shown({"a": [1, 2]}, "a", expands_leaf=False) == [[1, 2]]


def test_search_ends_with_the_first_match() -> None:
    class First(Recorder):
        def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
            super().matches_value(data, bson_type, start, end)
            return True

    recorder = First()
    assert any_value(bson.encode({"a": [1, 2, 3]}), 0, FieldPath("a"), 0, recorder)
    assert recorder.seen == [1]


@pytest.mark.parametrize(
    ("name", "position"), [("0", 0), ("12", 12), ("01", -1), ("", -1), ("-1", -1), ("x", -1)]
)
def test_only_plain_decimal_names_are_positions(name: str, position: int) -> None:
    assert array_position(name.encode()) == position


def test_numeric_name_longer_than_any_array_is_no_position() -> None:
    assert array_position(b"9" * 30) == -1
