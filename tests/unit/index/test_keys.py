"""The keys a document contributes to an index, with MongoDB's rules for arrays."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import NULL_KEY, UNDEFINED_KEY, encode_python, invert
from cbdd.index.keys import KeySet, extract_keys


class Undefined:
    """Stands for the key an empty array leaves."""


def extract(document: dict[str, Any], *fields: str, sparse: bool = False) -> KeySet:
    """Extract for fields written as in "a.b" (ascending) or "-a.b" (descending)."""
    pattern = [(name.lstrip("-"), -1 if name.startswith("-") else 1) for name in fields]
    definition = IndexDefinition("n", pattern, options={"sparse": sparse})
    return extract_keys(definition, bson.encode(document))


def joined(*values: Any) -> bytes:
    keys = [UNDEFINED_KEY if value is Undefined else encode_python(value) for value in values]
    return b"".join(keys)


def expected(*rows: Any) -> list[bytes]:
    return sorted({joined(*row) if isinstance(row, tuple) else joined(row) for row in rows})


def test_scalar_gives_one_key() -> None:
    found = extract({"a": 5, "b": 6}, "a")
    assert found.keys == expected(5)
    assert not found.is_multikey


def test_dotted_path_reaches_into_documents() -> None:
    document = {"a": {"b": {"c": "x"}}, "a.b.c": "literal"}
    assert extract(document, "a.b.c").keys == expected("x")
    assert extract(document, "a.b").keys == expected({"c": "x"})


@pytest.mark.parametrize("document", [{}, {"a": None}, {"a": 5}, {"a": {}}, {"a": {"b": None}}])
def test_missing_field_is_null(document: dict[str, Any]) -> None:
    found = extract(document, "a.b")
    assert found.keys == [NULL_KEY]
    assert not found.is_multikey


def test_fields_join_in_the_order_and_direction_of_the_index() -> None:
    document = {"a": 1, "b": "x"}
    assert extract(document, "b", "a").keys == expected(("x", 1))
    assert extract(document, "-b", "a").keys == [invert(joined("x")) + joined(1)]
    assert extract(document, "-c", "-a").keys == [invert(NULL_KEY) + invert(joined(1))]


def test_array_gives_a_key_per_distinct_element() -> None:
    found = extract({"a": [3, 1, 3, 1.0, "x"]}, "a")
    assert found.keys == expected(1, 3, "x")
    assert found.is_multikey


def test_nested_array_stays_whole() -> None:
    assert extract({"a": [[1, 2], 3]}, "a").keys == expected([1, 2], 3)


def test_empty_array_is_undefined() -> None:
    found = extract({"a": []}, "a")
    assert found.keys == [UNDEFINED_KEY]
    assert found.is_multikey


def test_array_of_documents_gives_a_key_per_document() -> None:
    found = extract({"a": [{"b": 1}, {"b": 2}, {}, 7, [{"b": 9}]]}, "a.b")
    assert found.keys == expected(1, 2, None)
    assert found.is_multikey


def test_empty_array_on_the_way_is_missing() -> None:
    found = extract({"a": []}, "a.b")
    assert found.keys == [NULL_KEY]
    assert found.is_multikey


def test_arrays_inside_arrays_of_documents_expand_too() -> None:
    document = {"a": [{"b": [1, 2]}, {"b": []}, {"b": 3}]}
    assert extract(document, "a.b").keys == expected(1, 2, Undefined, 3)


def test_array_in_a_compound_index_repeats_the_other_fields() -> None:
    document = {"a": [1, 2], "b": "x", "c": {"d": None}}
    assert extract(document, "b", "a", "c.d").keys == expected(("x", 1, None), ("x", 2, None))
    descending = extract(document, "b", "-a").keys
    assert descending == sorted(joined("x") + invert(joined(n)) for n in (1, 2))


def test_fields_of_one_array_advance_together() -> None:
    document = {"a": [{"b": 1, "c": 2}, {"b": 3}, 4]}
    assert extract(document, "a.b", "a.c").keys == expected((1, 2), (3, None), (None, None))
    assert extract(document, "a", "a.b").keys == expected(
        ({"b": 1, "c": 2}, 1), ({"b": 3}, 3), (4, None)
    )


@pytest.mark.parametrize(
    "document",
    [{"a": [1], "b": [2]}, {"a": [], "b": []}, {"a": [1], "b": {"c": [2]}}],
)
def test_parallel_arrays_are_refused(document: dict[str, Any]) -> None:
    path = "b.c" if isinstance(document["b"], dict) else "b"
    with pytest.raises(OperationFailure) as caught:
        extract(document, "a", path)
    assert caught.value.code == 171
    assert f"cannot index parallel arrays [{path[-1]}] [a]" in str(caught.value)


def test_parallel_arrays_inside_an_array_are_refused() -> None:
    with pytest.raises(OperationFailure, match=r"\[c\] \[b\]"):
        extract({"a": [{"b": [1], "c": [2]}]}, "a.b", "a.c")


def test_numeric_part_names_a_position() -> None:
    found = extract({"a": [5, 6]}, "a.1")
    assert found.keys == expected(6)
    assert not found.is_multikey
    assert extract({"a": [5]}, "a.1").keys == [NULL_KEY]
    assert extract({"a": [{"b": 1}, {"b": 2}]}, "a.1.b").keys == expected(2)


def test_numeric_part_names_a_field_of_a_document() -> None:
    assert extract({"a": {"0": 5}}, "a.0").keys == expected(5)
    assert extract({"a": [{"1": 5}]}, "a.1").keys == expected(5)


def test_numeric_part_that_is_field_and_position_is_refused() -> None:
    with pytest.raises(OperationFailure, match="Ambiguous") as caught:
        extract({"a": [{"0": 5}]}, "a.0")
    assert caught.value.code == 16746


def test_array_found_by_position_stays_whole() -> None:
    found = extract({"a": [[1, 2], 3]}, "a.0")
    assert found.keys == expected([1, 2])
    assert not found.is_multikey


def test_array_of_documents_found_by_position_is_led_through() -> None:
    found = extract({"a": [[{"b": 1}, {"b": 2}]]}, "a.0.b")
    assert found.keys == expected(1, 2)
    assert found.is_multikey


def test_position_and_whole_array_in_one_index() -> None:
    assert extract({"a": [5, 6]}, "a", "a.0").keys == expected((5, 5), (6, 5))


def test_sparse_index_leaves_out_documents_without_any_field() -> None:
    assert extract({"c": 1}, "a", "b.c", sparse=True).keys == []
    assert extract({"a": None}, "a", "b", sparse=True).keys == expected((None, None))
    assert extract({"b": 1}, "a", "b", sparse=True).keys == expected((None, 1))
    assert extract({"a": [{}, {"b": 1}]}, "a.b", sparse=True).keys == expected(1)
    assert extract({"a": [{}, 5]}, "a.b", sparse=True).keys == []


def test_id_of_any_type_is_its_key() -> None:
    for identity in (1, "x", {"a": [1, 2]}, None):
        assert extract({"_id": identity}, "_id").keys == expected(identity)
