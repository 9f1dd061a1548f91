"""Intervals over key bytes: successors, unions, intersections, complements."""

from __future__ import annotations

import random

from cbdd.index.interval import (
    FieldBounds,
    Interval,
    all_bounds,
    complement_bounds,
    intersect_bounds,
    normalised,
    point,
    prefix_successor,
    union_bounds,
)
from cbdd.index.key_string import NULL_KEY, encode_python

KEYS = [encode_python(value) for value in (None, -1, 0, 1, 2, 3, "a", "b", False, True)]


def shown(intervals: list[Interval]) -> list[tuple[bytes | None, bytes | None, bool]]:
    return [(interval.low, interval.high, interval.is_point) for interval in intervals]


def members(bounds: FieldBounds) -> set[bytes]:
    return {key for key in KEYS if any(i.contains(key) for i in bounds.intervals)}


def random_bounds(rng: random.Random) -> FieldBounds:
    intervals: list[Interval] = []
    for _ in range(rng.randrange(4)):
        if rng.random() < 0.5:
            intervals.append(point(rng.choice(KEYS)))
        else:
            low, high = sorted(rng.choices(KEYS, k=2))
            intervals.append(
                Interval(None if rng.random() < 0.1 else low, None if rng.random() < 0.1 else high)
            )
    return FieldBounds(normalised(intervals), True)


def check_shape(bounds: FieldBounds) -> None:
    for left, right in zip(bounds.intervals, bounds.intervals[1:], strict=False):
        assert left.high is not None and right.low is not None
        assert left.high <= right.low
    for interval in bounds.intervals:
        if interval.low is not None and interval.high is not None:
            assert interval.low < interval.high


def test_prefix_successor_is_above_everything_with_the_prefix() -> None:
    assert prefix_successor(b"a") == b"b"
    assert prefix_successor(b"a\xff\xff") == b"b"
    assert prefix_successor(b"\xff") is None
    assert prefix_successor(b"") is None


def test_point_holds_the_key_and_what_begins_with_it() -> None:
    interval = point(b"k\xff")
    assert interval.contains(b"k\xff")
    assert interval.contains(b"k\xff\xff\xff")
    assert not interval.contains(b"k\xfe\xff")
    assert not interval.contains(b"l")


def test_points_that_touch_stay_points() -> None:
    booleans = [point(encode_python(True)), point(encode_python(False))]
    assert [i.is_point for i in normalised(booleans)] == [True, True]
    assert len(normalised([point(b"a"), point(b"a")])) == 1


def test_empty_and_covered_intervals_vanish() -> None:
    assert shown(normalised([Interval(b"b", b"a"), Interval(b"c", b"c")])) == []
    covered = [point(b"b"), Interval(b"a", b"d"), Interval(None, b"b"), Interval(None, b"a")]
    assert shown(normalised(covered)) == [(None, b"d", False)]
    assert shown(normalised([Interval(b"b", None), Interval(b"a", b"c"), point(b"x")])) == [
        (b"a", None, False)
    ]


def test_set_operations_agree_with_sets_of_keys() -> None:
    rng = random.Random(3)
    everything = set(KEYS)
    for _ in range(3000):
        left, right = random_bounds(rng), random_bounds(rng)
        both, either = intersect_bounds(left, right), union_bounds([left, right])
        rest = complement_bounds(left)
        for bounds in (both, either, rest):
            check_shape(bounds)
        assert members(both) == members(left) & members(right)
        assert members(either) == members(left) | members(right)
        assert members(rest) == everything - members(left)
        assert not members(intersect_bounds(left, rest))


def test_intersection_with_a_point_is_a_point() -> None:
    bounds = intersect_bounds(FieldBounds([point(b"k")], True), all_bounds(True))
    assert shown(bounds.intervals) == [(b"k", b"l", True)]
    assert bounds.is_points and bounds.is_exact and not bounds.is_exact_on_arrays


def test_complement_of_inexact_bounds_is_everything() -> None:
    rest = complement_bounds(FieldBounds([point(b"k")], False))
    assert rest.is_everything and not rest.is_exact


def test_missing_fields_lie_where_null_lies() -> None:
    assert all_bounds().includes_missing
    assert FieldBounds([point(NULL_KEY)], True).includes_missing
    assert not FieldBounds([point(encode_python(1))], True).includes_missing
    assert not FieldBounds([], True).includes_missing
