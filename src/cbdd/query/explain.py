"""explain: a plan, and what running it cost, in MongoDB's shape.

    {"queryPlanner": {"namespace", "winningPlan": {"stage", ..., "inputStage"}, "rejectedPlans"},
     "executionStats": {"nReturned", "totalKeysExamined", "totalDocsExamined", "executionStages"}}

Stages are MongoDB's: COLLSCAN, IXSCAN, FETCH, OR (several IXSCANs, as `inputStages`),
EXPRESS_IXSCAN (a look-up by `_id`), SORT, SKIP, LIMIT, PROJECTION_COVERED (documents made of index
keys), PROJECTION_DEFAULT, EOF.
"""

from __future__ import annotations

import time
from typing import Any, Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.index.definition import IndexDefinition
from cbdd.index.wildcard import PATH_FIELD
from cbdd.query.bounds_text import bounds_text
from cbdd.query.executor import Execution, Query
from cbdd.query.index_choice import IndexChoice
from cbdd.query.index_stages import Covered, Fetch, IdLookup, IndexScan, IndexUnion
from cbdd.query.sort_stage import Sort
from cbdd.query.stages import CollectionScan, Limit, Skip, Stage
from cbdd.storage import ReadTransaction

QUERY_PLANNER: Final = "queryPlanner"
EXECUTION_STATS: Final = "executionStats"
ALL_PLANS: Final = "allPlansExecution"


def explain(
    txn: ReadTransaction,
    entry: CollectionEntry | None,
    query: Query,
    verbosity: str = ALL_PLANS,
    namespace: str = "",
) -> dict[str, Any]:
    """Return the plan of a query; unless `verbosity` is "queryPlanner", run it and count."""
    execution = Execution(txn, entry, query)
    answer: dict[str, Any] = {
        "explainVersion": "1",
        "queryPlanner": {
            "namespace": entry.namespace if entry is not None else namespace,
            "indexFilterSet": False,
            "winningPlan": _projected(execution, _describe(execution.root, False), None),
            "rejectedPlans": _rejected(execution),
        },
    }
    if verbosity != QUERY_PLANNER:
        started = time.perf_counter()
        while execution.step():
            pass
        milliseconds = int((time.perf_counter() - started) * 1000)
        stages = _projected(execution, _describe(execution.root, True), execution.returned)
        answer["executionStats"] = {
            "executionSuccess": True,
            "nReturned": execution.returned,
            "executionTimeMillis": milliseconds,
            "totalKeysExamined": _total(execution.root, "keys"),
            "totalDocsExamined": _total(execution.root, "documents"),
            "executionStages": stages,
            "allPlansExecution": [],
        }
    answer["ok"] = 1.0
    return answer


def _projected(execution: Execution, below: dict[str, Any], returned: int | None) -> dict[str, Any]:
    if execution.query.projection is None or (execution.plan and execution.plan.is_covered):
        return below
    stage: dict[str, Any] = {"stage": "PROJECTION_DEFAULT"}
    if returned is not None:
        stage["nReturned"] = returned
    stage["inputStage"] = below
    return stage


def _rejected(execution: Execution) -> list[dict[str, Any]]:
    if execution.plan is None:
        return []
    plans: list[dict[str, Any]] = []
    for choice in execution.plan.rejected:
        plans.append({"stage": "FETCH", "inputStage": describe_index(choice)})
    return plans


def _total(stage: Stage, what: str) -> int:
    found = 0
    if isinstance(stage, CollectionScan):
        found = stage.examined if what == "documents" else 0
    elif isinstance(stage, IdLookup):
        found = stage.examined if what == "documents" else stage.keys_examined
    elif isinstance(stage, IndexScan):
        found = stage.keys_examined if what == "keys" else 0
    elif isinstance(stage, IndexUnion):
        return sum([_total(scan, what) for scan in stage.scans])
    elif isinstance(stage, (Fetch, Covered)):
        found = stage.examined if what == "documents" else 0
    return found if stage.child is None else found + _total(stage.child, what)


