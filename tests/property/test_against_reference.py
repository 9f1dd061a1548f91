"""Answers with an index, without one, and from a simple reference agree.

Hypothesis draws seeds; a seed makes a collection, its indexes and a list of questions. Each
question is two cases: with and without an index.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure

from cbdd.catalog import CollectionWriters
from cbdd.catalog.check import check_collection
from cbdd.query import Execution, Query, Update, compile_sort, parse_filter
from tests.property import reference
from tests.unit.query.conftest import Items

pytestmark = [pytest.mark.property, pytest.mark.query]

AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
NAMES = ["a", "b", "c"]
PATHS = ["a", "b", "c", "a.b", "b.a", "a.0", "a.b.c", "b.1", "c.a", "a.0.b"]
SCALARS: list[Any] = [
    None, True, False, 0, 1, 2, -1, 1.0, 2.5, -0.0, 2**40, float("nan"), float("inf"),
    "", "a", "b", "ab", "é", datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC),
]  # fmt: skip
SEEDS = st.integers(min_value=0, max_value=2**64 - 1)
"""Each case is made from one seed: drawing every value from hypothesis takes ten times as long."""
QUESTIONS = 25
SHARE = 4 if os.environ.get("CBDD_FEW_CASES") else 1
"""Where the same cases run compiled, too, which is four times as fast, a part of them is enough."""
EXAMPLES = 1000 // SHARE
PARTS = 2
WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)  # a failure prints its small case itself


def value(source: random.Random, depth: int) -> Any:
    kind = source.random()
    if depth == 0 or kind < 0.55:
        return source.choice(SCALARS)
    if kind < 0.8:
        return [value(source, depth - 1) for _ in range(source.randrange(4))]
    return {source.choice(NAMES): value(source, depth - 1) for _ in range(source.randrange(3))}


def document(source: random.Random, number: int) -> dict[str, Any]:
    fields = {name: value(source, 3) for name in NAMES if source.random() < 0.75}
    return {"_id": number, **fields}


def operand(source: random.Random, pool: list[Any]) -> Any:
    return source.choice(pool) if source.random() < 0.6 else value(source, 1)


def condition(source: random.Random, pool: list[Any], depth: int = 1) -> Any:
    kind = source.randrange(15)
    if kind < 3:
        plain = operand(source, pool)
        return plain
    if kind < 7:
        return {source.choice(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]): operand(source, pool)}
    if kind == 7:
        low, high = operand(source, pool), operand(source, pool)
        return {"$gte": low, "$lt": high}
    if kind == 8:
        wanted = [operand(source, pool) for _ in range(source.randrange(4))]
        return {source.choice(["$in", "$nin"]): wanted}
    if kind == 9:
        return {"$exists": source.random() < 0.5}
    if kind == 10:
        return {
            "$type": source.choice(
                ["null", "bool", "int", "double", "string", "array", "object", "number", "date"]
            )
        }
    if kind == 11:
        return {"$size": source.randrange(3)}
    if kind == 12:
        return {"$all": [operand(source, pool) for _ in range(source.randrange(3))]}
    if kind == 13 and depth:
        inner = condition(source, pool, 0)
        if reference.is_operators(inner):
            return {"$not": inner}
        return {"$mod": [source.choice([2, 3]), source.randrange(2)]}
    if source.random() < 0.5:
        return {"$elemMatch": {source.choice(["$gt", "$lte", "$eq"]): source.choice(SCALARS)}}
    return {"$elemMatch": {source.choice(NAMES): source.choice(SCALARS)}}


def question(source: random.Random, pool: list[Any], depth: int = 2) -> dict[str, Any]:
    if depth and source.random() < 0.25:
        parts = [question(source, pool, depth - 1) for _ in range(source.randrange(1, 4))]
        return {source.choice(["$and", "$or", "$nor"]): parts}
    paths = source.sample(PATHS, source.choice([1, 1, 2]))
    return {path: condition(source, pool) for path in paths}


def pool_of(documents: list[dict[str, Any]]) -> list[Any]:
    found: list[Any] = []

    def walk(item: Any) -> None:
        found.append(item)
        for inner in (
            item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        ):
            walk(inner)

    for each in documents:
        for name in NAMES:
            if name in each:
                walk(each[name])
    return found or [None]


def index(source: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """An index of any kind: its keys and its options."""
    kind = source.random()
    if kind < 0.15:
        return {source.choice(["$**", "a.$**", "b.$**"]): source.choice([1, -1])}, {}
    keys: dict[str, Any] = {
        p: source.choice([1, -1]) for p in source.sample(PATHS, source.choice([1, 1, 2, 3]))
    }
    if kind < 0.25:
        keys[source.choice(list(keys))] = "hashed"
    elif kind < 0.4:
        return keys, {"sparse": True}
    elif kind < 0.6:
        operator = source.choice(["$eq", "$gt", "$lte", "$gte"])
        condition: Any = {operator: source.choice(SCALARS)}
        if source.random() < 0.3:
            condition = source.choice(
                [{"$exists": True}, {"$type": "number"}, {"$in": [1, 2, None]}]
            )
        return keys, {"partialFilterExpression": {source.choice(PATHS): condition}}
    return keys, {}


def collection(
    source: random.Random, path: Path
) -> tuple[Items, list[dict[str, Any]], list[tuple[dict[str, Any], dict[str, Any]]]]:
    """A collection of a few documents with some indexes, the documents and the indexes."""
    items = Items(path)
    documents = [document(source, number) for number in range(source.randrange(1, 14))]
    indexes: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for _ in range(source.randrange(1, 4)):
        keys, options = index(source)
        try:
            items.create_index(keys, **options)
        except OperationFailure as error:
            assert error.code in (85, 86), error
        else:
            indexes.append((keys, options))
    kept = []
    for each in documents:
        try:
            items.insert(each)
        except OperationFailure as error:
            assert error.code in (171, 16766), error  # parallel arrays; an array in a hashed index
            continue
        kept.append(each)
    return items, kept, indexes


NUMBERS = itertools.count()


@pytest.fixture
def new_path(tmp_path: Path) -> Callable[[], Path]:
    return lambda: tmp_path / f"{next(NUMBERS)}.cbdd"


@pytest.mark.parametrize("part", range(PARTS))
def test_filters_and_sorts(new_path: Callable[[], Path], record_property: Any, part: int) -> None:
    cases = 0

    @settings(max_examples=EXAMPLES, database=None, phases=WITHOUT_SHRINKING)
    @given(SEEDS)
    def run(seed: int) -> None:
        nonlocal cases
        source = random.Random(seed * PARTS + part)
        path = new_path()
        items, documents, indexes = collection(source, path)
        pool = pool_of(documents)
        try:
            for _ in range(QUESTIONS):
                filter = question(source, pool)
                try:
                    parse_filter(filter)
                except OperationFailure:
                    continue
                expected = [each["_id"] for each in documents if reference.matches(each, filter)]
                shown = (filter, documents, indexes)
                assert sorted(items.ids(filter)) == expected, shown
                assert items.ids(filter, hint={"$natural": 1}) == expected, shown
                assert items.count(filter) == len(expected), shown
                cases += 2
                sort = [
                    (p, source.choice([1, -1])) for p in source.sample(PATHS, source.choice([1, 2]))
                ]
                wanted = dict([*sort, ("_id", 1)])
                try:
                    compile_sort(wanted)
                    found = items.ids(filter, sort=wanted)
                except OperationFailure as error:
                    assert error.code == 2, error  # parallel arrays in a sort
                    continue
                assert items.ids(filter, sort=wanted, hint={"$natural": 1}) == found, (
                    wanted,
                    *shown,
                )
                assert items.ids(filter, sort=wanted, skip=1, limit=2) == found[1:3], (
                    wanted,
                    *shown,
                )
                if len({p.split(".")[0] for p in wanted}) == len(wanted):
                    matching = [each for each in documents if each["_id"] in expected]
                    ordered = reference.sorted_ids(matching, [*sort, ("_id", 1)])
                    assert found == ordered, (wanted, *shown)
        finally:
            items.engine.close()
            for leftover in path.parent.glob(f"{path.name}*"):
                leftover.unlink()

    run()
    record_property("query_cases", cases)
    assert cases >= 50_000 // PARTS // SHARE, cases


def test_indexes_follow_every_change(new_path: Callable[[], Path], record_property: Any) -> None:
    """Replace, delete and insert at random, then ask: the answers and the indexes are right."""
    cases = 0

    @settings(max_examples=600 // SHARE, database=None, phases=WITHOUT_SHRINKING)
    @given(SEEDS)
    def run(seed: int) -> None:
        nonlocal cases
        source = random.Random(seed)
        path = new_path()
        items, documents, indexes = collection(source, path)
        try:
            kept = {each["_id"]: each for each in documents}
            for number in range(100, 100 + source.randrange(4, 16)):
                change(source, items, kept, number)
            with items.engine.begin_read() as txn:
                entry = items.entry(txn)
                problems = [] if entry is None else check_collection(txn, entry)
                assert problems == [], (indexes, [str(each) for each in problems])
            pool = pool_of(list(kept.values()))
            for _ in range(8):
                filter = question(source, pool)
                try:
                    parse_filter(filter)
                except OperationFailure:
                    continue
                expected = sorted(k for k, v in kept.items() if reference.matches(v, filter))
                assert sorted(items.ids(filter)) == expected, (filter, kept, indexes)
                assert items.count(filter) == len(expected), (filter, kept, indexes)
                cases += 1
        finally:
            items.engine.close()
            for leftover in path.parent.glob(f"{path.name}*"):
                leftover.unlink()

    run()
    record_property("query_cases", cases)


def change(
    source: random.Random, items: Items, kept: dict[int, dict[str, Any]], number: int
) -> None:
    """Change one document of the collection, and of the dictionary alike."""
    kind = source.random()
    if kind < 0.3 or not kept:
        made = document(source, number)
        try:
            items.insert(made)
        except OperationFailure as error:
            assert error.code in (171, 16766), error
        else:
            kept[number] = made
        return
    identity = source.choice(list(kept))
    txn = items.engine.begin_write("change")
    try:
        writer = CollectionWriters(items.catalog, txn, True).find("shop", "items")
        assert writer is not None
        execution = Execution(txn, writer.entry, Query.compile({"_id": identity}))
        assert execution.step()
        record_id, old = execution.record_id, execution.document
        if kind < 0.5:
            writer.delete(record_id, old)
            del kept[identity]
        else:
            made = document(source, identity)
            try:
                writer.update(record_id, old, bson.encode(made))
            except OperationFailure as error:
                assert error.code in (171, 16766), error
            else:
                kept[identity] = made
        txn.commit()
    finally:
        txn.abort()


def test_updates(record_property: Any) -> None:
    @settings(max_examples=5000 // SHARE, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        source = random.Random(seed)
        before = {
            "_id": 1,
            "n": source.choice([0, 5, -2, 2.5, 2**31 - 1]),
            "d": {"x": source.choice([1, "a", None])},
            "list": [source.choice(SCALARS) for _ in range(source.randrange(3))],
        }
        update: dict[str, Any] = {}
        numbers = [1, -3, 0.5, 2**31]
        for operator, paths, operands in (
            ("$set", ["s", "d.y", "new.deep"], SCALARS),
            ("$unset", ["d.x", "gone.x"], [""]),
            ("$inc", ["n", "d.count"], numbers),
            ("$mul", ["n", "m"], numbers),
            ("$min", ["n", "low"], [x for x in SCALARS if x is not None]),
            ("$max", ["n", "high"], [x for x in SCALARS if x is not None]),
            ("$push", ["list", "d.list"], SCALARS),
            ("$addToSet", ["list", "tags"], SCALARS),
        ):
            if source.random() < 0.4:
                update[operator] = {source.choice(paths): source.choice(operands)}
        try:
            compiled = Update.compile(update)
        except OperationFailure as error:
            assert error.code in (9, 40), error  # nothing to do; two operators on one path
            return
        expected = bson.encode(reference.updated(before, update))
        after = compiled.apply(bson.encode(before))
        assert bson.decode(after, AWARE) == bson.decode(expected, AWARE) or "nan" in repr(
            before
        ) + repr(update), update
        assert list(bson.decode(after)) == list(bson.decode(expected)), update

    run()
