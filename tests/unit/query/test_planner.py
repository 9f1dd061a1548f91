"""Which plan is chosen, and that every plan gives the same documents."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.query import compile_sort
from tests.unit.query.conftest import Items

PEOPLE = [
    {"_id": i, "name": f"n{i:04}", "age": i % 50, "city": "abcde"[i % 5], "tags": [i % 3, "x"]}
    for i in range(2000)
]


@pytest.fixture
def people(items: Items) -> Items:
    items.insert(*PEOPLE)
    items.create_index({"age": 1, "name": -1})
    items.create_index({"city": 1})
    items.create_index({"tags": 1})
    return items


@pytest.mark.plan
@pytest.mark.parametrize(
    ("filter", "query", "stages"),
    [
        ({}, {}, ["COLLSCAN"]),
        ({"_id": 5}, {}, ["EXPRESS_IXSCAN"]),
        ({"_id": 5, "age": 5}, {}, ["EXPRESS_IXSCAN"]),
        ({"_id": {"$gt": 1990}}, {}, ["FETCH", "IXSCAN"]),
        ({"age": 5}, {}, ["FETCH", "IXSCAN"]),
        ({"age": {"$in": [5, 6]}}, {}, ["FETCH", "IXSCAN"]),
        ({"age": {"$gte": 5}}, {}, ["COLLSCAN"]),
        ({"name": "n0005"}, {}, ["COLLSCAN"]),
        ({"age": 5}, {"sort": [("name", -1)]}, ["FETCH", "IXSCAN"]),
        ({"age": 5}, {"sort": [("name", 1)]}, ["FETCH", "IXSCAN"]),
        ({"age": 5}, {"sort": [("age", -1), ("name", 1)]}, ["FETCH", "IXSCAN"]),
        ({"age": {"$in": [5, 6]}}, {"sort": [("name", 1)]}, ["SORT", "FETCH", "IXSCAN"]),
        ({}, {"sort": [("age", 1), ("name", -1)], "limit": 5}, ["LIMIT", "FETCH", "IXSCAN"]),
        ({}, {"sort": [("age", -1)], "limit": 5}, ["LIMIT", "FETCH", "IXSCAN"]),
        ({}, {"sort": [("age", 1), ("name", 1)], "limit": 5}, ["LIMIT", "SORT", "COLLSCAN"]),
        ({}, {"sort": [("age", 1)]}, ["SORT", "COLLSCAN"]),
        ({}, {"sort": [("$natural", -1)]}, ["COLLSCAN"]),
        ({}, {"hint": "city_1"}, ["FETCH", "IXSCAN"]),
        ({}, {"hint": [("age", 1), ("name", -1)]}, ["FETCH", "IXSCAN"]),
        ({"age": 5}, {"hint": {"$natural": 1}}, ["COLLSCAN"]),
        ({"$or": [{"age": 5}, {"age": 6}]}, {}, ["FETCH", "IXSCAN"]),
        ({"$or": [{"age": 5}, {"city": "a"}]}, {}, ["FETCH", "OR"]),
        ({"$or": [{"age": 5}, {"name": "a"}]}, {}, ["COLLSCAN"]),
    ],
)
def test_plan_is_the_cheapest(
    people: Items, filter: dict[str, Any], query: dict[str, Any], stages: list[str]
) -> None:
    assert people.stages(filter, **query) == stages


@pytest.mark.plan
def test_index_is_always_used_in_a_small_collection(items: Items) -> None:
    items.insert(*PEOPLE[:10])
    items.create_index({"age": 1})
    assert items.stages({"age": {"$gte": 0}}) == ["FETCH", "IXSCAN"]


def test_unknown_hint_is_refused(people: Items) -> None:
    for hint in ("nothing_1", [("age", 1)], {"city": -1}):
        with pytest.raises(OperationFailure) as raised:
            people.find({}, hint=hint)
        assert raised.value.code == 2


@pytest.mark.plan
def test_two_bounds_on_an_array_are_not_joined(people: Items) -> None:
    people.insert({"_id": "both", "tags": [-5, 5]})
    assert people.ids({"tags": {"$gt": 3, "$lt": -3}}) == ["both"]
    assert people.stages({"tags": {"$gt": 3, "$lt": -3}}) == ["FETCH", "IXSCAN"]


def test_document_with_several_keys_is_found_once(people: Items) -> None:
    people.insert({"_id": "two", "tags": [100, 101]})
    assert people.ids({"tags": {"$gt": 99}}) == ["two"]


def test_sort_by_an_array_index_takes_the_lowest_or_highest_element(items: Items) -> None:
    items.insert({"_id": 1, "a": [5, 1]}, {"_id": 2, "a": 3}, {"_id": 3, "a": [2, 9]})
    items.create_index({"a": 1})
    for sort, expected in (([("a", 1)], [1, 3, 2]), ([("a", -1)], [3, 1, 2])):
        assert items.ids({}, sort=sort, hint="a_1") == expected
        assert items.ids({}, sort=sort, hint={"$natural": 1}) == expected
    # Bounds on the sorted field would hide the element that counts.
    query = {"sort": [("a", 1)], "hint": "a_1"}
    assert items.stages({"a": {"$gt": 2}}, **query) == ["SORT", "FETCH", "IXSCAN"]
    assert items.ids({"a": {"$gt": 2}}, **query) == [1, 3, 2]


@pytest.mark.plan
def test_sparse_index_is_not_used_where_it_lacks_documents(items: Items) -> None:
    items.insert({"_id": 1}, {"_id": 2, "a": 5})
    items.create_index({"a": 1}, sparse=True)
    assert items.ids({"a": None}) == [1]
    assert items.ids({}, sort=[("a", 1)]) == [1, 2]
    assert items.stages({"a": 5}) == ["FETCH", "IXSCAN"]
    assert items.ids({}, hint="a_1") == [2]


def test_unique_index_answers_equality(items: Items) -> None:
    items.insert(*PEOPLE[:20])
    items.create_index({"name": 1}, unique=True)
    assert items.ids({"name": "n0007"}) == [7]
    assert items.ids({"name": {"$gte": "n0018"}}) == [18, 19]


VALUES: list[Any] = [None, True, 1, 2, 2.5, "a", "ab", float("nan"), [], [1, "a"], {"b": 1}]
FILTERS: list[dict[str, Any]] = [
    *({"a": value} for value in VALUES),
    *({"a": {"$ne": value}} for value in VALUES),
    *({"a": {op: v}} for op in ("$gt", "$gte", "$lt", "$lte") for v in VALUES),
    {"a": {"$in": [1, "a", None]}},
    {"a": {"$nin": [1, [1, "a"]]}},
    {"a": {"$exists": False}},
    {"a": {"$exists": True}},
    {"a": {"$type": "number"}},
    {"a": {"$type": ["string", "object"]}},
    {"a": {"$regex": "^a"}},
    {"a": {"$not": {"$gt": 1}}},
    {"a": {"$elemMatch": {"$gt": 0, "$lt": 2}}},
    {"a": {"$gt": 0, "$lt": 3}},
    {"a": {"$gt": 0}, "b": {"$lt": 2}},
    {"a.b": 1},
    {"a.b": None},
    {"a": 1, "b": {"$in": [1, 2]}},
    {"$and": [{"a": {"$gte": 1}}, {"b": 1}]},
    {"$or": [{"a": 1}, {"a": {"$gt": "a"}}]},
]
SORTS: list[list[tuple[str, int]]] = [[("a", 1)], [("a", -1)], [("a", 1), ("b", -1)], [("b", 1)]]


@pytest.mark.parametrize("keys", [{"a": 1}, {"a": -1, "b": 1}, {"b": 1, "a": 1}, {"a.b": 1}])
def test_every_index_gives_what_a_scan_gives(tmp_path: Path, keys: dict[str, int]) -> None:
    generator = random.Random(repr(keys))
    items = Items(tmp_path / "same.cbdd")
    documents: list[dict[str, Any]] = []
    for number in range(60):
        document: dict[str, Any] = {"_id": number}
        if generator.random() < 0.9:
            document["a"] = generator.choice([*VALUES, [{"b": 1}, {"b": 2}], {"b": [1, 2]}])
        if generator.random() < 0.8:
            document["b"] = generator.choice([1, 2, 3.0, "x", None])
        documents.append(document)
    items.insert(*documents)
    items.create_index(keys)
    name = "_".join(f"{path}_{direction}" for path, direction in keys.items())
    for filter in FILTERS:
        scanned = items.ids(filter, hint={"$natural": 1})
        assert sorted(items.ids(filter, hint=name)) == scanned, filter
        assert items.count(filter, hint=name) == len(scanned), filter
        for sort in SORTS:
            pattern = compile_sort(sort)
            assert pattern is not None
            found = items.find(filter, hint=name, sort=sort)
            order = [pattern.key(bson.encode(document)) for document in found]
            assert order == sorted(order), (filter, sort)
    items.engine.close()


@pytest.mark.plan
@pytest.mark.parametrize("first", [0, 1_000_000])
def test_keys_of_a_unique_index_are_counted_one_by_one(people: Items, first: int) -> None:
    wanted = {"_id": {"$in": [first + n for n in range(0, 1200, 2)]}}
    is_there = first == 0
    assert people.stages(wanted) == (["COLLSCAN"] if is_there else ["FETCH", "IXSCAN"])
    assert len(people.ids(wanted)) == (600 if is_there else 0)
