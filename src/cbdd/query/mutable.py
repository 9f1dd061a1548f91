"""A document that is being changed: opened only along the paths that change.

A `MutableValue` is either closed (a type and bytes) or open (a list of named children). Opening
reads one level; everything that is not touched stays the bytes it was and is copied as such, so
that types, field order and values no Python type can hold survive every update.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, elements
from cbdd.expression.value import Value
from cbdd.query.path import array_position

EMPTY: Final = b"\x05\0\0\0\0"
"""The bytes of a document or array without elements."""


@mypyc_attr(acyclic=True)
class MutableValue:
    """One value in a document that is being changed; owned by its parent."""

    def __init__(self, bson_type: int, data: bytes) -> None:
        self.bson_type = bson_type
        self.data = data
        self.is_open = False
        self.names: list[bytes] = []
        self.children: list[MutableValue] = []

    def is_container(self) -> bool:
        """Tell whether this is a document or an array."""
        return self.bson_type == TYPE_DOCUMENT or self.bson_type == TYPE_ARRAY

    def open(self) -> None:
        """Take a document or array apart; its children are closed values."""
        if self.is_open:
            return
        assert self.is_container()
        data = self.data
        for bson_type, name, start, end in elements(data, 0):
            self.names.append(name)
            self.children.append(MutableValue(bson_type, data[start:end]))
        self.data = b""
        self.is_open = True

    def find(self, name: bytes) -> int:
        """Return the place of the child `name` (for arrays: of that position), or -1."""
        if not self.is_container():
            return -1
        self.open()
        if self.bson_type == TYPE_ARRAY:
            position = array_position(name)
            return position if position < len(self.children) else -1
        for place in range(len(self.names)):
            if self.names[place] == name:
                return place
        return -1

    def replace(self, value: Value) -> None:
        """Become `value`."""
        self.become(MutableValue(value.bson_type, value.data))

    def become(self, other: MutableValue) -> None:
        """Become what `other` is; `other` must not be used any more."""
        self.bson_type = other.bson_type
        self.data = other.data
        self.is_open = other.is_open
        self.names = other.names
        self.children = other.children

    def append(self, name: bytes, child: MutableValue) -> None:
        """Add a child at the end; the name counts for documents only."""
        self.open()
        self.names.append(name)
        self.children.append(child)

    def set_elements(self, children: list[MutableValue]) -> None:
        """Give an array these elements."""
        self.is_open = True
        self.data = b""
        self.children = children
        self.names = [b""] * len(children)

    def remove(self, place: int) -> None:
        """Take the child at `place` out."""
        self.open()
        del self.names[place]
        del self.children[place]

    def value(self) -> Value:
        """Return the current value."""
        return Value(self.bson_type, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the BSON bytes of the current value."""
        if not self.is_open:
            return self.data
        parts: list[bytes] = []
        is_array = self.bson_type == TYPE_ARRAY
        for place in range(len(self.children)):
            child = self.children[place]
            name = str(place).encode("ascii") if is_array else self.names[place]
            parts.append(bytes([child.bson_type]) + name + b"\0")
            parts.append(child.to_bytes())
        body = b"".join(parts)
        return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
