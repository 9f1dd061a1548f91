"""Operators on arrays: elements, parts, joining, searching, order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, TYPE_STRING
from cbdd.expression.describe import describe
from cbdd.expression.node import (
    FALSE_VALUE,
    MISSING_VALUE,
    NULL_VALUE,
    array_of,
    document_of,
    field_of,
    fields_of,
    is_nullish,
    is_truthy,
    items_of,
    order_key,
    truth,
)
from cbdd.expression.number import int32_value
from cbdd.expression.value import MISSING, Value

_INT32_LOW: Final = -(1 << 31)
_INT32_HIGH: Final = 1 << 31
_MAX_RANGE: Final = 10_000_000


def integral(value: Value, code_type: int, code_whole: int, what: str) -> int:
    """Return a value as a 32-bit integer.

    :raises OperationFailure: it is no number (`code_type`), or not a whole 32-bit one.
    """
    if not value.is_number():
        raise refusal(code_type, f"{what} must be a numeric value, but is {value.type_name()}")
    number = value.integer()
    if number is None or not _INT32_LOW <= number < _INT32_HIGH:
        raise refusal(
            code_whole, f"{what} must be representable as a 32-bit integer: {describe(value)}"
        )
    return number


def size(name: str, values: list[Value]) -> Value:
    """$size."""
    if values[0].bson_type != TYPE_ARRAY:
        raise refusal(
            17124,
            f"The argument to $size must be an array, but was of type: {values[0].type_name()}",
        )
    return int32_value(len(items_of(values[0])))


def element_at(name: str, values: list[Value]) -> Value:
    """$arrayElemAt: negative positions count from the end; missing behind either end."""
    array, position = values
    if is_nullish(array) or is_nullish(position):
        return NULL_VALUE
    if array.bson_type != TYPE_ARRAY:
        raise refusal(
            28689, f"{name}'s first argument must be an array, but is {array.type_name()}"
        )
    return _at(array, integral(position, 28690, 28691, f"{name}'s second argument"))


def _at(array: Value, position: int) -> Value:
    items = items_of(array)
    if position < 0:
        position += len(items)
    return items[position] if 0 <= position < len(items) else MISSING_VALUE


def first_or_last(name: str, values: list[Value]) -> Value:
    """$first and $last of an array."""
    array = values[0]
    if is_nullish(array):
        return NULL_VALUE
    if array.bson_type != TYPE_ARRAY:
        raise refusal(28689, f"{name}'s argument must be an array, but is {array.type_name()}")
    return _at(array, 0 if name == "$first" else -1)


def concatenate(name: str, values: list[Value]) -> Value:
    """$concatArrays."""
    items: list[Value] = []
    for value in values:
        if is_nullish(value):
            return NULL_VALUE
        if value.bson_type != TYPE_ARRAY:
            raise refusal(28664, f"$concatArrays only supports arrays, not {value.type_name()}")
        items.extend(items_of(value))
    return array_of(items)


def contains(name: str, values: list[Value]) -> Value:
    """$in: whether an array has an element that is equal."""
    value, array = values
    if array.bson_type != TYPE_ARRAY:
        raise refusal(
            40081, f"$in requires an array as a second argument, found: {array.type_name()}"
        )
    wanted = order_key(value)
    for item in items_of(array):
        if order_key(item) == wanted:
            return truth(True)
    return FALSE_VALUE


def index_of(name: str, values: list[Value]) -> Value:
    """$indexOfArray: position of a value between two bounds, -1 when it is not there."""
    array = values[0]
    if is_nullish(array):
        return NULL_VALUE
    if array.bson_type != TYPE_ARRAY:
        raise refusal(
            40090,
            f"$indexOfArray requires an array as a first argument, found: {array.type_name()}",
        )
    items = items_of(array)
    start = search_bound(name, "starting", values[2]) if len(values) > 2 else 0
    end = search_bound(name, "ending", values[3]) if len(values) > 3 else len(items)
    wanted = order_key(values[1])
    for position in range(start, min(end, len(items))):
        if order_key(items[position]) == wanted:
            return int32_value(position)
    return int32_value(-1)


def search_bound(name: str, which: str, value: Value) -> int:
    """Return a bound of $indexOfArray, $indexOfBytes or $indexOfCP."""
    number = value.integer()
    if number is None:
        raise refusal(
            40096,
            f"{name} requires an integral {which} index, found a value of type:"
            f" {value.type_name()}, with value: {describe(value)}",
        )
    if number < 0:
        raise refusal(40097, f"{name} requires a nonnegative {which} index, found: {number}")
    return number


def is_array(name: str, values: list[Value]) -> Value:
    """$isArray."""
    return truth(values[0].bson_type == TYPE_ARRAY)


def number_range(name: str, values: list[Value]) -> Value:
    """$range: numbers from start (included) to end (not), by step."""
    start = integral(values[0], 34443, 34444, "$range's starting value")
    end = integral(values[1], 34445, 34446, "$range's ending value")
    step = integral(values[2], 34447, 34448, "$range's step value") if len(values) > 2 else 1
    if step == 0:
        raise refusal(34449, "$range requires a non-zero step value")
    numbers = range(start, end, step)
    if len(numbers) > _MAX_RANGE:
        raise refusal(146, "$range would use too much memory")
    return array_of([int32_value(number) for number in numbers])


def reverse(name: str, values: list[Value]) -> Value:
    """$reverseArray."""
    array = values[0]
    if is_nullish(array):
        return NULL_VALUE
    if array.bson_type != TYPE_ARRAY:
        raise refusal(
            34435,
            f"The argument to $reverseArray must be an array, but was of type: {array.type_name()}",
        )
    return array_of(items_of(array)[::-1])


def part(name: str, values: list[Value]) -> Value:
    """$slice: the first or last n elements, or n from a position on."""
    for value in values:
        if is_nullish(value):
            return NULL_VALUE
    array = values[0]
    if array.bson_type != TYPE_ARRAY:
        raise refusal(
            28724,
            f"First argument to $slice must be an array, but is of type: {array.type_name()}",
        )
    items = items_of(array)
    second = integral(values[1], 28725, 28726, "Second argument to $slice")
    if len(values) == 2:
        return array_of(items[:second] if second >= 0 else items[second:])
    count = integral(values[2], 28727, 28728, "Third argument to $slice")
    if count <= 0:
        raise refusal(28729, f"Third argument to $slice must be positive: {count}")
    start = second if second >= 0 else max(0, len(items) + second)
    return array_of(items[start : start + count])


def object_to_array(name: str, values: list[Value]) -> Value:
    """$objectToArray: {k, v} of each field."""
    value = values[0]
    if is_nullish(value):
        return NULL_VALUE
    if value.bson_type != TYPE_DOCUMENT:
        raise refusal(
            40390, f"$objectToArray requires a document input, found: {value.type_name()}"
        )
    return array_of(
        [document_of([b"k", b"v"], [_string(name), item]) for name, item in fields_of(value)]
    )


def _string(text: bytes) -> Value:
    return Value(TYPE_STRING, (len(text) + 1).to_bytes(4, "little") + text + b"\0")


def array_to_object(name: str, values: list[Value]) -> Value:
    """$arrayToObject: of [k, v] pairs or {k, v} documents."""
    array = values[0]
    if is_nullish(array):
        return NULL_VALUE
    if array.bson_type != TYPE_ARRAY:
        raise refusal(40386, f"$arrayToObject requires an array input, found: {array.type_name()}")
    names: list[bytes] = []
    found: list[Value] = []
    kind = 0
    for item in items_of(array):
        if item.bson_type != TYPE_ARRAY and item.bson_type != TYPE_DOCUMENT:
            raise refusal(
                40398,
                f"Unrecognised input type format for $arrayToObject: {item.type_name()}",
            )
        if kind not in (0, item.bson_type):
            wanted = "an array" if kind == TYPE_ARRAY else "an object"
            raise refusal(
                40396 if kind == TYPE_ARRAY else 40391,
                f"$arrayToObject requires a consistent input format. Elements must all be"
                f" {wanted}, found: {item.type_name()}",
            )
        kind = item.bson_type
        key, value = _pair(item) if kind == TYPE_ARRAY else _key_and_value(item)
        names.append(key)
        found.append(value)
    return document_of(names, found)


def _pair(item: Value) -> tuple[bytes, Value]:
    parts = items_of(item)
    if len(parts) != 2:
        raise refusal(
            40397,
            f"$arrayToObject requires an array of size 2 arrays, found array of size: {len(parts)}",
        )
    if parts[0].bson_type != TYPE_STRING:
        raise refusal(
            40395,
            "$arrayToObject requires an array of key-value pairs, where the key must be of"
            f" type string. Found key type: {parts[0].type_name()}",
        )
    return _field_name(parts[0]), parts[1]


def _key_and_value(item: Value) -> tuple[bytes, Value]:
    if len(fields_of(item)) != 2:
        raise refusal(
            40392,
            "$arrayToObject requires an object keys of 'k' and 'v'. Found incorrect number"
            f" of keys:{len(fields_of(item))}",
        )
    key, value = field_of(item, b"k"), field_of(item, b"v")
    if key.bson_type == MISSING or value.bson_type == MISSING:
        raise refusal(
            40393,
            "$arrayToObject requires an object with keys 'k' and 'v'. Missing either or both keys",
        )
    if key.bson_type != TYPE_STRING:
        raise refusal(
            40394,
            "$arrayToObject requires an object with keys 'k' and 'v', where the value of"
            f" 'k' must be of type string. Found type: {key.type_name()}",
        )
    return _field_name(key), value


def _field_name(value: Value) -> bytes:
    name = value.data[4:-1]
    if b"\0" in name:
        raise refusal(4940400, "Key field cannot contain an embedded null byte")
    return name


# -- sets ------------------------------------------------------------------------------------


def _members(values: list[Value], code: int, name: str) -> list[dict[bytes, Value]] | None:
    """Return each operand as key -> element, None when one is nullish."""
    found: list[dict[bytes, Value]] = []
    for value in values:
        if is_nullish(value):
            return None
        if value.bson_type != TYPE_ARRAY:
            raise refusal(
                code,
                f"All operands of {name} must be arrays. One argument is of type:"
                f" {value.type_name()}",
            )
        members: dict[bytes, Value] = {}
        for item in items_of(value):
            members.setdefault(order_key(item), item)
        found.append(members)
    return found


def union(name: str, values: list[Value]) -> Value:
    """$setUnion, in order of the values."""
    sets = _members(values, 17043, name)
    if sets is None:
        return NULL_VALUE
    merged: dict[bytes, Value] = {}
    for members in sets:
        for key, item in members.items():
            merged.setdefault(key, item)
    return array_of([merged[key] for key in sorted(merged)])


def intersection(name: str, values: list[Value]) -> Value:
    """$setIntersection, in order of the values."""
    sets = _members(values, 17047, name)
    if sets is None:
        return NULL_VALUE
    if not sets:
        return array_of([])
    common = sets[0]
    for members in sets[1:]:
        common = {key: item for key, item in common.items() if key in members}
    return array_of([common[key] for key in sorted(common)])


def difference(name: str, values: list[Value]) -> Value:
    """$setDifference: what is in the first array only, in its order."""
    for position in range(2):
        if is_nullish(values[position]):
            return NULL_VALUE
    for position in range(2):
        if values[position].bson_type != TYPE_ARRAY:
            which = "First" if position == 0 else "Second"
            raise refusal(
                17048 + position,
                f"both operands of $setDifference must be arrays. {which} argument is of type:"
                f" {values[position].type_name()}",
            )
    without = {order_key(item) for item in items_of(values[1])}
    kept: dict[bytes, Value] = {}
    for item in items_of(values[0]):
        key = order_key(item)
        if key not in without:
            kept.setdefault(key, item)
    return array_of(list(kept.values()))


def equal_sets(name: str, values: list[Value]) -> Value:
    """$setEquals."""
    for value in values:
        if value.bson_type != TYPE_ARRAY:
            raise refusal(
                17044,
                f"All operands of $setEquals must be arrays. One argument is of type:"
                f" {value.type_name()}",
            )
    sets = [{order_key(item) for item in items_of(value)} for value in values]
    return truth(all([members == sets[0] for members in sets]))


def subset(name: str, values: list[Value]) -> Value:
    """$setIsSubset."""
    for position in range(2):
        if values[position].bson_type != TYPE_ARRAY:
            which = "First" if position == 0 else "Second"
            raise refusal(
                17046 if position == 0 else 17042,
                f"both operands of $setIsSubset must be arrays. {which} argument is of type:"
                f" {values[position].type_name()}",
            )
    inner = {order_key(item) for item in items_of(values[0])}
    return truth(inner <= {order_key(item) for item in items_of(values[1])})


def any_or_all_true(name: str, values: list[Value]) -> Value:
    """$anyElementTrue and $allElementsTrue."""
    array = values[0]
    if array.bson_type != TYPE_ARRAY:
        raise refusal(
            17041 if name == "$anyElementTrue" else 17040,
            f"{name}'s argument must be an array, but is {array.type_name()}",
        )
    flags = [is_truthy(item) for item in items_of(array)]
    return truth(any(flags) if name == "$anyElementTrue" else all(flags))


ARRAYS: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$size": (1, 1, size),
    "$arrayElemAt": (2, 2, element_at),
    "$first": (1, 1, first_or_last),
    "$last": (1, 1, first_or_last),
    "$concatArrays": (0, -1, concatenate),
    "$in": (2, 2, contains),
    "$indexOfArray": (2, 4, index_of),
    "$isArray": (1, 1, is_array),
    "$range": (2, 3, number_range),
    "$reverseArray": (1, 1, reverse),
    "$slice": (2, 3, part),
    "$objectToArray": (1, 1, object_to_array),
    "$arrayToObject": (1, 1, array_to_object),
    "$setUnion": (0, -1, union),
    "$setIntersection": (0, -1, intersection),
    "$setDifference": (2, 2, difference),
    "$setEquals": (2, -1, equal_sets),
    "$setIsSubset": (2, 2, subset),
    "$anyElementTrue": (1, 1, any_or_all_true),
    "$allElementsTrue": (1, 1, any_or_all_true),
}
