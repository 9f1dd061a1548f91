"""Writing results: JSON for programs, tables and text for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_KIBI: Final = 1024
_YEAR_10000_US: Final = 253_402_300_800_000_000


def print_json(value: object) -> None:
    """Print one value as one line of JSON."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")


def stdout_console() -> Console:
    """Return a console for results; plain text when it is not a terminal."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def stderr_console() -> Console:
    """Return a console for progress and remarks."""
    return Console(stderr=True, highlight=False)


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table; a column whose name begins with ``#`` holds numbers."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column.startswith("#")
        made.add_column(
            column.removeprefix("#"), justify="right" if is_number else "left", overflow="fold"
        )
    return made


def facts_table(facts: Mapping[str, Any]) -> Table:
    """Return a table of names and values."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in facts.items():
        made.add_row(name, str(value))
    return made


def size_text(size_bytes: float) -> str:
    """Return a number of bytes for people.

    >>> size_text(1536)
    '1.5 KiB'
    """
    unit = 0
    while size_bytes >= _KIBI and unit < len(UNITS) - 1:
        size_bytes /= _KIBI
        unit += 1
    return f"{size_bytes:.0f} {UNITS[unit]}" if unit == 0 else f"{size_bytes:.1f} {UNITS[unit]}"


def printable(text: str) -> str:
    """Return text from a file with what would steer a terminal shown as escapes.

    >>> print(printable("a" + chr(27) + "[2J"))
    a\\x1b[2J
    """
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def time_text(microseconds: int) -> str:
    """Return a time since the epoch for people, in UTC; a dash for none and for nonsense."""
    if not 0 < microseconds < _YEAR_10000_US:
        return "-"
    seconds, rest = divmod(microseconds, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{rest // 1000:03d} UTC"
