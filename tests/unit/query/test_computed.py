"""$expr and $sampleRate in filters."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.expression.context import ExpressionContext
from cbdd.query import parse_filter
from tests.unit.query.asking import matches, refusal_of

ITEM = {"_id": 1, "price": 5, "qty": 3, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"$expr": {"$gt": ["$price", "$qty"]}}, True),
        ({"$expr": {"$lt": ["$price", "$qty"]}}, False),
        ({"$expr": {"$gt": [{"$multiply": ["$price", "$qty"]}, 14]}}, True),
        ({"$expr": {"$eq": ["$nothing", None]}}, False),
        ({"$expr": "$price"}, True),
        ({"$expr": "$nothing"}, False),
        ({"$expr": 0}, False),
        ({"$expr": {"$in": ["b", "$tags"]}}, True),
        ({"$or": [{"price": 9}, {"$expr": {"$eq": ["$qty", 3]}}]}, True),
        ({"$nor": [{"$expr": {"$eq": ["$qty", 3]}}]}, False),
        ({"price": 5, "$expr": {"$eq": ["$qty", 4]}}, False),
        ({"$alwaysTrue": 1}, True),
        ({"$alwaysFalse": 1}, False),
        ({"$sampleRate": 1}, True),
        ({"$sampleRate": 0.0}, False),
    ],
)
def test_conditions_on_the_whole_document(filter: dict[str, Any], expected: bool) -> None:
    assert matches(filter, ITEM) is expected


def test_variables_and_the_time() -> None:
    context = ExpressionContext({"least": 4, "twice": {"$add": [2, 2]}}, now_milliseconds=1000)
    data = bson.encode(ITEM)

    def holds(expression: Any) -> bool:
        return parse_filter({"$expr": expression}, context=context).matches(data)

    assert holds({"$gt": ["$price", "$$least"]})
    assert holds({"$eq": ["$$twice", "$$least"]})
    assert holds({"$eq": [{"$toLong": "$$NOW"}, 1000]})
    assert holds({"$eq": ["$$ROOT.qty", "$$CURRENT.qty"]})
    with pytest.raises(OperationFailure, match="undefined variable: most") as raised:
        holds("$$most")
    assert raised.value.code == 17276


@pytest.mark.parametrize(
    ("let", "code"),
    [({"Least": 1}, 9), ({"": 1}, 9), ({"a b": 1}, 9), ({"a": {"$bogus": 1}}, 168)],
)
def test_wrong_variables(let: dict[str, Any], code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        ExpressionContext(let)
    assert raised.value.code == code


def test_a_sample_is_about_as_large_as_asked() -> None:
    numbers = iter(range(1000))
    context = ExpressionContext(
        random=lambda n: (next(numbers) * (1 << 64) // 1000).to_bytes(n, "little")
    )
    filter = parse_filter({"$sampleRate": 0.25}, context=context)
    assert sum(filter.matches(b"\x05\0\0\0\0") for _ in range(1000)) == 250


@pytest.mark.parametrize(
    ("filter", "code"),
    [
        ({"a": {"$elemMatch": {"b": 1, "$expr": True}}}, 2),
        ({"$expr": {"$bogus": 1}}, 168),
        ({"$expr": {"$add": ["x"]}}, 14),
        ({"$expr": {"$eq": [1]}}, 16020),
        ({"$sampleRate": "x"}, 2),
        ({"$sampleRate": 2}, 2),
        ({"$sampleRate": float("nan")}, 2),
        ({"$alwaysTrue": 2}, 9),
    ],
)
def test_what_is_refused(filter: dict[str, Any], code: int) -> None:
    assert refusal_of(filter)[0] == code


def test_an_upsert_has_no_expression() -> None:
    context = ExpressionContext()
    context.refused_in = "in the query predicate for an upsert"
    with pytest.raises(OperationFailure, match="for an upsert") as raised:
        parse_filter({"$or": [{"$expr": {"$bogus": 1}}]}, context=context)
    assert raised.value.code == 224
