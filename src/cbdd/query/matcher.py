"""Match expressions: a compiled filter, evaluated on raw BSON.

A filter is a tree. Inner nodes combine (`And`, `Or`, `Nor`, `Not`); a leaf is a `PathExpression`:
a path and a question about the values found there. `matches` asks about a document;
`matches_value` asks about one value without a path, which is how $elemMatch speaks of the elements
of an array. Trees are immutable and may be shared by threads.

Recursion goes as deep as the filter, which the parser limits, and the document, which storage
limits.
"""

from __future__ import annotations

from cbdd.query.path import FieldPath, ValuePredicate, any_value, array_position_of


class MatchExpression(ValuePredicate):
    """One node of a compiled filter."""

    def matches(self, document: bytes) -> bool:
        """Tell whether `document` matches."""
        return self.matches_at(document, 0)

    def matches_at(self, data: bytes, start: int) -> bool:
        """Tell whether the document embedded at data[start] matches."""
        raise NotImplementedError

    def position_at(self, data: bytes, start: int) -> int:
        """Return which element of an array made the document at data[start] match, or -1.

        This is what the positional operator `$` stands for. The document is known to match.
        Several arrays are one too many for it: the last one asked counts, as in MongoDB.
        """
        return -1


class And(MatchExpression):
    """All children match; without children, everything does."""

    def __init__(self, children: list[MatchExpression]) -> None:
        self.children = children

    def matches_at(self, data: bytes, start: int) -> bool:
        for child in self.children:
            if not child.matches_at(data, start):
                return False
        return True

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        for child in self.children:
            if not child.matches_value(data, bson_type, start, end):
                return False
        return True

    def position_at(self, data: bytes, start: int) -> int:
        found = -1
        for child in self.children:
            position = child.position_at(data, start)
            if position >= 0:
                found = position
        return found


class Or(MatchExpression):
    """Some child matches; without children, nothing does."""

    def __init__(self, children: list[MatchExpression]) -> None:
        self.children = children

    def matches_at(self, data: bytes, start: int) -> bool:
        for child in self.children:
            if child.matches_at(data, start):
                return True
        return False

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        for child in self.children:
            if child.matches_value(data, bson_type, start, end):
                return True
        return False

    def position_at(self, data: bytes, start: int) -> int:
        for child in self.children:
            if child.matches_at(data, start):
                return child.position_at(data, start)
        return -1


class Not(MatchExpression):
    """The child does not match: no value at its path answers the question."""

    def __init__(self, child: MatchExpression) -> None:
        self.child = child

    def matches_at(self, data: bytes, start: int) -> bool:
        return not self.child.matches_at(data, start)

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return not self.child.matches_value(data, bson_type, start, end)


class PathExpression(MatchExpression):
    """A question about the values at a path; subclasses answer `matches_value`."""

    def __init__(self, path: FieldPath) -> None:
        self.path = path

    def matches_at(self, data: bytes, start: int) -> bool:
        return any_value(data, start, self.path, 0, self)

    def position_at(self, data: bytes, start: int) -> int:
        return array_position_of(data, start, self.path, self)
