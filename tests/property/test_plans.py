"""Covered projections, hints, skips, limits and counts: every plan gives what a scan gives.

Seeds make collections as in `test_against_reference`, here with numbers of every type, because a
covered query gives back types that its index keys do not tell apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64
from hypothesis import given, settings
from pymongo.errors import OperationFailure

from cbdd.query import parse_filter
from tests.property import test_against_reference as cases
from tests.unit.query.conftest import Items

pytestmark = [pytest.mark.property, pytest.mark.query]

NUMBERS: list[Any] = [Int64(1), Int64(2), Decimal128("1"), 3.0, 2.0**40]


@pytest.fixture
def new_path(tmp_path: Path) -> Callable[[], Path]:
    return lambda: tmp_path / f"{next(cases.NUMBERS)}.cbdd"


def shape(value: Any) -> Any:
    """Return a value with its types, but without the order of fields, which a plan may change."""
    if isinstance(value, dict):
        return sorted((name, shape(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return f"{type(value).__name__} {value!r}"


def shapes(documents: list[Any]) -> list[str]:
    return sorted(repr(shape(document)) for document in documents)


def ask(source: random.Random, items: Items, pool: list[Any], paths: list[str]) -> int:
    """Ask one question in every way; return how many answers were compared."""
    some = source.sample(paths, min(len(paths), source.randrange(1, 4)))
    if source.random() < 0.6:
        filter = {path: cases.condition(source, pool) for path in some}
    else:
        filter = cases.question(source, pool)
    projection: dict[str, int] = dict.fromkeys(some, 1)
    if source.random() < 0.7:
        projection["_id"] = 0
    try:
        parse_filter(filter)
        found = items.find(filter, projection=projection)
    except OperationFailure:
        return 0  # no filter, or paths that collide
    shown = (filter, projection)
    natural = {"$natural": 1}
    scanned = items.find(filter, projection=projection, hint=natural)
    assert shapes(found) == shapes(scanned), shown
    everything = items.ids(filter, hint=natural)
    skip, limit = source.randrange(4), source.randrange(1, 5)
    page = items.ids(filter, skip=skip, limit=limit)
    assert len(page) == len(everything[skip : skip + limit]), shown
    assert set(page) <= set(everything), shown
    assert items.count(filter, skip=skip, limit=limit) == len(page), shown
    return 3


def ask_by_hint(source: random.Random, items: Items, pool: list[Any], keys: dict[str, Any]) -> int:
    """Compare what an index gives, in its own order and backwards, with a sorted scan."""
    filter = {path: cases.condition(source, pool) for path in source.sample(list(keys), 1)}
    turned = source.choice([1, -1])
    sort = [(path, way * turned) for path, way in keys.items() if way != "hashed"] + [("_id", 1)]
    try:
        hinted = items.ids(filter, sort=sort, hint=keys)
        scanned = items.ids(filter, sort=sort, hint={"$natural": 1})
    except OperationFailure:
        return 0
    assert hinted == scanned, (filter, keys, sort)
    return 1


def test_plans_agree(
    new_path: Callable[[], Path], record_property: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0
    monkeypatch.setattr(cases, "SCALARS", cases.SCALARS + NUMBERS)

    @settings(max_examples=1000 // cases.SHARE, database=None, phases=cases.WITHOUT_SHRINKING)
    @given(cases.SEEDS)
    def run(seed: int) -> None:
        nonlocal compared
        source = random.Random(seed)
        path = new_path()
        items, documents, indexes = cases.collection(source, path)
        pool = cases.pool_of(documents)
        plain = [keys for keys, options in indexes if not options and "$**" not in str(keys)]
        paths = sorted({path for keys, _ in indexes for path in keys if not path.endswith("$**")})
        try:
            for _ in range(12 if paths else 0):
                compared += ask(source, items, pool, paths)
            for keys in plain:
                compared += ask_by_hint(source, items, pool, keys)
        finally:
            items.engine.close()
            for leftover in path.parent.glob(f"{path.name}*"):
                leftover.unlink()

    run()
    record_property("query_cases", compared)
    assert compared > 20_000 // cases.SHARE, compared
