"""Databases, collections and indexes come and go in transactions."""

from __future__ import annotations

import bson
import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from cbdd.catalog import parse_index
from cbdd.errors import WriteConflictError
from tests.unit.catalog.conftest import Shop


def code_of(raised: pytest.ExceptionInfo[OperationFailure]) -> int | None:
    return raised.value.code


def test_new_file_has_no_databases(shop: Shop) -> None:
    assert shop.read(shop.catalog.list_databases) == []


def test_created_collection_is_listed_with_its_id_index(shop: Shop) -> None:
    shop.write(lambda writers: writers.create("shop", "orders", {}))
    entry = shop.entry()
    assert entry.namespace == "shop.orders"
    assert [index.name for index in entry.indexes] == ["_id_"]
    assert shop.read(shop.catalog.list_databases) == ["shop"]


def test_collections_are_listed_by_name_within_their_database(shop: Shop) -> None:
    for database, name in [("b", "x"), ("a", "z"), ("a", "y"), ("a2", "x")]:
        shop.write(lambda writers, d=database, n=name: writers.create(d, n, {}))
    assert shop.read(shop.catalog.list_databases) == ["a", "a2", "b"]
    listed = shop.read(lambda txn: shop.catalog.list_collections(txn, "a"))
    assert [entry.name for entry in listed] == ["y", "z"]


def test_collection_is_not_created_twice(shop: Shop) -> None:
    shop.write(lambda writers: writers.create("shop", "orders", {}))
    with pytest.raises(OperationFailure, match="already exists") as raised:
        shop.write(lambda writers: writers.create("shop", "orders", {}))
    assert code_of(raised) == 48


def test_database_that_differs_only_in_case_is_refused(shop: Shop) -> None:
    shop.write(lambda writers: writers.create("shop", "orders", {}))
    with pytest.raises(OperationFailure, match="different case") as raised:
        shop.write(lambda writers: writers.create("Shop", "orders", {}))
    assert code_of(raised) == 13297


def test_aborted_creation_leaves_nothing(shop: Shop) -> None:
    def fail(writers: object) -> None:
        writers.create("shop", "orders", {})  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.write(fail)
    assert shop.entry() is None


def test_dropped_collection_takes_its_trees_with_it(shop: Shop) -> None:
    shop.insert({"_id": 1, "a": 1})
    shop.create_index({"a": 1})
    before = shop.entry()
    shop.write(lambda writers: writers.catalog.drop(writers.txn, before))
    assert shop.entry() is None
    assert shop.read(lambda txn: txn.tree_ids()) == [1, 2]


def test_tree_ids_are_not_reused_after_a_drop(shop: Shop) -> None:
    shop.insert({"_id": 1})
    before = shop.entry()
    shop.write(lambda writers: writers.catalog.drop(writers.txn, before))
    shop.insert({"_id": 1})
    after = shop.entry()
    assert after.record_tree > before.indexes[0].tree_id
    assert after.collection_id > before.collection_id
    assert after.uuid != before.uuid


def test_renamed_collection_keeps_documents_and_identity(shop: Shop) -> None:
    shop.insert({"_id": 1})
    before = shop.entry()
    shop.write(lambda writers: writers.catalog.rename(writers.txn, before, "shop", "old", False))
    assert shop.entry() is None
    assert shop.entry("old").uuid == before.uuid
    assert shop.documents("old") == [{"_id": 1}]


def test_rename_onto_an_existing_collection_needs_permission_to_drop_it(shop: Shop) -> None:
    shop.insert({"_id": 1})
    shop.insert({"_id": 2}, name="other")
    entry = shop.entry()
    with pytest.raises(OperationFailure, match="target namespace exists") as raised:
        shop.write(lambda w: w.catalog.rename(w.txn, entry, "shop", "other", False))
    assert code_of(raised) == 48
    shop.write(lambda w: w.catalog.rename(w.txn, entry, "shop", "other", True))
    assert shop.documents("other") == [{"_id": 1}]


