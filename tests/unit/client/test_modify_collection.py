"""collMod: what it changes, what it answers, what it refuses, and that it lasts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pymongo.errors import OperationFailure, WriteError

import cbdd
from tests.unit.client.conftest import OPTIONS

Client = cbdd.Client[dict[str, Any]]
Shop = cbdd.Database[dict[str, Any]]
Orders = cbdd.Collection[dict[str, Any]]


def opened(path: str, **options: Any) -> Client:
    return cbdd.Client(path, **options)


def modify(shop: Shop, **options: Any) -> dict[str, Any]:
    return shop.command("collMod", "orders", **options)


def refused(shop: Shop, **options: Any) -> OperationFailure:
    before = list(shop.list_collections()), list(shop.orders.list_indexes())
    with pytest.raises(OperationFailure) as raised:
        modify(shop, **options)
    assert (list(shop.list_collections()), list(shop.orders.list_indexes())) == before
    return raised.value


def options_of(shop: Shop) -> dict[str, Any]:
    [listed] = shop.list_collections(filter={"name": "orders"})
    assert listed["options"] == shop.orders.options()
    return dict(listed["options"])


def index_of(orders: Orders, name: str) -> dict[str, Any]:
    [found] = [index for index in orders.list_indexes() if index["name"] == name]
    return dict(found)


# -- validation ----------------------------------------------------------------------------


def test_validator_holds_from_now_on(shop: Shop, orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    assert modify(shop, validator={"a": {"$exists": True}}) == {"ok": 1.0}
    assert options_of(shop) == {
        "validator": {"a": {"$exists": True}},
        "validationLevel": "strict",
        "validationAction": "error",
    }
    with pytest.raises(WriteError) as raised:
        orders.insert_one({"_id": 2})
    assert raised.value.code == 121
    with pytest.raises(WriteError):
        orders.update_one({"_id": 1}, {"$set": {"b": 1}})
    orders.update_one({"_id": 1}, {"$set": {"a": 1}})


def test_another_validator_takes_the_place_of_the_first(shop: Shop, orders: Orders) -> None:
    shop.create_collection("orders", validator={"a": 1}, validationLevel="moderate")
    modify(shop, validator={"b": 1})
    orders.insert_one({"b": 1})
    with pytest.raises(WriteError):
        orders.insert_one({"a": 1})
    assert options_of(shop)["validator"] == {"b": 1}


def test_level_and_action_stay_when_only_the_validator_changes(shop: Shop) -> None:
    shop.create_collection(
        "orders", validator={"a": 1}, validationLevel="moderate", validationAction="warn"
    )
    modify(shop, validator={"b": 1})
    assert options_of(shop) == {
        "validator": {"b": 1},
        "validationLevel": "moderate",
        "validationAction": "warn",
    }


def test_empty_validator_takes_it_away(shop: Shop, orders: Orders) -> None:
    shop.create_collection("orders", validator={"a": 1})
    modify(shop, validator={})
    assert "validator" not in options_of(shop)
    orders.insert_one({"b": 1})


def test_empty_validator_on_a_collection_without_one_is_no_change(shop: Shop) -> None:
    shop.create_collection("orders")
    modify(shop, validator={})
    assert "validator" not in options_of(shop)


def test_level_changes_alone(shop: Shop, orders: Orders) -> None:
    orders.insert_one({"_id": 1})
    modify(shop, validator={"a": 1})
    modify(shop, validationLevel="moderate")
    orders.update_one({"_id": 1}, {"$set": {"b": 1}})
    with pytest.raises(WriteError):
        orders.insert_one({"_id": 2})
    modify(shop, validationLevel="off")
    orders.insert_one({"_id": 2})
    modify(shop, validationLevel="strict")
    with pytest.raises(WriteError):
        orders.update_one({"_id": 1}, {"$set": {"b": 2}})


def test_action_changes_alone(shop: Shop, orders: Orders) -> None:
    shop.create_collection("orders", validator={"a": 1})
    modify(shop, validationAction="warn")
    with pytest.warns(UserWarning, match=r"shop\.orders"):
        orders.insert_one({"b": 1})
    modify(shop, validationAction="error")
    with pytest.raises(WriteError):
        orders.insert_one({"b": 1})


def test_level_set_before_there_is_a_validator_counts_when_there_is_one(
    shop: Shop, orders: Orders
) -> None:
    orders.insert_one({"_id": 1})
    modify(shop, validationLevel="moderate")
    assert options_of(shop) == {"validationLevel": "moderate"}
    modify(shop, validator={"a": 1})
    orders.update_one({"_id": 1}, {"$set": {"b": 1}})


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"validator": 5}, 14),
        ({"validator": {"$nonsense": 1}}, 2),
        ({"validationLevel": "nonsense"}, 2),
        ({"validationAction": "nonsense"}, 2),
        ({"nonsense": 1}, 40415),
        ({"size": 5000}, 40415),
        ({"capped": True}, 40415),
        ({"viewOn": "x"}, 238),
        ({"expireAfterSeconds": 5}, 238),
        ({"dryRun": True}, 238),
    ],
)
def test_option_that_is_wrong_is_refused_and_changes_nothing(
    shop: Shop, options: dict[str, Any], code: int
) -> None:
    shop.create_collection("orders", validator={"a": 1})
    assert refused(shop, **options).code == code


def test_one_wrong_option_keeps_the_others_from_being_changed(shop: Shop, orders: Orders) -> None:
    orders.create_index("a")
    hide = {"name": "a_1", "hidden": True}
    assert refused(shop, index=hide, validator={"a": 1}, validationLevel="x").code == 2
    assert refused(shop, validator={"a": 1}, index={"name": "b_1", "hidden": True}).code == 27


def test_nothing_to_change_is_no_error(shop: Shop) -> None:
    shop.create_collection("orders")
    assert shop.command({"collMod": "orders"}) == {"ok": 1.0}
    assert modify(shop, comment="why", writeConcern={"w": 1}) == {"ok": 1.0}
    assert options_of(shop) == {}


def test_collection_that_does_not_exist_is_refused(shop: Shop) -> None:
    with pytest.raises(OperationFailure) as raised:
        modify(shop, validator={"a": 1})
    assert raised.value.code == 26
    assert shop.list_collection_names() == []


def test_refusal_is_returned_when_it_is_not_checked(shop: Shop) -> None:
    answer = shop.command("collMod", "orders", check=False)
    assert (answer["ok"], answer["code"]) == (0.0, 26)


def test_name_of_the_command_may_be_written_in_lower_case(shop: Shop) -> None:
    shop.create_collection("orders")
    shop.command({"collmod": "orders", "validationLevel": "off"})
    assert options_of(shop) == {"validationLevel": "off"}


def test_coll_mod_in_a_transaction_is_refused(client: Client, shop: Shop) -> None:
    shop.create_collection("orders")
    with client.start_session() as session, session.start_transaction():
        with pytest.raises(OperationFailure) as raised:
            modify(shop, session=session, validationLevel="off")
        assert raised.value.code == 263
        session.abort_transaction()


def test_transaction_that_began_before_does_not_miss_the_validator(
    client: Client, shop: Shop, orders: Orders
) -> None:
    orders.insert_one({"_id": 1})
    session = client.start_session()
    session.start_transaction()
    orders.find_one({}, session=session)
    modify(shop, validator={"a": 1})
    with pytest.raises(OperationFailure) as raised:
        orders.insert_one({"_id": 2}, session=session)
        session.commit_transaction()
    assert raised.value.has_error_label("TransientTransactionError")
    session.end_session()
    assert orders.count_documents({}) == 1


# -- capped collections --------------------------------------------------------------------


def test_capped_limits_change(shop: Shop, orders: Orders) -> None:
    shop.create_collection("orders", capped=True, size=8192, max=10)
    orders.insert_many([{"_id": n} for n in range(10)])
    assert modify(shop, cappedMax=3) == {"ok": 1.0}
    assert options_of(shop) == {"capped": True, "size": 8192, "max": 3}
    orders.insert_one({"_id": 10})
    assert orders.distinct("_id") == [8, 9, 10]
    modify(shop, cappedMax=5)
    orders.insert_many([{"_id": n} for n in range(11, 15)])
    assert orders.distinct("_id") == [10, 11, 12, 13, 14]


def test_capped_size_changes(shop: Shop, orders: Orders) -> None:
    shop.create_collection("orders", capped=True, size=1 << 20)
    orders.insert_many([{"_id": n, "x": "y" * 1000} for n in range(10)])
    modify(shop, cappedSize=1)
    assert options_of(shop) == {"capped": True, "size": 4096}
    orders.insert_one({"_id": 10, "x": "y" * 1000})
    assert orders.distinct("_id") == [7, 8, 9, 10]
    modify(shop, cappedSize=5000)
    assert options_of(shop)["size"] == 5120


@pytest.mark.parametrize("most", [0, -1])
def test_capped_max_of_zero_or_less_takes_the_limit_away(shop: Shop, most: int) -> None:
    shop.create_collection("orders", capped=True, size=1 << 20, max=2)
    modify(shop, cappedMax=most)
    assert options_of(shop) == {"capped": True, "size": 1 << 20}
    shop.orders.insert_many([{} for _ in range(10)])
    assert shop.orders.count_documents({}) == 10


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("cappedSize", "5000", 14),
        ("cappedSize", True, 14),
        ("cappedMax", [], 14),
        ("cappedMax", 1 << 31, 2),
    ],
)
def test_capped_limit_that_is_wrong_is_refused(
    shop: Shop, option: str, value: object, code: int
) -> None:
    shop.create_collection("orders", capped=True, size=4096)
    assert refused(shop, **{option: value}).code == code


@pytest.mark.parametrize("size", [0, -5, 1 << 60])
def test_capped_size_outside_the_range_is_refused(shop: Shop, size: int) -> None:
    shop.create_collection("orders", capped=True, size=4096)
    refused(shop, cappedSize=size)


@pytest.mark.parametrize("option", ["cappedSize", "cappedMax"])
def test_plain_collection_has_no_capped_limits(shop: Shop, option: str) -> None:
    shop.create_collection("orders")
    assert refused(shop, **{option: 5000}).code == 72


# -- indexes -------------------------------------------------------------------------------


@pytest.mark.plan
def test_index_is_hidden_and_shown_again(shop: Shop, orders: Orders) -> None:
    orders.create_index("a")
    orders.insert_many([{"a": n} for n in range(10)])
    answer = modify(shop, index={"name": "a_1", "hidden": True})
    assert answer == {"hidden_old": False, "hidden_new": True, "ok": 1.0}
    assert index_of(orders, "a_1")["hidden"] is True
    assert orders.find({"a": 3}).explain()["executionStats"]["totalDocsExamined"] == 10
    with pytest.raises(OperationFailure):
        list(orders.find({"a": 3}).hint("a_1"))
    orders.insert_one({"a": 10})
    answer = modify(shop, index={"keyPattern": {"a": 1}, "hidden": False})
    assert answer == {"hidden_old": True, "hidden_new": False, "ok": 1.0}
    assert "hidden" not in index_of(orders, "a_1")
    assert orders.find({"a": 10}).explain()["executionStats"]["totalDocsExamined"] == 1


def test_hiding_a_hidden_index_answers_no_change(shop: Shop, orders: Orders) -> None:
    orders.create_index("a", hidden=True)
    assert modify(shop, index={"name": "a_1", "hidden": True}) == {"ok": 1.0}
    assert index_of(orders, "a_1")["hidden"] is True


def test_hidden_unique_index_still_refuses_duplicates(shop: Shop, orders: Orders) -> None:
    orders.create_index("a", unique=True)
    modify(shop, index={"name": "a_1", "hidden": True})
    orders.insert_one({"a": 1})
    with pytest.raises(WriteError) as raised:
        orders.insert_one({"a": 1})
    assert raised.value.code == 11000


def test_partial_index_stays_partial(shop: Shop, orders: Orders) -> None:
    orders.create_index("a", partialFilterExpression={"b": 1})
    modify(shop, index={"name": "a_1", "hidden": True})
    orders.insert_many([{"a": 1, "b": 1}, {"a": 2, "b": 2}])
    modify(shop, index={"name": "a_1", "hidden": False})
    assert index_of(orders, "a_1")["partialFilterExpression"] == {"b": 1}
    assert orders.count_documents({}) == 2


def test_seconds_of_a_ttl_index_change(shop: Shop, orders: Orders) -> None:
    orders.create_index("t", expireAfterSeconds=60)
    answer = modify(shop, index={"keyPattern": {"t": 1}, "expireAfterSeconds": 90})
    assert answer == {"expireAfterSeconds_old": 60, "expireAfterSeconds_new": 90, "ok": 1.0}
    assert index_of(orders, "t_1")["expireAfterSeconds"] == 90


def test_plain_index_becomes_a_ttl_index(shop: Shop, orders: Orders) -> None:
    orders.create_index("t")
    answer = modify(shop, index={"name": "t_1", "expireAfterSeconds": 0})
    assert answer == {"expireAfterSeconds_new": 0, "ok": 1.0}
    assert index_of(orders, "t_1")["expireAfterSeconds"] == 0


def test_two_options_of_an_index_change_together(shop: Shop, orders: Orders) -> None:
    orders.create_index("t")
    answer = modify(shop, index={"name": "t_1", "expireAfterSeconds": 5, "hidden": True})
    assert answer == {
        "expireAfterSeconds_new": 5,
        "hidden_old": False,
        "hidden_new": True,
        "ok": 1.0,
    }


@pytest.mark.parametrize(
    ("index", "code"),
    [
        (5, 14),
        ("a_1", 14),
        ({"hidden": True}, 72),
        ({"name": "a_1", "keyPattern": {"a": 1}, "hidden": True}, 72),
        ({"name": "a_1"}, 72),
        ({"name": "b_1", "hidden": True}, 27),
        ({"keyPattern": {"a": -1}, "hidden": True}, 27),
        ({"keyPattern": {"a": 1, "b": 1, "c": 1}, "hidden": True}, 27),
        ({"name": "a_1", "hidden": "yes"}, 14),
        ({"name": "_id_", "hidden": True}, 2),
        ({"name": "_id_", "expireAfterSeconds": 5}, 72),
        ({"name": "a_1_b_1", "expireAfterSeconds": 5}, 72),
        ({"name": "$**_1", "expireAfterSeconds": 5}, 72),
        ({"name": "a_1", "nonsense": 5}, 40415),
        ({"name": "a_1", "unique": True}, 238),
        ({"name": "a_1", "prepareUnique": True}, 238),
    ],
)
def test_change_of_an_index_that_makes_no_sense_is_refused(
    shop: Shop, orders: Orders, index: object, code: int
) -> None:
    orders.create_index("a")
    orders.create_index([("a", 1), ("b", 1)])
    orders.create_index([("$**", 1)])
    assert refused(shop, index=index).code == code


@pytest.mark.parametrize("seconds", [-1, 2**31, "60", None, float("nan")])
def test_seconds_outside_the_range_are_refused(shop: Shop, orders: Orders, seconds: object) -> None:
    orders.create_index("t", expireAfterSeconds=60)
    refused(shop, index={"name": "t_1", "expireAfterSeconds": seconds})


def test_key_pattern_tells_indexes_apart_by_the_order_of_their_fields(
    shop: Shop, orders: Orders
) -> None:
    orders.create_index([("b", 1), ("a", 1)])
    orders.create_index([("a", 1), ("b", 1)])
    modify(shop, index={"keyPattern": {"a": 1, "b": 1}, "hidden": True})
    assert "hidden" not in index_of(orders, "b_1_a_1")
    assert index_of(orders, "a_1_b_1")["hidden"] is True


def test_key_pattern_of_several_indexes_is_refused(shop: Shop, orders: Orders) -> None:
    orders.create_index("a")
    orders.create_index("a", name="part", partialFilterExpression={"b": 1})
    assert refused(shop, index={"keyPattern": {"a": 1}, "hidden": True}).code == 181


def test_hidden_may_be_a_number(shop: Shop, orders: Orders) -> None:
    orders.create_index("a")
    modify(shop, index={"name": "a_1", "hidden": 1})
    assert index_of(orders, "a_1")["hidden"] is True


# -- afterwards ----------------------------------------------------------------------------


def test_changes_survive_reopening(path: str) -> None:
    with opened(path, **OPTIONS) as client:
        shop = client.shop
        shop.create_collection("orders", capped=True, size=8192)
        shop.orders.create_index("t")
        shop.command(
            "collMod",
            "orders",
            validator={"t": {"$type": "date"}},
            validationLevel="moderate",
            cappedMax=2,
            index={"name": "t_1", "expireAfterSeconds": 60, "hidden": True},
        )
    with opened(path, **OPTIONS) as client:
        shop = client.shop
        assert options_of(shop) == {
            "capped": True,
            "size": 8192,
            "validator": {"t": {"$type": "date"}},
            "validationLevel": "moderate",
            "validationAction": "error",
            "max": 2,
        }
        assert index_of(shop.orders, "t_1") == {
            "v": 2,
            "key": {"t": 1},
            "name": "t_1",
            "expireAfterSeconds": 60,
            "hidden": True,
        }
        with pytest.raises(WriteError):
            shop.orders.insert_one({"t": 5})
        shop.orders.insert_many([{"_id": n, "t": datetime(2020, 1, 1)} for n in range(3)])
        assert shop.orders.distinct("_id") == [1, 2]
        assert client.check().problems == []


def test_other_options_and_the_identity_stay(shop: Shop, orders: Orders) -> None:
    shop.create_collection("orders", capped=True, size=4096)
    orders.insert_one({"_id": 1})
    [before] = shop.list_collections()
    modify(shop, validator={"_id": {"$gt": 0}})
    [after] = shop.list_collections()
    assert after["info"] == before["info"]
    assert after["options"]["capped"] is True
    assert orders.count_documents({}) == 1
