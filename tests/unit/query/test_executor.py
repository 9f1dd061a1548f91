"""Running queries: limits, order, counts, distinct values, interruption."""

from __future__ import annotations

import signal
from typing import Any

import bson
import pytest
from pymongo.errors import OperationFailure

from cbdd.query import Execution, Query, count
from cbdd.query.sort_stage import Sort
from cbdd.query.stages import CollectionScan
from tests.unit.query.conftest import Items


@pytest.fixture
def numbers(items: Items) -> Items:
    items.insert(*[{"_id": i, "n": i * 7 % 100, "odd": i % 2} for i in range(100)])
    return items


def test_documents_come_in_the_order_of_insertion(items: Items) -> None:
    items.insert({"_id": 3}, {"_id": 1}, {"_id": 2})
    assert items.ids() == [3, 1, 2]
    assert items.ids(sort=[("$natural", -1)]) == [2, 1, 3]


@pytest.mark.parametrize("query", [{}, {"sort": [("n", 1)]}, {"sort": [("$natural", -1)]}])
def test_skip_and_limit_cut_the_same_list(numbers: Items, query: dict[str, Any]) -> None:
    for filter in ({}, {"odd": 1}):
        everything = numbers.ids(filter, **query)
        assert numbers.ids(filter, skip=3, limit=5, **query) == everything[3:8]
        assert numbers.ids(filter, skip=len(everything) - 1, **query) == everything[-1:]
        assert numbers.ids(filter, skip=1000, **query) == []
        assert numbers.ids(filter, limit=-2, **query) == everything[:2]


def test_sort_with_a_limit_keeps_only_what_is_needed(numbers: Items) -> None:
    with numbers.engine.begin_read() as txn:
        query = Query.compile({}, sort=[("n", -1)], skip=1, limit=3)
        execution = Execution(txn, numbers.entry(txn), query)
        found = []
        while execution.step():
            found.append(execution.record_id)
    assert found == [15, 72, 29]


def test_equal_sort_keys_keep_their_order(numbers: Items) -> None:
    expected = [*range(0, 100, 2), *range(1, 100, 2)]
    assert numbers.ids({}, sort=[("odd", 1)]) == expected
    assert numbers.ids({}, sort=[("odd", 1)], limit=60) == expected[:60]
    assert numbers.ids({}, sort=[("odd", -1)], limit=3) == [1, 3, 5]


def test_sort_beyond_its_memory_reads_documents_again(numbers: Items) -> None:
    expected = numbers.find({}, sort=[("n", 1)])
    with numbers.engine.begin_read() as txn:
        execution = Execution(txn, numbers.entry(txn), Query.compile({}, sort=[("n", 1)]))
        assert isinstance(execution.root, Sort)
        execution.root.memory_bytes = 100
        found = []
        while execution.step():
            found.append(execution.result())
    assert [bson.decode(document) for document in found] == expected


def test_projection_is_applied_to_results_only(numbers: Items) -> None:
    with numbers.engine.begin_read() as txn:
        query = Query.compile({"_id": 5}, {"n": 1, "_id": 0})
        execution = Execution(txn, numbers.entry(txn), query)
        assert execution.step()
        assert len(execution.result()) < len(execution.document)
        assert execution.record_id == 6


def test_record_ids_name_all_matches(numbers: Items) -> None:
    with numbers.engine.begin_read() as txn:
        execution = Execution(txn, numbers.entry(txn), Query.compile({"odd": 1}))
        assert list(execution.record_ids()) == list(range(2, 101, 2))


def test_collection_that_does_not_exist_is_empty(items: Items) -> None:
    assert items.find({"a": 1}) == []
    assert items.count({}) == 0
    assert items.distinct("a") == []
    assert items.explain({})["queryPlanner"]["winningPlan"]["stage"] == "EOF"


def test_counts_with_and_without_an_index(numbers: Items) -> None:
    for _ in range(2):
        assert numbers.count() == 100
        assert numbers.count({"n": {"$gte": 50}}) == 50
        assert numbers.count({"n": {"$gte": 50}, "odd": 1}) == 25
        assert numbers.count({"n": {"$gte": 50}}, skip=10, limit=30) == 30
        assert numbers.count({}, skip=99) == 1
        assert numbers.count({}, skip=200) == 0
        assert numbers.count({"n": {"$in": [1, 2, 3, 500]}}) == 3
        numbers.create_index({"n": 1})


@pytest.mark.plan
def test_count_by_index_range_reads_no_document(numbers: Items) -> None:
    numbers.create_index({"odd": 1, "n": 1})
    with numbers.engine.begin_read() as txn:
        entry = numbers.entry(txn)
        assert entry is not None
        # A record that is gone would be missed if it were read.
        entry.record_tree = 999
        assert count(txn, entry, Query.compile({"odd": 1, "n": {"$lt": 50}})) == 25


def test_count_by_an_array_index_counts_documents(items: Items) -> None:
    items.insert({"_id": 1, "a": [1, 2, 3]}, {"_id": 2, "a": 2})
    items.create_index({"a": 1})
    assert items.count({"a": {"$gte": 1}}) == 2


def test_distinct_takes_a_filter(numbers: Items) -> None:
    assert sorted(numbers.distinct("n", {"n": {"$lt": 3}})) == [0, 1, 2]
    assert numbers.distinct("odd", {"n": 7}) == [1]


def test_query_that_is_wrong_is_refused_before_it_runs() -> None:
    with pytest.raises(OperationFailure):
        Query.compile({"$bogus": 1})


def test_first_wrong_part_is_reported_as_mongodb_does() -> None:
    with pytest.raises(OperationFailure) as raised:
        Query.compile({"a": {"$bogus": 1}}, {"a": 1, "b": 0}, [("a", 7)])
    assert raised.value.code == 2


def test_long_scan_can_be_interrupted(items: Items) -> None:
    items.insert(*[{"_id": i, "text": "x" * 50} for i in range(20_000)])

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with items.engine.begin_read() as txn:
            query = Query.compile({"text": {"$regex": "(x?){20}y$"}})
            execution = Execution(txn, items.entry(txn), query)
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(KeyboardInterrupt):
                execution.step()
            scan = execution.root
            assert isinstance(scan, CollectionScan)
            assert 0 < scan.examined < 20_000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
