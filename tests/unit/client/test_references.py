"""Nothing that is done leaves references behind: compiled code counts them itself.

A reference too many to an object that lives as long as the client shows nowhere until it is closed:
what the object holds is never freed then.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import PyMongoError

import cbdd
from cbdd.storage.state import DatabaseState

TIMES = 20
PLAIN = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.NoneType,
    int,
    str,
    bytes,
    float,
)


def reachable(root: object) -> dict[int, object]:
    """Every object that can be reached, by its id; of compiled ones by their attributes, too."""
    found: dict[int, object] = {}
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in found or isinstance(each, PLAIN):
            continue
        found[id(each)] = each
        waiting.extend(gc.get_referents(each))
        if type(each).__module__.startswith("cbdd"):
            for name in dir(each):
                with suppress(Exception):
                    value = getattr(each, name)
                    if type(value).__module__.startswith("cbdd"):
                        waiting.append(value)
    return found


def operations(client: Any) -> dict[str, Callable[[], object]]:
    """What is done, by name; done again and again it leaves the database as it is."""
    things = client.shop.things
    things.create_index("u", unique=True)
    things.create_index("tags")
    things.insert_many({"_id": n, "u": n, "tags": [n % 3, n % 5], "n": 0} for n in range(150))

    def in_transaction(ends_well: bool) -> None:
        with client.start_session() as session:
            session.start_transaction()
            things.update_one({"_id": 2}, {"$set": {"n": 1}}, session=session)
            if ends_well:
                session.commit_transaction()

    def begin_and_close() -> None:
        cursor = things.find(batch_size=10)
        next(cursor)
        cursor.close()

    def insert_and_delete(delete: Callable[[], object]) -> None:
        things.insert_one({"_id": 777, "u": 777})
        delete()

    return {
        "insert and delete": lambda: insert_and_delete(lambda: things.delete_one({"_id": 777})),
        "delete_many": lambda: insert_and_delete(lambda: things.delete_many({"u": {"$gt": 700}})),
        "insert_many": lambda: (
            things.insert_many([{"_id": 777, "u": 777}, {"_id": 778, "u": 778}]),
            things.delete_many({"_id": {"$gte": 777}}),
        ),
        "bulk_write": lambda: things.bulk_write(
            [
                InsertOne({"_id": 777, "u": 777}),
                UpdateOne({"_id": 777}, {"$inc": {"n": 1}}),
                UpdateOne({"n": 1}, {"$set": {"n": 0}}),
                DeleteOne({"_id": 777}),
            ]
        ),
        "update": lambda: things.update_one({"_id": 1}, {"$bit": {"n": {"xor": 1}}}),
        "update_many": lambda: things.update_many({"tags": 1}, {"$bit": {"n": {"xor": 1}}}),
        "replace": lambda: things.replace_one({"_id": 5}, {"u": 5}),
        "upsert": lambda: (
            things.update_one({"_id": 777}, {"$set": {"u": 777}}, upsert=True),
            things.delete_one({"_id": 777}),
        ),
        "find_one_and_update": lambda: things.find_one_and_update(
            {"_id": 1}, {"$bit": {"n": {"xor": 1}}}
        ),
        "find_one_and_update, the long way": lambda: things.find_one_and_update(
            {"n": {"$gte": 0}}, {"$bit": {"n": {"xor": 1}}}
        ),
        "get": lambda: things.find_one({"_id": 1}),
        "get by index": lambda: things.find_one({"tags": 1}),
        "first": lambda: things.find_one({"n": {"$gte": 0}}, sort=[("u", -1)]),
        "find": lambda: list(things.find({"tags": 1}, {"n": 1})),
        "scan": lambda: list(things.find({"n": {"$gte": 0}})),
        "sort": lambda: list(things.find().sort("n", 1)),
        "sort, some": lambda: list(things.find().sort("n", -1).limit(3)),
        "or": lambda: list(things.find({"$or": [{"u": 1}, {"tags": 2}]})),
        "begin and close": begin_and_close,
        "count": lambda: things.count_documents({"tags": 1}),
        "distinct": lambda: (things.distinct("u"), things.distinct("n"), things.distinct("tags")),
        "refused insert": lambda: things.insert_one({"_id": 1}),
        "refused update": lambda: things.update_one({"_id": 1}, {"$inc": {"tags": 1}}),
        "refused query": lambda: list(things.find({"n": {"$bad": 1}})),
        "commit": lambda: in_transaction(True),
        "abort": lambda: in_transaction(False),
        "checkpoint": client.checkpoint,
        "statistics": client.statistics,
        "explain": lambda: things.find({"u": 1}).explain(),
    }


@pytest.fixture(params=["normal", "full"])
def client(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    gc.freeze()  # what other tests have left is not gone through each time
    try:
        with cbdd.connect(
            tmp_path / "a.cbdd", durability=request.param, background=False, flight_recorder=False
        ) as client:
            yield client
    finally:
        gc.unfreeze()


def test_nothing_keeps_references(client: Any) -> None:
    kept = []
    for name, do in operations(client).items():
        for is_measured in (False, True):
            gc.collect()
            objects = reachable(client) if is_measured else {}
            before = {number: sys.getrefcount(each) for number, each in objects.items()}
            for _ in range(TIMES):
                with suppress(PyMongoError):
                    do()
            gc.collect()
            for number, each in objects.items():
                if sys.getrefcount(each) >= before[number] + TIMES:
                    kept.append(f"{name}: {type(each).__name__}")
    assert kept == []


def test_a_closed_database_is_freed(tmp_path: Path) -> None:
    def states() -> int:
        gc.collect()
        return sum(isinstance(each, DatabaseState) for each in gc.get_objects())

    before = states()
    for n in range(3):
        with cbdd.connect(tmp_path / f"{n}.cbdd") as client:
            client.shop.things.insert_one({"_id": 1})
            client.shop.things.update_one({"_id": 1}, {"$set": {"n": 1}})
            assert list(client.shop.things.find()) == [{"_id": 1, "n": 1}]
            client.checkpoint()
            del client
    assert states() == before