def _describe(stage: Stage, with_counts: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"stage": _stage_name(stage)}
    if with_counts:
        described["nReturned"] = stage.advanced
        described["works"] = stage.works
        described["advanced"] = stage.advanced
    _add_details(described, stage, with_counts)
    if isinstance(stage, IndexUnion):
        described["inputStages"] = [_describe(scan, with_counts) for scan in stage.scans]
    elif stage.child is not None:
        described["inputStage"] = _describe(stage.child, with_counts)
    return described


def _stage_name(stage: Stage) -> str:
    if isinstance(stage, CollectionScan):
        return "COLLSCAN"
    if isinstance(stage, IdLookup):
        return "EXPRESS_IXSCAN"
    if isinstance(stage, IndexScan):
        return "IXSCAN"
    if isinstance(stage, Fetch):
        return "FETCH"
    if isinstance(stage, IndexUnion):
        return "OR"
    if isinstance(stage, Covered):
        return "PROJECTION_COVERED"
    if isinstance(stage, Sort):
        return "SORT"
    if isinstance(stage, Skip):
        return "SKIP"
    return "LIMIT" if isinstance(stage, Limit) else "EOF"


def _add_details(described: dict[str, Any], stage: Stage, with_counts: bool) -> None:
    if isinstance(stage, CollectionScan):
        described["direction"] = "backward" if stage.is_reverse else "forward"
        if with_counts:
            described["docsExamined"] = stage.examined
    elif isinstance(stage, IdLookup):
        described["keyPattern"] = "{ _id: 1 }"
        described["indexName"] = stage.entry.indexes[0].name
        if with_counts:
            described["keysExamined"] = stage.keys_examined
            described["docsExamined"] = stage.examined
    elif isinstance(stage, IndexScan):
        described.update(describe_index(stage.choice))
        if with_counts:
            described["keysExamined"] = stage.keys_examined
            described["seeks"] = stage.seeks
            described["dupsDropped"] = stage.duplicates
    elif isinstance(stage, IndexUnion):
        if with_counts:
            described["dupsDropped"] = stage.duplicates
    elif isinstance(stage, (Fetch, Covered)):
        described["hasFilter"] = stage.filter is not None
        if with_counts:
            described["docsExamined"] = stage.examined
    elif isinstance(stage, Sort):
        described["sortPattern"] = dict(stage.pattern.fields)
        if stage.needed:
            described["limitAmount"] = stage.needed
        described["memLimit"] = stage.memory_bytes
        if with_counts:
            described["totalDataSizeSorted"] = stage.sorted_bytes
            described["usedDisk"] = stage.spills > 0
            described["spills"] = stage.spills
    elif isinstance(stage, Skip):
        described["skipAmount"] = stage.count
    elif isinstance(stage, Limit):
        described["limitAmount"] = stage.count


def describe_index(choice: IndexChoice) -> dict[str, Any]:
    """Return an IXSCAN stage for what is read of an index."""
    definition = choice.definition
    return {
        "stage": "IXSCAN",
        "keyPattern": definition.key_pattern(),
        "indexName": definition.name,
        "isMultiKey": definition.is_multikey,
        "isUnique": definition.is_unique,
        "isSparse": definition.is_sparse,
        "isPartial": definition.is_partial,
        "direction": "backward" if choice.is_reverse else "forward",
        "indexBounds": _field_texts(choice, definition),
    }


def _field_texts(choice: IndexChoice, definition: IndexDefinition) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for i in range(len(definition.fields)):
        path, direction = definition.fields[i]
        if path == PATH_FIELD:
            wanted = definition.fields[i + 1][0]
            texts[path] = [f'["{wanted}", "{wanted}"]']
            continue
        expressions = choice.expressions[i] if i < choice.composite.field_count else []
        texts[path] = bounds_text(expressions, direction < 0)
    return texts
