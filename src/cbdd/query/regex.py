"""$regex and patterns as operands of a filter."""

from __future__ import annotations

from cbdd.document.raw import TYPE_REGEX, TYPE_STRING, TYPE_SYMBOL
from cbdd.expression.pattern import compile_pattern
from cbdd.query.matcher import PathExpression
from cbdd.query.path import FieldPath


class Regex(PathExpression):
    """A pattern: matches strings it is found in, and the same pattern stored as a value."""

    def __init__(self, path: FieldPath, pattern: str, options: str) -> None:
        super().__init__(path)
        self.pattern = pattern
        self.options = "".join(sorted(options))
        self.raw = pattern.encode("utf-8") + b"\0" + self.options.encode("utf-8") + b"\0"
        self.compiled = compile_pattern(pattern, options)

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type == TYPE_STRING or bson_type == TYPE_SYMBOL:
            text = data[start + 4 : end - 1].decode("utf-8")
            return self.compiled.is_in(text)
        return bson_type == TYPE_REGEX and data[start:end] == self.raw
