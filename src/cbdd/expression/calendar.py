"""Dates as BSON has them, milliseconds since the epoch, and the calendar.

Python's datetime ends at the years 1 and 9999; BSON dates do not. Parts of a date are computed from
the days since the epoch, so that every stored date has them.

Source of the conversion between days and dates: Hinnant, "chrono-Compatible Low-Level Date
Algorithms" (civil_from_days, days_from_civil).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cbdd.catalog.refusal import refusal

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
_EPOCH: Final = datetime(1970, 1, 1)
_OFFSET: Final = re.compile(r"([+-])([0-9]{2})(?::?([0-9]{2}))?\Z")
_FIRST_ZONED_MS: Final = -62_135_510_400_000
_LAST_ZONED_MS: Final = 253_402_214_400_000


def days_from_date(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def date_from_days(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970-01-01."""
    days += 719_468
    era = days // 146_097
    day_of_era = days - era * 146_097
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + (3 if month_index < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day


def days_in_month(year: int, month: int) -> int:
    """Return how many days a month has."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


class Zone:
    """A time zone: a name of the tz database, or a fixed offset."""

    def __init__(self, name: str) -> None:
        """
        :raises OperationFailure: there is no such zone.
        """
        self.name = name
        self._zone: ZoneInfo | None = None
        self._fixed_ms = 0
        found = _OFFSET.match(name)
        if found:
            minutes = int(found.group(2)) * 60 + int(found.group(3) or 0)
            self._fixed_ms = minutes * MINUTE_MS * (-1 if found.group(1) == "-" else 1)
        elif name not in ("UTC", "GMT", "Z", ""):
            try:
                self._zone = ZoneInfo(name)
            except (OSError, ValueError, KeyError) as error:
                raise refusal(40485, f'unrecognized time zone identifier: "{name}"') from error
        elif not name:
            raise refusal(40485, 'unrecognized time zone identifier: ""')

    def is_utc(self) -> bool:
        """Tell whether this is UTC itself."""
        return self._zone is None and self._fixed_ms == 0

    def offset_ms(self, milliseconds: int) -> int:
        """Return what is added to UTC at a moment."""
        zone = self._zone
        if zone is None:
            return self._fixed_ms
        moment = _EPOCH + timedelta(
            milliseconds=min(max(milliseconds, _FIRST_ZONED_MS), _LAST_ZONED_MS)
        )
        offset = zone.fromutc(moment.replace(tzinfo=zone)).utcoffset()
        return 0 if offset is None else round(offset.total_seconds() * 1000)

    def to_utc(self, local_ms: int) -> int:
        """Return the moment at which clocks in the zone show a local time."""
        guess = local_ms - self.offset_ms(local_ms)
        return local_ms - self.offset_ms(guess)


UTC: Final = Zone("UTC")


class Parts:
    """A moment taken apart, as clocks in a zone show it."""

    def __init__(self, milliseconds: int, zone: Zone) -> None:
        self.offset_ms = zone.offset_ms(milliseconds)
        local = milliseconds + self.offset_ms
        days, rest = divmod(local, DAY_MS)
        self.local_ms = local
        self.days = days
        self.year, self.month, self.day = date_from_days(days)
        self.hour, rest = divmod(rest, HOUR_MS)
        self.minute, rest = divmod(rest, MINUTE_MS)
        self.second, self.millisecond = divmod(rest, 1000)

    @property
    def day_of_year(self) -> int:
        """1 to 366."""
        return self.days - days_from_date(self.year, 1, 1) + 1

    @property
    def day_of_week(self) -> int:
        """1 for Sunday to 7 for Saturday."""
        return (self.days + 4) % 7 + 1

    @property
    def iso_day_of_week(self) -> int:
        """1 for Monday to 7 for Sunday."""
        return (self.days + 3) % 7 + 1

    @property
    def week(self) -> int:
        """0 to 53; weeks begin on Sunday, days before the first one are in week 0."""
        return (self.day_of_year - self.day_of_week + 7) // 7

    def iso_week(self) -> tuple[int, int]:
        """Return the ISO 8601 year and week."""
        thursday = self.days - self.iso_day_of_week + 4
        year = date_from_days(thursday)[0]
        return year, (thursday - days_from_date(year, 1, 1)) // 7 + 1


def iso_text(milliseconds: int) -> str:
    """Return a date as ISO 8601 text in UTC with milliseconds."""
    parts = Parts(milliseconds, UTC)
    return (
        f"{parts.year:04d}-{parts.month:02d}-{parts.day:02d}T{parts.hour:02d}:{parts.minute:02d}:"
        f"{parts.second:02d}.{parts.millisecond:03d}Z"
    )
