"""Writes of one document by `_id` take a short way; what they do is what the long way does."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import bson
import pytest
from bson.errors import InvalidDocument
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from pymongo import DeleteMany, DeleteOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    WriteError,
)
from pymongo.write_concern import WriteConcern

import cbdd
from cbdd.query.point import LONG_WAY

SHARE = 4 if os.environ.get("CBDD_FEW_CASES") else 1
OID = ObjectId("65a1b2c3d4e5f60718293a4b")
STORED: list[dict[str, Any]] = [
    {"_id": 1, "n": 1, "at": "a"},
    {"_id": "two", "n": 2, "at": "b"},
    {"_id": OID, "n": 3, "at": "c"},
    {"_id": 4.5, "n": "text", "at": "d"},
    {"_id": None, "n": 5, "at": "e"},
]


class Text(str):
    """A string of another class."""


FILTERS: list[Any] = [
    {"_id": 1},
    {"_id": "two"},
    {"_id": OID},
    {"_id": 4.5},
    {"_id": None},
    {"_id": 77},
    {"_id": True},
    {"_id": 2**63},
    {"_id": {"$gt": 0}},
    {"_id": 1, "n": 1},
    {"_id": 1, "n": 2},
    {"n": 2},
    {"at": "b"},
    {"at": "none"},
    {"at": 1},
    {"at": None},
    {"at": Text("b")},
    {"at": {"$in": ["b"]}},
    {"at": "b", "n": 2},
    {},
    {1: 1},
    SON([("_id", 1)]),
    OrderedDict([("_id", "two")]),
    RawBSONDocument(bson.encode({"_id": 1})),
    None,
    "two",
    [("_id", 1)],
]
UPDATES: list[Any] = [
    {"$inc": {"n": 1}},
    {"$set": {"at": "b"}},
    {"$set": {"at": ["a", "q"]}},
    {"$set": {"at.$": "q"}},
    {"$unset": {"at": 1}},
    {"$set": {"_id": 9}},
    {"$set": {"at": 1}, "n": 1},
    {"n": 1},
    {"n": 1, "$set": {"at": 1}},
    {"$none": {"n": 1}},
    {Text("$set"): {"at": "z"}},
    {1: 2},
    {"$set": {"x": object()}},
    {"$set": {"x": 2**64}},
    {},
    SON([("$inc", {"n": 1})]),
    RawBSONDocument(bson.encode({"$inc": {"n": 1}})),
    RawBSONDocument(bson.encode({"n": 1})),
    [],
    [{"$set": {"n": 1}}],
    None,
    "text",
]
REPLACEMENTS: list[Any] = [*UPDATES, {"_id": 1, "n": 7}, {"_id": 2, "n": 7}, {"at": "b"}]


def some(changes: list[Any], at: int) -> list[Any]:
    """Those to be tried with a filter: all of them, or where time is short other ones with each."""
    return changes[at % SHARE :: SHARE]


def outcome(do: Any, *args: Any, **options: Any) -> Any:
    """Return what a statement returns, or raises, in a form to be compared."""
    try:
        result = do(*args, **options)
    except Exception as error:
        return type(error), str(error).replace("longer", "things"), getattr(error, "code", None)
    if result is None or isinstance(result, dict):
        return comparable(result)
    names = ("acknowledged", "raw_result", "inserted_id", "bulk_api_result")
    return type(result), {
        name: comparable(getattr(result, name)) for name in names if hasattr(result, name)
    }


def comparable(value: Any) -> Any:
    """Return it without what is made anew each time: the `_id` of a document without one."""
    if isinstance(value, dict):
        return {name: comparable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [comparable(each) for each in value]
    return "new" if isinstance(value, ObjectId) and value != OID else value


def both(shop: Any, method: str, *args: Any, **options: Any) -> None:
    """Do it the short way and the long way, which an option makes, in equal collections."""
    for name in ("things", "longer"):
        shop.drop_collection(name)
        shop[name].create_index("at", unique=True)
        shop[name].insert_many([dict(each) for each in STORED])
        shop[name].find_one({"_id": 1})  # who has seen the index knows of the short way
    short = outcome(getattr(shop.things, method), *args, **options)
    assert short == outcome(getattr(shop.longer, method), *args, **options, let={}), args
    assert comparable(list(shop.things.find())) == comparable(list(shop.longer.find())), args


@pytest.mark.parametrize("method", ["update_one", "update_many"])
@pytest.mark.parametrize("at", range(len(FILTERS)))
def test_updates_do_what_the_long_way_does(shop: Any, method: str, at: int) -> None:
    for update in some(UPDATES, at):
        both(shop, method, FILTERS[at], update)


@pytest.mark.parametrize("at", range(len(FILTERS)))
def test_replacements_do_what_the_long_way_does(shop: Any, at: int) -> None:
    for replacement in some(REPLACEMENTS, at):
        both(shop, "replace_one", FILTERS[at], replacement)


@pytest.mark.parametrize("method", ["delete_one", "delete_many"])
@pytest.mark.parametrize("at", range(len(FILTERS)))
def test_deletes_do_what_the_long_way_does(shop: Any, method: str, at: int) -> None:
    both(shop, method, FILTERS[at])


@pytest.mark.parametrize("at", range(len(FILTERS)))
def test_upserts_do_what_the_long_way_does(shop: Any, at: int) -> None:
    for update in some(UPDATES, at):
        both(shop, "update_one", FILTERS[at], update, upsert=True)
        both(shop, "update_many", FILTERS[at], update, upsert=True)
    for replacement in some(REPLACEMENTS, at):
        both(shop, "replace_one", FILTERS[at], replacement, upsert=True)


MODIFIED: list[dict[str, Any]] = [
    {},
    {"return_document": True},
    {"upsert": True},
    {"upsert": True, "return_document": True, "projection": {"n": 1}},
    {"projection": ["at"]},
    {"projection": {"n": {"$add": [1, 2]}}},
    {"upsert": 1},
    {"return_document": 1},
]


@pytest.mark.parametrize("options", MODIFIED, ids=str)
@pytest.mark.parametrize("at", range(len(FILTERS)))
def test_what_is_changed_and_returned_is_that_of_the_long_way(
    shop: Any, at: int, options: dict[str, Any]
) -> None:
    for update in some(UPDATES[:: 1 if at < 6 else 4], at):
        both(shop, "find_one_and_update", FILTERS[at], update, **options)
    for replacement in some(REPLACEMENTS[:: 1 if at < 6 else 4], at):
        both(shop, "find_one_and_replace", FILTERS[at], replacement, **options)
    if "upsert" not in options and "return_document" not in options:
        both(shop, "find_one_and_delete", FILTERS[at], **options)


def requests_of(filter: Any, change: Any) -> list[Any]:
    """What can be asked for with them; refused where it is made, some of it."""
    found = []
    for make in (
        lambda: UpdateOne(filter, change),
        lambda: UpdateOne(filter, change, upsert=True),
        lambda: UpdateMany(filter, change),
        lambda: ReplaceOne(filter, change),
        lambda: ReplaceOne(filter, change, upsert=True),
        lambda: DeleteOne(filter),
        lambda: DeleteMany(filter),
    ):
        with suppress(Exception):
            found.append(make())
    return found


@pytest.mark.parametrize("at", range(len(FILTERS)))
def test_many_writes_do_what_the_long_way_does(shop: Any, at: int) -> None:
    for change in some(REPLACEMENTS, at):
        for request in requests_of(FILTERS[at], change):
            both(shop, "bulk_write", [request])
    changes = [{"$inc": {"n": 1}}, {"$set": {"at": "b"}}, {"at": "c"}, {"$set": {"x": 1}}]
    together = [each for change in changes for each in requests_of(FILTERS[at], change)]
    for ordered in (True, False):
        both(shop, "bulk_write", together, ordered=ordered)


def test_many_writes_see_those_before_them(shop: Any) -> None:
    shop.things.bulk_write(
        [
            UpdateOne({"_id": 1}, {"$inc": {"n": 1}}, upsert=True),
            UpdateOne({"_id": 1}, {"$inc": {"n": 1}}, upsert=True),
            ReplaceOne({"_id": 2}, {"n": 7}, upsert=True),
            DeleteOne({"_id": 1}),
            UpdateOne({"_id": 1}, {"$inc": {"n": 5}}, upsert=True),
        ]
    )
    assert list(shop.things.find()) == [{"_id": 2, "n": 7}, {"_id": 1, "n": 5}]


def test_an_upsert_makes_the_collection(shop: Any) -> None:
    assert shop.things.update_one({"_id": 1}, {"$set": {"n": 1}}, upsert=True).upserted_id == 1
    assert shop.things.find_one_and_update({"_id": 2}, {"$set": {"n": 1}}) is None
    after = shop.others.find_one_and_update(
        {"_id": 2}, {"$inc": {"n": 1}}, upsert=True, return_document=True
    )
    assert after == {"_id": 2, "n": 1}
    assert shop.more.bulk_write([UpdateOne({"_id": 3}, {"$set": {"n": 1}}, upsert=True)])
    assert shop.more.find_one() == {"_id": 3, "n": 1}


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_an_upsert_keeps_to_the_validator(tmp_path: Any, durability: str) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd"), durability=durability) as client:
        things = client["shop"].create_collection("things", validator={"n": {"$gt": 0}})
        for method in ("update_one", "find_one_and_update"):
            with pytest.raises(OperationFailure) as refused:
                getattr(things, method)({"_id": 1}, {"$set": {"n": 0}}, upsert=True)
            assert refused.value.code == 121
        request = UpdateOne({"_id": 1}, {"$set": {"n": 0}}, upsert=True)
        with pytest.raises(BulkWriteError):
            things.bulk_write([request])
        things.bulk_write([request], bypass_document_validation=True)
        assert list(things.find()) == [{"_id": 1, "n": 0}]


INSERTS: list[Any] = [
    {"_id": 9, "at": 1},
    {"_id": 1, "at": 1},
    {"_id": 9, "at": "a"},
    {"_id": [1], "at": 1},
    {"_id": {"$a": 1}, "at": 1},
    {"_id": 9, "at": object()},
    {"_id": 9, "at": 2**64},
    {1: 2, "_id": 9},
    {"_id": 9, "a": "x" * (17 << 20)},
    {"_id": 9, "$a": 1},
    SON([("at", 1), ("_id", 9)]),
    RawBSONDocument(bson.encode({"_id": 9, "at": 1})),
    RawBSONDocument(bson.encode({"_id": 1, "at": 1})),
    [],
    None,
]


@pytest.mark.parametrize("at", range(len(INSERTS)))
def test_inserts_do_what_a_bulk_of_one_does(shop: Any, at: int) -> None:
    shop.things.create_index("at", unique=True)
    shop.things.insert_many([dict(each) for each in STORED])
    shop.longer.create_index("at", unique=True)
    shop.longer.insert_many([dict(each) for each in STORED])
    given = INSERTS[at]
    short = outcome(shop.things.insert_one, given)
    with shop.client.start_session() as session:
        assert short == outcome(shop.longer.insert_one, given, session=session)
    assert list(shop.things.find()) == list(shop.longer.find())


@pytest.mark.parametrize("kind", [dict, SON, OrderedDict])
def test_a_document_without_an_id_gets_one(shop: Any, kind: Any) -> None:
    document = kind(n=1)
    result = shop.things.insert_one(document)
    assert isinstance(result.inserted_id, ObjectId)
    assert document["_id"] == result.inserted_id
    assert shop.things.find_one() == {"n": 1, "_id": result.inserted_id}


def test_what_is_refused_names_the_key(shop: Any) -> None:
    shop.things.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError) as refused:
        shop.things.insert_one({"_id": 1})
    assert refused.value.details is not None
    assert refused.value.details["keyValue"] == {"_id": 1}
    assert refused.value.details["index"] == 0


def test_unacknowledged_writes_are_refused_in_silence(shop: Any) -> None:
    shop.things.insert_one({"_id": 1, "n": "text"})
    silent = shop.things.with_options(write_concern=WriteConcern(w=0))
    document = {"_id": 1}
    inserted = silent.insert_one(document)
    assert (inserted.inserted_id, inserted.acknowledged) == (1, False)
    raw = silent.insert_one(RawBSONDocument(bson.encode({"_id": 1})))
    assert (raw.inserted_id, raw.acknowledged) == (None, False)
    for method in ("update_one", "update_many"):
        assert not getattr(silent, method)({"_id": 1}, {"$inc": {"n": 1}}).acknowledged
    assert not silent.update_one({"_id": 1}, SON([("$inc", {"n": 1})])).acknowledged
    assert not silent.replace_one({"_id": 1}, {"_id": 2}).acknowledged
    assert list(shop.things.find()) == [{"_id": 1, "n": "text"}]
    assert not silent.update_one({"_id": 1}, {"$set": {"n": 1}}).acknowledged
    assert not silent.delete_one({"_id": 1}).acknowledged
    assert shop.things.count_documents({}) == 0


def test_a_bound_session_is_heeded(shop: Any) -> None:
    shop.things.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2}])
    with shop.client.start_session() as session, session.bind():
        session.start_transaction()
        shop.things.insert_one({"_id": 3})
        shop.things.update_one({"_id": 1}, {"$inc": {"n": 1}})
        shop.things.replace_one({"_id": 1}, {"n": 7})
        shop.things.delete_one({"_id": 2})
        assert shop.things.find_one({"_id": 1}) == {"_id": 1, "n": 7}
        session.abort_transaction()
    assert list(shop.things.find()) == [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}]


WRONG: list[tuple[str, list[Any], type[Exception]]] = [
    ("insert_one", [[1]], TypeError),
    ("insert_one", [{"_id": object()}], InvalidDocument),
    ("update_one", [[], {"$set": {"n": 1}}], TypeError),
    ("update_one", [{"_id": 1}, {}], ValueError),
    ("replace_one", [{"_id": 1}, {"$set": {"n": 1}}], ValueError),
    ("delete_one", [3], TypeError),
    ("insert_one", [{"_id": 1}], OperationFailure),
    ("insert_one", [SON([("_id", 1)])], OperationFailure),
    ("update_one", [{"_id": 1}, {"$set": {"n": 1}}], OperationFailure),
    ("update_many", [{"_id": 1}, {"$set": {"n": 1}}], OperationFailure),
    ("replace_one", [{"_id": 1}, {"n": 1}], OperationFailure),
    ("delete_one", [{"_id": 1}], OperationFailure),
    ("delete_many", [{"_id": 1}], OperationFailure),
]


@pytest.mark.parametrize(("method", "args", "error"), WRONG)
def test_a_write_concern_that_cannot_be_had_is_refused_last(
    shop: Any, method: str, args: list[Any], error: type[Exception]
) -> None:
    things = shop.things.with_options(write_concern=WriteConcern(w=2))
    with pytest.raises(error):
        getattr(things, method)(*args)


def test_a_transaction_has_its_own_write_concern(shop: Any) -> None:
    things = shop.things.with_options(write_concern=WriteConcern(w=2))
    with shop.client.start_session() as session, session.bind(), session.start_transaction():
        things.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 1}])
        things.insert_one({"_id": 3})
        things.insert_one(SON([("_id", 4)]))
        things.update_one({"_id": 1}, {"$inc": {"n": 1}})
        things.update_many({"_id": 1}, {"$inc": {"n": 1}})
        things.replace_one({"_id": 2}, {"n": 7})
        things.delete_one({"_id": 3})
        things.delete_many({"_id": 4})
    assert list(shop.things.find()) == [{"_id": 1, "n": 3}, {"_id": 2, "n": 7}]
    assert things.find_one({"_id": 2}) == {"_id": 2, "n": 7}


STATEMENTS: list[tuple[str, str, list[Any]]] = [
    ("insert", "insert_one", [{"_id": 9}]),
    ("update", "update_one", [{"_id": 1}, {"$inc": {"n": 1}}]),
    ("update", "replace_one", [{"_id": 1}, {"n": 1}]),
    ("delete", "delete_one", [{"_id": 1}]),
    ("findAndModify", "find_one_and_update", [{"_id": 1}, {"$inc": {"n": 1}}]),
    ("findAndModify", "find_one_and_delete", [{"_id": 1}]),
]


@pytest.mark.parametrize(("operation", "method", "args"), STATEMENTS)
def test_it_is_counted(shop: Any, operation: str, method: str, args: list[Any]) -> None:
    log = shop.client._store.operations
    before: Any = log.counters()
    getattr(shop.things, method)(*args)
    after: Any = log.counters()
    assert after["operations"].get(operation, 0) == before["operations"].get(operation, 0) + 1
    assert after["failures"] == before["failures"]


def test_refusals_are_counted_as_failures(shop: Any) -> None:
    shop.things.insert_one({"_id": 1, "n": "text"})
    with pytest.raises(DuplicateKeyError):
        shop.things.insert_one({"_id": 1})
    with pytest.raises(WriteError):
        shop.things.update_one({"_id": 1}, {"$inc": {"n": 1}})
    assert shop.client._store.operations.counters()["failures"] == {"insert": 1, "update": 1}


@pytest.mark.parametrize(("operation", "method", "args"), STATEMENTS)
def test_a_closed_client_refuses(shop: Any, operation: str, method: str, args: list[Any]) -> None:
    things = shop.things
    getattr(things, method)(*args)
    shop.client.close()
    with pytest.raises(InvalidOperation):
        getattr(things, method)(*args)


def test_it_is_slow_where_all_is(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "cbdd.slow")
    with cbdd.connect(str(tmp_path / "slow.cbdd"), slow_operation_seconds=0) as client:
        for _operation, method, args in STATEMENTS:
            getattr(client["shop"]["things"], method)(*args)
    said = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert said == [f"slow {operation} on shop.things" for operation, *_rest in STATEMENTS]


KINDS: list[tuple[Any, dict[str, Any], list[dict[str, Any]]]] = [
    ("a.b", {}, [{"a": {"b": 1}}, {"a": {"b": 2}}]),
    ("a.b", {}, [{"a": [{"b": 1}, {"b": 3}]}, {"a": {"b": 2}}]),
    ("a", {}, [{"a": [1, 3]}, {"a": 2}]),
    ("a", {"sparse": True}, [{"a": 1}, {}, {"a": 2}]),
    ("a", {"partialFilterExpression": {"n": 1}}, [{"a": 1, "n": 2}, {"a": 2, "n": 1}]),
    ("a", {"hidden": True}, [{"a": 1}, {"a": 2}]),
    ([("a", -1)], {}, [{"a": 1}, {"a": 2}]),
    ([("a", 1), ("n", 1)], {}, [{"a": 1, "n": 1}, {"a": 1, "n": 2}]),
]


@pytest.mark.parametrize(("keys", "options", "documents"), KINDS, ids=lambda value: str(value)[:30])
def test_whatever_the_index_it_is_done(
    shop: Any, keys: Any, options: dict[str, Any], documents: list[dict[str, Any]]
) -> None:
    field = keys if isinstance(keys, str) else keys[0][0]
    for name in ("things", "longer"):
        shop[name].create_index(keys, unique=True, **options)
        shop[name].insert_many([{"_id": at, **each} for at, each in enumerate(documents)])
        shop[name].find_one({"_id": 0})
    for value in (1, 2, 1.0, 3, "none"):
        args = {field: value}, {"$inc": {"changed": 1}}
        short = outcome(shop.things.update_one, *args)
        assert short == outcome(shop.longer.update_one, *args, let={}), value
        assert list(shop.things.find()) == list(shop.longer.find()), value
    for value in (1, 2):
        short = outcome(shop.things.delete_one, {field: value})
        assert short == outcome(shop.longer.delete_one, {field: value}, let={})
    assert list(shop.things.find()) == list(shop.longer.find())


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_an_index_that_is_gone_is_done_without(tmp_path: Any, durability: str) -> None:
    with cbdd.connect(str(tmp_path / "gone.cbdd"), durability=durability) as client:
        things = client["shop"]["things"]
        things.create_index("at", unique=True)
        things.insert_many([{"_id": 1, "at": "a"}, {"_id": 2, "at": "b"}])
        assert things.find_one({"_id": 1}) is not None
        things.drop_index("at_1")
        seen = client._store.catalog.last_seen(things._catalog_key)
        assert seen is not None
        assert len(seen.indexes) == 2  # and so it is looked for
        assert things.update_one({"at": "b"}, {"$set": {"n": 5}}).modified_count == 1
        assert things.delete_one({"at": "a"}).deleted_count == 1
        after = client._store.operations.counters()["operations"]
        assert isinstance(after, dict)
        assert (after["update"], after["delete"]) == (1, 1)
        assert list(things.find()) == [{"_id": 2, "at": "b", "n": 5}]


@pytest.mark.plan
def test_a_unique_index_is_a_short_way(shop: Any) -> None:
    shop.things.create_index("at", unique=True)
    shop.things.insert_many([dict(each) for each in STORED])
    writer = shop.things._find_shortcuts()._writer
    assert writer.update({"at": "a"}, {"$inc": {"n": 1}}, False, False).modified == 1
    update = bson.encode({"$inc": {"n": 1}})
    assert writer.modify({"at": "a"}, update, False, False, True, None)["n"] == 3
    assert writer.modify({"at": "a"}, update, False, False, False, None)["n"] == 3
    assert writer.modify({"n": 1}, update, False, False, True, None) is LONG_WAY
    assert writer.delete({"at": "a"}).matched == 1
    assert writer.delete({"n": 2}) is LONG_WAY
