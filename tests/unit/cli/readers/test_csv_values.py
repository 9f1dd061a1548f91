"""What the text of a CSV cell means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from cbdd.cli.readers.csv_values import infer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("9223372036854775807", 9223372036854775807),
        ("-9223372036854775808", -9223372036854775808),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("2e10", 2e10),
        ("1.5E-3", 1.5e-3),
        ("true", True),
        ("False", False),
    ],
)
def test_numbers_and_booleans_are_inferred(text: str, value: object) -> None:
    assert infer(text) == value
    assert type(infer(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "007",
        "00",
        "9223372036854775808",
        "1_000",
        "0x10",
        "1e999",
        "NaN",
        "inf",
        "-",
        ".",
        "+",
        "1.2.3",
        "2013-13-01",
        "2013-02-30",
        "2013-1-1",
        "12:30",
        "truely",
        "yes",
        " 5",
        "\u0665",
        "e5",
    ],
)
def test_anything_else_stays_text(text: str) -> None:
    assert infer(text) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2013-01-31", datetime(2013, 1, 31, tzinfo=UTC)),
        ("2013-01-01T10:00:00Z", datetime(2013, 1, 1, 10, tzinfo=UTC)),
        ("2013-01-01 10:00", datetime(2013, 1, 1, 10, tzinfo=UTC)),
        ("2013-01-01T10:00:00.250", datetime(2013, 1, 1, 10, 0, 0, 250_000, tzinfo=UTC)),
        (
            "2013-01-01T10:00:00+02:00",
            datetime(2013, 1, 1, 10, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_dates_without_a_zone_are_utc(text: str, moment: datetime) -> None:
    assert infer(text) == moment