def test_rename_to_the_same_name_is_refused(shop: Shop) -> None:
    shop.insert({"_id": 1})
    with pytest.raises(OperationFailure, match="itself"):
        shop.write(lambda w: w.catalog.rename(w.txn, shop.entry(), "shop", "orders", False))


def test_index_is_built_over_the_documents_there_are(shop: Shop) -> None:
    shop.insert(*[{"_id": n, "a": n % 7, "b": [n, n + 1]} for n in range(100)])
    assert shop.create_index({"a": 1, "b": -1})
    built = shop.entry().index_named("a_1_b_-1")
    assert built.is_multikey
    assert shop.read(lambda txn: txn.count(built.tree_id)) == 200


def test_index_over_scalars_is_not_multikey(shop: Shop) -> None:
    shop.insert({"_id": 1, "a": 1})
    shop.create_index({"a": 1})
    assert not shop.entry().index_named("a_1").is_multikey


def test_same_index_twice_is_no_change(shop: Shop) -> None:
    assert shop.create_index({"a": 1})
    assert not shop.create_index({"a": 1})
    assert not shop.create_index({"_id": 1})


def test_unique_index_over_duplicates_is_refused_and_leaves_nothing(shop: Shop) -> None:
    shop.insert({"_id": 1, "a": "x"}, {"_id": 2, "a": "y"}, {"_id": 3, "a": "x"})
    trees = shop.read(lambda txn: txn.tree_ids())
    with pytest.raises(DuplicateKeyError, match='dup key: { a: "x" }'):
        shop.create_index({"a": 1}, unique=True)
    assert [index.name for index in shop.entry().indexes] == ["_id_"]
    assert shop.read(lambda txn: txn.tree_ids()) == trees


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ({"key": {"a": 1}}, {"key": {"b": 1}, "name": "a_1"}, 86),
        ({"key": {"a": 1}}, {"key": {"a": 1}, "name": "other"}, 85),
        ({"key": {"a": 1}}, {"key": {"a": 1}, "unique": True}, 86),
        ({"key": {"a": 1}}, {"key": {"a": 1}, "sparse": True}, 86),
        ({"key": {"a": 1}}, {"key": {"a": 1}, "expireAfterSeconds": 5}, 85),
        ({"key": {"a": 1}}, {"key": {"a": 1}, "expireAfterSeconds": 5, "name": "other"}, 85),
    ],
)
def test_conflicting_index_is_refused(
    shop: Shop, first: dict[str, object], second: dict[str, object], code: int
) -> None:
    shop.write(lambda writers: writers.create_index("shop", "orders", parse_index(first)))
    with pytest.raises(OperationFailure) as raised:
        shop.write(lambda writers: writers.create_index("shop", "orders", parse_index(second)))
    assert code_of(raised) == code


def test_collection_has_at_most_64_indexes(shop: Shop) -> None:
    for n in range(63):
        shop.create_index({f"field{n}": 1})
    with pytest.raises(OperationFailure, match="too many indexes") as raised:
        shop.create_index({"one_more": 1})
    assert code_of(raised) == 67


def test_dropped_index_is_gone_with_its_tree(shop: Shop) -> None:
    shop.insert({"_id": 1, "a": 1})
    shop.create_index({"a": 1})
    tree_id = shop.entry().index_named("a_1").tree_id
    shop.write(lambda w: w.catalog.drop_index(w.txn, shop.entry(), "a_1"))
    assert shop.entry().index_named("a_1") is None
    assert not shop.read(lambda txn: txn.has_tree(tree_id))


def test_id_index_and_unknown_indexes_are_not_dropped(shop: Shop) -> None:
    shop.insert({"_id": 1})
    with pytest.raises(OperationFailure, match="cannot drop _id index") as raised:
        shop.write(lambda w: w.catalog.drop_index(w.txn, shop.entry(), "_id_"))
    assert code_of(raised) == 72
    with pytest.raises(OperationFailure, match=r"index not found with name \[x\]") as raised:
        shop.write(lambda w: w.catalog.drop_index(w.txn, shop.entry(), "x"))
    assert code_of(raised) == 27


