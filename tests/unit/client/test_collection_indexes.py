"""Indexes through the client: names, options, uniqueness, and what is refused."""

from __future__ import annotations

from typing import Any

import pymongo
import pytest
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

import cbdd

Orders = cbdd.Collection[dict[str, Any]]


def test_create_index_returns_the_name_and_makes_the_collection(orders: Orders) -> None:
    assert orders.create_index("a") == "a_1"
    assert orders.create_index([("a", ASCENDING), ("b.c", DESCENDING)]) == "a_1_b.c_-1"
    assert orders.create_index({"d": -1}, name="mine", unique=True, background=True) == "mine"
    assert orders.create_index(["e", ("f", -1)], sparse=True) == "e_1_f_-1"
    assert orders.database.list_collection_names() == ["orders"]
    assert orders.index_information() == {
        "_id_": {"v": 2, "key": [("_id", 1)]},
        "a_1": {"v": 2, "key": [("a", 1)]},
        "a_1_b.c_-1": {"v": 2, "key": [("a", 1), ("b.c", -1)]},
        "mine": {"v": 2, "key": [("d", -1)], "unique": True},
        "e_1_f_-1": {"v": 2, "key": [("e", 1), ("f", -1)], "sparse": True},
    }


def test_list_indexes_is_a_cursor_of_documents(orders: Orders) -> None:
    assert list(orders.list_indexes()) == []
    orders.create_index("a", unique=True)
    cursor = orders.list_indexes()
    assert cursor.next() == {"v": 2, "key": {"_id": 1}, "name": "_id_"}
    assert cursor.to_list() == [{"v": 2, "key": {"a": 1}, "name": "a_1", "unique": True}]
    assert not cursor.alive


def test_create_indexes_makes_all_or_none(orders: Orders) -> None:
    assert orders.create_indexes([IndexModel("a"), IndexModel([("b", -1)], unique=True)]) == [
        "a_1",
        "b_-1",
    ]
    orders.insert_many([{"c": 1, "b": 1}, {"c": 1, "b": 2}])
    with pytest.raises(DuplicateKeyError):
        orders.create_indexes([IndexModel("d"), IndexModel("c", unique=True)])
    assert list(orders.index_information()) == ["_id_", "a_1", "b_-1"]


