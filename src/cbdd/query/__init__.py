"""MongoDB's query language: filters, updates, projections and sorts on raw BSON, and their plans.

    parser      filter -> match expressions (matcher, comparison, array_match, predicate, regex)
    update      update -> tree of modifiers, applied to raw documents; replacements, upserts
    projection  which fields are returned            sort      a document's place in an order
    planner     collection scan or which index       executor  a plan as stages that step
    distinct    the values at a path                 explain   a plan in MongoDB's shape

A query is compiled once, without knowing a collection, then run in a transaction on a collection:

    query = Query.compile(filter, projection, sort, skip, limit, hint)
    execution = Execution(txn, entry, query)
    while execution.step():
        execution.result()          # projected BSON; .document as stored, .record_id

Everything wrong with a query raises `OperationFailure` with MongoDB's code when it is compiled.
"""

from cbdd.query.distinct import DistinctValues
from cbdd.query.executor import Execution, Query, count, distinct
from cbdd.query.explain import explain
from cbdd.query.matcher import MatchExpression
from cbdd.query.parser import parse_filter
from cbdd.query.planner import Plan, Planner
from cbdd.query.projection import Projection
from cbdd.query.projection_parser import parse_projection
from cbdd.query.sort import SortPattern, compile_sort
from cbdd.query.update import Update, upsert_document

__all__ = [
    "DistinctValues",
    "Execution",
    "MatchExpression",
    "Plan",
    "Planner",
    "Projection",
    "Query",
    "SortPattern",
    "Update",
    "compile_sort",
    "count",
    "distinct",
    "explain",
    "parse_filter",
    "parse_projection",
    "upsert_document",
]
