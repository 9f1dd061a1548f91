"""Lines of CSV: measurements, or what is wrong with them."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from daily_measurements.records import BadLine, Measurement, read_measurements

HEAD = "station,taken_at,celsius\n"


def test_times_are_in_utc() -> None:
    text = f"{HEAD}north,2024-05-01T12:00:00,1.5\nsouth,2024-05-01T12:00:00+02:00,-3\n"
    assert list(read_measurements(io.StringIO(text))) == [
        Measurement("north", datetime(2024, 5, 1, 12, tzinfo=UTC), 1.5),
        Measurement("south", datetime(2024, 5, 1, 10, tzinfo=UTC), -3.0),
    ]


@pytest.mark.parametrize(
    "line", ["north,yesterday,1", ",2024-05-01T12:00:00,1", "north,2024-05-01,warm", "north"]
)
def test_a_bad_line_stands_in_its_place_with_its_number(line: str) -> None:
    text = f"{HEAD}{line}\nnorth,2024-05-01T12:00:00,1\n"
    bad, good = read_measurements(io.StringIO(text))
    assert isinstance(bad, BadLine)
    assert bad.number == 2
    assert isinstance(good, Measurement)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="celsius"):
        list(read_measurements(io.StringIO("station,taken_at\n")))
