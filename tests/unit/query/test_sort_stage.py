"""Sorting what memory does not hold gives the same order as sorting in memory."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from cbdd.query import Execution, Query, compile_sort
from cbdd.query.sort_stage import MAX_HEAP_DOCUMENTS, Sort
from cbdd.query.stages import CollectionScan
from tests.unit.query.conftest import Items


@pytest.fixture
def numbers(items: Items) -> Items:
    dice = random.Random(5)
    items.insert(*[{"_id": i, "n": dice.randrange(100), "t": "x" * (i % 50)} for i in range(1000)])
    return items


def run(items: Items, spec: dict[str, int], memory_bytes: int, **options: Any) -> tuple[Any, Sort]:
    """Sort all documents within some memory; return the record ids and the stage."""
    pattern = compile_sort(spec)
    assert pattern is not None
    with items.engine.begin_read() as txn:
        entry = items.entry(txn)
        assert entry is not None
        scan = CollectionScan(txn, entry.record_tree, None, False)
        stage = Sort(txn, entry, scan, pattern, 0, memory_bytes=memory_bytes, **options)
        found = []
        while stage.step():
            found.append((int.from_bytes(stage.record_key, "big"), stage.document))
        assert not stage.step()
        return found, stage


@pytest.mark.parametrize("spec", [{"n": 1}, {"n": -1, "_id": 1}, {"t": 1}, {"missing": 1}])
@pytest.mark.parametrize("memory_bytes", [1, 5_000, 60_000, 10_000_000])
def test_order_does_not_depend_on_the_memory(
    numbers: Items, spec: dict[str, int], memory_bytes: int
) -> None:
    expected, in_memory = run(numbers, spec, 1 << 30)
    assert in_memory.spills == 0
    found, stage = run(numbers, spec, memory_bytes)
    assert found == expected
    assert (stage.spills > 0) == (memory_bytes < 200_000)


def test_sort_that_may_not_use_the_disk_is_refused(numbers: Items) -> None:
    with pytest.raises(OperationFailure, match="allow_disk_use") as raised:
        run(numbers, {"n": 1}, 1000, may_use_disk=False)
    assert raised.value.code == 292


def test_long_keys_cross_the_pieces_that_are_read(items: Items) -> None:
    items.insert(*[{"_id": i, "t": chr(97 + i % 7) * 200_000} for i in range(20)])
    expected, _ = run(items, {"t": 1, "_id": -1}, 1 << 30)
    found, stage = run(items, {"t": 1, "_id": -1}, 900_000)
    assert found == expected and stage.spills > 2


def test_few_wanted_documents_are_kept_in_a_heap(numbers: Items) -> None:
    query = Query.compile({}, sort=[("n", 1), ("_id", 1)], limit=5)
    with numbers.engine.begin_read() as txn:
        execution = Execution(txn, numbers.entry(txn), query)
        while execution.step():
            pass
        sort = execution.root.child
        assert isinstance(sort, Sort) and sort.spills == 0
    everything = numbers.ids({}, sort=[("n", 1), ("_id", 1)])
    assert numbers.ids({}, sort=[("n", 1), ("_id", 1)], limit=5) == everything[:5]
    assert numbers.ids({}, sort=[("n", 1), ("_id", 1)], limit=MAX_HEAP_DOCUMENTS + 1) == everything


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("limit", [1, 2, 7, 99, 100, 500, 999, 1000, 1001])
def test_equal_documents_stay_as_they_came_however_few_are_wanted(
    numbers: Items, direction: int, limit: int
) -> None:
    dice = random.Random(5)
    given = [dice.randrange(100) for _ in range(1000)]
    expected = sorted(range(1000), key=lambda i: direction * given[i])  # a stable sort
    assert numbers.ids({}, sort=[("n", direction)]) == expected
    assert numbers.ids({}, sort=[("n", direction)], limit=limit) == expected[:limit]


def test_explain_tells_of_the_disk(numbers: Items) -> None:
    stages = numbers.explain({}, sort=[("n", 1)])["executionStats"]["executionStages"]
    assert stages["stage"] == "SORT"
    assert (stages["usedDisk"], stages["spills"]) == (False, 0)
    assert stages["totalDataSizeSorted"] > 1000
