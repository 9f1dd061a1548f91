"""Ranges of key bytes and sets of them: the arithmetic below `bounds`.

Intervals are half-open. Their ends are whole key strings or beginnings of some, and an end that is
a beginning stands for everything that starts with it: [k, prefix_successor(k)) is exactly the keys
that begin with k, so the point of a value and all its compound keys are the same interval.
"""

from __future__ import annotations

from cbdd.index.key_string import NULL_KEY


def prefix_successor(key: bytes) -> bytes | None:
    """Return the smallest bytes greater than every string that begins with `key`, None if none."""
    at = len(key) - 1
    while at >= 0 and key[at] == 0xFF:
        at -= 1
    if at < 0:
        return None
    return key[:at] + bytes([key[at] + 1])


class Interval:
    """The byte strings from `low` up to, not including, `high`; None is unbounded.

    `is_point` says that it is one whole key string, `low`, and what begins with it.
    """

    def __init__(self, low: bytes | None, high: bytes | None, is_point: bool = False) -> None:
        self.low: bytes | None = low
        self.high: bytes | None = high
        self.is_point: bool = is_point

    def contains(self, key: bytes) -> bool:
        if self.low is not None and key < self.low:
            return False
        return self.high is None or key < self.high

    def __repr__(self) -> str:
        low = "" if self.low is None else self.low.hex()
        high = "" if self.high is None else self.high.hex()
        return f"[{low}, {high})"


def point(key: bytes) -> Interval:
    """Return the interval of one key string."""
    return Interval(key, prefix_successor(key), True)


class FieldBounds:
    """Intervals over the ascending key strings of one field, disjoint and ascending."""

    def __init__(
        self, intervals: list[Interval], is_exact: bool, is_exact_on_arrays: bool = True
    ) -> None:
        self.intervals: list[Interval] = intervals
        self.is_exact: bool = is_exact
        self.is_exact_on_arrays: bool = is_exact and is_exact_on_arrays

    @property
    def is_everything(self) -> bool:
        if len(self.intervals) != 1:
            return False
        return self.intervals[0].low is None and self.intervals[0].high is None

    @property
    def is_points(self) -> bool:
        for interval in self.intervals:
            if not interval.is_point:
                return False
        return True

    @property
    def includes_missing(self) -> bool:
        """Whether a document without the field lies inside."""
        for interval in self.intervals:
            if interval.contains(NULL_KEY):
                return True
        return False


def all_bounds(is_exact: bool = False) -> FieldBounds:
    """Return the bounds that leave nothing out: right for any predicate we cannot narrow."""
    return FieldBounds([Interval(None, None)], is_exact)


def union_bounds(parts: list[FieldBounds]) -> FieldBounds:
    """Return the bounds of any of several predicates on one field."""
    intervals: list[Interval] = []
    is_exact = True
    is_exact_on_arrays = True
    for part in parts:
        intervals.extend(part.intervals)
        is_exact = is_exact and part.is_exact
        is_exact_on_arrays = is_exact_on_arrays and part.is_exact_on_arrays
    return FieldBounds(normalised(intervals), is_exact, is_exact_on_arrays)


def intersect_bounds(left: FieldBounds, right: FieldBounds) -> FieldBounds:
    """Return the bounds of two predicates on one value (see the module about arrays)."""
    intervals: list[Interval] = []
    i = 0
    j = 0
    while i < len(left.intervals) and j < len(right.intervals):
        a, b = left.intervals[i], right.intervals[j]
        low = b.low if _low_before(a.low, b.low) else a.low
        is_left_shorter = _high_before(a.high, b.high)
        high = a.high if is_left_shorter else b.high
        if low is None or high is None or low < high:
            intervals.append(Interval(low, high, a.is_point or b.is_point))
        if is_left_shorter:
            i += 1
        else:
            j += 1
    return FieldBounds(intervals, left.is_exact and right.is_exact, False)


def complement_bounds(bounds: FieldBounds) -> FieldBounds:
    """Return the bounds of the negated predicate: everything when `bounds` are not exact."""
    if not bounds.is_exact:
        return all_bounds()
    intervals: list[Interval] = []
    low: bytes | None = None
    for interval in bounds.intervals:
        if interval.low is not None and interval.low != low:
            intervals.append(Interval(low, interval.low))
        low = interval.high
        if low is None:
            return FieldBounds(intervals, True, False)
    intervals.append(Interval(low, None))
    return FieldBounds(intervals, True, False)


def _low_before(left: bytes | None, right: bytes | None) -> bool:
    """Whether the low end `left` begins before `right`."""
    if right is None:
        return False
    return left is None or left < right


def _high_before(left: bytes | None, right: bytes | None) -> bool:
    """Whether the high end `left` ends before `right`."""
    if left is None:
        return False
    return right is None or left < right


def _sort_key(interval: Interval) -> bytes:
    return b"" if interval.low is None else interval.low


def normalised(intervals: list[Interval]) -> list[Interval]:
    """Sort intervals, drop empty ones, join those that overlap or touch; points stay points."""
    joined: list[Interval] = []
    ordered = intervals if len(intervals) == 1 else sorted(intervals, key=_sort_key)
    for interval in ordered:
        if interval.low is not None and interval.high is not None:
            if interval.low >= interval.high:
                continue
        if not joined:
            joined.append(interval)
            continue
        last = joined[-1]
        if last.high is not None and interval.low is not None and last.high < interval.low:
            joined.append(interval)
        elif last.is_point and interval.is_point:
            if last.low != interval.low:
                joined.append(interval)
        else:
            high = interval.high if _high_before(last.high, interval.high) else last.high
            joined[-1] = Interval(last.low, high)
    return joined
