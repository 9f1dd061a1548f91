"""Reading updates: conflicts, paths, array filters."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from tests.unit.query.asking import update_refusal, updated


@pytest.mark.parametrize(
    "update",
    [
        {"$set": {"a": 1}, "$inc": {"a": 1}},
        {"$set": {"a": 1, "a.b": 2}},
        {"$set": {"a.b": 1}, "$unset": {"a": 1}},
        {"$rename": {"a": "b"}, "$set": {"b": 1}},
        {"$rename": {"a": "b"}, "$set": {"a.c": 1}},
        {"$set": {"a.$[]": 1, "a.b": 2}},
        {"$set": {"a.$[]": 1}, "$push": {"a": 2}},
    ],
)
def test_two_changes_of_one_path_are_refused(update: dict[str, Any]) -> None:
    assert update_refusal({"a": []}, update) == 40


@pytest.mark.parametrize(
    ("update", "code"),
    [
        ({"$bogus": {"a": 1}}, 9),
        ({"a": 1}, 9),
        ({"$set": {"a": 1}, "b": 1}, 9),
        ({"$set": 5}, 9),
        ({"$set": {"": 1}}, 56),
        ({"$set": {"a.": 1}}, 56),
        ({"$set": {"a..b": 1}}, 56),
        ({"$set": {"$a": 1}}, 52),
        ({"$set": {"a.$b": 1}}, 52),
        ({"$set": {"$[].a": 1}}, 2),
        ({"$set": {"$.a": 1}}, 2),
        ({"$set": {"a.$[x]": 1}}, 2),
        ({"$set": {".".join(["a"] * 300): 1}}, 2),
    ],
)
def test_wrong_update_is_refused(update: dict[str, Any], code: int) -> None:
    assert update_refusal({"a": []}, update) == code


def test_positional_operator_needs_a_filter_that_matched_an_element() -> None:
    with pytest.raises(OperationFailure, match="did not find the match needed"):
        updated({"a": [1]}, {"$set": {"a.$": 1}})


def test_all_elements_are_changed() -> None:
    assert updated({"a": [1, 2]}, {"$inc": {"a.$[]": 1}}) == {"a": [2, 3]}
    document = {"a": [{"b": [1, 2]}, {"b": [3]}]}
    expected = {"a": [{"b": [9, 9]}, {"b": [9]}]}
    assert updated(document, {"$set": {"a.$[].b.$[]": 9}}) == expected


def test_array_filters_pick_elements() -> None:
    document = {"a": [{"n": 1}, {"n": 5}, {"n": 9}]}
    update = {"$set": {"a.$[x].ok": True}}
    expected = {"a": [{"n": 1}, {"n": 5, "ok": True}, {"n": 9, "ok": True}]}
    assert updated(document, update, {"x.n": {"$gt": 1}}) == expected
    assert updated({"a": [1, 5]}, {"$set": {"a.$[x]": 0}}, {"x": {"$gte": 5}}) == {"a": [1, 0]}
    both = {"$or": [{"x.n": 1}, {"x.n": 9}]}
    expected = {"a": [{"n": 1, "ok": 1}, {"n": 5}, {"n": 9, "ok": 1}]}
    assert updated(document, {"$set": {"a.$[x].ok": 1}}, both) == expected


def test_two_filters_may_pick_one_element_for_different_fields_only() -> None:
    filters = ({"x.n": 1}, {"y.n": 1})
    document = {"a": [{"n": 1}]}
    result = updated(document, {"$set": {"a.$[x].p": 1, "a.$[y].q": 2}}, *filters)
    assert result == {"a": [{"n": 1, "p": 1, "q": 2}]}
    assert update_refusal(document, {"$set": {"a.$[x].p": 1, "a.$[y].p": 2}}, *filters) == 40


@pytest.mark.parametrize("document", [{}, {"a": 5}, {"a": {}}])
def test_elements_of_what_is_no_array_are_refused(document: dict[str, Any]) -> None:
    assert update_refusal(document, {"$set": {"a.$[]": 1}}) == 2


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ([{}], 9),
        ([{"x": 1, "y": 2}], 9),
        ([{"x": 1}, {"x": 2}], 9),
        ([{"X": 1}], 2),
        ([{"x": 1}, {"y": 2}], 9),
    ],
)
def test_wrong_array_filters_are_refused(filters: list[dict[str, Any]], code: int) -> None:
    assert update_refusal({"a": []}, {"$set": {"a.$[x]": 1}}, *filters) == code


def test_operands_nested_too_deeply_are_refused() -> None:
    value: Any = 1
    for _ in range(250):
        value = [value]
    assert update_refusal({}, {"$max": {"a": value}}) == 15
    assert update_refusal({"a": []}, {"$set": {"a.$[x]": 1}}, nested_filter()) == 2


def nested_filter() -> dict[str, Any]:
    filter: dict[str, Any] = {"x": 1}
    for _ in range(300):
        filter = {"$or": [filter]}
    return filter
