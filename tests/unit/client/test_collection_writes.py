"""Inserting, updating, replacing and deleting, as a user of PyMongo does it."""

from __future__ import annotations

import uuid
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from bson.regex import Regex
from bson.son import SON
from pymongo import ReturnDocument
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    WriteError,
)
from pymongo.write_concern import WriteConcern

import cbdd
from cbdd.client.bulk import BATCH_INSERTS

Orders = cbdd.Collection[dict[str, Any]]


def nested(levels: int) -> dict[str, Any]:
    """A document of so many levels, itself the first."""
    document: dict[str, Any] = {}
    for _ in range(levels - 1):
        document = {"a": document}
    return document


def contents(collection: Orders) -> list[dict[str, Any]]:
    return list(collection.find().sort("_id"))


# -- insert_one ------------------------------------------------------------------------------


def test_insert_one_adds_an_id_to_the_callers_document(orders: Orders) -> None:
    document: dict[str, Any] = {"item": "tea"}
    result = orders.insert_one(document)
    assert isinstance(result.inserted_id, ObjectId)
    assert document["_id"] == result.inserted_id
    assert result.acknowledged
    assert orders.find_one() == document


def test_id_comes_first_in_the_stored_document(orders: Orders) -> None:
    orders.insert_one({"b": 1, "_id": 7, "a": 2})
    found = orders.find_one()
    assert found is not None
    assert list(found) == ["_id", "b", "a"]


def test_raw_document_is_stored_as_it_is(orders: Orders) -> None:
    raw = RawBSONDocument(bson.encode({"_id": 1, "n": Int64(5), "x": [1, {"y": None}]}))
    result = orders.insert_one(raw)
    assert result.inserted_id is None
    [batch] = list(orders.find_raw_batches())
    assert batch == raw.raw


def test_raw_document_without_an_id_gets_one(orders: Orders) -> None:
    orders.insert_one(RawBSONDocument(bson.encode({"n": 5})))
    found = orders.find_one()
    assert found is not None
    assert isinstance(found["_id"], ObjectId)
    assert list(found) == ["_id", "n"]


def test_raw_document_with_the_id_elsewhere_is_reordered(orders: Orders) -> None:
    data = bson.encode({"n": 5})
    late = bson.encode({"_id": 9})
    body = data[4:-1] + late[4:]
    orders.insert_one(RawBSONDocument((len(body) + 4).to_bytes(4, "little") + body))
    assert orders.find_one() == {"_id": 9, "n": 5}
    assert orders.find_one({"_id": 9}) is not None


def test_every_kind_of_id_that_mongodb_takes_is_found_again(orders: Orders) -> None:
    ids = [1, 1.5, "a", None, True, b"x", ObjectId(), {"a": 1, "b": [1]}, Int64(5), Regex]
    for identity in ids[:-1]:
        orders.insert_one({"_id": identity})
        assert orders.count_documents({"_id": identity}) == 1


@pytest.mark.parametrize("identity", [[1, 2], Regex("a"), {"$a": 1}])
def test_id_that_mongodb_refuses_is_a_write_error(orders: Orders, identity: object) -> None:
    with pytest.raises(WriteError) as raised:
        orders.insert_one({"_id": identity})
    assert raised.value.code in (52, 53)
    assert raised.value.details is not None and raised.value.details["index"] == 0
    assert orders.count_documents({}) == 0


def test_duplicate_id_is_mongodbs_error(orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError) as raised:
        orders.insert_one({"_id": 1, "a": 2})
    error = raised.value
    assert error.code == 11000
    assert error.details == {
        "index": 0,
        "code": 11000,
        "errmsg": "E11000 duplicate key error collection: shop.orders index: _id_ "
        "dup key: { _id: 1 }",
        "keyPattern": {"_id": 1},
        "keyValue": {"_id": 1},
    }
    assert contents(orders) == [{"_id": 1}]


