r"""$regex and patterns as operands.

Patterns run on Python's `re`. It knows what usual patterns use; a pattern it does not understand is
refused, never reinterpreted. It backtracks, so that a hostile pattern can take exponential time;
the linear-time engine that a pattern from outside calls for comes with the full query language.

Differences from MongoDB's PCRE that are handled here: `\w`, `\d`, `\s` and `\b` mean ASCII unless
case is ignored (where Python would stop folding the case of other letters).
"""

from __future__ import annotations

import re
from typing import Final

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import TYPE_REGEX, TYPE_STRING, TYPE_SYMBOL, skip_name
from cbdd.query.matcher import PathExpression
from cbdd.query.path import FieldPath
from cbdd.query.value import Value

_INVALID_PATTERN: Final = 51091
_INVALID_OPTION: Final = 51108
_FLAGS: Final = {
    "i": re.IGNORECASE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "x": re.VERBOSE,
    "u": re.UNICODE,
}


class Regex(PathExpression):
    """A pattern: matches strings it is found in, and the same pattern stored as a value."""

    def __init__(self, path: FieldPath, pattern: str, options: str) -> None:
        super().__init__(path)
        self.pattern = pattern
        self.options = "".join(sorted(options))
        self.raw = pattern.encode("utf-8") + b"\0" + self.options.encode("utf-8") + b"\0"
        self.compiled: re.Pattern[str] = compile_pattern(pattern, options)

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type == TYPE_STRING or bson_type == TYPE_SYMBOL:
            text = data[start + 4 : end - 1].decode("utf-8")
            return self.compiled.search(text) is not None
        return bson_type == TYPE_REGEX and data[start:end] == self.raw


def compile_pattern(pattern: str, options: str) -> re.Pattern[str]:
    """Compile for Python's `re`; refuse what it does not understand with MongoDB's codes."""
    if "\0" in pattern:
        raise refusal(_INVALID_PATTERN, "Regular expression cannot contain an embedded null byte")
    flags = 0
    for option in options:
        flag = _FLAGS.get(option)
        if flag is None:
            raise refusal(_INVALID_OPTION, f"invalid flag in regex options: {option}")
        flags |= int(flag)
    if "i" not in options:
        flags |= int(re.ASCII)
        flags &= ~int(re.UNICODE)
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise refusal(_INVALID_PATTERN, f"Regular expression is invalid: {error}") from error


def regex_parts(value: Value) -> tuple[str, str]:
    """Return pattern and options of a BSON regular expression."""
    middle = int(skip_name(value.data, 0))
    return value.data[: middle - 1].decode("utf-8"), value.data[middle:-1].decode("utf-8")
