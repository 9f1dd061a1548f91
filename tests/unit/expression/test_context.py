"""What surrounds the expressions of a statement."""

from __future__ import annotations

import time

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.expression.context import ExpressionContext
from cbdd.expression.value import value_of


def test_the_time_is_one_for_all_documents() -> None:
    before = int(time.time() * 1000)
    context = ExpressionContext()
    now = context.compile(value_of({"$toLong": "$$NOW"}))
    values = {now.evaluate(context.environment(bson.encode({"n": n}))).integer() for n in range(9)}
    assert len(values) == 1
    found = values.pop()
    assert found is not None
    assert before <= found <= int(time.time() * 1000)


def test_errors_of_constants_wait_until_everything_is_read() -> None:
    context = ExpressionContext()
    context.compile(value_of({"$add": [1, "x"]}))
    context.compile(value_of({"$abs": "y"}))
    with pytest.raises(OperationFailure) as raised:
        context.require_sound()
    assert raised.value.code == 14


def test_variables_see_earlier_ones() -> None:
    context = ExpressionContext({"a": 2, "b": {"$add": ["$$a", 1]}})
    compiled = context.compile(value_of("$$b"))
    assert compiled.evaluate(context.environment(bson.encode({}))).integer() == 3


def test_fractions_are_below_one() -> None:
    assert ExpressionContext(random=lambda n: b"\xff" * n).random_fraction() < 1
    assert ExpressionContext(random=lambda n: b"\0" * n).random_fraction() == 0
