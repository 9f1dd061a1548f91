"""Documents that are being changed."""

from __future__ import annotations

from typing import Any

import bson

from cbdd.document.raw import TYPE_DOCUMENT
from cbdd.expression.value import value_of
from cbdd.query.mutable import MutableValue


def opened(document: Any) -> MutableValue:
    return MutableValue(TYPE_DOCUMENT, bson.encode(document))


def test_closed_value_is_its_bytes() -> None:
    data = bson.encode({"a": 1})
    assert MutableValue(TYPE_DOCUMENT, data).to_bytes() is data


def test_opening_changes_nothing() -> None:
    document = {"a": {"b": [1, {"c": 2}]}, "d": "x"}
    root = opened(document)
    root.open()
    root.children[0].open()
    root.children[0].children[0].open()
    assert root.to_bytes() == bson.encode(document)


def test_find_by_name_and_position() -> None:
    root = opened({"a": [5, 6], "b": 1})
    assert root.find(b"b") == 1
    assert root.find(b"c") == -1
    assert root.children[0].find(b"1") == 1
    assert root.children[0].find(b"2") == -1
    assert root.children[0].find(b"x") == -1
    assert root.children[1].find(b"0") == -1


def test_elements_are_numbered_anew() -> None:
    root = opened({"a": [5, 6, 7]})
    root.open()
    root.children[0].remove(0)
    assert bson.decode(root.to_bytes()) == {"a": [6, 7]}
    assert root.to_bytes() == bson.encode({"a": [6, 7]})


def test_value_can_become_another_type() -> None:
    root = opened({"a": {"b": 1}})
    root.open()
    root.children[0].open()
    root.children[0].replace(value_of("x"))
    root.append(b"c", MutableValue(TYPE_DOCUMENT, bson.encode({})))
    assert bson.decode(root.to_bytes()) == {"a": "x", "c": {}}
