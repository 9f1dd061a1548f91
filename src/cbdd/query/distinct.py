"""distinct: the different values at a path, over many documents.

Arrays on the way and at the end are opened, one level each; a number in the path names a position
where it follows an array. A value that is not there contributes nothing.
"""

from __future__ import annotations

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_DOCUMENT,
    elements,
    find_field,
    skip_value,
    value_start,
)
from cbdd.expression.value import Value
from cbdd.index.key_string import encode_value
from cbdd.query.path import FieldPath


class DistinctValues:
    """Collects the values of one path; equal values (1, 1.0) are kept once, as first seen."""

    def __init__(self, path: str) -> None:
        self.path = FieldPath(path)
        self.values: list[Value] = []
        self.last_key = b""
        """Key string of the last value that was met, also where it was there already."""
        self._keys: set[bytes] = set()

    def add(self, document: bytes) -> None:
        """Add the values of `document`."""
        self._add_at(document, 0, 0)

    def to_bson(self) -> bytes:
        """Return the document {values: [...]}."""
        parts: list[bytes] = []
        for i, value in enumerate(self.values):
            parts.append(bytes([value.bson_type]) + str(i).encode("ascii") + b"\0" + value.data)
        array = b"".join(parts) + b"\0"
        body = b"\x04values\0" + (len(array) + 4).to_bytes(4, "little") + array + b"\0"
        return (len(body) + 4).to_bytes(4, "little") + body

    def _add_at(self, data: bytes, start: int, depth: int) -> None:
        path = self.path
        element = int(find_field(data, start, path.names[depth]))
        if element < 0:
            return
        bson_type = data[element]
        value = int(value_start(data, element))
        if depth == path.last:
            self._add_leaf(data, bson_type, value)
        elif bson_type == TYPE_DOCUMENT:
            self._add_at(data, value, depth + 1)
        elif bson_type == TYPE_ARRAY:
            if path.positions[depth + 1] >= 0:
                self._add_at(data, value, depth + 1)
                return
            for inner_type, _, inner, _ in elements(data, value):
                if inner_type == TYPE_DOCUMENT or inner_type == TYPE_ARRAY:
                    self._add_at(data, inner, depth + 1)

    def _add_leaf(self, data: bytes, bson_type: int, start: int) -> None:
        if bson_type == TYPE_ARRAY:
            for inner_type, _, inner, end in elements(data, start):
                self._add_value(data, inner_type, inner, end)
        else:
            self._add_value(data, bson_type, start, int(skip_value(data, bson_type, start)))

    def _add_value(self, data: bytes, bson_type: int, start: int, end: int) -> None:
        key = encode_value(data, bson_type, start, end)
        self.last_key = key
        if key not in self._keys:
            self._keys.add(key)
            self.values.append(Value(bson_type, data[start:end]))