@pytest.mark.plan
def test_index_is_built_over_existing_documents_and_used(orders: Orders) -> None:
    orders.insert_many({"_id": n, "a": n % 100, "tags": [n % 7, "x"]} for n in range(3000))
    orders.create_index([("a", 1)])
    orders.create_index("tags")
    assert orders.count_documents({"a": 5}) == 30
    assert orders.count_documents({"tags": 3}) == len([n for n in range(3000) if n % 7 == 3])
    plan = orders.find({"a": 5}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 30


def test_unique_index_refuses_duplicates_in_every_way(orders: Orders) -> None:
    orders.create_index([("a", 1), ("b", -1)], unique=True)
    orders.insert_one({"_id": 1, "a": "x", "b": 5})
    with pytest.raises(DuplicateKeyError) as raised:
        orders.insert_one({"_id": 2, "a": "x", "b": 5.0})
    assert raised.value.details is not None
    assert raised.value.details["keyPattern"] == {"a": 1, "b": -1}
    assert raised.value.details["keyValue"] == {"a": "x", "b": 5.0}
    assert 'index: a_1_b_-1 dup key: { a: "x", b: 5.0 }' in str(raised.value)
    with pytest.raises(BulkWriteError):
        orders.insert_many([{"_id": 3, "a": "y"}, {"_id": 4, "a": "y"}])
    with pytest.raises(DuplicateKeyError):
        orders.replace_one({"_id": 3}, {"a": "x", "b": 5})
    orders.insert_one({"_id": 5, "a": "x", "b": 6})
    assert orders.count_documents({}) == 3


def test_unique_index_on_an_array_counts_elements(orders: Orders) -> None:
    orders.create_index("tags", unique=True)
    orders.insert_one({"_id": 1, "tags": ["a", "a", "b"]})
    with pytest.raises(DuplicateKeyError, match='dup key: { tags: "b" }'):
        orders.insert_one({"_id": 2, "tags": ["c", "b"]})
    orders.update_one({"_id": 1}, {"$set": {"tags": ["c"]}})
    orders.insert_one({"_id": 2, "tags": ["b"]})


def test_missing_fields_are_null_in_a_unique_index_but_not_in_a_sparse_one(orders: Orders) -> None:
    orders.create_index("a", unique=True)
    orders.insert_one({})
    with pytest.raises(DuplicateKeyError, match="dup key: { a: null }"):
        orders.insert_one({})
    orders.drop_index("a_1")
    orders.create_index("a", unique=True, sparse=True)
    orders.insert_many([{}, {}])
    assert orders.count_documents({"a": None}) == 3


def test_parallel_arrays_are_refused(orders: Orders) -> None:
    orders.create_index([("a", 1), ("b", 1)])
    with pytest.raises(OperationFailure, match="parallel arrays") as raised:
        orders.insert_one({"a": [1], "b": [2]})
    assert raised.value.code == 171
    assert orders.count_documents({}) == 0
    orders.drop_indexes()
    orders.insert_one({"a": [1], "b": [2]})
    with pytest.raises(OperationFailure, match="parallel arrays"):
        orders.create_index([("a", 1), ("b", 1)])


def test_drop_index_by_name_or_keys(orders: Orders) -> None:
    for keys in ("a", "b", "c", "d"):
        orders.create_index(keys)
    orders.drop_index("a_1")
    orders.drop_index([("b", 1)])
    assert list(orders.index_information()) == ["_id_", "c_1", "d_1"]
    orders.drop_indexes()
    assert list(orders.index_information()) == ["_id_"]
    with pytest.raises(OperationFailure) as raised:
        orders.drop_index("a_1")
    assert raised.value.code == 27
    with pytest.raises(OperationFailure) as raised:
        orders.drop_index("_id_")
    assert raised.value.code == 72
    orders.database.nothing.drop_index("a_1")


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ([("a", pymongo.TEXT)], {}),
        ([("a", pymongo.HASHED), ("b", pymongo.HASHED)], {}),
        ([("a", pymongo.HASHED)], {"unique": True}),
        ([("a", pymongo.GEO2D)], {}),
        ([("a", pymongo.GEOSPHERE)], {}),
        ([("$**", 1), ("a", 1)], {}),
        ([("$**", 1)], {"unique": True}),
        ([("$**", 1)], {"expireAfterSeconds": 1}),
        ([("$**", 1)], {"wildcardProjection": {}}),
        ([("$**", 1)], {"wildcardProjection": {"a": 1, "b": 0}}),
        ([("a.$**", 1)], {"wildcardProjection": {"a": 1}}),
        ([("a", 1)], {"wildcardProjection": {"a": 1}}),
        ([("_id", 1)], {"hidden": True}),
        ([("_id", 1)], {"partialFilterExpression": {"a": 1}}),
        ([("_id", 1)], {"expireAfterSeconds": 1}),
        ([("a", 0)], {}),
        ([("", 1)], {}),
        ([("a..b", 1)], {}),
        ([("a.$b", 1)], {}),
        ([("_id", -1)], {}),
        ([("_id", 1)], {"unique": True}),
        ([("a", 1)], {"name": "_id_"}),
        ([("a", 1)], {"name": "*"}),
        ([("a", 1)], {"name": 5}),
        ([("a", 1)], {"unique": "yes"}),
        ([("a", 1)], {"partialFilterExpression": 5}),
        ([("a", 1)], {"partialFilterExpression": {"a": {"$ne": 1}}}),
        ([("a", 1)], {"partialFilterExpression": {"a": {"$regex": "x"}}}),
        ([("a", 1)], {"partialFilterExpression": {"a": {"$exists": False}}}),
        ([("a", 1)], {"partialFilterExpression": {"$nor": [{"a": 1}]}}),
        ([("a", 1)], {"partialFilterExpression": {"a": 1}, "sparse": True}),
        ([("a", 1)], {"expireAfterSeconds": -1}),
        ([("a", 1)], {"expireAfterSeconds": 2**31}),
        ([("a", 1)], {"expireAfterSeconds": "soon"}),
        ([("a", 1), ("b", 1)], {"expireAfterSeconds": 5}),
        ([("a", 1)], {"collation": {"locale": "en"}}),
        ([("a", 1)], {"collation": {}}),
        ([("a", 1)], {"nonsense": 1}),
    ],
)
def test_index_that_cannot_be_made_is_refused(
    orders: Orders, keys: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(OperationFailure):
        orders.create_index(keys, **options)
    assert orders.database.list_collection_names() == []


def test_index_on_id_is_there_already(orders: Orders) -> None:
    assert orders.create_index("_id") == "_id_1"
    assert list(orders.index_information()) == ["_id_"]


def test_indexes_are_made_anew(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "a": n, "tags": ["x", n]} for n in range(50)])
    orders.create_index("a", unique=True)
    orders.create_index([("tags", 1), ("a", -1)], name="by_tag", sparse=True)
    before = orders.index_information()
    seen: list[tuple[int, int]] = []
    assert orders.reindex(progress=lambda done, total: seen.append((done, total))) == [
        "_id_",
        "a_1",
        "by_tag",
    ]
    assert seen == [(50, 50)] * 3
    assert orders.index_information() == before
    assert orders.reindex("a_1") == ["a_1"]
    assert orders.count_documents({"tags": "x"}, hint="by_tag") == 50
    assert orders.find_one({"a": 7}, hint="a_1") == {"_id": 7, "a": 7, "tags": ["x", 7]}
    with pytest.raises(DuplicateKeyError):
        orders.insert_one({"a": 7})
    assert orders.database.client.check().is_clean


@pytest.mark.plan
def test_an_index_is_no_longer_multikey_when_no_document_needs_it(orders: Orders) -> None:
    orders.insert_one({"_id": 1, "a": [1, 2]})
    orders.create_index("a")
    orders.replace_one({"_id": 1}, {"a": 5})
    orders.reindex("a_1")
    plan = orders.find({"a": 5}).explain()["queryPlanner"]["winningPlan"]
    assert not plan["inputStage"]["isMultiKey"]
    assert orders.database.client.check().is_clean


def test_what_cannot_be_made_anew_is_refused(orders: Orders) -> None:
    with pytest.raises(OperationFailure) as raised:
        orders.reindex()
    assert raised.value.code == 26
    orders.insert_one({"a": 1})
    with pytest.raises(OperationFailure) as raised:
        orders.reindex("none")
    assert raised.value.code == 27
    client = orders.database.client
    with (
        client.start_session() as session,
        session.start_transaction(),
        pytest.raises(OperationFailure, match="reIndex"),
    ):
        orders.reindex(session=session)
