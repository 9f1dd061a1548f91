"""bulk_write with PyMongo's requests."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

import cbdd

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
