"""Equality and order of values, across types and inside them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.code import Code

from tests.unit.query.asking import matches

NAN = float("nan")


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (1, 1.0),
        (Int64(1), 1),
        (Decimal128("1.00"), 1),
        (0.0, -0.0),
        (NAN, Decimal128("NaN")),
        ({"x": 1}, {"x": 1.0}),
        ([1, [2]], [Int64(1), [2.0]]),
        (2**53, float(2**53)),
    ],
)
def test_equal_numbers_of_different_types_are_equal(stored: Any, wanted: Any) -> None:
    assert matches({"a": wanted}, {"a": stored})
    assert matches({"a": stored}, {"a": wanted})
    assert matches({"a": {"$in": [wanted]}}, {"a": stored})


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (Int64(2**53 + 1), float(2**53)),
        (True, 1),
        ("1", 1),
        (0.1, Decimal128("0.1")),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}),
        ({"x": 1}, {"x": 1, "y": 2}),
        ([1, 2], [2, 1]),
        ("A", "a"),
        ("\u00e9", "e\u0301"),
        (b"x", "x"),
    ],
)
def test_different_values_are_not_equal(stored: Any, wanted: Any) -> None:
    assert not matches({"a": wanted}, {"a": stored})
    assert not matches({"a": {"$in": [wanted]}}, {"a": stored})
    assert matches({"a": {"$ne": wanted}}, {"a": stored})


def test_null_equals_null_and_missing_only() -> None:
    assert matches({"a": None}, {"a": None})
    assert matches({"a": None}, {})
    assert not matches({"a": None}, {"a": 0})
    assert not matches({"a": None}, {"a": []})
    assert matches({"a": {"$in": [None, 5]}}, {})
    assert not matches({"a": {"$ne": None}}, {})


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (1, 2),
        (1, 1.5),
        (-1.5, -1),
        (Int64(2**53), Int64(2**53 + 1)),
        (float(2**53), Int64(2**53 + 1)),
        (Decimal128("1.1"), 1.2),
        (1, Decimal128("Infinity")),
        ("a", "b"),
        ("a", "aa"),
        ("", "a"),
        ("a\0", "a\0b"),
        (False, True),
        (ObjectId("0" * 24), ObjectId("f" * 24)),
        (datetime(1960, 1, 1), datetime(2020, 1, 1)),
        (Timestamp(1, 2), Timestamp(2, 1)),
        (b"b", b"aa"),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 0}),
        ([1], [1, 1]),
    ],
)
def test_order_within_a_type(smaller: Any, larger: Any) -> None:
    assert matches({"a": {"$lt": larger, "$lte": larger}}, {"a": smaller})
    assert matches({"a": {"$gt": smaller, "$gte": smaller}}, {"a": larger})
    assert not matches({"a": {"$gt": larger}}, {"a": smaller})
    assert not matches({"a": {"$lt": smaller}}, {"a": larger})


def test_comparison_stays_within_the_type() -> None:
    document = {"a": "10"}
    assert not matches({"a": {"$gt": 5}}, document)
    assert not matches({"a": {"$lt": 5}}, document)
    assert not matches({"a": {"$gte": datetime(2020, 1, 1, tzinfo=UTC)}}, document)
    assert not matches({"a": {"$lt": "x"}}, {"a": Code("a")})
    assert not matches({"a": {"$lt": 5}}, {})


def test_nan_is_neither_above_nor_below_other_numbers() -> None:
    for operator in ("$gt", "$gte", "$lt", "$lte"):
        assert not matches({"a": {operator: 5}}, {"a": NAN})
        assert not matches({"a": {operator: 5}}, {"a": Decimal128("NaN")})
        assert not matches({"a": {operator: NAN}}, {"a": 5})
    assert matches({"a": {"$gte": NAN}}, {"a": NAN})
    assert not matches({"a": {"$gt": NAN}}, {"a": NAN})


def test_null_is_at_most_and_at_least_null() -> None:
    assert matches({"a": {"$gte": None}}, {})
    assert matches({"a": {"$lte": None}}, {"a": None})
    assert not matches({"a": {"$gt": None}}, {"a": None})


def test_minkey_and_maxkey_compare_with_everything() -> None:
    for document in ({"a": 1}, {"a": "x"}, {}):
        assert matches({"a": {"$gt": MinKey()}}, document)
        assert matches({"a": {"$lt": MaxKey()}}, document)
        assert not matches({"a": {"$lt": MinKey()}}, document)
        assert not matches({"a": {"$gte": MaxKey()}}, document)
    assert matches({"a": {"$gte": MaxKey()}}, {"a": MaxKey()})
    assert not matches({"a": {"$gt": MinKey()}}, {"a": MinKey()})


def test_any_element_of_an_array_may_match() -> None:
    assert matches({"a": 2}, {"a": [1, 2]})
    assert matches({"a": [1, 2]}, {"a": [1, 2]})
    assert matches({"a": [1, 2]}, {"a": [[1, 2], 3]})
    assert matches({"a": {"$gt": 5, "$lt": 3}}, {"a": [1, 9]})
    assert not matches({"a": {"$ne": 2}}, {"a": [1, 2]})
    assert not matches({"a": {"$nin": [2, 7]}}, {"a": [1, 2]})


def test_in_takes_patterns_and_nothing_matches_an_empty_list() -> None:
    assert matches({"a": {"$in": [Regex("^b"), 5]}}, {"a": "bc"})
    assert matches({"a": {"$in": [Regex("^b")]}}, {"a": Regex("^b")})
    assert not matches({"a": {"$in": []}}, {"a": 1})
    assert matches({"a": {"$nin": []}}, {"a": 1})
