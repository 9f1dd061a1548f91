"""Capped collections: how many bytes and documents they hold, and which documents go."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from cbdd.catalog import CollectionWriters
from cbdd.catalog.collection_options import create_options
from cbdd.catalog.record_store import capped_size, put_capped_size
from tests.unit.catalog.conftest import Shop

SIZE = 4096


def create(shop: Shop, most: int | None = None, size: int = SIZE) -> None:
    options = create_options({"capped": True, "size": size, "max": most})
    shop.write(lambda writers: writers.create("shop", "orders", options))


def document(number: int, length: int) -> dict[str, Any]:
    """A document of just so many bytes."""
    empty = len(bson.encode({"_id": number, "x": ""}))
    found = {"_id": number, "x": "y" * (length - empty)}
    assert len(bson.encode(found)) == length
    return found


def ids(shop: Shop) -> list[int]:
    return [each["_id"] for each in shop.documents()]


def noted(shop: Shop) -> int:
    """How many bytes the catalog says the collection has."""
    entry = shop.entry()
    size: int = shop.read(lambda txn: capped_size(txn, entry.collection_id))
    return size


def counts(shop: Shop) -> dict[str, int]:
    entry = shop.entry()
    found: dict[str, int] = shop.read(
        lambda txn: {
            "records": txn.count(entry.record_tree),
            **{each.name: txn.count(each.tree_id) for each in entry.indexes},
        }
    )
    return found


def test_documents_up_to_the_size_stay(shop: Shop) -> None:
    create(shop)
    shop.insert(*[document(n, 1024) for n in range(4)])
    assert ids(shop) == [0, 1, 2, 3]
    assert noted(shop) == SIZE


def test_one_byte_too_many_drops_the_oldest(shop: Shop) -> None:
    create(shop)
    shop.insert(*[document(n, 1024) for n in range(3)], document(3, 1025))
    assert ids(shop) == [1, 2, 3]
    assert noted(shop) == 3073


def test_as_many_of_the_oldest_go_as_needed_and_no_more(shop: Shop) -> None:
    create(shop)
    shop.insert(*[document(n, 512) for n in range(8)])
    shop.insert(document(8, 1025))
    assert ids(shop) == [3, 4, 5, 6, 7, 8]
    assert noted(shop) == 5 * 512 + 1025


def test_document_larger_than_the_collection_is_refused_and_drops_nothing(shop: Shop) -> None:
    create(shop)
    shop.insert(document(1, SIZE))
    with pytest.raises(OperationFailure) as raised:
        shop.insert(document(2, SIZE + 1))
    assert raised.value.code == 2
    assert ids(shop) == [1]
    assert noted(shop) == SIZE


def test_document_as_large_as_the_collection_is_alone_in_it(shop: Shop) -> None:
    create(shop)
    shop.insert(*[document(n, 1024) for n in range(3)], document(3, SIZE))
    assert ids(shop) == [3]
    shop.insert(document(4, 100))
    assert ids(shop) == [4]
    assert noted(shop) == 100


def test_documents_beyond_the_number_drop_the_oldest(shop: Shop) -> None:
    create(shop, most=3)
    shop.insert(*[{"_id": n} for n in range(10)])
    assert ids(shop) == [7, 8, 9]


def test_capped_to_one_document_keeps_the_last(shop: Shop) -> None:
    create(shop, most=1)
    for n in range(3):
        shop.insert({"_id": n})
        assert ids(shop) == [n]


def test_both_limits_hold(shop: Shop) -> None:
    create(shop, most=3)
    shop.insert(*[document(n, 100) for n in range(3)], document(3, 4000))
    assert ids(shop) == [3]
    shop.insert(*[document(n, 40) for n in range(4, 8)])
    assert ids(shop) == [5, 6, 7]


def test_oldest_means_inserted_first_whatever_the_id(shop: Shop) -> None:
    create(shop, most=2)
    shop.insert({"_id": 9}, {"_id": 1}, {"_id": 5})
    assert ids(shop) == [1, 5]


def test_dropped_documents_take_their_index_entries_with_them(shop: Shop) -> None:
    create(shop, most=2)
    shop.create_index({"a": 1})
    shop.create_index({"b": 1}, unique=True)
    shop.create_index({"$**": 1})
    shop.create_index({"c": 1}, partialFilterExpression={"b": {"$gte": 4}})
    for n in range(6):
        shop.insert({"_id": n, "a": [n, n + 1, n + 2], "b": n, "c": n})
    found = counts(shop)
    assert (found["records"], found["_id_"], found["a_1"], found["b_1"]) == (2, 2, 6, 2)
    assert found["c_1"] == 2


def test_key_of_a_dropped_document_is_free_again(shop: Shop) -> None:
    create(shop, most=2)
    shop.create_index({"a": 1}, unique=True)
    shop.insert(*[{"_id": n, "a": n} for n in range(3)])
    shop.insert({"_id": 0, "a": 0})
    assert ids(shop) == [2, 0]


def test_duplicate_of_the_document_that_would_go_is_refused(shop: Shop) -> None:
    create(shop, most=2)
    shop.insert({"_id": 1}, {"_id": 2})
    with pytest.raises(DuplicateKeyError):
        shop.insert({"_id": 1})
    assert ids(shop) == [1, 2]


def test_refused_insert_drops_nothing(shop: Shop) -> None:
    create(shop, most=1)
    shop.create_index({"a": 1}, unique=True)
    shop.insert({"_id": 1, "a": 1})
    before = noted(shop)

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        with pytest.raises(DuplicateKeyError):
            writer.insert(bson.encode({"_id": 2, "a": 1}))
        assert not writers.txn.has_changes

    shop.write(work)
    assert ids(shop) == [1]
    assert noted(shop) == before


def test_update_that_grows_counts_at_the_next_insert_at_the_latest(shop: Shop) -> None:
    create(shop)
    small, large = document(3, 1024), document(3, 2048)
    shop.insert(*[document(n, 1024) for n in range(3)], small)
    shop.write(
        lambda w: w.find_or_create("shop", "orders").update(
            4, bson.encode(small), bson.encode(large)
        )
    )
    assert ids(shop)[-1] == 3
    shop.insert(document(4, 1024))
    assert ids(shop) == [2, 3, 4]
    assert noted(shop) == SIZE


def test_update_that_shrinks_makes_room(shop: Shop) -> None:
    create(shop)
    large, small = document(0, 2048), document(0, 1024)
    shop.insert(large, document(1, 1024), document(2, 1024))
    shop.write(
        lambda w: w.find_or_create("shop", "orders").update(
            1, bson.encode(large), bson.encode(small)
        )
    )
    shop.insert(document(3, 1024))
    assert ids(shop) == [0, 1, 2, 3]
    assert noted(shop) == SIZE


def test_update_that_changes_nothing_is_not_counted(shop: Shop) -> None:
    create(shop)
    same = bson.encode(document(0, 100))
    shop.insert(document(0, 100))
    assert shop.write(lambda w: w.find_or_create("shop", "orders").update(1, same, same)) is False
    assert noted(shop) == 100


def test_updated_document_keeps_its_place_in_line(shop: Shop) -> None:
    create(shop, most=2)
    shop.insert({"_id": 1}, {"_id": 2})
    new = bson.encode({"_id": 1, "touched": True})
    shop.write(lambda w: w.find_or_create("shop", "orders").update(1, bson.encode({"_id": 1}), new))
    shop.insert({"_id": 3})
    assert ids(shop) == [2, 3]


def test_delete_makes_room(shop: Shop) -> None:
    create(shop)
    shop.insert(*[document(n, 1024) for n in range(4)])
    shop.write(
        lambda w: w.find_or_create("shop", "orders").delete(2, bson.encode(document(1, 1024)))
    )
    assert noted(shop) == 3072
    shop.insert(document(4, 1024))
    assert ids(shop) == [0, 2, 3, 4]


def test_delete_of_everything_leaves_nothing_noted(shop: Shop) -> None:
    create(shop, most=2)
    shop.insert({"_id": 1}, {"_id": 2})

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        writer.delete(1, bson.encode({"_id": 1}))
        writer.delete(2, bson.encode({"_id": 2}))

    shop.write(work)
    assert noted(shop) == 0
    shop.insert({"_id": 3})
    assert ids(shop) == [3]


def test_one_transaction_may_fill_the_collection_many_times(shop: Shop) -> None:
    create(shop, most=5)

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        for n in range(100):
            writer.insert(bson.encode({"_id": n}))

    shop.write(work)
    assert ids(shop) == [95, 96, 97, 98, 99]


def test_aborted_insert_leaves_size_and_documents(shop: Shop) -> None:
    create(shop, most=1)
    shop.insert(document(1, 100))
    txn = shop.engine.begin_write("test")
    CollectionWriters(shop.catalog, txn, True).find_or_create("shop", "orders").insert(
        bson.encode(document(2, 200))
    )
    txn.abort()
    assert ids(shop) == [1]
    assert noted(shop) == 100


def test_renamed_collection_stays_capped(shop: Shop) -> None:
    create(shop, most=2)
    shop.insert({"_id": 1}, {"_id": 2})
    entry = shop.entry()
    shop.write(lambda w: w.catalog.rename(w.txn, entry, "shop", "sales", False))
    shop.insert({"_id": 3}, name="sales")
    assert [each["_id"] for each in shop.documents("sales")] == [2, 3]


def test_dropped_collection_leaves_no_size_and_its_name_is_free(shop: Shop) -> None:
    create(shop)
    shop.insert(document(1, 1000))
    entry = shop.entry()
    shop.write(lambda w: w.catalog.drop(w.txn, entry))
    assert shop.read(lambda txn: capped_size(txn, entry.collection_id)) == 0
    create(shop)
    assert noted(shop) == 0
    shop.insert(document(1, 1000))
    assert noted(shop) == 1000


def test_plain_collection_has_no_size_noted(shop: Shop) -> None:
    shop.insert(*[document(n, 5000) for n in range(5)])
    assert noted(shop) == 0
    assert ids(shop) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("wrong", [0, 99, 101])
def test_check_finds_a_size_that_is_wrong(shop: Shop, wrong: int) -> None:
    create(shop)
    shop.insert(document(1, 100))
    entry = shop.entry()
    shop.write(lambda w: put_capped_size(w.txn, entry.collection_id, wrong))
    [message] = shop.problems()
    assert message == f"shop.orders: its documents have 100 bytes, the catalog says {wrong}"
    shop.write(lambda w: put_capped_size(w.txn, entry.collection_id, 100))
    assert shop.problems() == []
