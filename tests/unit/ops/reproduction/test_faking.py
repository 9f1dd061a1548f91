"""Fake values: the same shape, the same order, nothing of the original."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from bson import Binary, DBRef, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from cbdd.ops.reproduction.faking import Faker
from cbdd.ops.reproduction.judge import encode

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
NUMBERS = st.integers(-(1 << 31), (1 << 31) - 1)
LARGE = st.integers(-(1 << 63), (1 << 63) - 1).map(Int64)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        NUMBERS,
        LARGE,
        st.floats(),
        TEXTS,
        st.binary(min_size=1, max_size=8),
        st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)),
        st.binary(min_size=12, max_size=12).map(ObjectId),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(TEXTS.filter(lambda t: "." not in t and "$" not in t), inner, max_size=3),
    ),
    max_leaves=12,
)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each)]
    return [value]


@given(st.lists(VALUES, min_size=1, max_size=6), st.booleans())
def test_types_equality_and_order_are_kept(values: list[Any], keeps_lengths: bool) -> None:
    operations = [["insert", "db.c", {"_id": n, "v": each}] for n, each in enumerate(values)]
    faked = Faker(operations, keeps_lengths).operations(operations)
    before = [leaf for each in operations for leaf in leaves(each[2])]
    after = [leaf for each in faked for leaf in leaves(each[2])]
    assert len(before) == len(after)
    assert [type(each) for each in before] == [type(each) for each in after]
    for kind in (str, bytes, float, Int64, int, datetime, ObjectId):
        pairs = [
            (old, new)
            for old, new in zip(before, after)
            if type(old) is kind and not (kind is float and math.isnan(old))
        ]
        for old, new in pairs:
            for other, changed in pairs:
                assert (old == other) == (new == changed)
                assert (old < other) == (new < changed)


@given(st.lists(TEXTS.filter(lambda t: len(t) > 4), min_size=1, max_size=5, unique=True))
def test_no_text_of_the_original_is_left(texts: list[str]) -> None:
    operations: list[list[Any]] = [
        ["collection", f"{texts[0]}.{texts[-1]}".replace("$", "_"), {"validator": {"a": texts[0]}}],
        ["index", "a.b", [["field.name", 1]], {"name": texts[0], "unique": True}],
        *(["insert", "a.b", {"_id": each, "field": {"name": each}}] for each in texts),
    ]
    told = encode(Faker(operations).operations(operations))
    for each in texts:
        if not set(each) <= set("abcdefghijklmnopqrstuvwxyz"):
            assert f'"{each}"' not in told
    assert "field" not in told


def test_paths_of_indexes_follow_the_fields_of_documents() -> None:
    operations = [
        ["index", "shop.orders", [["customer.city", 1], ["_id", -1]], {"name": "mine"}],
        ["insert", "shop.orders", {"_id": 1, "customer": {"city": "Ulm"}, "items.0": 2}],
    ]
    index, insert = Faker(operations).operations(operations)
    assert index == ["index", "d1.c1", [["f1.f2", 1], ["_id", -1]], {"name": "i1"}]
    assert list(insert[2]) == ["_id", "f1", "f3.0"]
    assert list(insert[2]["f1"]) == ["f2"]


def test_other_types_are_faked_or_hold_nothing() -> None:
    values = [
        Decimal128("3.50"),
        Timestamp(5, 7),
        Regex("^secret"),
        Binary(b"secret", 4),
        MaxKey(),
        DBRef("secrets", "secret-id"),
        datetime(2001, 2, 3, tzinfo=UTC),
    ]
    operations = [["insert", "a.b", {"_id": 1, "v": values}]]
    told = encode(Faker(operations).operations(operations))
    assert "secret" not in told
    assert "3.50" not in told
    assert '"subType": "04"' in told