def test_numbers_that_are_equal_are_the_same_id(orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    for same in (1.0, Int64(1), bson.Decimal128("1.00")):
        with pytest.raises(DuplicateKeyError):
            orders.insert_one({"_id": same})


def test_document_too_deep_is_refused_whole(orders: Orders) -> None:
    orders.insert_one({"_id": 1, **nested(100)})
    before = orders.database.client.statistics()["lsn"]
    with pytest.raises(InvalidDocument, match="levels"):
        orders.insert_one(nested(101))
    assert orders.database.client.statistics()["lsn"] == before


def test_document_too_large_is_refused_whole(orders: Orders) -> None:
    limit = 16 * 1024 * 1024
    room = limit - len(bson.encode({"_id": 1, "a": ""}))
    orders.insert_one({"_id": 1, "a": "x" * room})
    before = orders.database.client.statistics()["lsn"]
    with pytest.raises(DocumentTooLarge):
        orders.insert_one({"_id": 2, "a": "x" * (room + 1)})
    with pytest.raises(DocumentTooLarge):
        orders.insert_many([{"_id": 3}, {"_id": 4, "a": "x" * (room + 1)}])
    assert orders.database.client.statistics()["lsn"] == before


def test_son_and_custom_mappings_can_be_inserted(orders: Orders) -> None:
    orders.insert_one(SON([("b", 1), ("a", 2)]))
    found = orders.find_one({}, {"_id": 0})
    assert found is not None and list(found) == ["b", "a"]


def test_uuid_follows_the_collections_codec_options(orders: Orders) -> None:
    options: CodecOptions[dict[str, Any]] = CodecOptions(
        uuid_representation=UuidRepresentation.STANDARD
    )
    standard = orders.with_options(codec_options=options)
    identity = uuid.UUID(int=5)
    standard.insert_one({"_id": identity, "u": identity})
    assert standard.find_one({"u": identity}) == {"_id": identity, "u": identity}
    assert standard.update_one({"_id": identity}, {"$set": {"v": identity}}).modified_count == 1
    assert standard.distinct("v") == [identity]
    with pytest.raises(ValueError, match="uuid"):
        orders.insert_one({"_id": identity})


# -- insert_many -----------------------------------------------------------------------------


def test_insert_many_keeps_the_order_and_returns_the_ids(orders: Orders) -> None:
    documents: list[dict[str, Any]] = [{"n": n} for n in range(5)]
    result = orders.insert_many(documents)
    assert result.inserted_ids == [document["_id"] for document in documents]
    assert [document["n"] for document in orders.find()] == [0, 1, 2, 3, 4]


def test_insert_many_takes_a_generator(orders: Orders) -> None:
    result = orders.insert_many({"_id": n} for n in range(10))
    assert result.inserted_ids == list(range(10))


def test_ordered_insert_stops_at_the_first_refusal_and_keeps_what_came_before(
    orders: Orders,
) -> None:
    documents: list[dict[str, Any]] = [{"_id": 1}, {"_id": 2}, {"_id": 1}, {"_id": 3}]
    with pytest.raises(BulkWriteError) as raised:
        orders.insert_many(documents)
    details = raised.value.details
    assert details["nInserted"] == 2
    assert [(e["index"], e["code"]) for e in details["writeErrors"]] == [(2, 11000)]
    assert details["writeErrors"][0]["op"] is documents[2]
    assert details["writeErrors"][0]["keyValue"] == {"_id": 1}
    assert set(details) == {
        "writeErrors",
        "writeConcernErrors",
        "nInserted",
        "nUpserted",
        "nMatched",
        "nModified",
        "nRemoved",
        "upserted",
    }
    assert contents(orders) == [{"_id": 1}, {"_id": 2}]


def test_unordered_insert_goes_on_after_refusals(orders: Orders) -> None:
    with pytest.raises(BulkWriteError) as raised:
        orders.insert_many(
            [{"_id": 1}, {"_id": 1}, {"_id": 2}, {"_id": [1]}, {"_id": 3}], ordered=False
        )
    details = raised.value.details
    assert [(e["index"], e["code"]) for e in details["writeErrors"]] == [(1, 11000), (3, 53)]
    assert details["nInserted"] == 3
    assert contents(orders) == [{"_id": 1}, {"_id": 2}, {"_id": 3}]


def test_insert_many_commits_in_batches_and_a_late_refusal_keeps_them(orders: Orders) -> None:
    before = orders.database.client.statistics()["lsn"]
    documents: list[dict[str, Any]] = [{"_id": n} for n in range(2 * BATCH_INSERTS + 5)]
    documents[2 * BATCH_INSERTS + 2] = {"_id": 0}
    with pytest.raises(BulkWriteError):
        orders.insert_many(documents)
    after = orders.database.client.statistics()["lsn"]
    assert isinstance(before, int) and isinstance(after, int)
    assert after - before == 3
    assert orders.count_documents({}) == 2 * BATCH_INSERTS + 2


def test_large_documents_are_committed_a_mebibyte_at_a_time(orders: Orders) -> None:
    before = orders.database.client.statistics()["lsn"]
    orders.insert_many([{"_id": n, "a": "x" * 400_000} for n in range(6)])
    after = orders.database.client.statistics()["lsn"]
    assert isinstance(before, int) and isinstance(after, int)
    assert after - before == 3


def test_wrong_type_among_the_documents_inserts_nothing(orders: Orders) -> None:
    with pytest.raises(TypeError):
        orders.insert_many([{"_id": 1}, "x"])  # type: ignore[list-item]
    assert contents(orders) == []


# -- update ----------------------------------------------------------------------------------


def test_update_one_changes_the_first_match(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "a": 1} for n in range(3)])
    result = orders.update_one({"a": 1}, {"$set": {"b": 5}, "$inc": {"a": 2}})
    assert (result.matched_count, result.modified_count, result.upserted_id) == (1, 1, None)
    assert result.raw_result == {"n": 1, "nModified": 1, "ok": 1.0, "updatedExisting": True}
    assert orders.find_one({"_id": 0}) == {"_id": 0, "a": 3, "b": 5}
    assert orders.count_documents({"a": 1}) == 2


