"""Dates as text: the format letters of $dateToString and $dateFromString, and ISO 8601."""

from __future__ import annotations

import re
from typing import Final

from cbdd.catalog.refusal import refusal
from cbdd.expression.calendar import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    UTC,
    Parts,
    Zone,
    date_from_days,
    days_from_date,
    days_in_month,
)

MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_LETTERS: Final = "dGHjLmMSuUVwYzZ%bB"
_ISO: Final = re.compile(
    r"\s*(?P<Y>[0-9]{4})-?(?P<m>[0-9]{2})-?(?P<d>[0-9]{2})"
    r"(?:(?:[Tt]|\s+)(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})"
    r"(?:[.,](?P<L>[0-9]{1,9}))?)?)?\s*(?P<z>[Zz]|GMT|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?\s*\Z"
)
_YEAR_MONTH: Final = re.compile(r"\s*(?P<Y>[0-9]{4})-(?P<m>[0-9]{2})\s*\Z")
_PATTERNS: Final = {
    "d": "(?P<d>[0-9]{1,2})",
    "G": "(?P<G>[0-9]{1,4})",
    "H": "(?P<H>[0-9]{1,2})",
    "j": "(?P<j>[0-9]{1,3})",
    "L": "(?P<L>[0-9]{1,3})",
    "m": "(?P<m>[0-9]{1,2})",
    "M": "(?P<M>[0-9]{1,2})",
    "S": "(?P<S>[0-9]{1,2})",
    "u": "(?P<u>[1-7])",
    "V": "(?P<V>[0-9]{1,2})",
    "Y": "(?P<Y>[0-9]{4})",
    "z": "(?P<z>[+-][0-9]{2}:?[0-9]{2}|[Zz])",
    "Z": "(?P<Z>[+-]?[0-9]{1,4})",
    "b": "(?P<b>[A-Za-z]{3})",
    "B": "(?P<B>[A-Za-z]{3,9})",
    "%": "%",
}


def require_format(text: str, for_reading: bool) -> None:
    """Refuse a format with a letter that means nothing."""
    position = 0
    while position < len(text):
        if text[position] == "%":
            position += 1
            if position == len(text):
                raise refusal(18535, "Unmatched '%' at end of format string")
            letter = text[position]
            if letter not in _LETTERS or (for_reading and letter not in _PATTERNS):
                raise refusal(18536, f"Invalid format character '%{letter}' in format string")
        position += 1


def format_date(milliseconds: int, zone: Zone, text: str) -> str:
    """Return a moment in a format that `require_format` has passed."""
    parts = Parts(milliseconds, zone)
    result: list[str] = []
    position = 0
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == "%":
            result.append(_formatted(text[position], parts))
            position += 1
        else:
            result.append(letter)
    return "".join(result)


def _formatted(letter: str, parts: Parts) -> str:
    if letter == "Y" or letter == "G":
        year = parts.year if letter == "Y" else parts.iso_week()[0]
        if not 0 <= year <= 9999:
            raise refusal(
                18537, f"$dateToString is only defined on year 0-9999, tried to use year {year}"
            )
        return f"{year:04d}"
    if letter == "z" or letter == "Z":
        minutes = parts.offset_ms // MINUTE_MS
        if letter == "Z":
            return f"{minutes:+d}" if minutes < 0 else f"+{minutes}"
        sign = "-" if minutes < 0 else "+"
        return f"{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    if letter == "%":
        return "%"
    if letter == "b":
        return MONTHS[parts.month - 1][:3]
    if letter == "B":
        return MONTHS[parts.month - 1]
    return _formatted_number(letter, parts)


def _formatted_number(letter: str, parts: Parts) -> str:
    if letter == "d":
        return f"{parts.day:02d}"
    if letter == "m":
        return f"{parts.month:02d}"
    if letter == "H":
        return f"{parts.hour:02d}"
    if letter == "M":
        return f"{parts.minute:02d}"
    if letter == "S":
        return f"{parts.second:02d}"
    if letter == "L":
        return f"{parts.millisecond:03d}"
    if letter == "j":
        return f"{parts.day_of_year:03d}"
    if letter == "w":
        return str(parts.day_of_week)
    if letter == "u":
        return str(parts.iso_day_of_week)
    if letter == "U":
        return f"{parts.week:02d}"
    return f"{parts.iso_week()[1]:02d}"


