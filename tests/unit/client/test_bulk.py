"""bulk_write with PyMongo's requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

import cbdd
from cbdd.errors import TransactionTooLargeError

SMALL = 4000
"""Bytes a transaction may change: some twenty of these documents with their index entries."""

Orders = cbdd.Collection[dict[str, Any]]


def test_every_kind_of_request_is_counted(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "a": n % 2} for n in range(6)])
    document: dict[str, Any] = {"a": 9}
    result = orders.bulk_write(
        [
            InsertOne(document),
            UpdateOne({"_id": 0}, {"$set": {"b": 1}}),
            UpdateMany({"a": 1}, {"$inc": {"a": 10}}),
            ReplaceOne({"_id": 2}, {"c": 1}),
            UpdateOne({"_id": "new"}, {"$set": {"b": 1}}, upsert=True),
            DeleteOne({"_id": 4}),
            DeleteMany({"a": 11}),
        ]
    )
    assert result.acknowledged
    assert result.inserted_count == 1
    assert result.matched_count == 5
    assert result.modified_count == 5
    assert result.deleted_count == 4
    assert result.upserted_count == 1
    assert result.upserted_ids == {4: "new"}
    assert [d["_id"] for d in orders.find()] == [0, 2, document["_id"], "new"]


def test_ordered_bulk_stops_and_unordered_goes_on(orders: Orders) -> None:
    requests = [
        InsertOne({"_id": 1}),
        InsertOne({"_id": 1}),
        UpdateOne({"_id": 1}, {"$nonsense": {"a": 1}}),
        UpdateOne({"_id": 1}, {"$set": {"a": 1}}),
    ]
    with pytest.raises(BulkWriteError) as raised:
        orders.bulk_write(requests)
    assert [e["index"] for e in raised.value.details["writeErrors"]] == [1]
    assert orders.find_one() == {"_id": 1}
    with pytest.raises(BulkWriteError) as raised:
        orders.bulk_write(requests, ordered=False)
    errors = raised.value.details["writeErrors"]
    assert [(e["index"], e["code"]) for e in errors] == [(0, 11000), (1, 11000), (2, 9)]
    assert errors[2]["op"]["u"] == {"$nonsense": {"a": 1}}
    assert raised.value.details["nModified"] == 1
    assert orders.find_one() == {"_id": 1, "a": 1}


def test_bulk_is_one_commit_while_it_is_small(orders: Orders) -> None:
    before = orders.database.client.statistics()["lsn"]
    orders.bulk_write([InsertOne({"_id": n}) for n in range(100)] + [DeleteMany({})])
    after = orders.database.client.statistics()["lsn"]
    assert isinstance(before, int) and after == before + 1


def test_hint_sort_and_array_filters_are_carried_out(orders: Orders) -> None:
    orders.create_index("a")
    orders.insert_many([{"_id": n, "a": n, "list": [1, 2, 3]} for n in range(3)])
    orders.bulk_write(
        [
            UpdateOne({}, {"$set": {"x": 1}}, sort={"_id": -1}, hint="a_1"),
            UpdateMany({"_id": 0}, {"$set": {"list.$[n]": 0}}, array_filters=[{"n": {"$gt": 1}}]),
            DeleteOne({"a": 1}, hint=[("a", 1)]),
        ]
    )
    assert list(orders.find()) == [
        {"_id": 0, "a": 0, "list": [1, 0, 0]},
        {"_id": 2, "a": 2, "list": [1, 2, 3], "x": 1},
    ]


def test_collation_is_refused(orders: Orders) -> None:
    with pytest.raises(OperationFailure, match="collation"):
        orders.bulk_write([DeleteOne({}, collation={"locale": "en"})])


def test_update_many_that_fails_half_way_counts_what_it_did(orders: Orders) -> None:
    orders.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": "x"}])
    with pytest.raises(BulkWriteError) as raised:
        orders.bulk_write([UpdateMany({}, {"$inc": {"a": 1}})])
    assert raised.value.details["nModified"] == 1
    assert [d["a"] for d in orders.find()] == [2, "x"]


@pytest.fixture
def confined(tmp_path: Path) -> Iterator[Orders]:
    """An indexed collection where a statement of many writes needs many transactions."""
    with cbdd.connect(tmp_path / "a.cbdd", max_transaction_bytes=SMALL) as client:
        client.shop.orders.create_index("key", unique=True)
        client.shop.orders.create_index("n")
        yield client.shop.orders


def documents(count: int) -> list[dict[str, Any]]:
    return [{"_id": n, "key": f"k{n}", "n": n % 7} for n in range(count)]


def test_what_is_more_than_a_transaction_may_change_is_committed_in_parts(confined: Orders) -> None:
    assert confined.insert_many(documents(300)).inserted_ids == list(range(300))
    assert list(confined.find()) == documents(300)
    result = confined.bulk_write(
        [
            request
            for n in range(100)
            for request in (
                UpdateOne({"_id": n}, {"$set": {"n": -1}}),
                UpdateOne({"_id": 1000 + n}, {"$set": {"key": f"new{n}"}}, upsert=True),
                DeleteOne({"_id": 299 - n}),
                InsertOne({"_id": 2000 + n, "key": f"newer{n}"}),
            )
        ]
    )
    assert (result.matched_count, result.modified_count, result.deleted_count) == (100,) * 3
    assert result.inserted_count == 100
    assert result.upserted_ids == {4 * n + 1: 1000 + n for n in range(100)}
    assert confined.count_documents({}) == 400
    assert confined.count_documents({"n": -1}) == 100


@pytest.mark.parametrize("ordered", [True, False])
def test_in_parts_those_that_are_refused_are_told_once(confined: Orders, ordered: bool) -> None:
    bad = [10, 11, 150, 299]
    given = documents(300)
    for n in bad:
        given[n]["key"] = "k5"
    with pytest.raises(BulkWriteError) as raised:
        confined.insert_many(given, ordered=ordered)
    details = raised.value.details
    refused = bad[:1] if ordered else bad
    inserted = [n for n in range(300) if n not in bad and (not ordered or n < 10)]
    assert [each["index"] for each in details["writeErrors"]] == refused
    assert [each["op"] for each in details["writeErrors"]] == [given[n] for n in refused]
    assert details["nInserted"] == len(inserted)
    assert [each["_id"] for each in confined.find()] == inserted


def test_a_write_that_is_too_much_alone_is_refused_and_those_before_it_stay(
    confined: Orders,
) -> None:
    given = documents(100)
    given[60]["text"] = "x" * SMALL
    with pytest.raises(TransactionTooLargeError) as raised:
        confined.insert_many(given)
    assert raised.value.code == "TRANSACTION_TOO_LARGE"
    found = [each["_id"] for each in confined.find()]
    assert found == list(range(len(found))) and len(found) <= 60


def test_a_transaction_is_never_split(confined: Orders) -> None:
    client = confined.database.client
    with (
        client.start_session() as session,
        pytest.raises(TransactionTooLargeError),
        session.start_transaction(),
    ):
        confined.insert_many(documents(100), session=session)
    assert confined.count_documents({}) == 0
