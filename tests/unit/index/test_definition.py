"""Index definitions survive the catalog, and only key patterns MongoDB allows become one."""

from __future__ import annotations

import bson
import pytest
from bson import Int64
from pymongo.errors import OperationFailure

from cbdd.errors import NewerFormatError
from cbdd.index.definition import (
    IndexDefinition,
)
from cbdd.index.key_pattern import MAX_INDEX_FIELDS, check_index_fields, default_index_name
from cbdd.index.key_string import KEY_STRING_VERSION


def test_definition_survives_its_document_through_bson() -> None:
    definition = IndexDefinition(
        "n", [("b.c", -1), ("a", 1)], True, True, 2**40, options={"sparse": True}
    )
    read = IndexDefinition.from_document(bson.decode(bson.encode(definition.to_document())))
    assert read.to_document() == definition.to_document()
    assert list(read.to_document()["key"]) == ["b.c", "a"]  # type: ignore[call-overload]
    assert read.is_unique and read.is_multikey and read.is_sparse
    assert (read.tree_id, read.key_string_version) == (2**40, KEY_STRING_VERSION)


def test_paths_and_directions_are_taken_apart() -> None:
    definition = IndexDefinition("n", [("b.ç", -1), ("a", 1)])
    assert definition.paths == [[b"b", "ç".encode()], [b"a"]]
    assert definition.descending == [True, False]


def test_only_ascending_id_is_the_id_index() -> None:
    assert IndexDefinition("_id_", [("_id", 1)]).is_id_index
    assert not IndexDefinition("n", [("_id", -1)]).is_id_index
    assert not IndexDefinition("n", [("_id", 1), ("a", 1)]).is_id_index


def test_replaced_changes_a_copy() -> None:
    definition = IndexDefinition("n", [("a", 1)], is_unique=True, tree_id=5)
    changed = definition.replaced(is_multikey=True, tree_id=6)
    assert (changed.is_multikey, changed.tree_id, changed.is_unique) == (True, 6, True)
    assert (definition.is_multikey, definition.tree_id) == (False, 5)


def test_key_strings_of_a_later_release_are_refused() -> None:
    document = IndexDefinition("n", [("a", 1)]).to_document()
    document["keyString"] = KEY_STRING_VERSION + 1
    with pytest.raises(NewerFormatError, match="KEY_STRING_VERSION"):
        IndexDefinition.from_document(document)


def test_default_name_joins_fields_and_directions() -> None:
    assert default_index_name([("a", 1), ("b.c", -1)]) == "a_1_b.c_-1"


def test_any_number_is_a_direction() -> None:
    fields = check_index_fields([("a", 1), ("b", -1.0), ("c", Int64(5)), ("d", 0.5)])
    assert fields == [("a", 1), ("b", -1), ("c", 1), ("d", 1)]


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [("", 1)],
        [("a.", 1)],
        [("a..b", 1)],
        [("$a", 1)],
        [("a.$b", 1)],
        [("a\0b", 1)],
        [("$**", "hashed")],
        [("$**", 1), ("a", 1)],
        [("a..$**", 1)],
        [("a", 0)],
        [("a", float("nan"))],
        [("a", True)],
        [("a", None)],
        [("a", "text")],
        [("a", "2d")],
        [("a", "nonsense")],
        [(f"f{i}", 1) for i in range(MAX_INDEX_FIELDS + 1)],
    ],
)
def test_other_key_patterns_are_refused_with_code_67(keys: list[tuple[str, object]]) -> None:
    with pytest.raises(OperationFailure) as caught:
        check_index_fields(keys)
    assert caught.value.code == 67


def test_parts_of_a_reference_may_be_indexed() -> None:
    assert check_index_fields([("owner.$id", 1)]) == [("owner.$id", 1)]
