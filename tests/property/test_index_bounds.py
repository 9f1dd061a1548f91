"""Bounds against the matcher: a match is never outside, and exact bounds hold nothing else.

Documents are those of the recorded MongoDB answers, predicates take their values from the
documents, indexes have up to three fields of any direction, dotted and numeric paths included.
"""

from __future__ import annotations

import gzip
import itertools
import math
import random
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import MaxKey, MinKey, json_util
from pymongo.errors import OperationFailure

from cbdd.index.bounds import (
    FieldBounds,
    composite_bounds,
    field_null_keys,
    intersect_bounds,
    value_bounds,
)
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import KeySet, extract_keys
from cbdd.query.parser import parse_filter

GOLDEN = Path(__file__).parent.parent / "compat" / "golden.jsonl.gz"
OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False)
PATHS = ["a", "b", "c", "d", "a.b", "b.a", "c.d", "d.a.b", "a.0", "b.1", "a.0.b", "c.a.0", "d.b.c"]
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists"]
RECORD_ID = bytes(7) + b"\1"
CASES_PER_SEED = 600


def load_collections() -> list[list[dict[str, Any]]]:
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        few = itertools.islice(lines, 0, None, 5)
        return [json_util.loads(line, json_options=OPTIONS)["docs"] for line in few]


def values_within(value: Any) -> list[Any]:
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    return [value] + [found for item in inner for found in values_within(item)]


def random_predicate(rng: random.Random, pool: list[Any]) -> tuple[str, Any]:
    operator = rng.choice(OPERATORS)
    if operator in ("$in", "$nin"):
        return operator, [rng.choice(pool) for _ in range(rng.randrange(4))]
    if operator == "$exists":
        return operator, rng.random() < 0.5
    return operator, rng.choice(pool)


def is_parsable(path: str, operator: str, value: Any) -> bool:
    try:
        parse_filter({path: {operator: value}})
    except OperationFailure:
        return False
    return True


def random_query(
    rng: random.Random, definition: IndexDefinition, pool: list[Any]
) -> tuple[list[dict[str, Any]], list[FieldBounds | None]]:
    conditions: list[dict[str, Any]] = []
    bounds: list[FieldBounds | None] = []
    for i, (path, _) in enumerate(definition.fields):
        field: FieldBounds | None = None
        most = 1 if definition.is_multikey else 2
        for _ in range(rng.randrange(most + 1)):
            operator, value = random_predicate(rng, pool)
            if is_parsable(path, operator, value):
                conditions.append({path: {operator: value}})
                found = value_bounds(operator, value, field_null_keys(definition, i))
                field = found if field is None else intersect_bounds(field, found)
        bounds.append(field)
    return conditions, bounds


def check_query(rng: random.Random, documents: list[dict[str, Any]]) -> int:
    pool: list[Any] = [None, math.nan, MinKey(), MaxKey(), [], {}, 5, True]
    for document in documents:
        pool += values_within(document)
    paths = rng.sample(PATHS, rng.choice([1, 1, 2, 3]))
    definition = IndexDefinition("n", [(path, rng.choice([1, -1])) for path in paths])
    indexed: list[tuple[bytes, KeySet]] = []
    for document in documents:
        data = bson.encode(document)
        try:
            indexed.append((data, extract_keys(definition, data)))
        except OperationFailure:
            return 0
    is_multikey = any(keys.is_multikey for _, keys in indexed)
    definition = definition.replaced(is_multikey=is_multikey)
    conditions, bounds = random_query(rng, definition, pool)
    if not conditions:
        return 0
    expression = parse_filter({"$and": conditions})
    found = composite_bounds(definition, bounds)
    for left, right in itertools.pairwise(found.intervals):
        assert left.high is not None and right.low is not None and left.high <= right.low
    matches = 0
    for data, keys in indexed:
        inside = any(
            interval.contains(key + RECORD_ID) for key in keys.keys for interval in found.intervals
        )
        if expression.matches(data):
            matches += 1
            assert inside, (definition.fields, conditions, bson.decode(data))
        elif found.is_exact:
            assert not inside, (definition.fields, conditions, bson.decode(data))
    return matches


@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_every_match(seed: int) -> None:
    rng = random.Random(seed)
    collections = load_collections()
    matches = 0
    for _ in range(CASES_PER_SEED):
        matches += check_query(rng, rng.choice(collections))
    assert matches > 200
