"""Which part of an index a query has to read: from predicates to ranges of bytes.

Three steps, each usable alone:

1. A predicate on one field (operator and BSON value) becomes `FieldBounds`: intervals over the
   ascending key strings of that field. `union_bounds`, `intersect_bounds` and `complement_bounds`
   do $in and $or, $and, and negation.
2. `composite_bounds` combines the fields of an index: as many leading fields as have only single
   values (points), then one field with any intervals, in the direction of each field.
3. A cursor reads each `Interval` in turn; they are disjoint and in index order.

Values compare only within their class (type bracketing): {$gt: 5} means numbers above 5. NaN is
outside every range but its own. A missing field is null in an index, an empty array undefined.

What the caller has to know:

- Bounds are never too narrow: every matching document has a key inside. `is_exact` says that they
  are not too wide either, so that the predicate need not be looked at again. A document with
  several keys (multikey) may satisfy a negation with one key and fail it with another: then only
  `is_exact_on_arrays` counts.
- On a multikey index two predicates on one field may be met by two elements, so their bounds must
  not be intersected (inside one $elemMatch they may); `composite_bounds` likewise leaves out later
  fields that share an array with an earlier one.
- A sparse index lacks the documents without any of its fields: bounds with `includes_missing`
  cannot be answered from it.
"""

from __future__ import annotations

from typing import Final

import bson
from librt.strings import BytesWriter
from mypy_extensions import i64

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_MAX_KEY,
    TYPE_MIN_KEY,
    TYPE_NULL,
    TYPE_REGEX,
    TYPE_STRING,
    TYPE_UNDEFINED,
    skip_name,
    skip_value,
)
from cbdd.index.definition import IndexDefinition
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
from cbdd.index.key_string import (
    CLASS_NUMBER,
    CLASS_STRING,
    NAN_KEY,
    NULL_KEY,
    UNDEFINED_KEY,
    append_text,
    bracket_end,
    encode_value,
    invert,
    type_bracket,
)

__all__ = [
    "MAX_COMPOSITE_INTERVALS",
    "NULL_EXACT",
    "NULL_NEEDED",
    "NULL_UNKNOWN",
    "CompositeBounds",
    "FieldBounds",
    "Interval",
    "all_bounds",
    "bracket_bounds",
    "complement_bounds",
    "composite_bounds",
    "directed_intervals",
    "field_null_keys",
    "intersect_bounds",
    "point",
    "predicate_bounds",
    "prefix_successor",
    "text_prefix_bounds",
    "union_bounds",
    "value_bounds",
]

MAX_COMPOSITE_INTERVALS: Final = 10_000

NULL_UNKNOWN: Final = 0
NULL_NEEDED: Final = 1
NULL_EXACT: Final = 2
"""A match of {field: null} may have any keys; has a null key; is what null keys mean."""


def bracket_bounds(bson_type: int, is_exact: bool = False) -> FieldBounds:
    """Return all values of the class of a BSON type."""
    bracket: int = type_bracket(bson_type)
    end: int = bracket_end(bracket)
    return FieldBounds([Interval(bytes([bracket]), bytes([end]))], is_exact)


def text_prefix_bounds(prefix: bytes) -> FieldBounds:
    """Return the strings that begin with `prefix` (UTF-8), for anchored regular expressions."""
    writer = BytesWriter()
    writer.append(CLASS_STRING)
    append_text(writer, prefix, 0, len(prefix))
    low = writer.getvalue()[:-1]
    return FieldBounds([Interval(low, prefix_successor(low))], False)


def value_bounds(operator: str, value: object, null_keys: int = NULL_UNKNOWN) -> FieldBounds:
    """`predicate_bounds` for a Python value."""
    data = bson.encode({"": value})
    return predicate_bounds(operator, data, data[4], 6, len(data) - 1, null_keys)


def predicate_bounds(
    operator: str,
    data: bytes,
    bson_type: int,
    start: int,
    end: int,
    null_keys: int = NULL_UNKNOWN,
) -> FieldBounds:
    """Return the bounds of {field: {operator: value}}, the value being data[start:end].

    Knows $eq $ne $gt $gte $lt $lte $in $nin $exists; any other operator gets everything.
    `null_keys` is what `field_null_keys` says about the field.
    """
    if operator == "$eq":
        return _equality(data, bson_type, start, end, null_keys)
    if operator == "$in":
        return _membership(data, start, null_keys)
    if operator == "$ne":
        return complement_bounds(_equality(data, bson_type, start, end, null_keys))
    if operator == "$nin":
        return complement_bounds(_membership(data, start, null_keys))
    if operator == "$gt" or operator == "$gte" or operator == "$lt" or operator == "$lte":
        return _range(operator, data, bson_type, start, end, null_keys)
    if operator == "$exists" and not _is_true(data, bson_type, start):
        return all_bounds() if null_keys == NULL_UNKNOWN else FieldBounds([point(NULL_KEY)], False)
    return all_bounds()


