"""What the text of one CSV cell means.

    text                                       value
    empty, or one of the `--missing` texts     no field at all
    -12, 0, 9223372036854775807                int; with leading zeros or beyond 64 bits: text
    1.5, -.5, 2e10                             double
    true, false (any case)                     bool
    2013-01-01                                 date, midnight UTC
    2013-01-01T10:00:00Z, 2013-01-01 10:00,
    2013-01-01T10:00:00.250+02:00              date; without a zone: UTC
    anything else                              text

Each cell is judged by itself, since a stream has no second look; a column that must stay text, such
as postal codes, is named with `--text`. NaN and infinities are text: in CSV they are most often a
name or a mistake.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_DOUBLE: Final = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)\.?)(?:[eE][+-]?[0-9]+)?"
)
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_NUMBER_START: Final = frozenset("+-.0123456789")
_BOOLEANS: Final = {"true": True, "false": False}
_MIN_INTEGER: Final = -(1 << 63)
_MAX_INTEGER: Final = (1 << 63) - 1


def infer(text: str) -> object:
    """Return the value a cell's text stands for."""
    if text[:1] not in _NUMBER_START:
        return _BOOLEANS.get(text.lower(), text) if len(text) in (4, 5) else text
    if _INTEGER.fullmatch(text):
        number = int(text)
        return number if _MIN_INTEGER <= number <= _MAX_INTEGER else text
    if ("." in text or "e" in text or "E" in text) and _DOUBLE.fullmatch(text):
        value = float(text)
        return value if value - value == 0.0 else text  # beyond the range of doubles: infinite
    if _DATE.fullmatch(text):
        return _date(text)
    return text


def _date(text: str) -> object:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return text  # the thirteenth month
    return value if value.tzinfo else value.replace(tzinfo=UTC)
