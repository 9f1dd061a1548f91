"""From predicates to intervals: type bracketing, NaN, null, arrays, directions, compounds."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from bson import MaxKey, MinKey, Regex

from cbdd.index.bounds import (
    MAX_COMPOSITE_INTERVALS,
    NULL_EXACT,
    NULL_NEEDED,
    NULL_UNKNOWN,
    FieldBounds,
    Interval,
    all_bounds,
    bracket_bounds,
    complement_bounds,
    composite_bounds,
    field_null_keys,
    predicate_bounds,
    text_prefix_bounds,
    value_bounds,
)
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import UNDEFINED_KEY, encode_python, invert

VALUES: list[Any] = [
    MinKey(),
    None,
    math.nan,
    -math.inf,
    -1,
    0,
    5,
    math.inf,
    "",
    "a",
    "b",
    {},
    {"a": 1},
    [1],
    False,
    True,
    datetime.datetime(2024, 1, 1),
    MaxKey(),
]


def members(bounds: FieldBounds) -> list[Any]:
    return [
        value
        for value in VALUES
        if any(interval.contains(encode_python(value)) for interval in bounds.intervals)
    ]


def matching(operator: str, value: Any) -> list[Any]:
    return members(value_bounds(operator, value, NULL_EXACT))


def is_inside(intervals: list[Interval], key: bytes) -> bool:
    return any(interval.contains(key) for interval in intervals)


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("$eq", 5, [5]),
        ("$eq", 5.0, [5]),
        ("$gt", 0, [5, math.inf]),
        ("$gte", 0, [0, 5, math.inf]),
        ("$lt", 0, [-math.inf, -1]),
        ("$lte", 0, [-math.inf, -1, 0]),
        ("$lt", "b", ["", "a"]),
        ("$gt", "a", ["b"]),
        ("$gt", {}, [{"a": 1}]),
        ("$lte", True, [False, True]),
        ("$gt", False, [True]),
        ("$gte", datetime.datetime(2000, 1, 1), [datetime.datetime(2024, 1, 1)]),
    ],
)
def test_comparisons_stay_within_the_class_of_their_value(
    operator: str, value: Any, expected: list[Any]
) -> None:
    bounds = value_bounds(operator, value)
    assert members(bounds) == expected
    assert bounds.is_exact and bounds.is_exact_on_arrays


def test_null_compares_only_with_itself() -> None:
    for operator in ("$eq", "$gte", "$lte"):
        assert matching(operator, None) == [None]
    for operator in ("$gt", "$lt"):
        assert matching(operator, None) == []


def test_nan_compares_only_with_itself() -> None:
    for operator in ("$eq", "$gte", "$lte"):
        assert [repr(value) for value in matching(operator, math.nan)] == ["nan"]
    for operator in ("$gt", "$lt"):
        assert matching(operator, math.nan) == []


def test_min_key_and_max_key_compare_with_every_class() -> None:
    assert matching("$gt", MinKey()) == VALUES[1:]
    assert matching("$gte", MinKey()) == VALUES
    assert matching("$lt", MaxKey()) == VALUES[:-1]
    assert matching("$lte", MaxKey()) == VALUES
    assert matching("$lt", MinKey()) == matching("$gt", MaxKey()) == []
    assert matching("$lte", MinKey()) == [MinKey()]
    assert matching("$gte", MaxKey()) == [MaxKey()]


def test_membership_is_a_union_of_points() -> None:
    bounds = value_bounds("$in", [5, "a", 5.0, True, False])
    assert members(bounds) == [5, "a", False, True]
    assert bounds.is_points and bounds.is_exact
    assert len(bounds.intervals) == 4
    assert value_bounds("$in", []).intervals == []


def test_membership_of_a_regex_may_be_any_string() -> None:
    bounds = value_bounds("$in", [Regex("^a"), 5])
    assert members(bounds) == [5, "", "a", "b"]
    assert is_inside(bounds.intervals, encode_python(Regex("^a")))
    assert not bounds.is_exact


def test_negations_are_exact_only_without_arrays() -> None:
    bounds = value_bounds("$ne", 5)
    assert members(bounds) == [value for value in VALUES if value != 5]
    assert bounds.is_exact and not bounds.is_exact_on_arrays
    assert members(value_bounds("$nin", [5, "a"])) == [v for v in VALUES if v not in (5, "a")]


def test_array_may_be_indexed_by_its_first_element() -> None:
    bounds = value_bounds("$eq", [5, 6])
    assert is_inside(bounds.intervals, encode_python(5))
    assert is_inside(bounds.intervals, encode_python([5, 6]))
    assert not is_inside(bounds.intervals, encode_python(6))
    assert not bounds.is_exact
    assert is_inside(value_bounds("$eq", []).intervals, UNDEFINED_KEY)


def test_predicates_that_cannot_be_narrowed_get_everything() -> None:
    for operator, value in [("$gt", [1]), ("$ne", [1]), ("$exists", True), ("$mod", [2, 0])]:
        bounds = value_bounds(operator, value, NULL_EXACT)
        assert bounds.is_everything and not bounds.is_exact


def test_missing_fields_have_null_keys() -> None:
    bounds = value_bounds("$exists", False, NULL_EXACT)
    assert members(bounds) == [None]
    assert not bounds.is_exact
    for false in (0, 0.0, None):
        assert members(value_bounds("$exists", false, NULL_EXACT)) == [None]
    assert value_bounds("$exists", 1, NULL_EXACT).is_everything


def test_null_is_exact_unless_the_path_may_cross_an_array() -> None:
    plain = IndexDefinition("n", [("a", 1), ("a.b", 1), ("a.0", 1), ("0.a", 1)])
    multikey = plain.replaced(is_multikey=True)
    assert [field_null_keys(plain, i) for i in range(4)] == [
        NULL_EXACT,
        NULL_EXACT,
        NULL_UNKNOWN,
        NULL_EXACT,
    ]
    assert [field_null_keys(multikey, i) for i in range(4)] == [
        NULL_EXACT,
        NULL_NEEDED,
        NULL_UNKNOWN,
        NULL_NEEDED,
    ]
    assert value_bounds("$eq", None, NULL_EXACT).is_exact
    assert not value_bounds("$eq", None, NULL_NEEDED).is_exact
    assert value_bounds("$ne", None, NULL_NEEDED).is_everything
    for operator, value in [("$eq", None), ("$in", [1, None]), ("$exists", False)]:
        assert value_bounds(operator, value, NULL_UNKNOWN).is_everything


def test_bounds_are_taken_from_raw_values_in_place() -> None:
    data = b"junk\x05\0\0\0junk"
    bounds = predicate_bounds("$eq", data, 0x10, 4, 8)
    assert members(bounds) == [5]


def test_bracket_holds_one_class() -> None:
    assert members(bracket_bounds(0x02)) == ["", "a", "b"]
    assert len(members(bracket_bounds(0x10))) == 6
    assert members(bracket_bounds(0x08)) == [False, True]


def test_text_prefix_holds_strings_that_begin_with_it() -> None:
    bounds = text_prefix_bounds(b"a\0")
    assert is_inside(bounds.intervals, encode_python("a\0"))
    assert is_inside(bounds.intervals, encode_python("a\0\uffff"))
    for other in ("a", "a\1", "b", Regex("a")):
        assert not is_inside(bounds.intervals, encode_python(other))


def composite_key(definition: IndexDefinition, *values: Any) -> bytes:
    key = b""
    for value, is_descending in zip(values, definition.descending, strict=True):
        part = encode_python(value)
        key += invert(part) if is_descending else part
    return key + b"record id"


def test_descending_field_reads_the_inverted_range() -> None:
    definition = IndexDefinition("n", [("a", -1)])
    for operator, value in [("$gt", 0), ("$lte", "a"), ("$ne", 5), ("$in", [5, "a", 0])]:
        bounds = value_bounds(operator, value)
        found = composite_bounds(definition, [bounds])
        for probe in VALUES:
            is_member = is_inside(bounds.intervals, encode_python(probe))
            assert is_inside(found.intervals, composite_key(definition, probe)) == is_member
        lows = [interval.low or b"" for interval in found.intervals]
        assert lows == sorted(lows)


@pytest.mark.parametrize("directions", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_points_then_a_range_make_composite_intervals(directions: tuple[int, int]) -> None:
    definition = IndexDefinition("n", [("a", directions[0]), ("b", directions[1])])
    bounds: list[FieldBounds | None] = [
        value_bounds("$in", [5, "a", True]),
        value_bounds("$gte", 0),
    ]
    found = composite_bounds(definition, bounds)
    assert (found.field_count, found.point_count) == (2, 1)
    assert found.is_exact and not found.is_points
    assert len(found.intervals) == 3
    for first in VALUES:
        for second in VALUES:
            key = composite_key(definition, first, second)
            wanted = any(first is v for v in (5, "a", True)) and second in (0, 5, math.inf)
            wanted = wanted and type(second) is not bool
            assert is_inside(found.intervals, key) == wanted
    edges = [edge for i in found.intervals for edge in (i.low, i.high)]
    assert edges == sorted(edge for edge in edges if edge is not None)


def test_points_in_every_field_are_whole_keys() -> None:
    definition = IndexDefinition("n", [("a", 1), ("b", -1)], is_unique=True)
    found = composite_bounds(definition, [value_bounds("$eq", 1), value_bounds("$in", [2, 3])])
    assert found.is_points
    one, two, three = encode_python(1), encode_python(2), encode_python(3)
    assert [i.low for i in found.intervals] == [one + invert(three), one + invert(two)]


def test_field_without_bounds_ends_the_prefix() -> None:
    definition = IndexDefinition("n", [("a", 1), ("b", 1), ("c", 1)])
    found = composite_bounds(definition, [value_bounds("$eq", 1), None, value_bounds("$eq", 3)])
    assert (found.field_count, found.point_count) == (1, 1)
    assert not found.is_exact
    assert composite_bounds(definition, [value_bounds("$eq", 1), None, None]).is_exact


def test_no_bounds_read_the_whole_index() -> None:
    definition = IndexDefinition("n", [("a", 1)])
    for bounds in (None, all_bounds()):
        found = composite_bounds(definition, [bounds])
        assert [(i.low, i.high) for i in found.intervals] == [(None, None)]
        assert found.is_exact == (bounds is None)


def test_impossible_predicate_reads_nothing() -> None:
    definition = IndexDefinition("n", [("a", 1), ("b", 1)])
    found = composite_bounds(definition, [value_bounds("$eq", 1), value_bounds("$lt", None)])
    assert found.intervals == []


def test_fields_of_one_array_do_not_narrow_together() -> None:
    definition = IndexDefinition("n", [("a.b", 1), ("a.c", 1), ("d", 1)])
    bounds: list[FieldBounds | None] = [value_bounds("$eq", n) for n in (1, 2, 3)]
    assert composite_bounds(definition, bounds).field_count == 3
    shared = composite_bounds(definition.replaced(is_multikey=True), bounds)
    assert shared.field_count == 1
    assert not shared.is_exact


def test_negation_on_a_multikey_index_is_not_exact() -> None:
    definition = IndexDefinition("n", [("a", 1)])
    assert composite_bounds(definition, [value_bounds("$ne", 1)]).is_exact
    multikey = definition.replaced(is_multikey=True)
    assert not composite_bounds(multikey, [value_bounds("$ne", 1)]).is_exact
    assert composite_bounds(multikey, [value_bounds("$gt", 1)]).is_exact


def test_products_of_points_stop_at_the_limit() -> None:
    definition = IndexDefinition("n", [("a", 1), ("b", 1)])
    many = value_bounds("$in", list(range(200)))
    found = composite_bounds(definition, [many, many])
    assert (found.field_count, len(found.intervals)) == (1, 200)
    assert not found.is_exact
    huge = value_bounds("$in", list(range(MAX_COMPOSITE_INTERVALS + 1)))
    assert len(composite_bounds(definition, [huge, None]).intervals) == MAX_COMPOSITE_INTERVALS + 1


def test_complement_of_a_range_is_the_rest() -> None:
    inner = value_bounds("$gt", 0)
    rest = complement_bounds(inner)
    assert len(members(inner)) + len(members(rest)) == len(VALUES)
