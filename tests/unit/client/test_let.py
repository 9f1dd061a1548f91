"""Variables of a statement, and positional results, through the methods that take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import DeleteOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

import cbdd

OVER = {"$expr": {"$gt": ["$n", "$$limit"]}}


@pytest.fixture
def items(tmp_path: Path) -> Iterator[Any]:
    with cbdd.connect(tmp_path / "a.cbdd", durability="off") as client:
        client.shop.items.insert_many([{"_id": n, "n": n, "list": [n, n + 1]} for n in range(5)])
        yield client.shop.items


def test_every_method_has_variables(items: Any) -> None:
    let = {"limit": 2}
    assert [each["_id"] for each in items.find(OVER, let=let)] == [3, 4]
    shown = items.find_one({"_id": 1}, {"x": {"$add": ["$n", "$$limit"]}}, let=let)
    assert shown == {"_id": 1, "x": 3}
    assert items.find(OVER, let=let).clone().to_list() == items.find(OVER, let=let).to_list()
    assert items.update_one(OVER, {"$set": {"seen": 1}}, let=let).matched_count == 1
    assert items.update_many(OVER, {"$set": {"seen": 2}}, let=let).matched_count == 2
    assert items.replace_one(OVER, {"n": 9}, let={"limit": 3}).matched_count == 1
    found = items.find_one_and_update(OVER, {"$inc": {"n": 1}}, let={"limit": 8})
    assert found == {"_id": 4, "n": 9}
    assert items.find_one_and_replace(OVER, {"n": 20}, let={"limit": 9}) == {"_id": 4, "n": 10}
    result = items.bulk_write(
        [UpdateOne(OVER, {"$set": {"n": 30}}), DeleteOne(OVER)], let={"limit": 19}
    )
    assert (result.modified_count, result.deleted_count) == (1, 1)
    assert items.find_one_and_delete(OVER, let={"limit": 2})["_id"] == 3
    assert items.delete_one(OVER, let={"limit": 1}).deleted_count == 1
    assert items.delete_many(OVER, let={"limit": -1}).deleted_count == 2


def test_variables_are_a_mapping(items: Any) -> None:
    for use in (
        lambda: items.find({}, let=5),
        lambda: items.update_one({}, {"$set": {"a": 1}}, let=5),
        lambda: items.delete_one({}, let=5),
        lambda: items.find_one_and_delete({}, let=5),
        lambda: items.bulk_write([DeleteOne({})], let=5),
    ):
        with pytest.raises(TypeError, match="let must be"):
            use()
    with pytest.raises(OperationFailure, match="undefined variable: other") as raised:
        items.find({"$expr": "$$other"}, let={"limit": 1}).to_list()
    assert raised.value.code == 17276


def test_an_upsert_with_an_expression_changes_nothing(items: Any) -> None:
    with pytest.raises(OperationFailure) as raised:
        items.update_one(OVER, {"$set": {"a": 1}}, upsert=True, let={"limit": 100})
    assert raised.value.code == 224
    with pytest.raises(BulkWriteError):
        items.bulk_write([UpdateOne(OVER, {"$set": {"a": 1}}, upsert=True)], let={"limit": 1})
    assert items.count_documents({}) == 5


def test_the_positional_operator_in_updates_and_results(items: Any) -> None:
    items.update_one({"_id": 2, "list": 3}, {"$set": {"list.$": "three"}})
    assert items.find_one({"_id": 2})["list"] == [2, "three"]
    assert items.find_one({"_id": 2, "list": "three"}, {"list.$": 1}) == {
        "_id": 2,
        "list": ["three"],
    }
    found = items.find_one_and_update(
        {"_id": 3, "list": {"$gte": 4}},
        {"$inc": {"list.$": 10}},
        projection={"list": {"$slice": -1}, "n": 0},
        return_document=True,
    )
    assert found == {"_id": 3, "list": [14]}
    with pytest.raises(OperationFailure) as raised:
        items.update_one({"_id": 1}, {"$set": {"list.$": 0}})
    assert raised.value.code == 2


def test_an_expression_that_fails_half_way_stops_the_reading(items: Any) -> None:
    items.insert_one({"_id": 9, "n": "text"})
    cursor = items.find({"$expr": {"$gt": [{"$add": ["$n", 1]}, 0]}})
    with pytest.raises(OperationFailure) as raised:
        cursor.to_list()
    assert raised.value.code == 14
    assert (
        items.update_many(
            {"n": {"$type": "int"}, "$expr": {"$gt": [{"$add": ["$n", 1]}, 3]}}, {"$set": {"a": 1}}
        ).modified_count
        == 2
    )