def test_update_that_changes_nothing_matches_but_does_not_modify(orders: Orders) -> None:
    orders.insert_one({"_id": 1, "a": 1})
    before = orders.database.client.statistics()["lsn"]
    result = orders.update_one({}, {"$set": {"a": 1}})
    assert (result.matched_count, result.modified_count) == (1, 0)
    assert orders.database.client.statistics()["lsn"] == before


def test_update_without_a_match_writes_nothing(orders: Orders) -> None:
    result = orders.update_one({"a": 1}, {"$set": {"b": 1}})
    assert (result.matched_count, result.modified_count, result.upserted_id) == (0, 0, None)
    assert orders.database.list_collection_names() == []


def test_update_many_changes_all_matches_in_one_commit(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "a": n % 2} for n in range(10)])
    before = orders.database.client.statistics()["lsn"]
    result = orders.update_many({"a": 1}, {"$inc": {"a": 10}, "$push": {"log": "x"}})
    after = orders.database.client.statistics()["lsn"]
    assert (result.matched_count, result.modified_count) == (5, 5)
    assert isinstance(before, int) and after == before + 1
    assert orders.count_documents({"a": 11, "log": "x"}) == 5


def test_update_many_over_the_index_it_changes_meets_each_document_once(orders: Orders) -> None:
    orders.create_index("a")
    orders.insert_many([{"_id": n, "a": n} for n in range(50)])
    result = orders.update_many({"a": {"$gte": 0}}, {"$inc": {"a": 25}}, hint="a_1")
    assert result.modified_count == 50
    assert sorted(d["a"] for d in orders.find()) == list(range(25, 75))


def test_update_many_keeps_what_it_did_before_an_error(orders: Orders) -> None:
    orders.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": "x"}, {"_id": 3, "a": 1}])
    with pytest.raises(WriteError) as raised:
        orders.update_many({}, {"$inc": {"a": 1}})
    assert raised.value.code == 14
    assert [d["a"] for d in contents(orders)] == [2, "x", 1]