def field_null_keys(definition: IndexDefinition, field: int) -> int:
    """Return what a null key of the field says about {field: null}.

    Where a dotted path may lead through an array a null key proves nothing: {a: [1, {b: 2}]} has
    the keys null and 2 for a.b, yet {a.b: null} does not match it. Where a part of the path may be
    a position, a match may even have no null key: {a: [{}, 5]} has the key 5 for a.1, but the
    first element lacks a field 1, so {a.1: null} matches.
    """
    path = definition.paths[field]
    for position in range(1, len(path)):
        if path[position].isdigit():
            return NULL_UNKNOWN
    if definition.is_multikey and len(path) > 1:
        return NULL_NEEDED
    return NULL_EXACT


def _is_true(data: bytes, bson_type: i64, start: i64) -> bool:
    """Judge the argument of $exists: false, zero and null are false."""
    if bson_type == TYPE_BOOLEAN:
        return data[start] != 0
    if bson_type == TYPE_NULL or bson_type == TYPE_UNDEFINED:
        return False
    if bson_type == TYPE_INT32 or bson_type == TYPE_INT64 or bson_type == TYPE_DOUBLE:
        end = skip_value(data, bson_type, start)
        return encode_value(data, bson_type, start, end) != encode_value(bytes(4), TYPE_INT32, 0, 4)
    return True


def _equality(data: bytes, bson_type: i64, start: i64, end: i64, null_keys: int) -> FieldBounds:
    if bson_type == TYPE_UNDEFINED:
        return all_bounds()
    key = encode_value(data, bson_type, start, end)
    if bson_type == TYPE_NULL:
        return _null_bounds(null_keys)
    if bson_type != TYPE_ARRAY:
        return FieldBounds([point(key)], True)
    # An array is indexed by its elements: one that equals this value has its first element as a
    # key. Only inside another array it is a key as a whole.
    element: i64 = start + 4
    first_type: i64 = data[element]
    if first_type == 0:
        first = UNDEFINED_KEY
    else:
        value: i64 = skip_name(data, element + 1)
        first = encode_value(data, first_type, value, skip_value(data, first_type, value))
    return FieldBounds(normalised([point(key), point(first)]), False)


def _null_bounds(null_keys: int) -> FieldBounds:
    if null_keys == NULL_UNKNOWN:
        return all_bounds()
    return FieldBounds([point(NULL_KEY)], null_keys == NULL_EXACT)


def _membership(data: bytes, start: i64, null_keys: int) -> FieldBounds:
    parts: list[FieldBounds] = []
    element: i64 = start + 4
    while data[element] != 0:
        bson_type: i64 = data[element]
        value: i64 = skip_name(data, element + 1)
        end: i64 = skip_value(data, bson_type, value)
        parts.append(_equality(data, bson_type, value, end, null_keys))
        if bson_type == TYPE_REGEX:
            parts.append(bracket_bounds(TYPE_STRING))
        element = end
    return union_bounds(parts)


def _range(
    operator: str, data: bytes, bson_type: i64, start: i64, end: i64, null_keys: int
) -> FieldBounds:
    is_lower = operator == "$gt" or operator == "$gte"
    includes_value = operator == "$gte" or operator == "$lte"
    if bson_type == TYPE_ARRAY or bson_type == TYPE_UNDEFINED:
        return all_bounds()
    key = encode_value(data, bson_type, start, end)
    if bson_type == TYPE_NULL and includes_value:
        return _null_bounds(null_keys)
    if bson_type == TYPE_NULL or key == NAN_KEY:
        return FieldBounds([point(key)] if includes_value else [], True)
    if bson_type == TYPE_MIN_KEY or bson_type == TYPE_MAX_KEY:
        return _range_to_extreme(key, is_lower == (bson_type == TYPE_MIN_KEY), includes_value)
    bracket: i64 = type_bracket(bson_type)
    interval = Interval(None, None)
    if is_lower:
        interval.low = key if includes_value else prefix_successor(key)
        interval.high = bytes([bracket_end(bracket)])
    else:
        # NaN is the lowest number but below nothing.
        interval.low = bytes([bracket + 1 if bracket == CLASS_NUMBER else bracket])
        interval.high = prefix_successor(key) if includes_value else key
    return FieldBounds(normalised([interval]), True)


