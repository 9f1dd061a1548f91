"""What an existing index says to one that is asked for: the same, a conflict, or room for both."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from cbdd.catalog import parse_index
from cbdd.catalog.index_spec import MAX_INDEXES, is_same_index
from tests.unit.catalog.conftest import Shop


def names(shop: Shop) -> list[str]:
    return [definition.name for definition in shop.entry().indexes]


def create(shop: Shop, spec: dict[str, Any]) -> bool:
    request = parse_index(spec)
    made: bool = shop.write(lambda writers: writers.create_index("shop", "orders", request))
    return made


def conflict(shop: Shop, spec: dict[str, Any]) -> OperationFailure:
    before = names(shop)
    with pytest.raises(OperationFailure) as raised:
        create(shop, spec)
    assert names(shop) == before
    return raised.value


def test_name_is_made_of_the_keys_when_none_is_given() -> None:
    assert parse_index({"key": {"a": 1, "b.c": -1}}).name == "a_1_b.c_-1"
    assert parse_index({"key": {"a": "hashed"}}).name == "a_hashed"
    assert parse_index({"key": {"$**": 1}}).name == "$**_1"


def test_direction_may_be_any_number_with_a_sign() -> None:
    assert parse_index({"key": {"a": 2, "b": -0.5}}).fields == [("a", 1), ("b", -1)]


@pytest.mark.parametrize("key", [None, "a", 5, [("a", 1)]])
def test_key_must_be_an_object(key: object) -> None:
    with pytest.raises(OperationFailure) as raised:
        parse_index({"key": key})
    assert raised.value.code == 14


def test_request_without_a_key_is_refused() -> None:
    with pytest.raises(OperationFailure) as raised:
        parse_index({"name": "a_1"})
    assert raised.value.code == 14


def test_descending_id_is_refused() -> None:
    with pytest.raises(OperationFailure) as raised:
        parse_index({"key": {"_id": -1}})
    assert raised.value.code == 2


def test_hashed_id_is_an_index_of_its_own(shop: Shop) -> None:
    shop.insert({"_id": 1})
    assert create(shop, {"key": {"_id": "hashed"}})
    assert names(shop) == ["_id_", "_id_hashed"]


@pytest.mark.parametrize(
    "spec",
    [
        {"key": {"a": 1}},
        {"key": {"a": 1}, "sparse": True},
        {"key": {"a": 1}, "unique": True, "name": "mine"},
        {"key": {"a": 1}, "expireAfterSeconds": 60},
        {"key": {"a": 1}, "partialFilterExpression": {"b": {"$gt": 5}}},
        {"key": {"$**": 1}, "wildcardProjection": {"a": 0}},
        {"key": {"a": "hashed", "b": -1}},
    ],
)
def test_the_same_index_a_second_time_is_no_change(shop: Shop, spec: dict[str, Any]) -> None:
    assert create(shop, spec) is True
    before = shop.entry().record
    assert create(shop, spec) is False
    assert shop.entry().record == before


@pytest.mark.parametrize("hidden", [True, False])
def test_hidden_does_not_make_another_index(shop: Shop, hidden: bool) -> None:
    create(shop, {"key": {"a": 1}, "hidden": hidden})
    assert create(shop, {"key": {"a": 1}, "hidden": not hidden}) is False
    assert shop.entry().index_named("a_1").is_hidden is hidden
    assert conflict(shop, {"key": {"a": 1}, "name": "b", "hidden": not hidden}).code == 85


def test_number_types_of_expire_after_seconds_do_not_matter(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}, "expireAfterSeconds": 60})
    assert create(shop, {"key": {"a": 1}, "expireAfterSeconds": 60.0}) is False


def test_any_name_for_the_id_index_means_the_one_there_is(shop: Shop) -> None:
    shop.insert({"_id": 1})
    assert create(shop, {"key": {"_id": 1}, "name": "mine"}) is False
    assert names(shop) == ["_id_"]


def test_name_of_another_key_is_a_conflict_of_keys(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}, "name": "mine"})
    for key in ({"b": 1}, {"a": -1}, {"a": 1, "b": 1}, {"a": "hashed"}):
        error = conflict(shop, {"key": key, "name": "mine"})
        assert error.code == 86
        assert "same name as the requested index" in str(error)


def test_order_of_the_fields_makes_another_key(shop: Shop) -> None:
    create(shop, {"key": {"a": 1, "b": 1}})
    assert create(shop, {"key": {"b": 1, "a": 1}}) is True
    assert conflict(shop, {"key": {"b": 1, "a": 1}, "name": "a_1_b_1"}).code == 86


def test_directions_make_another_key(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}})
    create(shop, {"key": {"a": -1}})
    create(shop, {"key": {"a": "hashed"}})
    assert names(shop) == ["_id_", "a_1", "a_-1", "a_hashed"]


def test_same_key_under_another_name_is_a_conflict_of_options(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}})
    error = conflict(shop, {"key": {"a": 1}, "name": "other"})
    assert error.code == 85
    assert error.details is not None
    assert error.details["codeName"] == "IndexOptionsConflict"
    assert "already exists with a different name: a_1" in str(error)


def test_other_seconds_are_a_conflict_of_options(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}, "expireAfterSeconds": 60})
    error = conflict(shop, {"key": {"a": 1}, "expireAfterSeconds": 61})
    assert error.code == 85
    assert "same name but different options" in str(error)
    assert conflict(shop, {"key": {"a": 1}}).code == 85
    error = conflict(shop, {"key": {"a": 1}, "name": "other"})
    assert error.code == 85
    assert "different name and options" in str(error)


def test_partial_indexes_with_other_filters_share_a_key(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}})
    for n in (1, 2):
        create(shop, {"key": {"a": 1}, "name": f"p{n}", "partialFilterExpression": {"b": n}})
    assert names(shop) == ["_id_", "a_1", "p1", "p2"]
    shop.insert({"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 1, "b": 2}, {"_id": 3, "a": 1})
    entry = shop.entry()
    counts = shop.read(lambda txn: {d.name: txn.count(d.tree_id) for d in entry.indexes})
    assert counts == {"_id_": 3, "a_1": 3, "p1": 1, "p2": 1}


def test_unique_partial_indexes_on_one_key_each_watch_their_own_part(shop: Shop) -> None:
    for n in (1, 2):
        create(
            shop,
            {
                "key": {"a": 1},
                "name": f"p{n}",
                "unique": True,
                "partialFilterExpression": {"b": n},
            },
        )
    shop.insert({"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 1, "b": 2}, {"_id": 3, "a": 1})
    shop.insert({"_id": 4, "a": 1})
    with pytest.raises(OperationFailure, match="p2 dup key"):
        shop.insert({"_id": 5, "a": 1, "b": 2})


def test_same_partial_filter_under_another_name_is_a_conflict(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}, "name": "p", "partialFilterExpression": {"b": 1}})
    spec = {"key": {"a": 1}, "name": "q", "partialFilterExpression": {"b": 1}}
    assert conflict(shop, spec).code == 85


def test_name_of_a_partial_index_with_another_filter_is_a_conflict_of_keys(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}, "partialFilterExpression": {"b": 1}})
    assert conflict(shop, {"key": {"a": 1}, "partialFilterExpression": {"b": 2}}).code == 86
    assert conflict(shop, {"key": {"a": 1}}).code == 86


def test_wildcard_indexes_with_other_projections_share_a_key(shop: Shop) -> None:
    create(shop, {"key": {"$**": 1}})
    create(shop, {"key": {"$**": 1}, "name": "a", "wildcardProjection": {"a": 1}})
    create(shop, {"key": {"$**": 1}, "name": "b", "wildcardProjection": {"b": 1}})
    shop.insert({"_id": 1, "a": 1, "b": {"c": 2}})
    spec = {"key": {"$**": 1}, "name": "c", "wildcardProjection": {"b": 1}}
    assert conflict(shop, spec).code == 85


@pytest.mark.parametrize("option", ["unique", "sparse"])
def test_plain_unique_and_sparse_indexes_share_a_key(shop: Shop, option: str) -> None:
    create(shop, {"key": {"a": 1}})
    assert create(shop, {"key": {"a": 1}, "name": "other", option: True}) is True


@pytest.mark.parametrize("option", ["unique", "sparse"])
def test_name_of_an_index_that_is_not_unique_or_sparse_is_taken(shop: Shop, option: str) -> None:
    create(shop, {"key": {"a": 1}})
    assert conflict(shop, {"key": {"a": 1}, option: True}).code == 86


def test_partial_filters_that_mean_the_same_are_the_same(shop: Shop) -> None:
    create(shop, {"key": {"a": 1}, "name": "p", "partialFilterExpression": {"b": 1}})
    spec = {"key": {"a": 1}, "name": "q", "partialFilterExpression": {"b": {"$eq": 1}}}
    assert conflict(shop, spec).code == 85


def test_a_collection_has_at_most_64_indexes(shop: Shop) -> None:
    shop.insert({"_id": 1})
    for n in range(MAX_INDEXES - 1):
        assert create(shop, {"key": {f"a{n}": 1}})
    error = conflict(shop, {"key": {"b": 1}})
    assert error.code == 67
    assert "too many indexes for shop.orders" in str(error)
    assert create(shop, {"key": {"a0": 1}}) is False


def test_definition_has_the_request_and_the_compiled_filter(shop: Shop) -> None:
    spec = {"key": {"a": 1}, "unique": True, "partialFilterExpression": {"b": 1}, "hidden": True}
    definition = parse_index(spec).to_definition(77, shop.catalog.filters)
    assert (definition.name, definition.tree_id, definition.is_unique) == ("a_1", 77, True)
    assert definition.is_partial
    assert definition.is_hidden
    assert definition.filter is not None
    with pytest.raises(OperationFailure):
        parse_index(spec).to_definition(77, None)


def test_filter_a_partial_index_may_not_have_is_refused_when_it_is_built(shop: Shop) -> None:
    shop.insert({"_id": 1})
    for filter in ({"b": {"$ne": 1}}, {"b": {"$exists": False}}, {"$nor": [{"b": 1}]}):
        assert conflict(shop, {"key": {"a": 1}, "partialFilterExpression": filter}).code == 67


def test_asking_does_not_change_the_collection(shop: Shop) -> None:
    shop.insert({"_id": 1})
    entry = shop.entry()
    assert is_same_index(entry, parse_index({"key": {"a": 1}}), None) is False
    assert is_same_index(entry, parse_index({"key": {"_id": 1}}), None) is True
    assert shop.entry().record == entry.record