def test_update_refused_by_a_unique_index_changes_nothing(orders: Orders) -> None:
    orders.create_index("a", unique=True)
    orders.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 2}])
    with pytest.raises(DuplicateKeyError, match="index: a_1 dup key: { a: 1 }"):
        orders.update_one({"_id": 2}, {"$set": {"a": 1, "b": 5}})
    assert contents(orders) == [{"_id": 1, "a": 1}, {"_id": 2, "a": 2}]


def test_unknown_update_operator_is_a_write_error_that_names_it(orders: Orders) -> None:
    with pytest.raises(WriteError, match=r"\$nonsense") as raised:
        orders.update_one({}, {"$nonsense": {"a": 1}})
    assert raised.value.code == 9
    assert raised.value.details is not None and raised.value.details["index"] == 0


def test_unknown_query_operator_in_an_update_is_a_write_error(orders: Orders) -> None:
    with pytest.raises(WriteError, match=r"\$nonsense") as raised:
        orders.update_one({"a": {"$nonsense": 1}}, {"$set": {"a": 1}})
    assert raised.value.code == 2


def test_pipeline_as_an_update_is_refused_by_name(orders: Orders) -> None:
    with pytest.raises(OperationFailure, match="pipeline"):
        orders.update_one({}, [{"$set": {"a": 1}}])


def test_id_cannot_be_changed(orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    with pytest.raises(WriteError) as raised:
        orders.update_one({"_id": 1}, {"$set": {"_id": 2}})
    assert raised.value.code == 66
    with pytest.raises(WriteError) as raised:
        orders.replace_one({"_id": 1}, {"_id": 2})
    assert raised.value.code == 66


def test_update_that_grows_beyond_the_limit_is_refused(orders: Orders) -> None:
    orders.insert_one({"_id": 1, "a": "x" * (9 << 20)})
    with pytest.raises(WriteError) as raised:
        orders.update_one({"_id": 1}, {"$set": {"b": "x" * (9 << 20)}})
    assert raised.value.code == 17419
    assert orders.count_documents({"b": {"$exists": True}}) == 0


def test_upsert_inserts_what_the_filter_and_the_update_say(orders: Orders) -> None:
    result = orders.update_one({"a": 1, "b.c": 2}, {"$set": {"d": 3}}, upsert=True)
    assert result.matched_count == 0
    assert result.did_upsert
    assert orders.find_one() == {"_id": result.upserted_id, "a": 1, "b": {"c": 2}, "d": 3}


def test_upsert_of_an_id_returns_that_id(orders: Orders) -> None:
    result = orders.update_many({"_id": {"k": 1}}, {"$set": {"a": 1}}, upsert=True)
    assert result.upserted_id == {"k": 1}
    assert result.raw_result is not None and result.raw_result["upserted"] == {"k": 1}
    assert orders.update_one({"_id": {"k": 1}}, {"$set": {"a": 1}}, upsert=True).matched_count == 1


def test_update_one_with_a_sort_takes_the_first_in_that_order(orders: Orders) -> None:
    orders.insert_many([{"_id": n} for n in range(3)])
    orders.update_one({}, {"$set": {"x": 1}}, sort={"_id": -1})
    assert orders.find_one({"x": 1}) == {"_id": 2, "x": 1}


def test_update_with_a_hint_for_no_index_is_refused(orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    with pytest.raises(WriteError, match="hint") as raised:
        orders.update_one({}, {"$set": {"a": 1}}, hint="nonsense")
    assert raised.value.code == 2


# -- replace ---------------------------------------------------------------------------------


def test_replace_one_keeps_the_id_and_the_place(orders: Orders) -> None:
    orders.insert_many([{"_id": 1, "a": 1}, {"_id": 2}])
    result = orders.replace_one({"_id": 1}, {"b": 2})
    assert (result.matched_count, result.modified_count) == (1, 1)
    assert list(orders.find()) == [{"_id": 1, "b": 2}, {"_id": 2}]


def test_replace_one_upserts_a_document_with_the_filters_id(orders: Orders) -> None:
    result = orders.replace_one({"_id": 5, "a": 1}, {"b": 2}, upsert=True)
    assert result.upserted_id == 5
    assert orders.find_one() == {"_id": 5, "b": 2}


def test_replacement_with_an_empty_document_is_allowed(orders: Orders) -> None:
    orders.insert_one({"_id": 1, "a": 1})
    assert orders.replace_one({"_id": 1}, {}).modified_count == 1
    assert orders.find_one() == {"_id": 1}


# -- delete ----------------------------------------------------------------------------------


def test_delete_one_and_delete_many_say_how_many(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "a": n % 2} for n in range(10)])
    orders.create_index("a")
    assert orders.delete_one({"a": 1}).deleted_count == 1
    assert orders.delete_many({"a": 1}).deleted_count == 4
    assert orders.delete_many({"a": 1}).deleted_count == 0
    assert orders.delete_many({}).raw_result == {"n": 5, "ok": 1.0}
    assert orders.count_documents({}) == 0


