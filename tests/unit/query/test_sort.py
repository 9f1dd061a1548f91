"""Sort keys."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from pymongo.errors import OperationFailure

from cbdd.query import compile_sort


def order(documents: list[dict[str, Any]], sort: Any) -> list[dict[str, Any]]:
    pattern = compile_sort(sort)
    assert pattern is not None
    return sorted(documents, key=lambda document: pattern.key(bson.encode(document)))


def values(documents: list[dict[str, Any]]) -> list[Any]:
    return [document.get("a", "missing") for document in documents]


def test_types_sort_in_mongodbs_order() -> None:
    ascending = [
        MinKey(),
        None,
        float("nan"),
        float("-inf"),
        Decimal128("-1.5"),
        0,
        2.5,
        "a",
        {"x": 1},
        b"x",
        ObjectId("0" * 24),
        False,
        True,
        DatetimeMS(0),
        Timestamp(1, 1),
        Regex("a"),
        MaxKey(),
    ]
    documents = [{"a": value} for value in reversed(ascending)]
    assert [str(value) for value in values(order(documents, [("a", 1)]))] == [
        str(value) for value in ascending
    ]


def test_arrays_sort_by_lowest_element_up_and_highest_down() -> None:
    documents: list[dict[str, Any]] = [{"a": [5, 1]}, {"a": 3}, {"a": []}, {}]
    assert values(order(documents, [("a", 1)])) == [[], "missing", [5, 1], 3]
    assert values(order(documents, [("a", -1)])) == [[5, 1], 3, "missing", []]


def test_several_fields_and_paths() -> None:
    documents = [{"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}, {"a": 0, "b": {"c": 9}}]
    assert [d["b"]["c"] for d in order(documents, [("a", 1), ("b.c", -1)])] == [9, 3, 2]
    assert [d["b"]["c"] for d in order(documents, {"a": -1, "b.c": 1})] == [2, 3, 9]


def test_fields_keep_their_order_when_id_is_among_them() -> None:
    documents = [{"_id": 1, "a": 2}, {"_id": 2, "a": 1}]
    assert values(order(documents, [("a", 1), ("_id", 1)])) == [1, 2]


def test_two_arrays_cannot_sort_together() -> None:
    with pytest.raises(OperationFailure, match="parallel arrays") as raised:
        order([{"a": [1], "b": [2]}], [("a", 1), ("b", 1)])
    assert raised.value.code == 2


def test_nothing_to_sort_by_is_none() -> None:
    assert compile_sort([]) is None
    assert compile_sort(None) is None


@pytest.mark.parametrize(
    ("sort", "code"),
    [
        ([("a", 2)], 15975),
        ([("a", 0)], 15975),
        ([("a", "up")], 15974),
        ([("", 1)], 40352),
        ([("a.", 1)], 40353),
        ([("a..b", 1)], 15998),
        ([("$a", 1)], 16410),
        ([("$natural", 1), ("a", 1)], 2),
        ([(f"f{i}", 1) for i in range(33)], 13103),
        ([("a", {"$meta": "textScore"})], 2),
    ],
)
def test_wrong_sort_is_refused(sort: Any, code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        compile_sort(sort)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "spec", [{"a": 1}, {"a": -1, "b.c": 1}, {"$natural": -1}, {"a": True}, {"a": 1.0}, {"a": 2}]
)
def test_a_sort_means_the_same_however_it_is_given(spec: dict[str, Any]) -> None:
    def compiled(given: Any) -> Any:
        try:
            pattern = compile_sort(given)
        except OperationFailure as error:
            return str(error)
        assert pattern is not None
        return pattern.fields

    assert compiled(spec) == compiled(list(spec.items())) == compiled(bson.encode(spec))


@pytest.mark.parametrize("path", ["", "a.", "a..b", "a.$b"])
def test_a_path_that_is_none_is_refused_however_it_is_given(path: str) -> None:
    for spec in ({path: 1}, [(path, 1)]):
        with pytest.raises(OperationFailure, match="FieldPath"):
            compile_sort(spec)
