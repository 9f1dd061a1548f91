"""Indexes built over existing records, in one run or in many."""

from __future__ import annotations

import random

import bson
import pytest
from pymongo.errors import DuplicateKeyError

from cbdd.catalog import CollectionWriters, parse_index
from cbdd.catalog.index_build import build_index
from tests.unit.catalog.conftest import Shop


def build(shop: Shop, keys: dict[str, int], run_bytes: int, tree_id: int, **options: object) -> int:
    """Build an index that is thrown away again, and return the number of its entries."""
    request = parse_index({"key": keys, **options})
    txn = shop.engine.begin_write("test")
    try:
        entry = CollectionWriters(shop.catalog, txn, True).find_or_create("shop", "orders").entry
        definition = build_index(txn, entry, request.to_definition(tree_id, None), run_bytes)
        cursor = txn.cursor(definition.tree_id)
        found = []
        more = cursor.first()
        while more:
            found.append(cursor.key)
            more = cursor.step()
        assert found == sorted(found)
        return len(found)
    finally:
        txn.abort()


@pytest.mark.parametrize("run_bytes", [1, 2000, 64 << 20])
def test_entries_do_not_depend_on_the_size_of_a_run(shop: Shop, run_bytes: int) -> None:
    dice = random.Random(3)
    shop.insert(*[{"_id": n, "a": dice.randrange(1000), "b": [n, -n]} for n in range(200)])
    assert build(shop, {"a": 1}, run_bytes, 900) == 200
    assert build(shop, {"a": -1, "b": 1}, run_bytes, 901) == 399
    assert build(shop, {"_id": 1, "a": 1}, run_bytes, 902, unique=True) == 200


@pytest.mark.parametrize("run_bytes", [1, 2000, 64 << 20])
def test_duplicates_are_found_inside_a_run_and_across_runs(shop: Shop, run_bytes: int) -> None:
    shop.insert(*[{"_id": n, "a": n % 150} for n in range(200)])
    with pytest.raises(DuplicateKeyError) as raised:
        build(shop, {"a": 1}, run_bytes, 900, unique=True)
    assert raised.value.details is not None
    assert raised.value.details["keyPattern"] == {"a": 1}


def test_index_on_an_empty_collection_is_empty(shop: Shop) -> None:
    shop.create_index({"a": 1})
    assert shop.entry().index_named("a_1") is not None
    assert bson.decode(shop.entry().record)["indexes"][1]["multikey"] is False
