"""Different values from an index: the same as from a scan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.int64 import Int64

import cbdd
from cbdd.catalog import CollectionEntry
from cbdd.query import DistinctValues
from cbdd.query.distinct_scan import add_by_index, distinct_index

Things = cbdd.Collection[dict[str, Any]]
KINDS: list[Any] = [1, 1.0, Int64(1), 2, "a", "ab", "", None, True, b"x", {"b": 1}, float("nan")]


@pytest.fixture
def things(tmp_path: Path) -> Iterator[Things]:
    with cbdd.connect(tmp_path / "a.cbdd", background=False) as client:
        yield client.shop.things


def entry_of(things: Things, txn: Any) -> CollectionEntry:
    entry = things.database.client._store.catalog.find(txn, "shop", "things")
    assert entry is not None
    return entry


def by_index(things: Things, path: str) -> list[Any] | None:
    """The values as the index has them; None where there is none or it is not worth it."""
    with things.database.client._store.engine.begin_read() as txn:
        entry = entry_of(things, txn)
        index = distinct_index(entry, path)
        found = DistinctValues(path)
        if index is None or not add_by_index(txn, entry, index, found):
            return None
        values: list[Any] = bson.decode(found.to_bson())["values"]
        return values


def shown(values: list[Any]) -> list[str]:
    return sorted(f"{type(value).__name__} {value!r}" for value in values)


def scanned(things: Things, path: str) -> list[str]:
    return shown(things.distinct(path, hint=[("$natural", 1)]))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("options", [{}, {"sparse": True}])
def test_values_are_those_of_a_scan(
    things: Things, seed: int, direction: int, options: dict[str, Any]
) -> None:
    source = random.Random(seed)
    things.create_index([("a", direction)], **options)
    kinds = source.sample(KINDS, 5)
    documents = [{"a": source.choice(kinds), "n": source.randrange(3)} for _ in range(400)]
    for document in source.sample(documents, source.choice([0, 1, 30])):
        del document["a"]
    things.insert_many(documents)
    found = by_index(things, "a")
    assert found is not None
    assert shown(found) == scanned(things, "a") == shown(things.distinct("a"))


@pytest.mark.plan
def test_values_come_in_the_order_of_the_index(things: Things) -> None:
    things.insert_many({"a": n * 7 % 10} for n in range(200))
    assert things.distinct("a")[:3] == [0, 7, 4]
    things.create_index([("a", -1)])
    assert things.distinct("a") == list(range(9, -1, -1))
    assert things.distinct("a", {}) == list(range(9, -1, -1))
    assert things.distinct("a", {"a": {"$gt": 7}}) in ([8, 9], [9, 8])


def test_where_nearly_all_values_differ_it_is_not_worth_it(things: Things) -> None:
    things.create_index("a")
    things.insert_many({"a": n // 2} for n in range(600))
    assert by_index(things, "a") is None
    assert things.distinct("a") == list(range(300))


def test_some_values_of_one_document_each_do_not_end_it(things: Things) -> None:
    things.create_index("a")
    things.insert_many({"a": min(n, 999)} for n in range(970, 1400))
    assert by_index(things, "a") == list(range(970, 1000))


@pytest.mark.parametrize("direction", [1, -1])
def test_a_null_is_told_from_a_field_that_is_not_there(things: Things, direction: int) -> None:
    things.create_index([("a", direction)])
    things.insert_many([{} for _ in range(10)] + [{"a": 1} for _ in range(200)])
    assert by_index(things, "a") == [1]
    things.insert_one({"a": None})
    assert shown(by_index(things, "a") or []) == shown([None, 1])
    things.insert_many([{} for _ in range(200)])
    assert shown(things.distinct("a")) == shown([None, 1])
    things.delete_one({"a": {"$type": "null"}})
    assert by_index(things, "a") is None
    assert things.distinct("a") == [1]


def test_indexes_that_do_not_have_it_are_not_used(things: Things) -> None:
    things.insert_many({"a": n % 2, "b": {"0": n % 3}, "c": [n % 2]} for n in range(100))
    things.create_index([("n", 1), ("a", 1)])
    things.create_index([("a", "hashed")])
    things.create_index("a", partialFilterExpression={"a": {"$gt": 0}}, name="partial")
    things.create_index("b.0")
    things.create_index("c")
    for path in ("a", "b.0", "c", "d"):
        assert by_index(things, path) is None
        assert shown(things.distinct(path)) == scanned(things, path)
    things.create_index("a", hidden=True)
    assert by_index(things, "a") is None
    things.database.command("collMod", "things", index={"name": "a_1", "hidden": False})
    assert by_index(things, "a") == [0, 1]


def test_an_index_that_says_something_else_is_not_believed(things: Things) -> None:
    things.create_index("a")
    things.insert_many({"a": n % 2, "b": n % 3 + 5} for n in range(100))
    with things.database.client._store.engine.begin_read() as txn:
        entry = entry_of(things, txn)
        index = distinct_index(entry, "a")
        assert index is not None
        assert not add_by_index(txn, entry, index, DistinctValues("b"))


def test_what_a_transaction_has_changed_counts(things: Things) -> None:
    things.create_index("a")
    things.insert_many({"a": n % 3} for n in range(100))
    with things.database.client.start_session() as session, session.start_transaction():
        things.insert_one({"a": 7}, session=session)
        things.delete_many({"a": 1}, session=session)
        assert things.distinct("a", session=session) == [0, 2, 7]
    assert things.distinct("a") == [0, 2, 7]


def test_of_equal_values_the_first_one_counts_whatever_the_other_fields(things: Things) -> None:
    things.create_index([("a", 1), ("n", 1)])
    things.insert_many(
        [{"a": 1, "n": 2}, {"a": 1.0, "n": 1}] + [{"a": 2, "n": n} for n in range(90)]
    )
    assert by_index(things, "a") is None
    assert shown(things.distinct("a")) == ["int 1", "int 2"]
    things.create_index("a")
    assert shown(by_index(things, "a") or []) == ["int 1", "int 2"]


def test_a_wildcard_index_is_no_index_of_a_field(things: Things) -> None:
    things.create_index("$**", wildcardProjection={"a": 1})
    things.insert_one({"$**": 5})
    assert by_index(things, "$**") is None
    assert things.distinct("$**") == [5]
