"""What PyMongo refuses before it talks to a server, the client refuses with the same class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymongo
import pytest
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from pymongo import InsertOne, UpdateOne
from pymongo.errors import InvalidName

import cbdd

Call = Callable[[Any], Any]

ON_COLLECTION: dict[str, Call] = {
    "insert_one(list)": lambda c: c.insert_one([{"a": 1}]),
    "insert_one(None)": lambda c: c.insert_one(None),
    "insert_one(str)": lambda c: c.insert_one("a"),
    "insert_one(set)": lambda c: c.insert_one({1, 2}),
    "insert_one()": lambda c: c.insert_one(),
    "insert_many([])": lambda c: c.insert_many([]),
    "insert_many(empty generator)": lambda c: c.insert_many(iter(())),
    "insert_many(dict)": lambda c: c.insert_many({"a": 1}),
    "insert_many(int)": lambda c: c.insert_many(5),
    "insert_many([1])": lambda c: c.insert_many([{"a": 1}, 1]),
    "insert_many(None)": lambda c: c.insert_many(None),
    "find(list)": lambda c: c.find([1]),
    "find(str)": lambda c: c.find("a"),
    "find(skip=str)": lambda c: c.find({}, skip="1"),
    "find(limit=float)": lambda c: c.find({}, limit=1.5),
    "find(batch_size=-1)": lambda c: c.find({}, batch_size=-1),
    "find(unknown)": lambda c: c.find({}, nonsense=1),
    "find(projection=int)": lambda c: c.find({}, 5),
    "find(projection=[int])": lambda c: c.find({}, [5]),
    "find(sort=int)": lambda c: c.find({}, sort=5),
    "find(sort=[()])": lambda c: c.find({}, sort=[(1, 1)]),
    "find(cursor_type)": lambda c: c.find({}, cursor_type=99),
    "find(no_cursor_timeout)": lambda c: c.find({}, no_cursor_timeout=1),
    "find().skip(-1)": lambda c: c.find().skip(-1),
    "find().skip(str)": lambda c: c.find().skip("1"),
    "find().limit(str)": lambda c: c.find().limit("1"),
    "find().limit(None)": lambda c: c.find().limit(None),
    "find().sort(None)": lambda c: c.find().sort(None),
    "find().sort([])": lambda c: c.find().sort([]),
    "find().sort(direction)": lambda c: c.find().sort("a", 1.5),
    "find().sort(list, direction)": lambda c: c.find().sort([("a", 1)], 1),
    "find().hint(int)": lambda c: c.find().hint(5),
    "find().batch_size(-1)": lambda c: c.find().batch_size(-1),
    "find().max_time_ms(str)": lambda c: c.find().max_time_ms("1"),
    "find()[-1]": lambda c: c.find()[-1],
    "find()[::2]": lambda c: c.find()[::2],
    "find()[5:2]": lambda c: c.find()[5:2],
    "find()['a']": lambda c: c.find()["a"],
    "find().to_list(0)": lambda c: c.find().to_list(0),
    "find().allow_disk_use(1)": lambda c: c.find().allow_disk_use(1),
    "find_raw_batches()[0]": lambda c: c.find_raw_batches()[0],
    "update_one without $": lambda c: c.update_one({}, {"a": 1}),
    "update_one({})": lambda c: c.update_one({}, {}),
    "update_one(None)": lambda c: c.update_one({}, None),
    "update_one(filter=list)": lambda c: c.update_one([], {"$set": {"a": 1}}),
    "update_one(array_filters=dict)": lambda c: c.update_one(
        {}, {"$set": {"a": 1}}, array_filters={}
    ),
    "update_many without $": lambda c: c.update_many({}, {"a": 1}),
    "replace_one with $": lambda c: c.replace_one({}, {"$set": {"a": 1}}),
    "replace_one(list)": lambda c: c.replace_one({}, [1]),
    "replace_one()": lambda c: c.replace_one({}),
    "delete_one()": lambda c: c.delete_one(),
    "find_one_and_update without $": lambda c: c.find_one_and_update({}, {"a": 1}),
    "find_one_and_update(return_document)": lambda c: c.find_one_and_update(
        {}, {"$set": {"a": 1}}, return_document="after"
    ),
    "find_one_and_replace with $": lambda c: c.find_one_and_replace({}, {"$set": {"a": 1}}),
    "find_one_and_delete(list)": lambda c: c.find_one_and_delete([]),
    "distinct(int)": lambda c: c.distinct(5),
    "distinct(filter and query)": lambda c: c.distinct("a", {}, query={}),
    "count_documents()": lambda c: c.count_documents(),
    "estimated_document_count(session)": lambda c: c.estimated_document_count(session=None),
    "create_index([])": lambda c: c.create_index([]),
    "create_index(int)": lambda c: c.create_index(5),
    "create_index([(int, int)])": lambda c: c.create_index([(5, 5)]),
    "create_indexes(dict)": lambda c: c.create_indexes({"a": 1}),
    "drop_index(int)": lambda c: c.drop_index(5),
    "bulk_write([])": lambda c: c.bulk_write([]),
    "bulk_write(dict)": lambda c: c.bulk_write({}),
    "bulk_write([dict])": lambda c: c.bulk_write([{"a": 1}]),
    "bulk_write(bad insert)": lambda c: c.bulk_write([InsertOne(5)]),
    "bulk_write(bad update)": lambda c: c.bulk_write([UpdateOne({}, {"a": 1})]),
    "rename(int)": lambda c: c.rename(5),
    "rename('')": lambda c: c.rename(""),
    "rename('$a')": lambda c: c.rename("a$b"),
    "with_options(codec_options)": lambda c: c.with_options(codec_options=5),
    "with_options(write_concern)": lambda c: c.with_options(write_concern=5),
    "with_options(read_preference)": lambda c: c.with_options(read_preference=5),
    "with_options(read_concern)": lambda c: c.with_options(read_concern=5),
    "bool(collection)": lambda c: bool(c),
    "iter(collection)": lambda c: iter(c),
    "next(collection)": lambda c: next(c),
    "collection()": lambda c: c(),
    "collection.method_typo()": lambda c: c.insert_uno({}),
    "collection._private": lambda c: c._private,
    "collection['']": lambda c: c[""],
    "collection['a$']": lambda c: c["a$"],
}

ON_DATABASE: dict[str, Call] = {
    "database['']": lambda d: d[""],
    "database['a..b']": lambda d: d["a..b"],
    "database['$a']": lambda d: d["$a"],
    "database['.a']": lambda d: d[".a"],
    "database['a\\0']": lambda d: d["a\0"],
    "database[5]": lambda d: d[5],
    "database._private": lambda d: d._private,
    "bool(database)": lambda d: bool(d),
    "iter(database)": lambda d: iter(d),
    "next(database)": lambda d: next(d),
    "drop_collection(int)": lambda d: d.drop_collection(5),
    "dereference(dict)": lambda d: d.dereference({}),
    "list_collection_names(filter=int)": lambda d: d.list_collection_names(filter=5),
    "with_options(codec_options)": lambda d: d.with_options(codec_options=CodecOptions),
}

ON_CLIENT: dict[str, Call] = {
    "client['']": lambda c: c[""],
    "client['a.b']": lambda c: c["a.b"],
    "client['a b']": lambda c: c["a b"],
    "client['a/b']": lambda c: c["a/b"],
    "client[5]": lambda c: c[5],
    "client._private": lambda c: c._private,
    "next(client)": lambda c: next(c),
    "iter(client)": lambda c: iter(c),
    "drop_database(5)": lambda c: c.drop_database(5),
    "start_session(options)": lambda c: c.start_session(default_transaction_options=5),
    "start_session(both)": lambda c: c.start_session(causal_consistency=True, snapshot=True),
}


REFUSED_BY_THE_ENCODER: dict[str, tuple[type[Exception], Call]] = {
    "unencodable value": (InvalidDocument, lambda c: c.insert_one({"a": object()})),
    "int as a name": (InvalidDocument, lambda c: c.insert_one({1: 2})),
    "NUL in a name": (InvalidDocument, lambda c: c.insert_one({"a\0b": 2})),
    "int of 9 bytes": (OverflowError, lambda c: c.insert_one({"a": 1 << 64})),
    "lone surrogate": (UnicodeEncodeError, lambda c: c.insert_one({"a": "\ud800"})),
    "document in itself": (RecursionError, lambda c: c.insert_one(recursive())),
    "unencodable update": (
        InvalidDocument,
        lambda c: c.update_one({}, {"$set": {"a": object()}}, upsert=True),
    ),
    "unencodable filter": (
        InvalidDocument,
        lambda c: c.update_one({"a": object()}, {"$set": {"a": 1}}, upsert=True),
    ),
    "unencodable in insert_many": (
        InvalidDocument,
        lambda c: c.insert_many([{"a": 1}, {"a": object()}]),
    ),
    "unencodable in bulk_write": (
        InvalidDocument,
        lambda c: c.bulk_write([InsertOne({"a": 1}), InsertOne({"a": object()})]),
    ),
    "index model of another kind": (TypeError, lambda c: c.create_indexes(["a"])),
    "collection name": (InvalidName, lambda c: c.database.create_collection("$a")),
}


def recursive() -> dict[str, Any]:
    document: dict[str, Any] = {}
    document["self"] = document
    return document


@pytest.fixture(scope="module")
def deployment() -> pymongo.MongoClient[Any]:
    """PyMongo's client, which finds no server: whatever reaches for one fails differently."""
    return pymongo.MongoClient("mongodb://localhost:1", serverSelectionTimeoutMS=1, connect=False)


