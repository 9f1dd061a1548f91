"""A record and its index entries change together, or not at all."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from cbdd.catalog import CollectionWriters
from cbdd.catalog.record_ids import BLOCK_IDS
from cbdd.errors import CorruptDataError
from tests.unit.catalog.conftest import Shop


def counts(shop: Shop, name: str = "orders") -> dict[str, int]:
    entry = shop.entry(name)
    return shop.read(
        lambda txn: {
            "records": txn.count(entry.record_tree),
            **{each.name: txn.count(each.tree_id) for each in entry.indexes},
        }
    )


def test_insert_adds_a_record_and_an_entry_in_every_index(shop: Shop) -> None:
    shop.create_index({"a": 1})
    shop.create_index({"b": -1, "a": 1}, unique=True)
    assert shop.insert({"_id": 1, "a": 5}, {"_id": 2, "a": 5, "b": 1}) == [1, 2]
    assert counts(shop) == {"records": 2, "_id_": 2, "a_1": 2, "b_-1_a_1": 2}


def test_refused_insert_leaves_the_transaction_as_it_was(shop: Shop) -> None:
    shop.create_index({"a": 1})
    shop.create_index({"b": 1}, unique=True)
    shop.insert({"_id": 1, "a": 1, "b": 1})

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        with pytest.raises(DuplicateKeyError):
            writer.insert(bson.encode({"_id": 2, "a": 2, "b": 1}))
        assert not writers.txn.has_changes
        writer.insert(bson.encode({"_id": 3, "a": 3, "b": 3}))

    shop.write(work)
    assert [d["_id"] for d in shop.documents()] == [1, 3]
    assert counts(shop) == {"records": 2, "_id_": 2, "a_1": 2, "b_1": 2}


def test_insert_with_an_array_marks_the_index_multikey(shop: Shop) -> None:
    shop.create_index({"a": 1})
    shop.create_index({"b": 1})
    shop.insert({"_id": 1, "a": 1})
    before = shop.entry()
    shop.insert({"_id": 2, "a": [1, 2, 3]})
    after = shop.entry()
    assert not before.index_named("a_1").is_multikey
    assert after.index_named("a_1").is_multikey
    assert not after.index_named("b_1").is_multikey
    assert counts(shop)["a_1"] == 4


def test_update_changes_only_the_entries_that_differ(shop: Shop) -> None:
    shop.create_index({"a": 1})
    shop.create_index({"b": 1})
    shop.insert({"_id": 1, "a": [1, 2], "b": 1})
    old = bson.encode({"_id": 1, "a": [1, 2], "b": 1})
    new = bson.encode({"_id": 1, "a": [2, 3], "b": 1})

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        assert writer.update(1, old, new)
        entry = writer.entry
        changed = writers.txn._set.changes
        assert set(changed) == {entry.record_tree, entry.indexes[1].tree_id}
        assert len(changed[entry.indexes[1].tree_id].entries) == 2
        assert not writer.update(1, new, new)

    shop.write(work)
    assert shop.documents() == [{"_id": 1, "a": [2, 3], "b": 1}]


def test_refused_update_leaves_the_transaction_as_it_was(shop: Shop) -> None:
    shop.create_index({"a": 1}, unique=True)
    shop.insert({"_id": 1, "a": [1, 2]}, {"_id": 2, "a": [3]})
    old = bson.encode({"_id": 2, "a": [3]})

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        with pytest.raises(DuplicateKeyError) as raised:
            writer.update(2, old, bson.encode({"_id": 2, "a": [3, 4, 2]}))
        assert raised.value.details is not None
        assert raised.value.details["keyValue"] == {"a": 2}
        assert not writers.txn.has_changes
        writer.update(2, old, bson.encode({"_id": 2, "a": [4, 3]}))

    shop.write(work)
    assert counts(shop)["a_1"] == 4


def test_unique_value_can_move_from_one_document_to_another(shop: Shop) -> None:
    shop.create_index({"a": 1}, unique=True)
    shop.insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2})

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        writer.delete(1, bson.encode({"_id": 1, "a": 1}))
        writer.update(2, bson.encode({"_id": 2, "a": 2}), bson.encode({"_id": 2, "a": 1}))
        writer.insert(bson.encode({"_id": 3, "a": 2}))

    shop.write(work)
    assert shop.documents() == [{"_id": 2, "a": 1}, {"_id": 3, "a": 2}]


def test_delete_takes_every_entry_along(shop: Shop) -> None:
    shop.create_index({"a": 1, "b": -1})
    shop.insert({"_id": 1, "a": [1, 2, 3], "b": 0}, {"_id": 2})
    document = bson.encode({"_id": 1, "a": [1, 2, 3], "b": 0})
    shop.write(lambda writers: writers.find_or_create("shop", "orders").delete(1, document))
    assert counts(shop) == {"records": 1, "_id_": 1, "a_1_b_-1": 1}


def test_missing_index_entry_is_damage_and_not_ignored(shop: Shop) -> None:
    shop.create_index({"a": 1})
    shop.insert({"_id": 1, "a": 1})
    wrong = bson.encode({"_id": 1, "a": 2})
    with pytest.raises(CorruptDataError) as raised:
        shop.write(lambda writers: writers.find_or_create("shop", "orders").delete(1, wrong))
    assert raised.value.code == "INDEX_ENTRY_MISSING"
    assert len(shop.documents()) == 1


def test_parallel_arrays_are_refused_before_anything_is_written(shop: Shop) -> None:
    shop.create_index({"x": 1})
    shop.create_index({"a": 1, "b": 1})

    def work(writers: CollectionWriters) -> None:
        with pytest.raises(OperationFailure):
            writers.find_or_create("shop", "orders").insert(
                bson.encode({"_id": 1, "a": [1], "b": [2], "x": [1]})
            )
        assert not writers.txn.has_changes

    shop.write(work)


def test_record_ids_follow_the_last_record_and_every_reservation(shop: Shop) -> None:
    assert shop.insert({"_id": 1}, {"_id": 2}) == [1, 2]
    txn = shop.engine.begin_transaction("insert")
    writer = CollectionWriters(shop.catalog, txn, False).find_or_create("shop", "orders")
    assert writer.insert(bson.encode({"_id": 3})) == 3
    assert shop.insert({"_id": 4}) == [3 + BLOCK_IDS]
    assert writer.insert(bson.encode({"_id": 5})) == 4
    txn.commit()
    assert [d["_id"] for d in shop.documents()] == [1, 2, 3, 5, 4]


def test_aborted_transactions_leave_gaps_in_the_record_ids(shop: Shop) -> None:
    shop.insert({"_id": 0})
    for n in range(3):
        txn = shop.engine.begin_transaction("insert")
        writers = CollectionWriters(shop.catalog, txn, False)
        taken = writers.find_or_create("shop", "orders").insert(bson.encode({"_id": 1}))
        assert taken == 2 + n
        txn.abort()


def test_reservation_of_a_dropped_collection_is_forgotten(shop: Shop) -> None:
    shop.insert({"_id": 1})
    txn = shop.engine.begin_transaction("insert")
    CollectionWriters(shop.catalog, txn, False).find_or_create("shop", "orders").insert(
        bson.encode({"_id": 2})
    )
    txn.commit()
    before: int = shop.read(lambda t: t.count(2))
    shop.write(lambda w: w.catalog.drop(w.txn, shop.entry()))
    assert shop.read(lambda t: t.count(2)) == before - 1


def test_random_writes_keep_records_and_indexes_together(shop: Shop) -> None:
    import random

    dice = random.Random(7)
    shop.create_index({"a": 1})
    shop.create_index({"b": -1, "a": 1})
    shop.create_index({"c": 1}, unique=True, sparse=True)
    model: dict[int, dict[str, Any]] = {}

    def document(identity: int) -> dict[str, Any]:
        made: dict[str, Any] = {"_id": identity, "a": dice.choice([1, "x", None, [1, 2], []])}
        if dice.random() < 0.5:
            made["b"] = (
                dice.choice([[{"d": 1}], 2.5, [3, [4]]]) if type(made["a"]) is not list else 1
            )
        if dice.random() < 0.3:
            made["c"] = dice.randrange(10)
        return made

    for step in range(300):

        def work(writers: CollectionWriters, step: int = step) -> None:
            writer = writers.find_or_create("shop", "orders")
            choice = dice.random()
            try:
                if choice < 0.5 or not model:
                    new = document(step)
                    model[writer.insert(bson.encode(new))] = new
                else:
                    record_id = dice.choice(list(model))
                    old = model[record_id]
                    if choice < 0.8:
                        new = document(old["_id"])
                        writer.update(record_id, bson.encode(old), bson.encode(new))
                        model[record_id] = new
                    else:
                        writer.delete(record_id, bson.encode(old))
                        del model[record_id]
            except DuplicateKeyError:
                pass

        shop.write(work)
    assert shop.documents() == [model[record_id] for record_id in sorted(model)]
