"""The check finds every way in which records and indexes can disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import pytest

from cbdd.catalog import CollectionEntry
from cbdd.catalog.check import MAX_PROBLEMS_PER_COLLECTION, check_catalog, check_collection
from cbdd.catalog.record_store import CATALOG_TREE, SEQUENCE_TREE, encode_record_id
from cbdd.index.keys import extract_keys
from cbdd.storage import WriteTransaction
from tests.unit.catalog.conftest import Shop

Damage = Callable[[WriteTransaction, CollectionEntry], Any]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "shop.cbdd")
    shop.create_index({"a": 1})
    shop.create_index({"b": 1}, unique=True)
    shop.insert(*[{"_id": n, "a": n % 3, "b": n} for n in range(1, 11)])
    yield shop
    shop.engine.close()


def first_key(txn: WriteTransaction, tree_id: int) -> bytes:
    cursor = txn.cursor(tree_id)
    cursor.first()
    return cursor.key


def with_array(txn: WriteTransaction, entry: CollectionEntry) -> None:
    document = bson.encode({"_id": 1, "a": [7, 8], "b": 1})
    old = txn.get(entry.record_tree, encode_record_id(1))
    assert old is not None
    index = entry.indexes[1]
    for key in extract_keys(index, old).keys:
        txn.delete(index.tree_id, key + encode_record_id(1))
    for key in extract_keys(index, document).keys:
        txn.put(index.tree_id, key + encode_record_id(1), b"")
    txn.put(entry.record_tree, encode_record_id(1), document)


DAMAGES: dict[str, tuple[str, Damage]] = {
    "entry lost": (
        "INDEX_ENTRY_MISSING",
        lambda txn, e: txn.delete(e.indexes[1].tree_id, first_key(txn, e.indexes[1].tree_id)),
    ),
    "entry too many": ("INDEX_COUNT", lambda txn, e: txn.put(e.indexes[1].tree_id, b"x", b"")),
    "entry of another record": (
        "INDEX_ENTRY_MISSING",
        lambda txn, e: txn.put(
            e.indexes[2].tree_id, first_key(txn, e.indexes[2].tree_id), encode_record_id(9)
        ),
    ),
    "record lost": ("INDEX_COUNT", lambda txn, e: txn.delete(e.record_tree, encode_record_id(4))),
    "record is no document": (
        "RECORD_INVALID",
        lambda txn, e: txn.put(e.record_tree, encode_record_id(4), b"nonsense"),
    ),
    "record without _id": (
        "RECORD_WITHOUT_ID",
        lambda txn, e: txn.put(e.record_tree, encode_record_id(4), bson.encode({"a": 1})),
    ),
    "record under a wrong key": (
        "RECORD_ID",
        lambda txn, e: txn.put(e.record_tree, b"x", bson.encode({"_id": 1})),
    ),
    "multikey not marked": ("INDEX_MULTIKEY", with_array),
    "tree lost": ("TREE_MISSING", lambda txn, e: txn.drop_tree(e.indexes[1].tree_id)),
    "tree of nobody": ("TREE_ORPHANED", lambda txn, e: txn.create_tree(500)),
    "entry unreadable": (
        "CATALOG_ENTRY",
        lambda txn, e: txn.put(CATALOG_TREE, b"shop\0zzz", b"nonsense"),
    ),
    "trees shared": (
        "TREE_SHARED",
        lambda txn, e: txn.put(CATALOG_TREE, b"shop\0zzz", e.renamed("shop", "zzz").record),
    ),
    "tree sequence set back": (
        "SEQUENCE_BEHIND",
        lambda txn, e: txn.put(SEQUENCE_TREE, b"tree", encode_record_id(17)),
    ),
    "collection sequence set back": (
        "SEQUENCE_BEHIND",
        lambda txn, e: txn.put(SEQUENCE_TREE, b"collection", encode_record_id(1)),
    ),
}


@pytest.mark.parametrize(("code", "damage"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_found_and_named(shop: Shop, code: str, damage: Damage) -> None:
    assert shop.problems() == []
    entry = shop.entry()
    with shop.engine.begin_write("damage") as txn:
        damage(txn, entry)
        txn.commit()
    found = shop.read(check_catalog)
    assert code in [problem.code for problem in found]


def test_number_of_problems_is_bounded(shop: Shop) -> None:
    shop.insert(*[{"_id": n, "b": n} for n in range(100, 400)])
    entry = shop.entry()
    with shop.engine.begin_write("damage") as txn:
        for n in range(1, 300):
            txn.put(entry.record_tree, encode_record_id(n), b"nonsense")
        txn.commit()
    assert len(shop.read(lambda t: check_collection(t, entry))) == MAX_PROBLEMS_PER_COLLECTION


def test_a_record_that_is_no_document_hides_no_wrong_index(shop: Shop) -> None:
    entry = shop.entry()
    with shop.engine.begin_write("damage") as txn:
        txn.put(entry.record_tree, encode_record_id(4), b"nonsense")
        cursor = txn.cursor(entry.indexes[1].tree_id)
        assert cursor.first()
        txn.delete(entry.indexes[1].tree_id, cursor.key)
        txn.commit()
    codes = [problem.code for problem in shop.read(check_catalog)]
    assert sorted(codes) == ["INDEX_ENTRY_MISSING", "RECORD_INVALID"]


def as_of_a_later_release(txn: WriteTransaction, field: str) -> None:
    """Let the one entry of the catalog ask for more than this release knows."""
    cursor = txn.cursor(CATALOG_TREE)
    cursor.first()
    key, entry = cursor.key, bson.decode(cursor.value)
    if field == "format":
        entry["format"] = 99
    else:
        entry["indexes"][0]["keyString"] = 99
    txn.put(CATALOG_TREE, key, bson.encode(entry))


@pytest.mark.parametrize(
    ("field", "code"), [("format", "CATALOG_FORMAT"), ("keyString", "KEY_STRING_VERSION")]
)
def test_what_a_later_release_made_is_told_as_such_and_not_as_damage(
    shop: Shop, field: str, code: str
) -> None:
    with shop.engine.begin_write("later") as txn:
        as_of_a_later_release(txn, field)
        txn.commit()
    with shop.engine.begin_read() as read:
        [problem] = check_catalog(read)
    assert problem.code == code
    assert "this release" in problem.message
