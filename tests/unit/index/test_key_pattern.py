"""Which key patterns become an index, and of which kind."""

from __future__ import annotations

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.index.definition import IndexDefinition
from cbdd.index.key_pattern import HASHED, check_index_fields, default_index_name, is_wildcard_path
from cbdd.index.key_string import encode_python
from cbdd.index.keys import extract_keys, hash_key


def test_kinds_of_fields() -> None:
    fields = check_index_fields([("a", 1), ("b", "hashed"), ("c", -2.5)])
    assert fields == [("a", 1), ("b", HASHED), ("c", -1)]
    assert check_index_fields([("$**", 1)]) == [("$**", 1)]
    assert check_index_fields([("a.b.$**", -1)]) == [("a.b.$**", -1)]


def test_wildcard_paths() -> None:
    assert is_wildcard_path("$**") and is_wildcard_path("a.$**")
    assert not is_wildcard_path("a") and not is_wildcard_path("a$**")


def test_names() -> None:
    assert default_index_name([("a", "hashed"), ("b", -1)]) == "a_hashed_b_-1"
    assert default_index_name([("$**", 1)]) == "$**_1"


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ([("a", "hashed"), ("b", "hashed")], 31303),
        ([("a", "text")], 67),
        ([("$**", "hashed")], 67),
        ([("a..$**", 1)], 67),
    ],
)
def test_patterns_that_are_refused(keys: list[tuple[str, object]], code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        check_index_fields(keys)
    assert raised.value.code == code


def test_hashed_field_has_the_key_of_its_hash() -> None:
    definition = IndexDefinition("n", [("a", HASHED), ("b", -1)])
    one = extract_keys(definition, bson.encode({"a": 1, "b": "x"})).keys[0]
    same = extract_keys(definition, bson.encode({"a": 1.0, "b": "x"})).keys[0]
    other = extract_keys(definition, bson.encode({"a": 2, "b": "x"})).keys[0]
    assert one == same != other
    assert one.startswith(hash_key(encode_python(1)))
    missing = extract_keys(definition, bson.encode({"b": "x"})).keys[0]
    null = extract_keys(definition, bson.encode({"a": None, "b": "x"})).keys[0]
    assert missing == null


@pytest.mark.parametrize("document", [{"a": [1]}, {"a": 1, "b": []}, {"a": [{"c": 1}]}])
def test_arrays_are_refused_in_a_hashed_index(document: dict[str, object]) -> None:
    definition = IndexDefinition("n", [("a", HASHED), ("b", 1)])
    with pytest.raises(OperationFailure) as raised:
        extract_keys(definition, bson.encode(document))
    assert raised.value.code == 16766


def test_hashed_definition_survives_its_document() -> None:
    definition = IndexDefinition("n", [("a", HASHED)])
    document = definition.to_document()
    assert document["key"] == {"a": "hashed"}
    again = IndexDefinition.from_document(bson.decode(bson.encode(document)))
    assert again.fields == [("a", HASHED)] and again.hashed_field == 0
    assert not again.keeps_types