def parse_date(text: str, zone: Zone | None) -> int | None:
    """Return the moment an ISO 8601 text names, None when it names none.

    :param zone: where clocks show it when the text names no offset; both is refused by None.
    """
    found = _ISO.match(text) or _YEAR_MONTH.match(text)
    if found is None:
        return None
    return _moment(found.groupdict(), zone)


def parse_with_format(text: str, form: str, zone: Zone | None) -> int | None:
    """Return the moment a text names in a format, None when it does not match."""
    pattern: list[str] = []
    position = 0
    seen: set[str] = set()
    while position < len(form):
        letter = form[position]
        position += 1
        if letter != "%":
            pattern.append(r"\s+" if letter == " " else re.escape(letter))
            continue
        letter = form[position]
        position += 1
        if letter in seen and letter != "%":
            return None
        seen.add(letter)
        pattern.append(_PATTERNS[letter])
    found = re.match("".join(pattern) + r"\Z", text)
    return None if found is None else _moment(found.groupdict(), zone)


def _moment(groups: dict[str, str | None], zone: Zone | None) -> int | None:
    days = _days(groups)
    if days is None:
        return None
    hour, minute, second = (int(groups.get(name) or 0) for name in "HMS")
    if hour > 24 or minute > 59 or second > 59:
        return None
    fraction = (groups.get("L") or "0").ljust(3, "0")[:3]
    local = days * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second * 1000 + int(fraction)
    offset = groups.get("z")
    if offset is not None:
        if zone is not None:
            return None  # the text and the operand both name a zone
        name = "UTC" if offset[0] not in "+-" else offset
        return local - Zone(name).offset_ms(0)
    minutes = groups.get("Z")
    if minutes is not None:
        return None if zone is not None else local - int(minutes) * MINUTE_MS
    return (zone or UTC).to_utc(local)


def _days(groups: dict[str, str | None]) -> int | None:
    """Return the days since 1970-01-01 that the calendar fields name."""
    iso_year = groups.get("G")
    if iso_year is not None:
        week, day = int(groups.get("V") or 1), int(groups.get("u") or 1)
        return days_from_iso(int(iso_year), week, day) if 1 <= week <= 53 else None
    if groups.get("Y") is None:
        return None
    year = int(groups["Y"] or 0)
    ordinal = groups.get("j")
    if ordinal is not None:
        return days_from_date(year, 1, 1) + int(ordinal) - 1 if int(ordinal) <= 366 else None
    month = _month(groups)
    day = int(groups.get("d") or 1)
    if month is None or not 1 <= month <= 12 or not 1 <= day <= days_in_month(year, month):
        return None
    return days_from_date(year, month, day)


def _month(groups: dict[str, str | None]) -> int | None:
    for letter, length in (("b", 3), ("B", 9)):
        name = groups.get(letter)
        if name is not None:
            names = [month[:length].lower() for month in MONTHS]
            return names.index(name.lower()) + 1 if name.lower() in names else None
    return int(groups.get("m") or 1)


def days_from_iso(year: int, week: int, day: int) -> int:
    """Return the days since 1970-01-01 of an ISO 8601 year, week and day of the week."""
    fourth = days_from_date(year, 1, 4)
    monday = fourth - (fourth + 3) % 7
    return monday + (week - 1) * 7 + day - 1


def add_months(days: int, months: int) -> int:
    """Return the days since 1970-01-01 some months later, on the month's last day if need be."""
    year, month, day = date_from_days(days)
    month_index = year * 12 + month - 1 + months
    year, month = month_index // 12, month_index % 12 + 1
    return days_from_date(year, month, min(day, days_in_month(year, month)))
