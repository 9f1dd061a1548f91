"""Catalog entries survive storage, and what is no entry is refused."""

from __future__ import annotations

import bson
import pytest

from cbdd.catalog.entry import CollectionEntry, decode_entry
from cbdd.errors import CorruptDataError, NewerFormatError
from cbdd.index.definition import IndexDefinition


def entry() -> CollectionEntry:
    indexes = [
        IndexDefinition("_id_", [("_id", 1)], is_unique=True, tree_id=17),
        IndexDefinition("a", [("a.b", -1), ("c", 1)], is_multikey=True, tree_id=18),
    ]
    return CollectionEntry("shop", "orders", 3, bytes(16), 16, indexes, {"x": 1})


def test_entry_is_read_back_as_it_was() -> None:
    original = entry()
    again = decode_entry(original.key, original.record)
    assert again.record == original.record
    assert (again.database, again.name, again.namespace) == ("shop", "orders", "shop.orders")
    assert (again.collection_id, again.record_tree, again.uuid) == (3, 16, bytes(16))
    assert again.options == {"x": 1}
    assert again.index_named("a") is not None
    assert again.indexes[1].fields == [("a.b", -1), ("c", 1)]
    assert again.indexes[1].is_multikey and not again.indexes[0].is_multikey
    assert repr(again) == "<collection shop.orders id 3 tree 16>"


def test_layout_of_the_entry_is_what_the_docstring_says() -> None:
    document = bson.decode(entry().record)
    assert list(document) == [
        "format", "db", "name", "id", "uuid", "records", "options", "indexes",
    ]  # fmt: skip
    assert document["format"] == 2  # it has options
    assert document["indexes"][0]["key"] == {"_id": 1}


def test_entry_under_another_key_is_damage() -> None:
    with pytest.raises(CorruptDataError, match=r"names shop\.orders") as raised:
        decode_entry(b"shop\0other", entry().record)
    assert raised.value.code == "CATALOG_ENTRY"


@pytest.mark.parametrize(
    "record",
    [b"", b"nonsense", bson.encode({}), bson.encode({"format": 1}), entry().record[:-3]],
)
def test_what_is_no_entry_is_damage(record: bytes) -> None:
    with pytest.raises(CorruptDataError, match="CATALOG_ENTRY"):
        decode_entry(entry().key, record)


def test_entry_of_a_later_format_is_refused_as_such() -> None:
    document = bson.decode(entry().record)
    document["format"] = 3
    with pytest.raises(NewerFormatError, match="format 3"):
        decode_entry(entry().key, bson.encode(document))


@pytest.mark.parametrize(
    ("options", "index_options", "format"),
    [
        ({}, {}, 1),
        ({}, {"sparse": True}, 1),
        ({}, {"hidden": True}, 2),
        ({}, {"expireAfterSeconds": 1}, 2),
        ({"capped": True, "size": 4096}, {}, 2),
    ],
)
def test_format_2_is_written_only_for_what_format_1_did_not_have(
    options: dict[str, object], index_options: dict[str, object], format: int
) -> None:
    indexes = [
        IndexDefinition("_id_", [("_id", 1)], is_unique=True, tree_id=17),
        IndexDefinition("a", [("a", 1)], tree_id=18, options=index_options),
    ]
    written = CollectionEntry("shop", "orders", 3, bytes(16), 16, indexes, options)
    assert bson.decode(written.record)["format"] == format
    assert decode_entry(written.key, written.record).record == written.record
