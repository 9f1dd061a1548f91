"""Covered queries: answered from index keys, with the same values and types as the documents."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Decimal128, Int64

from tests.unit.query.conftest import Items


def examined(items: Items, filter: dict[str, Any], projection: Any, **query: Any) -> Any:
    """Return keys and documents examined, and the names of the stages."""
    explained = items.explain(filter, projection=projection, **query)
    stats = explained["executionStats"]
    names = items.stages(filter, projection=projection, **query)
    return stats["totalKeysExamined"], stats["totalDocsExamined"], names


@pytest.fixture
def people(items: Items) -> Items:
    items.insert(*[{"_id": i, "age": i % 50, "name": f"n{i:03}", "x": 0} for i in range(200)])
    items.create_index({"age": 1, "name": -1})
    return items


@pytest.mark.plan
@pytest.mark.parametrize(
    ("filter", "projection"),
    [
        ({"age": 5}, {"age": 1, "_id": 0}),
        ({"age": 5}, {"name": 1, "_id": 0}),
        ({"age": 5, "name": {"$gt": "n1"}}, {"age": 1, "name": 1, "_id": 0}),
        ({"age": {"$in": [5, 6]}}, {"age": 1, "name": 1, "_id": 0}),
        ({"age": {"$lt": 3}, "name": {"$ne": "n050"}}, {"name": 1, "_id": 0}),
        ({"age": {"$lt": 3}, "name": {"$regex": "5"}}, {"name": 1, "_id": 0}),
    ],
)
def test_no_document_is_read(people: Items, filter: Any, projection: Any) -> None:
    keys, documents, stages = examined(people, filter, projection)
    assert documents == 0 and keys > 0
    assert stages == ["PROJECTION_COVERED", "IXSCAN"]
    found = people.find(filter, projection=projection)
    read = people.find(filter, projection=projection, hint={"$natural": 1})
    assert sorted(found, key=repr) == sorted(
        [{name: each[name] for name in found[0]} for each in read], key=repr
    )


@pytest.mark.parametrize(
    ("filter", "projection"),
    [
        ({"age": 5}, None),
        ({"age": 5}, {"age": 1}),
        ({"age": 5}, {"x": 1, "_id": 0}),
        ({"age": 5, "x": 0}, {"age": 1, "_id": 0}),
        ({"age": 5}, {"x": 0}),
        ({"age": 5}, {"age": 1, "_id": 0, "n": {"$add": [1, 2]}}),
        ({"age": 5, "$expr": {"$eq": ["$x", 0]}}, {"age": 1, "_id": 0}),
    ],
)
def test_documents_are_read_where_the_index_does_not_say_it(
    people: Items, filter: Any, projection: Any
) -> None:
    assert examined(people, filter, projection)[1] > 0


@pytest.mark.plan
def test_sorted_and_cut_results_are_covered(people: Items) -> None:
    keys, documents, stages = examined(
        people, {"age": {"$gte": 48}}, {"name": 1, "_id": 0}, sort=[("age", -1)], limit=3, skip=1
    )
    assert documents == 0 and keys <= 4
    assert stages == ["LIMIT", "SKIP", "PROJECTION_COVERED", "IXSCAN"] or stages[-1] == "IXSCAN"


@pytest.mark.plan
def test_id_index_covers(items: Items) -> None:
    items.insert(*[{"_id": i, "x": i} for i in range(100)])
    keys, documents, _ = examined(items, {"_id": {"$gt": 95}}, {"_id": 1})
    assert (keys, documents) == (4, 0)
    assert items.find({"_id": {"$gt": 97}}, projection={"_id": 1}) == [{"_id": 98}, {"_id": 99}]


@pytest.mark.parametrize(
    "value",
    [1, Int64(1), 1.0, -0.0, Decimal128("1.0"), "a", None, {"b": 1}, True, Int64(2**40), 0.5],
    ids=repr,
)
def test_types_are_those_that_were_stored(items: Items, value: Any) -> None:
    items.insert({"_id": 1, "a": value, "k": 1})
    items.create_index({"k": 1, "a": 1})
    projection = {"a": 1, "_id": 0}
    stored = bson.encode({"a": value})
    assert bson.encode(items.find({"k": 1}, projection=projection)[0]) == stored
    items.insert({"_id": 2, "k": 1})
    assert items.find({"k": 1}, projection=projection).count({}) == 1


@pytest.mark.plan
def test_type_that_changes_is_seen(items: Items) -> None:
    items.create_index({"k": 1, "a": 1}, unique=True)
    items.insert({"_id": 1, "a": 1, "k": 1})
    txn = items.engine.begin_write("update")
    from cbdd.catalog import CollectionWriters

    writer = CollectionWriters(items.catalog, txn, True).find("shop", "items")
    assert writer is not None
    old, new = bson.encode({"_id": 1, "a": 1, "k": 1}), bson.encode({"_id": 1, "a": 1.0, "k": 1})
    assert writer.update(1, old, new)
    txn.commit()
    found = items.find({"k": 1}, projection={"a": 1, "_id": 0})
    assert type(found[0]["a"]) is float
    assert (
        items.explain({"k": 1}, projection={"a": 1, "_id": 0})["executionStats"][
            "totalDocsExamined"
        ]
        == 0
    )


@pytest.mark.plan
def test_nested_fields_are_put_back_into_documents(items: Items) -> None:
    items.insert({"_id": 1, "a": {"b": 1, "c": {"d": "x"}, "e": 0}, "z": 2})
    items.create_index({"a.b": 1, "z": 1, "a.c.d": 1})
    projection = {"a.b": 1, "a.c.d": 1, "z": 1, "_id": 0}
    assert examined(items, {"a.b": 1}, projection)[1] == 0
    expected = [{"a": {"b": 1, "c": {"d": "x"}}, "z": 2}]
    assert items.find({"a.b": 1}, projection=projection) == expected


def test_index_with_arrays_does_not_cover(items: Items) -> None:
    items.insert({"_id": 1, "a": [1, 2]}, {"_id": 2, "a": 1})
    items.create_index({"a": 1})
    assert examined(items, {"a": 1}, {"a": 1, "_id": 0})[1] == 2
    assert items.find({"a": 1}, projection={"a": 1, "_id": 0}) == [{"a": [1, 2]}, {"a": 1}]


def test_field_and_a_field_below_it_do_not_cover(items: Items) -> None:
    items.insert({"_id": 1, "a": {"b": 1}})
    items.create_index({"a": 1, "a.b": 1})
    assert items.find({"a": {"b": 1}}, projection={"a": 1, "_id": 0}) == [{"a": {"b": 1}}]


def test_position_in_an_array_is_not_taken_for_a_field(items: Items) -> None:
    items.insert({"_id": 1, "a": [5, {"b": 2}]})
    items.create_index({"a.0": 1})
    for filter in ({"a.0": 5}, {"a.0": {"$gt": 1}}):
        found = items.find(filter, projection={"a.0": 1, "_id": 0}, hint="a.0_1")
        assert found == [{"a": [{}]}]


def test_wildcard_index_does_not_cover(items: Items) -> None:
    items.insert({"_id": 1, "a": 1}, {"_id": 2, "a": Decimal128("1")}, {"_id": 3, "a": 1.0})
    items.create_index({"$**": 1})
    found = items.find({"a": {"$type": "int"}}, projection={"a": 1, "_id": 0}, hint="$**_1")
    assert found == [{"a": 1}]
