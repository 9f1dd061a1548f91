"""Which fields a projection returns."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.query import parse_filter, parse_projection
from cbdd.query.projection_parser import plain_projection
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
    assert parse_projection({}) is None
    assert parse_projection(None) is None


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
        parse_projection(spec)
    assert raised.value.code == code


NUMBERS = {"_id": 1, "n": [1, 2, 3, 4, 5], "d": {"n": [1, 2, 3]}, "e": [{"n": [1, 2]}, 7], "s": "x"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"n": {"$slice": 2}}, {**NUMBERS, "n": [1, 2]}),
        ({"n": {"$slice": -2}}, {**NUMBERS, "n": [4, 5]}),
        ({"n": {"$slice": 0}}, {**NUMBERS, "n": []}),
        ({"n": {"$slice": [1, 2]}}, {**NUMBERS, "n": [2, 3]}),
        ({"n": {"$slice": [-2, 9]}}, {**NUMBERS, "n": [4, 5]}),
        ({"n": {"$slice": [9, 1]}}, {**NUMBERS, "n": []}),
        ({"n": {"$slice": [-9, 1]}}, {**NUMBERS, "n": [1]}),
        ({"n": {"$slice": 1.9}}, {**NUMBERS, "n": [1]}),
        ({"n": {"$slice": 1e300}}, NUMBERS),
        ({"s": {"$slice": 1}, "x": {"$slice": 1}}, NUMBERS),
        ({"d.n": {"$slice": 1}}, {**NUMBERS, "d": {"n": [1]}}),
        ({"e.n": {"$slice": 1}}, {**NUMBERS, "e": [{"n": [1]}, 7]}),
        ({"n": {"$slice": 1}, "s": 1}, {"_id": 1, "n": [1], "s": "x"}),
        ({"n": {"$slice": 1}, "s": 0, "d": 0, "e": 0}, {"_id": 1, "n": [1]}),
        ({"n": {"$slice": 1}, "_id": 1}, {"_id": 1, "n": [1]}),
        ({"n": {"$slice": ["$n", 2]}}, {"_id": 1, "n": [1, 2]}),
        ({"n": {"$elemMatch": {"$gt": 2}}}, {"_id": 1, "n": [3]}),
        ({"n": {"$elemMatch": {"$gt": 9}}, "s": 1}, {"_id": 1, "s": "x"}),
        ({"e": {"$elemMatch": {"n": 2}}, "s": 1}, {"_id": 1, "s": "x", "e": [{"n": [1, 2]}]}),
        ({"s": {"$elemMatch": {"$gt": 0}}, "_id": 0}, {}),
        ({"x": "$s"}, {"_id": 1, "x": "x"}),
        ({"x": "text", "_id": 0}, {"x": "text"}),
        ({"x": {"$add": [1, {"$size": "$n"}]}, "s": 1}, {"_id": 1, "s": "x", "x": 6}),
        ({"x": ["$s", "$nothing"], "_id": 0}, {"x": ["x", None]}),
        ({"x": "$nothing", "s": 1}, {"_id": 1, "s": "x"}),
        ({"d.sum": {"$sum": "$d.n"}, "_id": 0}, {"d": {"sum": 6}}),
        ({"d": {"sum": {"$sum": "$d.n"}, "n": 1}, "_id": 0}, {"d": {"n": [1, 2, 3], "sum": 6}}),
        ({"e.x": {"$literal": 1}, "_id": 0}, {"e": [{"x": 1}, {"x": 1}]}),
        ({"s.t": {"$literal": 1}, "_id": 0}, {"s": {"t": 1}}),
        ({"d.t": "$_id", "s.t": "$_id"}, {"_id": 1, "d": {"t": 1}, "s": {"t": 1}}),
        ({"n.t": "$_id", "s": 1}, {"_id": 1, "n": [{"t": 1}] * 5, "s": "x"}),
        ({"new.x": "$s", "_id": 0}, {"new": {"x": "x"}}),
        ({"_id": "$s", "s": 1}, {"s": "x", "_id": "x"}),
        ({"x": {"$literal": 0}, "y": {"$literal": "$s"}, "_id": 0}, {"x": 0, "y": "$s"}),
        ({"n": "$$ROOT.d.n", "_id": 0}, {"n": [1, 2, 3]}),
        ({"x": "$$REMOVE", "_id": 0}, {}),
    ],
)
def test_computed_fields_and_parts_of_arrays(
    spec: dict[str, Any], expected: dict[str, Any]
) -> None:
    result = projected(NUMBERS, spec)
    assert result == expected
    if "_id" not in spec or spec["_id"] != "$s":
        assert list(result) == list(expected)


@pytest.mark.parametrize(
    ("filter", "spec", "expected"),
    [
        ({"n": {"$gte": 3}}, {"n.$": 1}, {"_id": 1, "n": [3]}),
        ({"n": 5}, {"n.$": True, "s": 1}, {"_id": 1, "n": [5], "s": "x"}),
        ({"e.n": 2}, {"e.$": 1, "_id": 0}, {"e": [{"n": [1, 2]}]}),
        ({"d.n": 3}, {"d.n.$": 1, "_id": 0}, {"d": {"n": [3]}}),
        ({"n": {"$elemMatch": {"$gt": 1, "$lt": 3}}}, {"n.$": 1, "_id": 0}, {"n": [2]}),
        ({"n": 2}, {"s.$": 1, "_id": 0}, {"s": "x"}),
        ({"n": 9}, {"n.$": 1}, 51246),
        ({"s": "x"}, {"n.$": 1}, 51246),
        ({"n": 5}, {"d.n.$": 1}, 51247),
        ({"$expr": True}, {"n.$": 1}, 224),
    ],
)
def test_the_positional_operator_shows_what_matched(
    filter: dict[str, Any], spec: dict[str, Any], expected: Any
) -> None:
    data = bson.encode(NUMBERS)
    if isinstance(expected, int):
        with pytest.raises(OperationFailure) as raised:
            projection = parse_projection(spec, filter=parse_filter(filter))
            assert projection is not None
            projection.apply(data)
        assert raised.value.code == expected
        return
    projection = parse_projection(spec, filter=parse_filter(filter))
    assert projection is not None
    assert bson.decode(projection.apply(data)) == expected


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"a": 0, "b": "$a"}, 31252),
        ({"b": "$a", "a": 0}, 31254),
        ({"a": {"$slice": "x"}}, 31273),
        ({"a": {"$slice": [1, 0]}}, 31274),
        ({"a": {"$elemMatch": 1}}, 31274),
        ({"a.b": {"$elemMatch": {"c": 1}}}, 31255),
        ({"a.$": 1, "b.$": 1}, 31276),
        ({"a.$": 1, "b": {"$elemMatch": {"c": 1}}}, 31256),
        ({"b": {"$elemMatch": {"c": 1}}, "a.$": 1}, 31256),
        ({"a.$": 0}, 31395),
        ({"b": 0, "a.$": 1}, 31395),
        ({"a.$.b": 1}, 31394),
        ({"$": 1}, 16410),
        ({"a": "$b", "a.c": 1}, 31249),
        ({"a.c": 1, "a": "$b"}, 31250),
        ({"a": 1, "a.c": "$b"}, 31249),
        ({"a": {"$slice": 1}, "a.b": 1}, 31250),
        ({"a": {"$add": [1, 2], "$sum": 1}}, 40181),
        ({"a": {"$bogus": 1}}, 168),
        ({"a": "$"}, 16872),
        ({"a": {"$add": ["x"]}}, 14),
        ({"a": {"$elemMatch": {"b": 1, "$expr": True}}}, 224),
    ],
)
def test_wrong_projections_are_refused(spec: dict[str, Any], code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        parse_projection(spec)
    assert raised.value.code == code


def test_what_is_not_there_yet_is_refused_by_name() -> None:
    with pytest.raises(OperationFailure, match="[$]meta is not supported"):
        parse_projection({"a": {"$meta": "textScore"}})


PLAIN: list[dict[str, Any]] = [
    {"a": 1},
    {"a": 0},
    {"a": True, "_id": False},
    {"_id": 0},
    {"_id": 1},
    {"a.b": 1, "c": 1},
    {"a.b": 0, "_id": 1},
]


@pytest.mark.parametrize("spec", PLAIN, ids=str)
def test_a_plain_projection_is_kept_and_means_the_same(spec: dict[str, Any]) -> None:
    document = bson.encode({"_id": 1, "a": [{"b": 1, "c": 2}], "c": {"d": 3}})
    kept = plain_projection(spec)
    assert kept is not None
    assert plain_projection(dict(spec)) is kept
    parsed = parse_projection(bson.encode({"": spec})[6:-1])
    assert parsed is not None
    assert kept.apply(document) == parsed.apply(document)
    assert kept.included_paths() == parsed.included_paths()


def test_other_projections_are_not_kept() -> None:
    others: list[Any] = [None, {}, ["a"], {"a": "$b"}, {"a.$": 1}, {"a": 2}, {"a": 1.0}, {"": 1}]
    for spec in [*others, {"a": {"$slice": 1}}, bson.encode({"a": 1}), {"a\0": 1}]:
        assert plain_projection(spec) is None


def test_a_plain_projection_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(OperationFailure):
            plain_projection({"a": 1, "b": 0})


def test_only_so_many_projections_are_kept() -> None:
    for number in range(600):
        assert plain_projection({f"field{number}": 1}) is not None
