"""Dates read from text."""

from __future__ import annotations

import pytest
from pymongo.errors import OperationFailure

from cbdd.expression.calendar import UTC, Zone, iso_text
from cbdd.expression.date_text import format_date, parse_date, parse_with_format, require_format


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-03-04", "2021-03-04T00:00:00.000Z"),
        ("20210304", "2021-03-04T00:00:00.000Z"),
        ("2021-03", "2021-03-01T00:00:00.000Z"),
        ("2021-03-04T05:06", "2021-03-04T05:06:00.000Z"),
        ("2021-03-04 05:06:07", "2021-03-04T05:06:07.000Z"),
        ("2021-03-04T05:06:07.8", "2021-03-04T05:06:07.800Z"),
        ("2021-03-04T05:06:07.123456Z", "2021-03-04T05:06:07.123Z"),
        ("2021-03-04T05:06:07-02:30", "2021-03-04T07:36:07.000Z"),
        ("2021-03-04T05:06:07 GMT", "2021-03-04T05:06:07.000Z"),
        ("2020-02-29", "2020-02-29T00:00:00.000Z"),
        ("2021-02-29", None),
        ("2021-00-01", None),
        ("2021-03-04T25:00", None),
        ("2021-03-04T05:60", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_iso_dates(text: str, expected: str | None) -> None:
    moment = parse_date(text, None)
    assert (None if moment is None else iso_text(moment)) == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("04.03.2021", "%d.%m.%Y", "2021-03-04T00:00:00.000Z"),
        ("4.3.2021 5:06", "%d.%m.%Y %H:%M", "2021-03-04T05:06:00.000Z"),
        ("2021 063", "%Y %j", "2021-03-04T00:00:00.000Z"),
        ("2021-W09-4", "%G-W%V-%u", "2021-03-04T00:00:00.000Z"),
        ("04 Mar 2021", "%d %b %Y", "2021-03-04T00:00:00.000Z"),
        ("March 4, 2021", "%B %d, %Y", "2021-03-04T00:00:00.000Z"),
        ("2021-03-04 +0100", "%Y-%m-%d %z", "2021-03-03T23:00:00.000Z"),
        ("2021-03-04 +60", "%Y-%m-%d %Z", "2021-03-03T23:00:00.000Z"),
        ("100%2021", "100%%%Y", "2021-01-01T00:00:00.000Z"),
        ("04.03.21", "%d.%m.%Y", None),
        ("2021 2021", "%Y %Y", None),
        ("04 Mai 2021", "%d %b %Y", None),
        ("5:06", "%H:%M", None),
    ],
)
def test_dates_in_a_format(text: str, form: str, expected: str | None) -> None:
    require_format(form, True)
    moment = parse_with_format(text, form, None)
    assert (None if moment is None else iso_text(moment)) == expected


def test_a_zone_is_named_once() -> None:
    assert parse_date("2021-03-04T00:00:00Z", Zone("UTC")) is None
    assert parse_with_format("2021 +0100", "%Y %z", UTC) is None


@pytest.mark.parametrize(("form", "code"), [("%", 18535), ("%Y-%", 18535), ("%q", 18536)])
def test_wrong_formats(form: str, code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        require_format(form, False)
    assert raised.value.code == code


def test_years_that_have_no_four_digits() -> None:
    assert format_date(253_402_300_799_999, UTC, "%Y") == "9999"
    for moment in (253_402_300_800_000, -62_167_219_200_001):
        with pytest.raises(OperationFailure) as raised:
            format_date(moment, UTC, "%Y")
        assert raised.value.code == 18537