def test_drop_all_indexes_keeps_the_id_index(shop: Shop) -> None:
    shop.create_index({"a": 1})
    shop.create_index({"b": 1})
    shop.write(lambda w: w.catalog.drop_all_indexes(w.txn, shop.entry()))
    assert [index.name for index in shop.entry().indexes] == ["_id_"]


def test_catalog_survives_a_reopen(shop: Shop) -> None:
    shop.insert({"_id": 1, "a": [1, 2]})
    shop.create_index({"a": 1}, unique=True)
    before = shop.entry()
    path = shop.engine.path
    shop.engine.close()
    shop.__init__(path)  # type: ignore[misc]
    after = shop.entry()
    assert after is not before
    assert after.record == before.record
    assert after.index_named("a_1").is_multikey


def test_snapshot_keeps_seeing_its_own_catalog(shop: Shop) -> None:
    shop.insert({"_id": 1})
    with shop.engine.begin_read() as old:
        shop.create_index({"a": 1})
        seen = shop.catalog.find(old, "shop", "orders")
        assert seen is not None
        assert [index.name for index in seen.indexes] == ["_id_"]
        assert len(shop.entry().indexes) == 2
        again = shop.catalog.find(old, "shop", "orders")
        assert again is not None and len(again.indexes) == 1


def test_writer_that_missed_an_index_conflicts(shop: Shop) -> None:
    shop.insert({"_id": 1})
    from cbdd.catalog import CollectionWriters

    txn = shop.engine.begin_transaction("insert")
    writers = CollectionWriters(shop.catalog, txn, False)
    writers.find_or_create("shop", "orders").insert(bson.encode({"_id": 2, "a": 5}))
    shop.create_index({"a": 1})
    with pytest.raises(WriteConflictError):
        txn.commit()


def test_writer_that_missed_a_drop_conflicts(shop: Shop) -> None:
    from cbdd.catalog import CollectionWriters

    shop.insert({"_id": 1})
    txn = shop.engine.begin_transaction("insert")
    writers = CollectionWriters(shop.catalog, txn, False)
    writers.find_or_create("shop", "orders").insert(bson.encode({"_id": 2}))
    entry = shop.entry()
    shop.write(lambda w: w.catalog.drop(w.txn, entry))
    with pytest.raises(WriteConflictError):
        txn.commit()


def test_two_transactions_that_make_the_same_collection_conflict(shop: Shop) -> None:
    from cbdd.catalog import CollectionWriters

    first = shop.engine.begin_transaction("insert")
    second = shop.engine.begin_transaction("insert")
    for txn in (first, second):
        writers = CollectionWriters(shop.catalog, txn, False)
        writers.find_or_create("shop", "orders").insert(bson.encode({"_id": 1}))
    first.commit()
    with pytest.raises(WriteConflictError):
        second.commit()
    assert shop.documents() == [{"_id": 1}]


def test_transaction_may_index_only_collections_it_made(shop: Shop) -> None:
    from cbdd.catalog import CollectionWriters

    shop.insert({"_id": 1})
    request = parse_index({"key": {"a": 1}})
    txn = shop.engine.begin_transaction("createIndexes")
    writers = CollectionWriters(shop.catalog, txn, False)
    assert writers.create_index("shop", "fresh", request)
    writers.find_or_create("shop", "fresh").insert(bson.encode({"_id": 1, "a": 7}))
    with pytest.raises(OperationFailure, match="existing collection") as raised:
        writers.create_index("shop", "orders", request)
    assert code_of(raised) == 263
    txn.commit()
    tree_id = shop.entry("fresh").index_named("a_1").tree_id
    assert shop.read(lambda t: t.count(tree_id)) == 1