@pytest.mark.parametrize(
    ("expected", "call"), REFUSED_BY_THE_ENCODER.values(), ids=REFUSED_BY_THE_ENCODER.keys()
)
def test_what_the_encoder_refuses_leaves_the_file_unchanged(
    expected: type[Exception], call: Call, orders: cbdd.Collection[Any]
) -> None:
    before = orders.database.client.statistics()["lsn"]
    with pytest.raises(expected):
        call(orders)
    assert orders.database.client.statistics()["lsn"] == before


def raised_by(call: Call, target: Any) -> type[BaseException]:
    with pytest.raises(Exception) as raised:
        call(target)
    return raised.type


@pytest.mark.parametrize("call", ON_COLLECTION.values(), ids=ON_COLLECTION.keys())
def test_collection_refuses_what_pymongo_refuses(
    call: Call, deployment: Any, orders: cbdd.Collection[Any]
) -> None:
    assert raised_by(call, orders) is raised_by(call, deployment.shop.orders)
    assert orders.database.list_collection_names() == []


@pytest.mark.parametrize("call", ON_DATABASE.values(), ids=ON_DATABASE.keys())
def test_database_refuses_what_pymongo_refuses(
    call: Call, deployment: Any, shop: cbdd.Database[Any]
) -> None:
    assert raised_by(call, shop) is raised_by(call, deployment.shop)


@pytest.mark.parametrize("call", ON_CLIENT.values(), ids=ON_CLIENT.keys())
def test_client_refuses_what_pymongo_refuses(
    call: Call, deployment: Any, client: cbdd.Client[Any]
) -> None:
    assert raised_by(call, client) is raised_by(call, deployment)
