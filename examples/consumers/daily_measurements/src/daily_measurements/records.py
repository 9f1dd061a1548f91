"""Measurements as CSV files have them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, TextIO

COLUMNS = ("station", "taken_at", "celsius")


class Measurement(NamedTuple):
    """A temperature somewhere at some time, in UTC."""

    station: str
    taken_at: datetime
    celsius: float


class BadLine(NamedTuple):
    """A line that cannot be read, and why."""

    number: int
    why: str


def read_measurements(file: TextIO) -> Iterator[Measurement | BadLine]:
    """Read a CSV file line by line; what is wrong with a line stands in its place.

    :raises ValueError: a column is missing.
    """
    reader = csv.DictReader(file)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(f"the file lacks the column {missing[0]}")
    for row in reader:
        try:
            yield _measurement(row)
        except (ValueError, TypeError) as error:
            yield BadLine(reader.line_num, str(error))


def _measurement(row: dict[str, str | None]) -> Measurement:
    station = (row["station"] or "").strip()
    if not station:
        raise ValueError("no station")
    taken_at = datetime.fromisoformat(row["taken_at"] or "")
    if taken_at.tzinfo is None:
        taken_at = taken_at.replace(tzinfo=UTC)
    celsius = float(row["celsius"] or "nan")
    if not math.isfinite(celsius):
        raise ValueError(f"no temperature: {row['celsius']!r}")
    return Measurement(station, taken_at.astimezone(UTC), celsius)
