"""Wildcard indexes hold every path of a document that they are asked to hold."""

from __future__ import annotations

from typing import Any

import bson
import pytest

from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import UNDEFINED_KEY, encode_python, invert
from cbdd.index.keys import extract_keys
from cbdd.index.wildcard import WildcardPaths, path_key, virtual_definition


def keys(document: dict[str, Any], root: str = "$**", direction: int = 1, **options: Any) -> Any:
    definition = IndexDefinition("n", [(root, direction)], options=options)
    return extract_keys(definition, bson.encode(document))


def entries(*pairs: tuple[str, Any]) -> list[bytes]:
    return sorted(path_key(path.encode()) + encode_python(value) for path, value in pairs)


def test_every_path_and_value_is_a_key() -> None:
    found = keys({"_id": 1, "a": 5, "b": {"c": "x", "d": {"e": None}}})
    assert found.keys == entries(("a", 5), ("b.c", "x"), ("b.d.e", None))
    assert not found.is_multikey


def test_arrays_are_gone_through_under_their_own_path() -> None:
    found = keys({"_id": 1, "a": [1, {"b": 2}, [3, 4], {"b": {"c": 5}}]})
    assert found.keys == entries(("a", 1), ("a.b", 2), ("a", [3, 4]), ("a.b.c", 5))
    assert found.is_multikey


def test_empty_documents_and_arrays_leave_a_key() -> None:
    found = keys({"_id": 1, "a": {}, "b": []})
    assert found.keys == sorted([*entries(("a", {})), path_key(b"b") + UNDEFINED_KEY])
    assert found.is_multikey


def test_only_what_is_below_the_root() -> None:
    assert keys({"_id": 1, "a": {"b": 1}, "ab": 2}, "a.$**").keys == entries(("a.b", 1))
    assert keys({"_id": 1, "a": 7}, "a.$**").keys == entries(("a", 7))
    assert keys({"_id": 1, "b": 7}, "a.$**").keys == []


def test_descending_inverts_the_value_and_not_the_path() -> None:
    assert keys({"a": 5}, direction=-1).keys == [path_key(b"a") + invert(encode_python(5))]


@pytest.mark.parametrize(
    ("projection", "held"),
    [
        ({"a": 1}, ["a", "a.b"]),
        ({"a.b": 1}, ["a.b"]),
        ({"a": 0}, ["b", "b.c"]),
        ({"a.b": 0}, ["a", "b", "b.c"]),
        ({"_id": 1}, ["_id"]),
        ({"_id": 1, "b": 1}, ["_id", "b", "b.c"]),
        ({"_id": 1, "b": 0}, ["_id", "a", "a.b"]),
        ({"_id": 0}, ["a", "a.b", "b", "b.c"]),
        ({}, ["a", "a.b", "b", "b.c"]),
    ],
)
def test_projection_names_what_is_held(projection: dict[str, int], held: list[str]) -> None:
    options = {"wildcardProjection": projection} if projection else {}
    paths = WildcardPaths(IndexDefinition("n", [("$**", 1)], options=options))
    assert [p for p in ["_id", "a", "a.b", "b", "b.c"] if paths.holds(p.encode())] == held


def test_excluded_path_is_not_walked() -> None:
    found = keys({"a": {"b": 1, "c": 2}, "d": 3}, wildcardProjection={"a.b": 0})
    assert found.keys == entries(("a.c", 2), ("d", 3))


def test_included_path_below_another_is_reached() -> None:
    found = keys({"a": {"b": 1, "c": 2}, "d": 3}, wildcardProjection={"a.b": 1})
    assert found.keys == entries(("a.b", 1))


def test_virtual_definition_is_an_index_on_path_and_field() -> None:
    wildcard = IndexDefinition("n", [("$**", -1)], is_multikey=True, tree_id=9)
    virtual = virtual_definition(wildcard, "a.b")
    assert virtual.fields == [("$_path", 1), ("a.b", -1)]
    assert (virtual.tree_id, virtual.is_multikey, virtual.is_wildcard) == (9, True, False)
    assert not virtual.keeps_types
