"""min, max, return_key and show_record_id of a find."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from cbdd.query import Execution, Query
from cbdd.query.key_range import parse_key_range
from tests.unit.query.conftest import Items


def ask(
    items: Items, filter: dict[str, Any], low: Any, high: Any, hint: Any, **options: Any
) -> list[dict[str, Any]]:
    compiled = Query.compile(filter, hint=hint, **options.pop("query", {}))
    compiled.key_range = parse_key_range(low, high, hint is not None, None)
    compiled.returns_key = options.get("returns_key", False)
    compiled.shows_record_id = options.get("shows_record_id", False)
    with items.engine.begin_read() as txn:
        execution = Execution(txn, items.entry(txn), compiled)
        found = []
        while execution.step():
            found.append(bson.decode(execution.result()))
        return found


@pytest.fixture
def pairs(items: Items) -> Items:
    items.insert(*[{"_id": i, "a": i // 4, "b": i % 4} for i in range(20)])
    items.create_index({"a": 1, "b": -1})
    return items


HINT = {"a": 1, "b": -1}


def test_min_is_inside_and_max_is_not(pairs: Items) -> None:
    low, high = [("a", 1), ("b", 2)], [("a", 2), ("b", 3)]
    found = ask(pairs, {}, low, high, HINT)
    assert [(each["a"], each["b"]) for each in found] == [(1, 2), (1, 1), (1, 0)]
    assert [each["_id"] for each in ask(pairs, {"b": 1}, low, high, HINT)] == [5]
    assert len(ask(pairs, {}, low, None, HINT)) == 15
    assert len(ask(pairs, {}, None, high, HINT)) == 8
    assert ask(pairs, {}, low, high, HINT, query={"sort": {"a": -1, "b": 1}}) == found[::-1]
    assert ask(pairs, {}, low, high, HINT, query={"sort": {"b": 1}, "limit": 1}) == found[2:]


@pytest.mark.parametrize(
    ("low", "high", "hint", "code"),
    [
        ({"a": 1}, None, None, 51173),
        ({"a": 1}, None, HINT, 51174),
        ({"b": 1, "a": 1}, None, HINT, 51174),
        ({"a": 1, "b": 1}, {"a": 1}, HINT, 51176),
        ({"a": 2, "b": 1}, {"a": 1, "b": 1}, HINT, 51175),
        ({"a": 1, "b": 1}, {"a": 1, "b": 1}, HINT, 51175),
    ],
)
def test_ranges_that_are_refused(pairs: Items, low: Any, high: Any, hint: Any, code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        ask(pairs, {}, low, high, hint)
    assert raised.value.code == code


def test_key_is_returned_in_place_of_the_document(pairs: Items) -> None:
    found = ask(pairs, {"a": 1}, None, None, HINT, returns_key=True)
    assert found == [{"a": 1, "b": b} for b in (3, 2, 1, 0)]
    found = ask(pairs, {"a": 1}, None, None, HINT, returns_key=True, query={"sort": {"b": 1}})
    assert found == [{"a": 1, "b": b} for b in (0, 1, 2, 3)]
    assert ask(pairs, {"a": 1}, None, None, {"$natural": 1}, returns_key=True) == [{}] * 4


def test_keys_of_arrays_are_their_elements(items: Items) -> None:
    items.insert({"_id": 1, "a": [3, 5]}, {"_id": 2, "a": []})
    items.create_index({"a": 1})
    assert ask(items, {"a": {"$gt": 4}}, None, None, "a_1", returns_key=True) == [{"a": 5}]


def test_keys_of_other_kinds(items: Items) -> None:
    items.insert({"_id": 1, "a": 3})
    items.create_index({"a": "hashed"})
    items.create_index({"$**": 1})
    hashed = ask(items, {"a": 3}, None, None, "a_hashed", returns_key=True)
    assert type(hashed[0]["a"]) is not str and list(hashed[0]) == ["a"]
    wildcard = ask(items, {"a": 3}, None, None, "$**_1", returns_key=True)
    assert wildcard == [{"$_path": "a", "a": 3}]


def test_record_id_comes_last(pairs: Items) -> None:
    found = ask(pairs, {"_id": 3}, None, None, None, shows_record_id=True)
    assert list(found[0].items())[-1] == ("$recordId", 4)
    found = ask(pairs, {"a": 0}, None, None, HINT, shows_record_id=True, returns_key=True)
    assert found[0] == {"a": 0, "b": 3, "$recordId": 4}
    assert isinstance(RawBSONDocument(bson.encode(found[0])), RawBSONDocument)


@pytest.mark.plan
def test_key_of_a_lookup_by_id(pairs: Items) -> None:
    assert ask(pairs, {"_id": 3}, None, None, None, returns_key=True) == [{"_id": 3}]


@pytest.mark.parametrize(
    ("hint", "query"), [({"$natural": 1}, {}), (HINT, {"sort": {"$natural": 1}})]
)
def test_range_without_an_index_is_refused(pairs: Items, hint: Any, query: Any) -> None:
    with pytest.raises(OperationFailure) as raised:
        ask(pairs, {}, {"a": 1, "b": 1}, None, hint, query=query)
    assert raised.value.code in (51173, 51174)
