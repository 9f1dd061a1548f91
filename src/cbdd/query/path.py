"""Dotted paths through raw BSON, with MongoDB's rules for arrays.

A path names a set of values, not one. Each value found is shown to a `ValuePredicate`; the search
ends with the first that matches.

    document                      path     values shown
    {a: {b: 1}}                   a.b      1
    {a: 5}, {a: {}}, {}           a.b      missing
    {a: [1, 2]}                   a        1, 2, [1, 2]       (arrays at the end are opened ...)
    {a: [{b: 1}, {b: 2}, {}, 7]}  a.b      1, 2, missing      (... and on the way, documents only)
    {a: []}, {a: [7, [8]]}        a.b      missing            (once, when nothing else was found)
    {a: [[1, 2]]}                 a.0      [1, 2]             (reached by number: not opened)
    {a: [{0: 5}]}                 a.0      5, {0: 5}          (number as name and as position)
    {a: [[{b: 1}]]}               a.0.b    1                  (an array found by number is one more
                                                               array on the way)

`FieldPath.expands_leaf` is False for operators that speak of the array itself ($size, $elemMatch).
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i32_le
from mypy_extensions import i64

from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, find_field, skip_name, skip_value
from cbdd.expression.value import MISSING

_MAX_POSITION_DIGITS: Final = 9


class ValuePredicate:
    """A question about one value; what a path search asks of every value it finds."""

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        """Tell whether the value data[start:end] matches; type MISSING when there is none."""
        raise NotImplementedError


class FieldPath:
    """A dotted path split into its parts; immutable, made once per query."""

    def __init__(self, text: str, expands_leaf: bool = True) -> None:
        self.text = text
        self.names = [part.encode("utf-8") for part in text.split(".")]
        self.positions = [array_position(name) for name in self.names]
        self.last = len(self.names) - 1
        self.expands_leaf = expands_leaf


def is_plain_path(text: str) -> bool:
    """Tell whether any name in BSON may be like this: ASCII without NUL that is no operator."""
    return text != "" and text.isascii() and not text.startswith("$") and "\0" not in text


def array_position(name: bytes) -> int:
    """Return the array position that `name` spells, or -1: decimal digits, no leading zero."""
    if not name.isdigit() or len(name) > _MAX_POSITION_DIGITS:
        return -1
    if name[0] == 0x30 and len(name) > 1:
        return -1
    return int(name)


def any_value(
    data: bytes, document: i64, path: FieldPath, depth: i64, predicate: ValuePredicate
) -> bool:
    """Search the document at `document` for a value at path.names[depth:] that matches."""
    last: i64 = path.last
    while True:
        name = path.names[depth]
        element: i64 = find_field(data, document, name)
        if element < 0:
            return predicate.matches_value(data, MISSING, 0, 0)
        bson_type: i64 = data[element]
        start: i64 = element + len(name) + 2
        if bson_type == TYPE_ARRAY:
            if depth < last:
                return _any_in_array(data, start, path, depth + 1, predicate)
            return _any_at_leaf(data, start, path, predicate)
        if depth == last:
            end: i64 = skip_value(data, bson_type, start)
            return predicate.matches_value(data, int(bson_type), int(start), int(end))
        if bson_type != TYPE_DOCUMENT:
            return predicate.matches_value(data, MISSING, 0, 0)
        document = start
        depth += 1


def array_position_of(
    data: bytes, document: i64, path: FieldPath, predicate: ValuePredicate
) -> int:
    """Return which element of the first array on the path leads to a value that matches, or -1."""
    last: i64 = path.last
    depth: i64 = 0
    while True:
        name = path.names[depth]
        element: i64 = find_field(data, document, name)
        if element < 0:
            return -1
        bson_type: i64 = data[element]
        start: i64 = element + len(name) + 2
        if bson_type == TYPE_ARRAY:
            if depth < last:
                return _position_on_the_way(data, start, path, depth + 1, predicate)
            return _position_at_leaf(data, start, path, predicate)
        if depth == last or bson_type != TYPE_DOCUMENT:
            return -1
        document = start
        depth += 1


def _position_at_leaf(data: bytes, array: i64, path: FieldPath, predicate: ValuePredicate) -> int:
    if not path.expands_leaf:
        return -1
    size: int = read_i32_le(data, array)
    element: i64 = array + 4
    last: i64 = array + size - 1
    position = 0
    while element < last:
        bson_type: i64 = data[element]
        start: i64 = skip_name(data, element + 1)
        element = skip_value(data, bson_type, start)
        if predicate.matches_value(data, int(bson_type), int(start), int(element)):
            return position
        position += 1
    return -1


def _position_on_the_way(
    data: bytes, array: i64, path: FieldPath, depth: i64, predicate: ValuePredicate
) -> int:
    """As `_any_in_array`, but tell which element it was."""
    wanted: i64 = path.positions[depth]
    size: int = read_i32_le(data, array)
    element: i64 = array + 4
    end: i64 = array + size - 1
    position = 0
    while element < end:
        bson_type: i64 = data[element]
        start: i64 = skip_name(data, element + 1)
        element = skip_value(data, bson_type, start)
        if bson_type == TYPE_DOCUMENT and any_value(data, start, path, depth, predicate):
            return position
        if position == wanted and _matches_by_number(
            data, bson_type, start, element, path, depth, predicate
        ):
            return -1 if depth == path.last else position  # the filter names it itself
        position += 1
    return -1


def _matches_by_number(
    data: bytes,
    bson_type: i64,
    start: i64,
    end: i64,
    path: FieldPath,
    depth: i64,
    predicate: ValuePredicate,
) -> bool:
    """Tell whether the element named by path.names[depth] as a position matches."""
    if depth == path.last:
        return predicate.matches_value(data, int(bson_type), int(start), int(end))
    if bson_type == TYPE_DOCUMENT:
        return any_value(data, start, path, depth + 1, predicate)
    return bson_type == TYPE_ARRAY and _any_in_array(data, start, path, depth + 1, predicate)


def _any_at_leaf(data: bytes, array: i64, path: FieldPath, predicate: ValuePredicate) -> bool:
    """Search an array that stands at the end of the path: its elements, then itself."""
    size: int = read_i32_le(data, array)
    end: i64 = array + size
    if path.expands_leaf:
        element: i64 = array + 4
        last: i64 = end - 1
        while element < last:
            bson_type: i64 = data[element]
            start: i64 = skip_name(data, element + 1)
            element = skip_value(data, bson_type, start)
            if predicate.matches_value(data, int(bson_type), int(start), int(element)):
                return True
    return predicate.matches_value(data, TYPE_ARRAY, int(array), int(end))


def _any_in_array(
    data: bytes, array: i64, path: FieldPath, depth: i64, predicate: ValuePredicate
) -> bool:
    """Search an array in the middle of the path, where path.names[depth:] is still to go."""
    wanted: i64 = path.positions[depth]
    is_last: bool = depth == path.last
    size: int = read_i32_le(data, array)
    element: i64 = array + 4
    end: i64 = array + size - 1
    position: i64 = 0
    has_shown = False
    while element < end:
        bson_type: i64 = data[element]
        start: i64 = skip_name(data, element + 1)
        element = skip_value(data, bson_type, start)
        if bson_type == TYPE_DOCUMENT:
            has_shown = True
            if any_value(data, start, path, depth, predicate):
                return True
        if position == wanted:
            if is_last:
                has_shown = True
                if predicate.matches_value(data, int(bson_type), int(start), int(element)):
                    return True
            else:
                has_shown = has_shown or bson_type == TYPE_ARRAY
                if _matches_by_number(data, bson_type, start, element, path, depth, predicate):
                    return True
        position += 1
    return not has_shown and predicate.matches_value(data, MISSING, 0, 0)
