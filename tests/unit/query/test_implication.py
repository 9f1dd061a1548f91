"""A partial index answers a query only when the query cannot match what it lacks."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.query import parse_filter
from cbdd.query.bounds_of import conjuncts_of
from cbdd.query.implication import QueryFilters, implies


@pytest.mark.parametrize(
    ("given", "wanted", "answer"),
    [
        ({"a": 5}, {"a": {"$gt": 3}}, True),
        ({"a": 3}, {"a": {"$gt": 3}}, False),
        ({"a": 3}, {"a": {"$gte": 3}}, True),
        ({"a": {"$gt": 5}}, {"a": {"$gt": 3}}, True),
        ({"a": {"$gt": 2}}, {"a": {"$gt": 3}}, False),
        ({"a": {"$lt": 5}}, {"a": {"$gt": 3}}, False),
        ({"a": {"$gte": 3}}, {"a": {"$gt": 3}}, False),
        ({"a": {"$gt": "x"}}, {"a": {"$gt": 3}}, False),
        ({"a": 5.0}, {"a": 5}, True),
        ({"a": 5}, {"b": 5}, False),
        ({}, {"a": 5}, False),
        ({"a": 5, "b": 1}, {"a": 5}, True),
        ({"a": 5}, {"a": 5, "b": 1}, False),
        ({"a": 5, "b": 1, "c": 2}, {"b": 1, "a": {"$gt": 1}}, True),
        ({"a": {"$in": [4, 5]}}, {"a": {"$gt": 3}}, True),
        ({"a": {"$in": [2, 5]}}, {"a": {"$gt": 3}}, False),
        ({"a": 4}, {"a": {"$in": [4, 5]}}, True),
        ({"a": {"$in": [4]}}, {"a": {"$in": [4, 5]}}, True),
        ({"a": {"$in": [4, 6]}}, {"a": {"$in": [4, 5]}}, False),
        ({"a": 5}, {"a": {"$exists": True}}, True),
        ({"a": {"$gt": 5}}, {"a": {"$exists": True}}, True),
        ({"a": None}, {"a": {"$exists": True}}, False),
        ({"a": {"$in": [1, None]}}, {"a": {"$exists": True}}, False),
        ({"a": {"$gte": None}}, {"a": {"$exists": True}}, False),
        ({"a": {"$exists": True}}, {"a": {"$exists": True}}, True),
        ({"a": {"$ne": 5}}, {"a": {"$exists": True}}, False),
        ({"a": {"$type": "string"}}, {"a": {"$exists": True}}, True),
        ({"a": {"$type": "string"}}, {"a": {"$type": "string"}}, True),
        ({"a": {"$type": "string"}}, {"a": {"$type": ["string", "int"]}}, True),
        ({"a": {"$type": ["string", "int"]}}, {"a": {"$type": "string"}}, False),
        ({"a": "x"}, {"a": {"$type": "string"}}, True),
        ({"a": 5}, {"a": {"$type": "int"}}, False),
        ({"a": {"$gt": "x"}}, {"a": {"$type": "string"}}, False),
        ({"$or": [{"a": 5}, {"a": 6}]}, {"a": {"$gt": 3}}, True),
        ({"$or": [{"a": 5}, {"b": 6}]}, {"a": {"$gt": 3}}, False),
        ({"a": 5}, {"$or": [{"a": 5}, {"b": 1}]}, True),
        ({"b": 1}, {"$or": [{"a": 5}, {"b": 1}]}, True),
        ({"c": 1}, {"$or": [{"a": 5}, {"b": 1}]}, False),
        ({"a": [5]}, {"a": {"$gt": 3}}, False),
        ({"a": 5}, {"a": [5]}, False),
        ({"a": {"$not": {"$lt": 5}}}, {"a": {"$gt": 3}}, False),
        ({"$expr": {"$eq": ["$a", 5]}}, {"a": 5}, False),
        ({"a": {"$elemMatch": {"$gt": 5}}}, {"a": {"$gt": 3}}, False),
        ({"a": float("nan")}, {"a": {"$gt": 3}}, False),
    ],
)
def test_implication(given: dict[str, Any], wanted: dict[str, Any], answer: bool) -> None:
    assert implies(conjuncts_of(parse_filter(given)), parse_filter(wanted)) is answer


@pytest.mark.parametrize(
    "filter",
    [
        {"a": {"$ne": 1}},
        {"a": {"$nin": [1]}},
        {"a": {"$exists": False}},
        {"a": {"$not": {"$gt": 1}}},
        {"a": {"$regex": "x"}},
        {"a": {"$in": [bson.Regex("x")]}},
        {"$nor": [{"a": 1}]},
        {"$or": [{"a": 1}, {"b": {"$ne": 1}}]},
        {"$expr": {"$eq": ["$a", 1]}},
        {"a": {"$elemMatch": {"$gt": 1}}},
        {"a": {"$size": 1}},
        {"a": {"$mod": [2, 0]}},
    ],
)
def test_filters_a_partial_index_may_not_have(filter: dict[str, Any]) -> None:
    with pytest.raises(OperationFailure) as raised:
        QueryFilters().compile_partial(bson.encode(filter))
    assert raised.value.code == 67
    QueryFilters().compile(bson.encode(filter))


def test_compiled_filters_match_documents() -> None:
    filter = QueryFilters().compile_partial(bson.encode({"a": {"$gt": 3}}))
    assert filter.matches(bson.encode({"a": 4})) and not filter.matches(bson.encode({"a": 3}))