def _range_to_extreme(key: bytes, is_wide: bool, includes_value: bool) -> FieldBounds:
    """MinKey and MaxKey compare with every class: {$gt: MinKey} is everything but MinKey."""
    if not is_wide:
        return FieldBounds([point(key)] if includes_value else [], True)
    if includes_value:
        return all_bounds()
    rest = complement_bounds(FieldBounds([point(key)], True)).intervals
    return FieldBounds(rest, False)


class CompositeBounds:
    """The intervals to read in an index, disjoint and in index order.

    `field_count` fields shape them, the first `point_count` of these by single values. When all
    fields of the index are points, `is_points` is true and each interval's `low` is a whole key.
    `is_exact` says that all given predicates are decided by the intervals alone.
    """

    def __init__(
        self, intervals: list[Interval], field_count: int, point_count: int, is_exact: bool
    ) -> None:
        self.intervals: list[Interval] = intervals
        self.field_count: int = field_count
        self.point_count: int = point_count
        self.is_exact: bool = is_exact
        self.is_points: bool = False


def composite_bounds(
    definition: IndexDefinition, fields: list[FieldBounds | None]
) -> CompositeBounds:
    """Combine the bounds of each field of an index (None: no predicate) into composite intervals.

    Leading points multiply (at most `MAX_COMPOSITE_INTERVALS`), the first other field ends it.
    """
    prefixes: list[bytes] = [b""]
    point_count = 0
    last: FieldBounds | None = None
    for i in range(len(definition.fields)):
        bounds = fields[i]
        if bounds is None or bounds.is_everything or _shares_array(definition, fields, i):
            break
        size = len(prefixes) * len(bounds.intervals)
        if size > MAX_COMPOSITE_INTERVALS and len(prefixes) > 1:
            break
        if not bounds.is_points:
            last = bounds
            break
        prefixes = _extended(prefixes, bounds, definition.descending[i])
        point_count += 1
    intervals: list[Interval] = []
    field_count = point_count
    if last is None:
        if point_count == 1 and not definition.descending[0]:
            bounds = fields[0]
            assert bounds is not None
            intervals = bounds.intervals
        else:
            for prefix in prefixes:
                intervals.append(point(prefix) if prefix else Interval(None, None))
    else:
        field_count += 1
        ranges = directed_intervals(last, definition.descending[point_count])
        for prefix in prefixes:
            for interval in ranges:
                intervals.append(_prefixed(prefix, interval))
    composite = CompositeBounds(
        intervals, field_count, point_count, _is_exact(definition, fields, field_count)
    )
    composite.is_points = point_count == len(definition.fields)
    return composite


def _extended(prefixes: list[bytes], bounds: FieldBounds, is_descending: bool) -> list[bytes]:
    keys: list[bytes] = []
    for interval in bounds.intervals:
        assert interval.low is not None
        keys.append(invert(interval.low) if is_descending else interval.low)
    if is_descending:
        keys.reverse()
    return [prefix + key for prefix in prefixes for key in keys]


def _prefixed(prefix: bytes, interval: Interval) -> Interval:
    low = prefix if interval.low is None else prefix + interval.low
    high = prefix_successor(prefix) if interval.high is None else prefix + interval.high
    return Interval(low or None, high, interval.is_point)


def directed_intervals(bounds: FieldBounds, is_descending: bool) -> list[Interval]:
    """Return the intervals of a field as its keys lie in the index, in index order."""
    if not is_descending:
        return bounds.intervals
    inverted: list[Interval] = []
    for interval in reversed(bounds.intervals):
        inverted.append(
            Interval(_inverted_end(interval.high), _inverted_end(interval.low), interval.is_point)
        )
    return inverted


def _inverted_end(end: bytes | None) -> bytes | None:
    """Everything that begins with `end` lies above it ascending, and below it inverted."""
    return None if end is None else prefix_successor(invert(end))


def _shares_array(definition: IndexDefinition, fields: list[FieldBounds | None], i: int) -> bool:
    """Whether field `i` may lead through the same array as an earlier field with bounds.

    Then another element may meet the earlier predicate, and the two must not narrow together.
    """
    if not definition.is_multikey:
        return False
    for j in range(i):
        if fields[j] is not None and definition.paths[j][0] == definition.paths[i][0]:
            return True
    return False


def _is_exact(
    definition: IndexDefinition, fields: list[FieldBounds | None], field_count: int
) -> bool:
    for i in range(len(fields)):
        bounds = fields[i]
        if bounds is None:
            continue
        if i >= field_count and not (bounds.is_everything and bounds.is_exact):
            return False
        if not (bounds.is_exact_on_arrays if definition.is_multikey else bounds.is_exact):
            return False
    return True
