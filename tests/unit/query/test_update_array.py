"""Modifiers of arrays."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Regex

from tests.unit.query.asking import update_refusal, updated


def after(value: list[Any], update: dict[str, Any]) -> Any:
    return updated({"a": value}, update)["a"]


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        (9, [3, 1, 9]),
        ([9], [3, 1, [9]]),
        ({"x": 1}, [3, 1, {"x": 1}]),
        ({"$each": [2, 0]}, [3, 1, 2, 0]),
        ({"$each": [2], "$position": 0}, [2, 3, 1]),
        ({"$each": [2], "$position": -1}, [3, 2, 1]),
        ({"$each": [2], "$position": 99}, [3, 1, 2]),
        ({"$each": [2], "$sort": 1}, [1, 2, 3]),
        ({"$each": [2], "$sort": -1, "$slice": 2}, [3, 2]),
        ({"$each": [2], "$slice": -2}, [1, 2]),
        ({"$each": [], "$slice": 0}, []),
    ],
)
def test_push_adds_sorts_and_cuts(operand: Any, expected: list[Any]) -> None:
    assert after([3, 1], {"$push": {"a": operand}}) == expected


def test_push_sorts_documents_by_fields() -> None:
    documents = [{"x": 2, "y": 1}, {"x": 1}, {"x": 2, "y": 0}, 5]
    operand = {"$each": [], "$sort": {"x": -1, "y": 1}}
    assert after(documents, {"$push": {"a": operand}}) == [
        {"x": 2, "y": 0},
        {"x": 2, "y": 1},
        {"x": 1},
        5,
    ]


def test_push_makes_a_missing_array() -> None:
    assert updated({}, {"$push": {"a.b": 1}}) == {"a": {"b": [1]}}
    operand = {"$each": [2, 1], "$sort": 1, "$slice": 1}
    assert updated({}, {"$push": {"a": operand}}) == {"a": [1]}


@pytest.mark.parametrize(
    "operand",
    [
        {"$each": 5},
        {"$each": [], "$bogus": 1},
        {"$each": [], "$slice": "x"},
        {"$each": [], "$slice": 1.5},
        {"$each": [], "$sort": 2},
        {"$each": [], "$sort": {}},
        {"$each": [], "$sort": {"a..b": 1}},
        {"$each": [], "$position": None},
    ],
)
def test_wrong_push_is_refused(operand: Any) -> None:
    assert update_refusal({"a": []}, {"$push": {"a": operand}}) == 2


def test_add_to_set_adds_what_is_not_there() -> None:
    assert after([1, 1], {"$addToSet": {"a": 1.0}}) == [1, 1]
    assert after([1], {"$addToSet": {"a": {"$each": [2, 2.0, 1]}}}) == [1, 2]
    assert after([], {"$addToSet": {"a": {"x": 1}}}) == [{"x": 1}]
    assert updated({}, {"$addToSet": {"a": {"$each": [1, 1]}}}) == {"a": [1]}
    assert update_refusal({"a": []}, {"$addToSet": {"a": {"$each": 5}}}) == 14
    assert update_refusal({"a": []}, {"$addToSet": {"a": {"$each": [], "x": 1}}}) == 2


def test_pop_takes_an_end() -> None:
    assert after([1, 2, 3], {"$pop": {"a": 1}}) == [1, 2]
    assert after([1, 2, 3], {"$pop": {"a": -1}}) == [2, 3]
    assert after([], {"$pop": {"a": 1}}) == []
    for operand in (2, 0, "x"):
        assert update_refusal({"a": []}, {"$pop": {"a": operand}}) == 9


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        (1, [2, [1], "x", {"k": 1, "n": 2}, {"k": 3}]),
        ({"$gt": 1}, [1, [1], "x", {"k": 1, "n": 2}, {"k": 3}]),
        ({"$in": [1, "x"]}, [2, {"k": 1, "n": 2}, {"k": 3}]),
        ({"k": 1}, [1, 2, [1], "x", {"k": 3}]),
        ({"k": {"$gte": 1}}, [1, 2, [1], "x"]),
        ({}, [1, 2, [1], "x"]),
        ([1], [1, 2, "x", {"k": 1, "n": 2}, {"k": 3}]),
        (Regex("^x"), [1, 2, [1], {"k": 1, "n": 2}, {"k": 3}]),
    ],
)
def test_pull_takes_what_matches(operand: Any, expected: list[Any]) -> None:
    array = [1, 2, [1], "x", {"k": 1, "n": 2}, {"k": 3}]
    assert after(array, {"$pull": {"a": operand}}) == expected


def test_pull_all_takes_equal_values() -> None:
    assert after([1, 2, "x", 1.0], {"$pullAll": {"a": [1, "x"]}}) == [2]
    assert update_refusal({"a": []}, {"$pullAll": {"a": 1}}) == 2


@pytest.mark.parametrize(
    ("update", "code"),
    [
        ({"$push": {"a": 1}}, 2),
        ({"$addToSet": {"a": 1}}, 2),
        ({"$pop": {"a": 1}}, 14),
        ({"$pull": {"a": 1}}, 2),
        ({"$pullAll": {"a": [1]}}, 2),
    ],
)
def test_value_that_is_no_array_is_refused(update: dict[str, Any], code: int) -> None:
    assert update_refusal({"a": 5}, update) == code


@pytest.mark.parametrize("modifier", ["$pop", "$pull", "$pullAll"])
def test_shrinking_what_is_missing_does_nothing_if_it_could_be_there(modifier: str) -> None:
    operand: Any = [1] if modifier == "$pullAll" else 1
    assert updated({"b": {}}, {modifier: {"a": operand, "b.c": operand}}) == {"b": {}}
    assert update_refusal({"a": 5}, {modifier: {"a.b": operand}}) == 28
    assert update_refusal({"a": [1]}, {modifier: {"a.b": operand}}) == 28
