"""$elemMatch and $size: questions about an array as a whole.

Their paths do not open the array at the end (`FieldPath.expands_leaf` is False): the array itself
is what `matches_value` gets.
"""

from __future__ import annotations

from librt.strings import read_i32_le
from mypy_extensions import i64

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_DOCUMENT,
    elements,
    find_field,
    skip_name,
    skip_value,
    value_start,
)
from cbdd.query.matcher import MatchExpression, PathExpression
from cbdd.query.path import FieldPath


class ElementMatch(PathExpression):
    """$elemMatch: one element of the array answers the whole of `condition`.

    With `is_object` the condition is a filter and elements that are documents (or arrays, taken as
    documents with numbers for names) are asked; otherwise it is a list of operators and every
    element is asked as a value.
    """

    def __init__(self, path: FieldPath, condition: MatchExpression, is_object: bool) -> None:
        super().__init__(path)
        self.condition = condition
        self.is_object = is_object

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != TYPE_ARRAY:
            return False
        condition = self.condition
        is_object = self.is_object
        element: i64 = start + 4
        last: i64 = end - 1
        while element < last:
            element_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            element = skip_value(data, element_type, value)
            if is_object:
                if element_type != TYPE_DOCUMENT and element_type != TYPE_ARRAY:
                    continue
                if condition.matches_at(data, int(value)):
                    return True
            elif condition.matches_value(data, int(element_type), int(value), int(element)):
                return True
        return False

    def position_at(self, data: bytes, start: int) -> int:
        outer = super().position_at(data, start)
        if outer >= 0:
            return outer
        array = _array_at(data, start, self.path)
        if array < 0:
            return -1
        for position, (bson_type, _, value, end) in enumerate(elements(data, array)):
            if self._element_matches(data, bson_type, value, end):
                return position
        return -1

    def _element_matches(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if not self.is_object:
            return self.condition.matches_value(data, bson_type, start, end)
        if bson_type != TYPE_DOCUMENT and bson_type != TYPE_ARRAY:
            return False
        return self.condition.matches_at(data, start)


def _array_at(data: bytes, document: int, path: FieldPath) -> int:
    """Return where the array at the end of a path through documents begins, or -1."""
    for depth in range(len(path.names)):
        element = int(find_field(data, document, path.names[depth]))
        if element < 0:
            return -1
        document = int(value_start(data, element))
        if data[element] != (TYPE_ARRAY if depth == path.last else TYPE_DOCUMENT):
            return -1
    return document


class Size(PathExpression):
    """$size: the array has exactly this many elements."""

    def __init__(self, path: FieldPath, size: int) -> None:
        super().__init__(path)
        self.size = size

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return bson_type == TYPE_ARRAY and array_length(data, start) == self.size


def array_length(data: bytes, array: i64) -> i64:
    """Count the elements of the array at `array`."""
    size: int = read_i32_le(data, array)
    element: i64 = array + 4
    last: i64 = array + size - 1
    count: i64 = 0
    while element < last:
        bson_type: i64 = data[element]
        element = skip_value(data, bson_type, skip_name(data, element + 1))
        count += 1
    return count
