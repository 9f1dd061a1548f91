"""Values in expressions: building, taking apart, order and truth."""

from __future__ import annotations

import bson
from bson import MinKey

from cbdd.expression.node import (
    MISSING_VALUE,
    NULL_VALUE,
    array_of,
    document_of,
    environment_of,
    field_of,
    fields_of,
    is_nullish,
    is_truthy,
    items_of,
    order_key,
    truth,
)
from cbdd.expression.value import value_of, wrap


def test_arrays_and_documents_are_built_and_taken_apart() -> None:
    items = [value_of(1), MISSING_VALUE, value_of("x")]
    array = array_of(items)
    assert bson.decode(wrap(array))[""] == [1, None, "x"]
    assert [item.data for item in items_of(array)] == [items[0].data, b"", items[2].data]
    document = document_of([b"a", b"b", b"a"], [value_of(1), MISSING_VALUE, value_of(2)])
    assert bson.decode(document.data) == {"a": 2}
    assert [name for name, _ in fields_of(document)] == [b"a"]
    assert field_of(document, b"a").integer() == 2
    assert field_of(document, b"b") is MISSING_VALUE


def test_missing_orders_before_null_and_after_the_smallest() -> None:
    keys = [order_key(v) for v in (value_of(MinKey()), MISSING_VALUE, NULL_VALUE, value_of(0))]
    assert keys == sorted(set(keys))


def test_truth() -> None:
    for value in (NULL_VALUE, MISSING_VALUE, value_of(0), value_of(0.0), truth(False)):
        assert not is_truthy(value)
    for python_value in (1, "", [], {}, float("nan"), True):
        assert is_truthy(value_of(python_value))
    assert is_nullish(NULL_VALUE)
    assert is_nullish(MISSING_VALUE)
    assert not is_nullish(value_of(0))


def test_an_inner_binding_does_not_reach_outside() -> None:
    outer = environment_of(bson.encode({"a": 1}), {"x": value_of(1)})
    inner = outer.bound("x", value_of(2))
    assert outer.names["x"].integer() == 1
    assert inner.names["x"].integer() == 2
    assert inner.names["ROOT"] is outer.names["ROOT"]
