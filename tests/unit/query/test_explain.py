"""explain in MongoDB's shape."""

from __future__ import annotations

import pytest

from cbdd.query import Query, explain
from tests.unit.query.conftest import Items


def fill(items: Items) -> None:
    items.insert(*[{"_id": i, "a": i % 10, "b": i} for i in range(100)])
    items.create_index({"a": 1, "b": -1})
    items.create_index({"b": 1})


def test_collection_scan(items: Items) -> None:
    fill(items)
    answer = items.explain({"c": 5})
    assert answer["queryPlanner"]["namespace"] == "shop.items"
    assert answer["queryPlanner"]["winningPlan"] == {"stage": "COLLSCAN", "direction": "forward"}
    assert answer["queryPlanner"]["rejectedPlans"] == []
    stats = answer["executionStats"]
    assert stats["executionSuccess"] is True
    assert stats["nReturned"] == stats["totalKeysExamined"] == 0
    assert stats["totalDocsExamined"] == 100
    assert stats["executionStages"]["docsExamined"] == 100


@pytest.mark.plan
def test_index_scan(items: Items) -> None:
    fill(items)
    answer = items.explain({"a": 3, "b": {"$gt": 50}})
    plan = answer["queryPlanner"]["winningPlan"]
    assert plan["stage"] == "FETCH"
    scan = plan["inputStage"]
    assert scan["stage"] == "IXSCAN"
    assert scan["indexName"] == "a_1_b_-1"
    assert scan["keyPattern"] == {"a": 1, "b": -1}
    assert scan["direction"] == "forward"
    assert scan["isMultiKey"] is False
    assert scan["indexBounds"] == {"a": ["[3, 3]"], "b": ["[inf, 50)"]}
    stats = answer["executionStats"]
    assert stats["nReturned"] == stats["totalKeysExamined"] == stats["totalDocsExamined"] == 5
    assert [plan["inputStage"]["indexName"] for plan in answer["queryPlanner"]["rejectedPlans"]]


@pytest.mark.plan
def test_lookup_by_id(items: Items) -> None:
    fill(items)
    answer = items.explain({"_id": 5})
    assert answer["queryPlanner"]["winningPlan"]["stage"] == "EXPRESS_IXSCAN"
    assert answer["executionStats"]["totalKeysExamined"] == 1
    assert answer["executionStats"]["totalDocsExamined"] == 1


def test_sort_skip_limit_and_projection(items: Items) -> None:
    fill(items)
    query = {"projection": {"a": 1}, "sort": [("c", 1)], "skip": 2, "limit": 3}
    answer = items.explain({}, **query)
    names = items.stages({}, **query)
    assert names == ["PROJECTION_DEFAULT", "LIMIT", "SKIP", "SORT", "COLLSCAN"]
    sort = answer["queryPlanner"]["winningPlan"]["inputStage"]["inputStage"]["inputStage"]
    assert sort["sortPattern"] == {"c": 1}
    assert sort["limitAmount"] == 5
    assert answer["executionStats"]["nReturned"] == 3


def test_planner_verbosity_runs_nothing(items: Items) -> None:
    fill(items)
    with items.engine.begin_read() as txn:
        answer = explain(txn, items.entry(txn), Query.compile({}), "queryPlanner")
    assert "executionStats" not in answer
    assert answer["ok"] == 1.0
