"""Databases: collections come, go and are listed."""

from __future__ import annotations

from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.dbref import DBRef
from pymongo.errors import CollectionInvalid, InvalidName, OperationFailure
from pymongo.write_concern import WriteConcern

import cbdd

Shop = cbdd.Database[dict[str, Any]]


def test_created_collection_is_listed_as_mongodb_lists_it(shop: Shop) -> None:
    shop.create_collection("orders")
    [listed] = list(shop.list_collections())
    uuid = listed["info"].pop("uuid")
    assert uuid.subtype == 4 and len(uuid) == 16
    assert listed == {
        "name": "orders",
        "type": "collection",
        "options": {},
        "info": {"readOnly": False},
        "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"},
    }


def test_list_collection_names_takes_a_filter(shop: Shop) -> None:
    for name in ("a", "b", "c"):
        shop.create_collection(name)
    assert shop.list_collection_names() == ["a", "b", "c"]
    assert shop.list_collection_names(filter={"name": {"$ne": "b"}}) == ["a", "c"]
    assert list(shop.list_collections(filter={"name": "b"}, nameOnly=True)) == [
        {"name": "b", "type": "collection"}
    ]


def test_collection_is_created_once(shop: Shop) -> None:
    shop.create_collection("orders")
    with pytest.raises(CollectionInvalid, match="already exists"):
        shop.create_collection("orders")
    with pytest.raises(OperationFailure) as raised:
        shop.create_collection("orders", check_exists=False)
    assert raised.value.code == 48


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("capped", True),
        ("size", 1000),
        ("max", 5),
        ("timeseries", {"timeField": "t"}),
        ("validator", 5),
        ("validationLevel", "nonsense"),
        ("validationAction", "nonsense"),
        ("viewOn", "orders"),
        ("collation", {"locale": "en"}),
        ("nonsense", 1),
    ],
)
def test_option_of_create_that_is_not_carried_out_is_refused(
    shop: Shop, option: str, value: object
) -> None:
    with pytest.raises(OperationFailure, match=option):
        shop.create_collection("orders", **{option: value})  # type: ignore[arg-type]
    shop.create_collection("orders", capped=False)
    assert shop.orders.options() == {}


def test_dropping_says_what_was_dropped(shop: Shop) -> None:
    shop.orders.create_index("a")
    assert shop.drop_collection("orders") == {"nIndexesWas": 2, "ns": "shop.orders", "ok": 1.0}
    assert shop.drop_collection(shop.orders) == {"ok": 1.0}
    shop.orders.drop()
    assert shop.list_collection_names() == []


def test_renamed_collection_keeps_its_documents(shop: Shop) -> None:
    shop.orders.insert_one({"_id": 1})
    shop.other.insert_one({"_id": 2})
    with pytest.raises(OperationFailure, match="does not exist") as raised:
        shop.nothing.rename("x")
    assert raised.value.code == 26
    with pytest.raises(OperationFailure, match="target namespace exists") as raised:
        shop.orders.rename("other")
    assert raised.value.code == 48
    assert shop.orders.rename("other", dropTarget=True) == {"ok": 1.0}
    assert shop.list_collection_names() == ["other"]
    assert shop.other.find_one() == {"_id": 1}


def test_options_are_inherited_and_replaced(shop: Shop) -> None:
    codec: CodecOptions[Any] = CodecOptions(tz_aware=True)
    concern = WriteConcern(j=True)
    aware = shop.with_options(codec, write_concern=concern)
    assert aware == shop
    assert aware.codec_options is codec and aware.write_concern is concern
    orders = aware.orders
    assert orders.codec_options is codec and orders.write_concern is concern
    plain = orders.with_options(write_concern=WriteConcern(w=1))
    assert plain.codec_options is codec
    assert orders.archive.codec_options is codec
    assert shop.get_collection("orders", codec).codec_options is codec
    assert shop.client.get_database("shop", codec).codec_options is codec


def test_reference_is_followed(shop: Shop) -> None:
    shop.orders.insert_one({"_id": 1, "a": 5})
    assert shop.dereference(DBRef("orders", 1)) == {"_id": 1, "a": 5}
    assert shop.dereference(DBRef("orders", 2)) is None
    with pytest.raises(ValueError, match="another database"):
        shop.dereference(DBRef("orders", 1, "other"))


def test_names_that_a_server_refuses_are_refused_when_something_is_made(
    shop: Shop, client: cbdd.Client[Any]
) -> None:
    with pytest.raises(OperationFailure) as raised:
        shop.system.users.insert_one({})
    assert raised.value.code == 73
    with pytest.raises(OperationFailure) as raised:
        shop["x" * 255].insert_one({})
    assert raised.value.code == 73
    with pytest.raises(InvalidName):
        shop["a\0b"].insert_one({})
    shop.orders.insert_one({})
    with pytest.raises(OperationFailure) as raised:
        client.SHOP.orders.insert_one({})
    assert raised.value.code == 13297
    assert client.list_database_names() == ["shop"]


def test_validate_of_a_missing_collection_is_an_error(shop: Shop) -> None:
    with pytest.raises(OperationFailure) as raised:
        shop.validate_collection("orders")
    assert raised.value.code == 26


def test_collection_made_through_its_constructor_warns_as_in_pymongo(shop: Shop) -> None:
    with pytest.warns(DeprecationWarning, match="create_collection"):
        cbdd.Collection(shop, "orders", create=True)
    assert shop.list_collection_names() == ["orders"]
