"""Kinds of collections through the client, and options of reads and writes that go with them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    CollectionInvalid,
    ExecutionTimeout,
    OperationFailure,
    WriteError,
)
from pymongo.write_concern import WriteConcern

import cbdd
from tests.unit.client.conftest import OPTIONS, ManualClock

Client = cbdd.Client[dict[str, Any]]
Shop = cbdd.Database[dict[str, Any]]
Orders = cbdd.Collection[dict[str, Any]]

RULE: dict[str, Any] = {"n": {"$gt": 0}}


class RunningClock(ManualClock):
    """Once it runs, a second passes with every look at it."""

    def __init__(self) -> None:
        super().__init__()
        self.pace = 0.0

    def monotonic(self) -> float:
        self.seconds += self.pace
        return self.seconds


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@pytest.fixture
def ruled(shop: Shop) -> Orders:
    """A collection with a validator and one document that it would refuse."""
    shop.create_collection("ruled", validator=RULE)
    shop.ruled.insert_one({"_id": 0, "n": -1}, bypass_document_validation=True)
    return shop.ruled


@pytest.fixture
def many(orders: Orders) -> Orders:
    """A collection that no read gets through without a look at the clock."""
    orders.insert_many([{"_id": n, "a": n, "b": n % 10} for n in range(1000)])
    return orders


def opened(path: str, **options: Any) -> Client:
    return cbdd.Client(path, **options)


# -- making and listing --------------------------------------------------------------------


def test_options_given_to_create_collection_are_shown(shop: Shop) -> None:
    made = shop.create_collection(
        "log",
        capped=True,
        size=5000,
        max=10,
        validator=RULE,
        validationLevel="moderate",
        validationAction="warn",
    )
    expected = {
        "capped": True,
        "size": 5120,
        "max": 10,
        "validator": RULE,
        "validationLevel": "moderate",
        "validationAction": "warn",
    }
    assert made.options() == expected
    [listed] = shop.list_collections()
    assert listed["options"] == expected


def test_options_of_plain_and_missing_collections_are_empty(shop: Shop, orders: Orders) -> None:
    assert orders.options() == {}
    orders.insert_one({})
    assert orders.options() == {}
    shop.create_collection("plain", capped=False)
    assert shop.plain.options() == {}


def test_refused_option_makes_no_collection(shop: Shop) -> None:
    with pytest.raises(OperationFailure):
        shop.create_collection("log", capped=True)
    with pytest.raises(OperationFailure):
        shop.create_collection("log", validator={"$nonsense": 1})
    assert shop.list_collection_names() == []


def test_collection_is_not_made_twice_whatever_its_options(shop: Shop) -> None:
    shop.create_collection("log", capped=True, size=4096)
    with pytest.raises(CollectionInvalid):
        shop.create_collection("log")
    with pytest.raises(OperationFailure) as raised:
        shop.create_collection("log", check_exists=False, capped=True, size=8192)
    assert raised.value.code == 48


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ({"options.capped": True}, ["log"]),
        ({"options.size": {"$gte": 4096}}, ["log"]),
        ({"options.validator": {"$exists": True}}, ["ruled"]),
        ({"options.validator.n.$gt": 0}, ["ruled"]),
        ({"options": {}}, ["plain"]),
        ({"name": {"$regex": "^[lp]"}}, ["log", "plain"]),
        ({"type": "view"}, []),
        ({"info.readOnly": False}, ["log", "plain", "ruled"]),
        ({}, ["log", "plain", "ruled"]),
    ],
)
def test_collections_are_listed_by_a_filter(
    shop: Shop, filter: dict[str, Any], names: list[str]
) -> None:
    shop.create_collection("log", capped=True, size=4096)
    shop.create_collection("plain")
    shop.create_collection("ruled", validator=RULE)
    assert [each["name"] for each in shop.list_collections(filter=filter)] == names
    assert shop.list_collection_names(filter=filter) == names


def test_filter_that_is_none_of_the_language_is_refused(shop: Shop) -> None:
    with pytest.raises(OperationFailure):
        shop.list_collections(filter={"$nonsense": 1})
    with pytest.raises(TypeError):
        shop.list_collection_names(filter="orders")  # type: ignore[arg-type]


def test_statistics_say_what_is_capped(shop: Shop, orders: Orders) -> None:
    shop.create_collection("log", capped=True, size=4096)
    orders.insert_one({})
    assert shop.command("collStats", "log")["capped"] is True
    assert shop.command("collStats", "orders")["capped"] is False
    assert shop.validate_collection("log")["valid"]


def test_kinds_survive_reopening(path: str) -> None:
    with opened(path, **OPTIONS) as client:
        client.shop.create_collection("log", capped=True, size=4096, max=2)
        client.shop.create_collection("ruled", validator=RULE)
        client.shop.log.insert_many([{"_id": n} for n in range(2)])
    with opened(path, **OPTIONS) as client:
        client.shop.log.insert_one({"_id": 2})
        assert client.shop.log.distinct("_id") == [1, 2]
        with pytest.raises(WriteError):
            client.shop.ruled.insert_one({"n": 0})
        assert client.check().problems == []


def test_capped_collection_is_read_in_the_order_of_insertion(shop: Shop) -> None:
    log = shop.create_collection("log", capped=True, size=4096, max=3)
    log.insert_many([{"_id": n} for n in (5, 1, 4, 2)])
    assert [each["_id"] for each in log.find()] == [1, 4, 2]
    assert [each["_id"] for each in log.find().sort("$natural", -1)] == [2, 4, 1]
    log.update_one({"_id": 1}, {"$set": {"x": "y" * 100}})
    assert [each["_id"] for each in log.find()] == [1, 4, 2]


# -- validation and its bypass -------------------------------------------------------------


WRITES: dict[str, Callable[[Orders, bool], Any]] = {
    "insert_one": lambda c, bypass: c.insert_one({"n": 0}, bypass_document_validation=bypass),
    "insert_many": lambda c, bypass: c.insert_many([{"n": 0}], bypass_document_validation=bypass),
    "replace_one": lambda c, bypass: c.replace_one(
        {"_id": 0}, {"n": -2}, bypass_document_validation=bypass
    ),
    "update_one": lambda c, bypass: c.update_one(
        {"_id": 0}, {"$set": {"n": -2}}, bypass_document_validation=bypass
    ),
    "update_many": lambda c, bypass: c.update_many(
        {}, {"$inc": {"n": -1}}, bypass_document_validation=bypass
    ),
    "upsert": lambda c, bypass: c.update_one(
        {"_id": 7}, {"$set": {"n": -2}}, upsert=True, bypass_document_validation=bypass
    ),
    "bulk_write": lambda c, bypass: c.bulk_write(
        [UpdateOne({"_id": 0}, {"$set": {"n": -2}})], bypass_document_validation=bypass
    ),
    "bulk_write of an insert": lambda c, bypass: c.bulk_write(
        [InsertOne({"n": 0})], bypass_document_validation=bypass
    ),
    "find_one_and_update": lambda c, bypass: c.find_one_and_update(
        {"_id": 0}, {"$set": {"n": -2}}, bypass_document_validation=bypass
    ),
    "find_one_and_replace": lambda c, bypass: c.find_one_and_replace(
        {"_id": 0}, {"n": -2}, bypassDocumentValidation=bypass
    ),
    "find_one_and_update with upsert": lambda c, bypass: c.find_one_and_update(
        {"_id": 7}, {"$set": {"n": -2}}, upsert=True, bypass_document_validation=bypass
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_write_is_refused_unless_it_bypasses_validation(ruled: Orders, name: str) -> None:
    before = list(ruled.find())
    with pytest.raises(OperationFailure) as raised:
        WRITES[name](ruled, False)
    error: dict[str, Any] = dict(raised.value.details or {})
    if isinstance(raised.value, BulkWriteError):
        [error] = error["writeErrors"]
    assert error["code"] == 121
    assert error["errmsg"] == "Document failed validation"
    assert error["errInfo"]["details"]["specifiedAs"] == RULE
    assert list(ruled.find()) == before
    WRITES[name](ruled, True)
    assert list(ruled.find()) != before
    with pytest.raises(OperationFailure):
        ruled.insert_one({"n": 0})


def test_delete_needs_no_bypass(ruled: Orders) -> None:
    assert ruled.find_one_and_delete({"_id": 0}) == {"_id": 0, "n": -1}


def test_unordered_writes_go_on_after_a_refusal(ruled: Orders) -> None:
    with pytest.raises(BulkWriteError) as raised:
        ruled.insert_many([{"_id": n, "n": n % 2} for n in range(1, 6)], ordered=False)
    errors = raised.value.details["writeErrors"]
    assert [(each["index"], each["code"]) for each in errors] == [(1, 121), (3, 121)]
    assert [each["errInfo"]["failingDocumentId"] for each in errors] == [2, 4]
    assert raised.value.details["nInserted"] == 3
    assert ruled.distinct("_id") == [0, 1, 3, 5]


def test_ordered_writes_stop_at_a_refusal(ruled: Orders) -> None:
    requests = [
        InsertOne({"_id": 1, "n": 1}),
        ReplaceOne({"_id": 1}, {"n": 2}),
        UpdateMany({"_id": 1}, {"$set": {"n": 0}}),
        DeleteOne({"_id": 1}),
    ]
    with pytest.raises(BulkWriteError) as raised:
        ruled.bulk_write(requests)
    [error] = raised.value.details["writeErrors"]
    assert (error["index"], error["code"]) == (2, 121)
    assert ruled.find_one({"_id": 1}) == {"_id": 1, "n": 2}


def test_update_many_keeps_what_it_did_before_the_refusal(shop: Shop, ruled: Orders) -> None:
    ruled.delete_many({})
    ruled.insert_many([{"_id": 1, "n": 2}, {"_id": 2, "n": 1}, {"_id": 3, "n": 2}])
    with pytest.raises(WriteError):
        ruled.update_many({}, {"$inc": {"n": -1}})
    assert [each["n"] for each in ruled.find().sort("_id")] == [1, 1, 2]


def test_bypass_ends_with_its_statement_in_a_transaction(client: Client, ruled: Orders) -> None:
    with client.start_session() as session, session.start_transaction():
        ruled.insert_one({"_id": 1, "n": 0}, bypass_document_validation=True, session=session)
        with pytest.raises(WriteError) as raised:
            ruled.insert_one({"_id": 2, "n": 0}, session=session)
        assert raised.value.code == 121
        session.abort_transaction()
    assert ruled.distinct("_id") == [0]


def test_bypass_does_not_bypass_unique_indexes(ruled: Orders) -> None:
    with pytest.raises(WriteError) as raised:
        ruled.insert_one({"_id": 0}, bypass_document_validation=True)
    assert raised.value.code == 11000


def test_unacknowledged_write_is_refused_in_silence(ruled: Orders) -> None:
    silent = ruled.with_options(write_concern=WriteConcern(w=0))
    assert not silent.insert_one({"_id": 1, "n": 0}).acknowledged
    assert ruled.distinct("_id") == [0]


def test_warning_made_an_error_refuses_the_write(shop: Shop) -> None:
    shop.create_collection("warned", validator=RULE, validationAction="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            shop.warned.insert_one({"n": 0})
    assert shop.warned.count_documents({}) == 0


# -- capped collections in transactions ----------------------------------------------------


CAPPED_WRITES: dict[str, Callable[[Orders, Any], Any]] = {
    "insert_one": lambda c, session: c.insert_one({}, session=session),
    "insert_many": lambda c, session: c.insert_many([{}], session=session),
    "update_one": lambda c, session: c.update_one({}, {"$set": {"a": 1}}, session=session),
    "replace_one": lambda c, session: c.replace_one({}, {"a": 1}, session=session),
    "delete_many": lambda c, session: c.delete_many({}, session=session),
    "find_one_and_delete": lambda c, session: c.find_one_and_delete({}, session=session),
    "bulk_write": lambda c, session: c.bulk_write([DeleteOne({})], session=session),
}


@pytest.mark.parametrize("name", CAPPED_WRITES)
def test_write_to_a_capped_collection_in_a_transaction_is_refused(
    client: Client, shop: Shop, name: str
) -> None:
    log = shop.create_collection("log", capped=True, size=4096)
    log.insert_one({"_id": 1})
    with client.start_session() as session:
        session.start_transaction()
        shop.orders.insert_one({}, session=session)
        with pytest.raises(OperationFailure) as raised:
            CAPPED_WRITES[name](log, session)
        if isinstance(raised.value, BulkWriteError):
            assert raised.value.details["writeErrors"][0]["code"] == 263
        else:
            assert raised.value.code == 263
        session.abort_transaction()
    assert list(log.find()) == [{"_id": 1}]
    assert shop.orders.count_documents({}) == 0


def test_capped_collection_may_be_read_in_a_transaction(client: Client, shop: Shop) -> None:
    log = shop.create_collection("log", capped=True, size=4096)
    log.insert_one({"_id": 1})
    with client.start_session() as session, session.start_transaction():
        assert log.find_one({}, session=session) == {"_id": 1}
        assert log.count_documents({}, session=session) == 1
        shop.orders.insert_one({}, session=session)
    assert shop.orders.count_documents({}) == 1


def test_session_outside_a_transaction_writes_to_a_capped_collection(
    client: Client, shop: Shop
) -> None:
    log = shop.create_collection("log", capped=True, size=4096, max=1)
    with client.start_session() as session:
        log.insert_many([{"_id": 1}, {"_id": 2}], session=session)
    assert list(log.find()) == [{"_id": 2}]


# -- options of find -----------------------------------------------------------------------


def bounded(orders: Orders, **options: Any) -> list[int]:
    return [each["_id"] for each in orders.find({}, {"_id": 1}, **options)]


def test_min_is_inclusive_and_max_is_not(orders: Orders) -> None:
    orders.create_index("a")
    orders.insert_many([{"_id": n, "a": n} for n in range(10)])
    assert bounded(orders, hint="a_1", min=[("a", 3)], max=[("a", 6)]) == [3, 4, 5]
    assert bounded(orders, hint=[("a", 1)], min=[("a", 8)]) == [8, 9]
    assert bounded(orders, hint="a_1", max=[("a", 2)]) == [0, 1]
    cursor = orders.find({"a": {"$ne": 4}}).hint("a_1").min([("a", 3)]).max([("a", 6)])
    assert [each["_id"] for each in cursor] == [3, 5]


def test_min_and_max_follow_the_order_of_a_descending_index(orders: Orders) -> None:
    orders.create_index([("a", -1)])
    orders.insert_many([{"_id": n, "a": n} for n in range(10)])
    assert bounded(orders, hint="a_-1", min=[("a", 6)], max=[("a", 3)]) == [6, 5, 4]
    with pytest.raises(OperationFailure) as raised:
        bounded(orders, hint="a_-1", min=[("a", 3)], max=[("a", 6)])
    assert raised.value.code == 51175


def test_min_and_max_of_a_compound_index_name_every_field(orders: Orders) -> None:
    orders.create_index([("a", 1), ("b", -1)])
    orders.insert_many([{"_id": 10 * a + b, "a": a, "b": b} for a in range(3) for b in range(3)])
    keys = {"min": [("a", 1), ("b", 1)], "max": [("a", 2), ("b", 1)]}
    assert bounded(orders, hint="a_1_b_-1", **keys) == [11, 10, 22]
    with pytest.raises(OperationFailure) as raised:
        bounded(orders, hint="a_1_b_-1", min=[("a", 1)])
    assert raised.value.code == 51174
    with pytest.raises(OperationFailure) as raised:
        bounded(orders, hint="a_1_b_-1", min=[("b", 1), ("a", 1)])
    assert raised.value.code == 51174


def test_min_and_max_compare_types_as_an_index_does(orders: Orders) -> None:
    orders.create_index("a")
    orders.insert_many([{"_id": n, "a": a} for n, a in enumerate([None, 5, "x", {"b": 1}, True])])
    assert bounded(orders, hint="a_1", min=[("a", 0)], max=[("a", True)]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"min": [("a", 1)]}, 51173),
        ({"max": [("a", 1)]}, 51173),
        ({"hint": "a_1", "min": [("a", 5)], "max": [("a", 5)]}, 51175),
        ({"hint": "a_1", "min": [("a", 5)], "max": [("a", 4)]}, 51175),
        ({"hint": "a_1", "min": [("b", 5)]}, 51174),
        ({"hint": "a_1", "min": [("a", 1)], "max": [("b", 2)]}, 51176),
    ],
)
def test_bounds_that_do_not_fit_are_refused(
    orders: Orders, options: dict[str, Any], code: int
) -> None:
    orders.create_index("a")
    orders.insert_one({"a": 1})
    with pytest.raises(OperationFailure) as raised:
        bounded(orders, **options)
    assert raised.value.code == code


def test_bounds_must_be_pairs(orders: Orders) -> None:
    with pytest.raises(TypeError):
        orders.find().min("a")
    with pytest.raises(ValueError):
        orders.find().max([])


@pytest.mark.plan
def test_return_key_returns_the_fields_of_the_index(orders: Orders) -> None:
    orders.create_index([("a", 1), ("b", -1)])
    orders.insert_many([{"_id": n, "a": n, "b": -n, "c": 0} for n in range(3)])
    cursor = orders.find({"a": {"$gt": 0}}, {"c": 1}, return_key=True)
    assert list(cursor) == [{"a": 1, "b": -1}, {"a": 2, "b": -2}]
    assert list(orders.find({"c": 0}, return_key=True)) == [{}, {}, {}]
    assert list(orders.find({"_id": 1}, return_key=True)) == [{"_id": 1}]
    assert list(orders.find({"_id": {"$gt": 1}}, return_key=True)) == [{"_id": 2}]


@pytest.mark.plan
def test_return_key_of_an_array_returns_the_element(orders: Orders) -> None:
    orders.create_index("a")
    orders.insert_one({"_id": 1, "a": [1, 5, 9]})
    assert list(orders.find({"a": 5}, return_key=True)) == [{"a": 5}]


def test_show_record_id_adds_the_number_of_the_record(orders: Orders) -> None:
    orders.insert_many([{"_id": "a"}, {"_id": "b"}, {"_id": "c"}])
    orders.delete_one({"_id": "b"})
    shown = list(orders.find({}, show_record_id=True))
    assert shown == [{"_id": "a", "$recordId": 1}, {"_id": "c", "$recordId": 3}]
    assert list(shown[0]) == ["_id", "$recordId"]
    assert orders.find_one({"_id": "c"}, show_record_id=True) == shown[1]
    assert list(orders.find({"_id": "c"}, {"_id": 0}, show_record_id=True)) == [{"$recordId": 3}]
    assert list(orders.find({"_id": "c"}, show_record_id=False)) == [{"_id": "c"}]


def test_allow_disk_use_changes_no_result(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "a": -n} for n in range(5)])
    for allowed in (True, False, None):
        cursor = orders.find(allow_disk_use=allowed).sort("a", 1)
        assert [each["_id"] for each in cursor] == [4, 3, 2, 1, 0]
    assert orders.find().allow_disk_use(False).sort("a", 1).next()["_id"] == 4
    with pytest.raises(TypeError):
        orders.find(allow_disk_use=1)  # type: ignore[arg-type]


# -- time limits ---------------------------------------------------------------------------


def timed_out(work: Callable[[], Any]) -> None:
    with pytest.raises(ExecutionTimeout) as raised:
        work()
    assert raised.value.code == 50
    assert raised.value.details is not None
    assert raised.value.details["codeName"] == "MaxTimeMSExpired"


def test_read_within_its_time_is_not_disturbed(many: Orders, clock: RunningClock) -> None:
    clock.pace = 1.0
    assert len(list(many.find({"a": {"$gte": 0}}, max_time_ms=10**9))) == 1000
    assert len(list(many.find({"a": {"$gte": 0}}, max_time_ms=0))) == 1000
    assert many.count_documents({"a": {"$gte": 0}}, maxTimeMS=10**9) == 1000
    assert many.count_documents({"a": {"$gte": 0}}, maxTimeMS=0) == 1000
    assert many.distinct("b", maxTimeMS=10**9) == list(range(10))


def test_find_that_takes_too_long_times_out(many: Orders, clock: RunningClock) -> None:
    clock.pace = 1.0
    timed_out(lambda: list(many.find({"a": {"$gte": 0}}, max_time_ms=50)))
    timed_out(lambda: list(many.find({"nothing": 1}).max_time_ms(50)))
    timed_out(lambda: list(many.find(max_time_ms=50).sort("a", -1)))
    timed_out(lambda: many.find_one({"nothing": 1}, max_time_ms=50))
    assert many.find_one({"a": 999}) is not None


def test_time_between_batches_does_not_count(many: Orders, clock: RunningClock) -> None:
    cursor = many.find(batch_size=100, max_time_ms=1000)
    for _ in range(10):
        assert len(cursor.to_list(100)) == 100
        clock.seconds += 3600


def test_time_of_all_batches_counts_together(many: Orders, clock: RunningClock) -> None:
    cursor = many.find(batch_size=10, max_time_ms=100_000)
    cursor.to_list(10)
    clock.pace = 1.0
    timed_out(lambda: cursor.to_list())
    assert not cursor.alive


def test_count_and_distinct_that_take_too_long_time_out(many: Orders, clock: RunningClock) -> None:
    clock.pace = 1.0
    timed_out(lambda: many.count_documents({"b": 5}, maxTimeMS=1))
    timed_out(lambda: many.distinct("b", maxTimeMS=1))
    assert many.count_documents({"b": 5}) == 100


@pytest.mark.parametrize("method", ["update", "replace", "delete"])
def test_change_that_takes_too_long_changes_nothing(
    many: Orders, clock: RunningClock, method: str
) -> None:
    changes: dict[str, Callable[..., Any]] = {
        "update": lambda **o: many.find_one_and_update({"a": 999}, {"$set": {"c": 1}}, **o),
        "replace": lambda **o: many.find_one_and_replace({"a": 999}, {"c": 1}, **o),
        "delete": lambda **o: many.find_one_and_delete({"a": 999}, **o),
    }
    clock.pace = 1.0
    timed_out(lambda: changes[method](maxTimeMS=1))
    clock.pace = 0.0
    assert many.find_one({"_id": 999}) == {"_id": 999, "a": 999, "b": 9}
    assert changes[method](maxTimeMS=1) == {"_id": 999, "a": 999, "b": 9}


def test_limit_of_one_statement_does_not_hold_for_the_next(
    many: Orders, clock: RunningClock
) -> None:
    clock.pace = 1.0
    timed_out(lambda: many.distinct("b", maxTimeMS=1))
    assert len(many.distinct("b")) == 10
    assert many.update_many({"a": {"$gte": 0}}, {"$set": {"c": 1}}).modified_count == 1000


def test_read_in_a_transaction_that_times_out_ends_it(
    client: Client, many: Orders, clock: RunningClock
) -> None:
    with client.start_session() as session:
        session.start_transaction()
        many.insert_one({"_id": -1}, session=session)
        clock.pace = 1.0
        timed_out(lambda: many.distinct("b", session=session, maxTimeMS=1))
        clock.pace = 0.0
        with pytest.raises(OperationFailure):
            many.find_one({}, session=session)
        session.abort_transaction()
    assert many.count_documents({"_id": -1}) == 0


def test_limit_that_is_no_number_is_refused(many: Orders) -> None:
    with pytest.raises(TypeError):
        many.find().max_time_ms("5")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        many.count_documents({}, maxTimeMS="5")


def test_negative_limit_is_refused(many: Orders) -> None:
    for work in (
        lambda: many.count_documents({}, maxTimeMS=-1),
        lambda: many.distinct("b", maxTimeMS=-1),
        lambda: many.find_one_and_delete({}, maxTimeMS=-1),
    ):
        with pytest.raises(OperationFailure) as raised:
            work()
        assert raised.value.code == 2


def test_negative_limit_of_a_find_is_refused(many: Orders, clock: RunningClock) -> None:
    clock.pace = 1.0
    with pytest.raises(OperationFailure) as raised:
        list(many.find(max_time_ms=-1))
    assert raised.value.code == 2


# -- building an index ---------------------------------------------------------------------


def test_progress_of_an_index_build_is_told(orders: Orders) -> None:
    orders.insert_many([{"_id": n, "a": n} for n in range(5000)])
    told: list[tuple[int, int]] = []
    assert orders.create_index("a", progress=lambda done, all: told.append((done, all))) == "a_1"
    assert told == sorted(told)
    assert len(told) >= 2
    assert 0 < told[0][0] < 5000
    assert told[-1] == (5000, 5000)
    assert {total for _, total in told} == {5000}


def test_progress_of_a_small_or_an_existing_index(orders: Orders) -> None:
    told: list[tuple[int, int]] = []
    orders.create_index("a", progress=lambda done, all: told.append((done, all)))
    assert told == [(0, 0)]
    orders.create_index("a", progress=lambda done, all: told.append((done, all)))
    assert told == [(0, 0)]


def test_progress_is_no_option_of_the_index(orders: Orders) -> None:
    orders.create_index("a", progress=lambda done, all: None)
    assert orders.index_information()["a_1"] == {"v": 2, "key": [("a", 1)]}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("call", [1, 2])
def test_interrupted_index_build_leaves_no_index(
    client: Client, orders: Orders, error: type[BaseException], call: int
) -> None:
    orders.insert_many([{"_id": n, "a": n} for n in range(3000)])
    calls = 0

    def interrupt(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error

    with pytest.raises(error):
        orders.create_index("a", unique=True, progress=interrupt)
    assert list(orders.index_information()) == ["_id_"]
    assert client.check().problems == []
    orders.insert_one({"_id": 3000, "a": 0})
    orders.delete_one({"_id": 3000})
    orders.create_index("a", unique=True)
    assert orders.find_one({"a": 2999}) == {"_id": 2999, "a": 2999}


def test_interrupted_build_makes_no_collection(orders: Orders) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        orders.create_index("a", progress=interrupt)
    assert orders.database.list_collection_names() == []


def test_documents_with_arrays_count_once(shop: Any) -> None:
    things = shop.things
    things.create_index("tags")
    things.create_index([("a", 1), ("tags", 1)])
    things.insert_many(
        {"a": n % 2, "tags": [n % 5, n % 3, n % 5] if n % 4 else n % 5} for n in range(60)
    )
    filters: list[dict[str, Any]] = [
        {"tags": 2},
        {"tags": 9},
        {"tags": [1, 1, 1]},
        {"tags": {"$in": [0, 1, 2]}},
        {"tags": {"$gte": 1}},
        {"tags": None},
        {"a": 1},
        {"a": 1, "tags": 2},
    ]
    for filter in filters:
        scanned = things.count_documents(filter, hint=[("$natural", 1)])
        assert things.count_documents(filter) == scanned == len(list(things.find(filter))), filter
