"""The calendar against Python's, and beyond its years."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pymongo.errors import OperationFailure

from cbdd.expression.calendar import (
    DAY_MS,
    Parts,
    Zone,
    date_from_days,
    days_from_date,
    days_in_month,
    iso_text,
)
from cbdd.expression.calendar import (
    UTC as UTC_ZONE,
)
from cbdd.expression.date_text import add_months, days_from_iso

EPOCH = date(1970, 1, 1)


def test_days_and_dates_as_python_has_them() -> None:
    source = random.Random(3)
    for _ in range(3000):
        day = date.fromordinal(source.randrange(1, date.max.toordinal()))
        days = (day - EPOCH).days
        assert days_from_date(day.year, day.month, day.day) == days
        assert date_from_days(days) == (day.year, day.month, day.day)
        parts = Parts(days * DAY_MS + 1, UTC_ZONE)
        assert parts.iso_week() == day.isocalendar()[:2]
        assert parts.iso_day_of_week == day.isoweekday()
        assert parts.day_of_week == day.isoweekday() % 7 + 1
        assert parts.day_of_year == day.timetuple().tm_yday
        assert parts.week == int(day.strftime("%U"))
        assert days_from_iso(*day.isocalendar()) == days


@pytest.mark.parametrize("year", [-290_000, -1, 0, 10_000, 290_000])
def test_years_python_does_not_know(year: int) -> None:
    days = days_from_date(year, 2, 28)
    assert date_from_days(days) == (year, 2, 28)
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    assert days_in_month(year, 2) == (29 if is_leap else 28)
    assert date_from_days(days + 1) == ((year, 2, 29) if is_leap else (year, 3, 1))


def test_months_end_where_they_end() -> None:
    start = days_from_date(2024, 1, 31)
    assert date_from_days(add_months(start, 1)) == (2024, 2, 29)
    assert date_from_days(add_months(start, 13)) == (2025, 2, 28)
    assert date_from_days(add_months(start, -2)) == (2023, 11, 30)


def test_zones_as_the_tz_database_has_them() -> None:
    source = random.Random(4)
    for name in ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"):
        zone = Zone(name)
        for _ in range(300):
            moment = datetime(1950, 1, 1, tzinfo=UTC) + timedelta(
                seconds=source.randrange(100 * 365 * 86_400)
            )
            milliseconds = round(moment.timestamp() * 1000)
            offset = moment.astimezone(ZoneInfo(name)).utcoffset()
            assert offset is not None
            assert zone.offset_ms(milliseconds) == offset.total_seconds() * 1000
            local = milliseconds + zone.offset_ms(milliseconds)
            shown = zone.to_utc(local)
            assert shown + zone.offset_ms(shown) == local


def test_fixed_offsets() -> None:
    assert Zone("+05:30").offset_ms(0) == 19_800_000
    assert Zone("-0800").offset_ms(0) == -28_800_000
    assert Zone("+03").offset_ms(0) == 10_800_000
    assert Zone("GMT").is_utc()
    for name in ("", "Nowhere", "../etc/passwd", "+5", "/etc/localtime"):
        with pytest.raises(OperationFailure) as raised:
            Zone(name)
        assert raised.value.code == 40485


def test_iso_text() -> None:
    assert iso_text(0) == "1970-01-01T00:00:00.000Z"
    assert iso_text(-1) == "1969-12-31T23:59:59.999Z"