def test_delete_from_nothing_makes_no_collection(orders: Orders) -> None:
    assert orders.delete_many({}).deleted_count == 0
    assert orders.database.list_collection_names() == []


def test_record_ids_go_on_after_the_last_document_is_deleted(orders: Orders) -> None:
    orders.insert_many([{"_id": n} for n in range(3)])
    orders.delete_one({"_id": 2})
    orders.insert_one({"_id": 9})
    assert [d["_id"] for d in orders.find()] == [0, 1, 9]


# -- find_one_and_... ------------------------------------------------------------------------


def test_find_one_and_update_returns_before_or_after(orders: Orders) -> None:
    orders.insert_one({"_id": 1, "n": 1})
    assert orders.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}) == {"_id": 1, "n": 1}
    assert orders.find_one_and_update(
        {"_id": 1}, {"$inc": {"n": 1}}, return_document=ReturnDocument.AFTER
    ) == {"_id": 1, "n": 3}


def test_find_one_and_update_upserts(orders: Orders) -> None:
    assert orders.find_one_and_update({"_id": 1}, {"$set": {"n": 1}}, upsert=True) is None
    assert orders.find_one_and_update(
        {"_id": 2}, {"$set": {"n": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    ) == {"_id": 2, "n": 1}
    assert orders.find_one_and_update({"_id": 3}, {"$set": {"n": 1}}) is None


def test_find_one_and_replace_and_delete_take_sort_and_projection(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "n": n, "x": 0} for n in range(4)])
    assert orders.find_one_and_replace({}, {"n": 9}, ["n"], sort=[("_id", -1)]) == {
        "_id": 3,
        "n": 3,
    }
    assert orders.find_one_and_delete({"n": {"$lt": 9}}, {"_id": 0, "n": 1}, sort=[("n", -1)]) == {
        "n": 2
    }
    assert orders.find_one_and_delete({"n": 77}) is None
    assert [d["_id"] for d in orders.find()] == [0, 1, 3]


def test_find_one_and_update_reports_a_duplicate_key(orders: Orders) -> None:
    orders.create_index("a", unique=True)
    orders.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 2}])
    with pytest.raises(DuplicateKeyError):
        orders.find_one_and_update({"_id": 2}, {"$set": {"a": 1}})


# -- write concern ---------------------------------------------------------------------------


def test_unacknowledged_writes_happen_and_say_nothing(orders: Orders) -> None:
    silent = orders.with_options(write_concern=WriteConcern(w=0))
    result = silent.insert_one({"_id": 1})
    assert not result.acknowledged
    silent.insert_one({"_id": 1})
    silent.insert_many([{"_id": 1}, {"_id": 2}])
    update = silent.update_one({"_id": 1}, {"$set": {"a": 1}})
    assert not update.acknowledged
    with pytest.raises(InvalidOperation):
        update.matched_count  # noqa: B018
    assert contents(orders) == [{"_id": 1, "a": 1}]


def test_write_concern_of_more_than_one_server_is_refused(orders: Orders) -> None:
    with pytest.raises(OperationFailure, match="not replicated") as raised:
        orders.with_options(write_concern=WriteConcern(w=2)).insert_one({"_id": 1})
    assert raised.value.code == 2
    orders.with_options(write_concern=WriteConcern(w="majority", j=True)).insert_one({"_id": 1})
    assert orders.count_documents({}) == 1
