"""Operators on dates: parts, text, arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.catalog.refusal import FAILED_TO_PARSE, refusal
from cbdd.document.raw import (
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_OBJECT_ID,
    TYPE_STRING,
    TYPE_TIMESTAMP,
)
from cbdd.expression.arithmetic import INT64_HIGH, INT64_LOW, date_value, milliseconds_of
from cbdd.expression.calendar import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    UTC,
    Parts,
    Zone,
    days_from_date,
)
from cbdd.expression.conversion import CONVERSION_FAILURE
from cbdd.expression.date_text import (
    add_months,
    days_from_iso,
    format_date,
    parse_date,
    parse_with_format,
    require_format,
)
from cbdd.expression.describe import describe
from cbdd.expression.node import MISSING_VALUE, NULL_VALUE, document_of, is_nullish
from cbdd.expression.number import int32_value, int64_value
from cbdd.expression.text import string_value
from cbdd.expression.value import Value

_UNIT_MS: Final = {
    "week": 7 * DAY_MS,
    "day": DAY_MS,
    "hour": HOUR_MS,
    "minute": MINUTE_MS,
    "second": 1000,
    "millisecond": 1,
}
_UNIT_MONTHS: Final = {"year": 12, "quarter": 3, "month": 1}
_WEEKDAYS: Final = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_REFERENCE_MS: Final = 946_684_800_000
"""2000-01-01, where the bins of $dateTrunc begin."""


def moment_of(value: Value) -> int:
    """Return a date, timestamp or ObjectId as milliseconds since the epoch.

    :raises OperationFailure: the value is none of them.
    """
    if value.bson_type == TYPE_DATE:
        return milliseconds_of(value)
    if value.bson_type == TYPE_OBJECT_ID:
        return int.from_bytes(value.data[:4], "big") * 1000
    if value.bson_type == TYPE_TIMESTAMP:
        return int.from_bytes(value.data[4:8], "little") * 1000
    raise refusal(16006, f"can't convert from BSON type {value.type_name()} to Date")


def zone_of(value: Value) -> Zone | None:
    """Return the zone a value names; None for a nullish value.

    :raises OperationFailure: it is no string, or no zone.
    """
    if is_nullish(value):
        return None
    if value.bson_type != TYPE_STRING:
        raise refusal(40517, f"timezone must evaluate to a string, found {value.type_name()}")
    return Zone(value.text())


def _zone(named: dict[str, Value]) -> Zone | None:
    """Return the zone that is asked for; UTC when none is named, None when it is null."""
    return zone_of(named["timezone"]) if "timezone" in named else UTC


# -- parts -----------------------------------------------------------------------------------


def date_part(name: str, named: dict[str, Value]) -> Value:
    """$year, $month, ..., $isoWeekYear."""
    date = named["date"]
    zone = _zone(named)
    if is_nullish(date) or zone is None:
        return NULL_VALUE
    parts = Parts(moment_of(date), zone)
    if name == "$isoWeekYear":
        return int64_value(parts.iso_week()[0])
    return int32_value(_PARTS[name](parts))


_PARTS: Final[dict[str, Callable[[Parts], int]]] = {
    "$year": lambda parts: parts.year,
    "$month": lambda parts: parts.month,
    "$dayOfMonth": lambda parts: parts.day,
    "$dayOfYear": lambda parts: parts.day_of_year,
    "$dayOfWeek": lambda parts: parts.day_of_week,
    "$hour": lambda parts: parts.hour,
    "$minute": lambda parts: parts.minute,
    "$second": lambda parts: parts.second,
    "$millisecond": lambda parts: parts.millisecond,
    "$week": lambda parts: parts.week,
    "$isoWeek": lambda parts: parts.iso_week()[1],
    "$isoDayOfWeek": lambda parts: parts.iso_day_of_week,
}
DATE_PARTS: Final = [*_PARTS, "$isoWeekYear"]


def to_parts(name: str, named: dict[str, Value]) -> Value:
    """$dateToParts."""
    date = named["date"]
    zone = _zone(named)
    iso = named.get("iso8601", MISSING_VALUE)
    if not is_nullish(iso) and iso.bson_type != TYPE_BOOLEAN:
        raise refusal(40521, f"iso8601 must evaluate to a bool, found {iso.type_name()}")
    if is_nullish(date) or zone is None or ("iso8601" in named and is_nullish(iso)):
        return NULL_VALUE
    parts = Parts(moment_of(date), zone)
    names = [b"hour", b"minute", b"second", b"millisecond"]
    numbers = [parts.hour, parts.minute, parts.second, parts.millisecond]
    if not is_nullish(iso) and iso.is_true():
        year, week = parts.iso_week()
        names = [b"isoWeekYear", b"isoWeek", b"isoDayOfWeek", *names]
        numbers = [year, week, parts.iso_day_of_week, *numbers]
    else:
        names = [b"year", b"month", b"day", *names]
        numbers = [parts.year, parts.month, parts.day, *numbers]
    return document_of(names, [int32_value(number) for number in numbers])


_DEFAULTS: Final = {
    "month": 1,
    "day": 1,
    "isoWeek": 1,
    "isoDayOfWeek": 1,
    "hour": 0,
    "minute": 0,
    "second": 0,
    "millisecond": 0,
}


def from_parts(name: str, named: dict[str, Value]) -> Value:
    """$dateFromParts; parts outside their range carry over into the next."""
    zone = _zone(named)
    numbers: dict[str, int] = {}
    for part in [*_DEFAULTS, "year", "isoWeekYear"]:
        if part not in named:
            numbers[part] = _DEFAULTS.get(part, 0)
            continue
        value = named[part]
        if is_nullish(value):
            return NULL_VALUE
        number = value.integer()
        if number is None:
            raise refusal(
                40515,
                f"'{part}' must evaluate to an integer, found {value.type_name()} with value"
                f" {describe(value)}",
            )
        if part in ("year", "isoWeekYear"):
            if not 1 <= number <= 9999:
                raise refusal(
                    40523 if part == "year" else 31095,
                    f"'{part}' must evaluate to an integer in the range 1 to 9999, found {number}",
                )
        elif not -32768 <= number <= 32767 and part not in ("second", "millisecond"):
            raise refusal(31034, f"'{part}' must evaluate to a value in the range [-32768, 32767]")
        numbers[part] = number
    if zone is None:
        return NULL_VALUE
    if "isoWeekYear" in named:
        days = days_from_iso(numbers["isoWeekYear"], numbers["isoWeek"], numbers["isoDayOfWeek"])
    else:
        months = numbers["year"] * 12 + numbers["month"] - 1
        days = days_from_date(months // 12, months % 12 + 1, 1) + numbers["day"] - 1
    local = days * DAY_MS + numbers["hour"] * HOUR_MS + numbers["minute"] * MINUTE_MS
    return date_value(zone.to_utc(local + numbers["second"] * 1000 + numbers["millisecond"]))


# -- text ------------------------------------------------------------------------------------


def to_string(name: str, named: dict[str, Value]) -> Value:
    """$dateToString."""
    form = named.get("format")
    if form is not None and not is_nullish(form):
        if form.bson_type != TYPE_STRING:
            raise refusal(
                18533,
                f"$dateToString requires that 'format' be a string, found: {form.type_name()}",
            )
        require_format(form.text(), False)
    zone = _zone(named)
    date = named["date"]
    if is_nullish(date):
        return named.get("onNull", NULL_VALUE)
    moment = moment_of(date)
    if zone is None or (form is not None and is_nullish(form)):
        return NULL_VALUE
    if form is not None:
        text = form.text()
    else:
        text = "%Y-%m-%dT%H:%M:%S.%LZ" if zone.is_utc() else "%Y-%m-%dT%H:%M:%S.%L"
    return string_value(format_date(moment, zone, text))


def from_string(name: str, named: dict[str, Value]) -> Value:
    """$dateFromString."""
    text = named["dateString"]
    form = named.get("format")
    zone = _zone(named) if "timezone" in named else None
    if form is not None and not is_nullish(form) and form.bson_type != TYPE_STRING:
        raise refusal(
            40684, f"$dateFromString requires that 'format' be a string, found: {describe(form)}"
        )
    if is_nullish(text):
        return named.get("onNull", NULL_VALUE)
    is_null_zone = "timezone" in named and is_nullish(named["timezone"])
    if is_null_zone or (form is not None and is_nullish(form)):
        return NULL_VALUE
    moment: int | None = None
    if text.bson_type == TYPE_STRING:
        if form is None:
            moment = parse_date(text.text(), zone)
        else:
            require_format(form.text(), True)
            moment = parse_with_format(text.text(), form.text(), zone)
    if moment is not None:
        return date_value(moment)
    if "onError" in named:
        return named["onError"]
    raise refusal(
        CONVERSION_FAILURE, f"Error parsing date string {describe(text)}; it names no date"
    )


# -- arithmetic ------------------------------------------------------------------------------


def _unit(name: str, value: Value) -> str:
    if value.bson_type != TYPE_STRING:
        raise refusal(
            5439013, f"{name} requires 'unit' to be a string, but got {value.type_name()}"
        )
    unit = value.text()
    if unit not in _UNIT_MS and unit not in _UNIT_MONTHS:
        raise refusal(FAILED_TO_PARSE, f"unknown time unit value: {unit}")
    return unit


def add(name: str, named: dict[str, Value]) -> Value:
    """$dateAdd and $dateSubtract."""
    start, unit, amount = named["startDate"], named["unit"], named["amount"]
    zone = _zone(named)
    if is_nullish(start) or is_nullish(unit) or is_nullish(amount) or zone is None:
        return NULL_VALUE
    step = _unit(name, unit)
    number = amount.integer()
    if number is None:
        raise refusal(5166405, f"{name} expects integer amount of time units")
    if start.bson_type not in (TYPE_DATE, TYPE_TIMESTAMP, TYPE_OBJECT_ID):
        raise refusal(5166403, f"{name} requires startDate to be convertible to a date")
    if name == "$dateSubtract":
        number = -number
    moment = moment_of(start)
    if step in ("hour", "minute", "second", "millisecond"):
        return _bounded(name, moment + number * _UNIT_MS[step])
    local = moment + zone.offset_ms(moment)
    days, rest = divmod(local, DAY_MS)
    if step in _UNIT_MONTHS:
        if abs(number) > 10**9:
            raise refusal(5166406, f"{name} overflowed")
        days = add_months(days, number * _UNIT_MONTHS[step])
    else:
        days += number * (_UNIT_MS[step] // DAY_MS)
    return _bounded(name, zone.to_utc(days * DAY_MS + rest))


def _bounded(name: str, moment: int) -> Value:
    if not INT64_LOW <= moment < INT64_HIGH:
        raise refusal(5166406, f"{name} overflowed")
    return date_value(moment)


def _first_weekday(name: str, named: dict[str, Value]) -> int | None:
    """Return 0 for Monday to 6 for Sunday; None for a nullish operand."""
    if "startOfWeek" not in named:
        return 6
    value = named["startOfWeek"]
    if is_nullish(value):
        return None
    if value.bson_type != TYPE_STRING:
        raise refusal(
            5439015, f"{name} requires 'startOfWeek' to be a string, but got {value.type_name()}"
        )
    text = value.text().lower()
    for position in range(7):
        if text in (_WEEKDAYS[position], _WEEKDAYS[position][:3]):
            return position
    raise refusal(FAILED_TO_PARSE, f"unknown day of week value: {value.text()}")


def difference(name: str, named: dict[str, Value]) -> Value:
    """$dateDiff: how many boundaries of the unit lie between two dates."""
    start, end, unit = named["startDate"], named["endDate"], named["unit"]
    zone = _zone(named)
    if is_nullish(start) or is_nullish(end) or is_nullish(unit) or zone is None:
        return NULL_VALUE
    step = _unit(name, unit)
    weekday = _first_weekday(name, named) if step == "week" else 6
    if weekday is None:
        return NULL_VALUE
    for which, value in (("startDate", start), ("endDate", end)):
        if value.bson_type not in (TYPE_DATE, TYPE_TIMESTAMP, TYPE_OBJECT_ID):
            raise refusal(5166307, f"$dateDiff requires '{which}' to be a date")
    bins = [_bin(moment_of(value), step, zone, weekday) for value in (start, end)]
    return int64_value(bins[1] - bins[0])


def _bin(moment: int, unit: str, zone: Zone, weekday: int) -> int:
    if unit in ("second", "millisecond"):
        return moment // _UNIT_MS[unit]
    parts = Parts(moment, zone)
    if unit == "year":
        return parts.year
    if unit in _UNIT_MONTHS:
        return (parts.year * 12 + parts.month - 1) // _UNIT_MONTHS[unit]
    if unit == "week":
        return (parts.days + 3 - weekday) // 7
    return parts.local_ms // _UNIT_MS[unit]


def truncate(name: str, named: dict[str, Value]) -> Value:
    """$dateTrunc: the beginning of the bin a date is in; bins are counted from 2000-01-01."""
    date, unit = named["date"], named["unit"]
    zone = _zone(named)
    size_value = named.get("binSize", int32_value(1))
    if is_nullish(date) or is_nullish(unit) or is_nullish(size_value) or zone is None:
        return NULL_VALUE
    step = _unit(name, unit)
    weekday = _first_weekday(name, named) if step == "week" else 6
    if weekday is None:
        return NULL_VALUE
    size = size_value.integer()
    if size is None or size <= 0:
        raise refusal(
            5439017 if size is None else 5439018,
            "$dateTrunc requires 'binSize' to be a positive integer",
        )
    if date.bson_type not in (TYPE_DATE, TYPE_TIMESTAMP, TYPE_OBJECT_ID):
        raise refusal(5439012, "$dateTrunc requires 'date' to be a date")
    moment = moment_of(date)
    local = moment + zone.offset_ms(moment)
    if step in _UNIT_MONTHS:
        parts = Parts(moment, zone)
        months = (parts.year - 2000) * 12 + parts.month - 1
        width = size * _UNIT_MONTHS[step]
        months = months // width * width
        days = days_from_date(2000 + months // 12, months % 12 + 1, 1)
        return date_value(zone.to_utc(days * DAY_MS))
    origin = _REFERENCE_MS
    if step == "week":  # 2000-01-01 was a Saturday
        origin += (weekday - 5) % 7 * DAY_MS
    width = size * _UNIT_MS[step]
    if step in ("day", "week"):
        return date_value(zone.to_utc(origin + (local - origin) // width * width))
    offset = zone.offset_ms(moment)
    return date_value(origin + (moment + offset - origin) // width * width - offset)


def timestamp_part(name: str, values: list[Value]) -> Value:
    """$tsSecond and $tsIncrement."""
    value = values[0]
    if is_nullish(value):
        return NULL_VALUE
    if value.bson_type != TYPE_TIMESTAMP:
        raise refusal(
            5687301 if name == "$tsSecond" else 5687302,
            f"Argument to {name} must be a timestamp, but is {value.type_name()}",
        )
    at = 4 if name == "$tsSecond" else 0
    return int64_value(int.from_bytes(value.data[at : at + 4], "little"))


DATES: Final[dict[str, tuple[int, int, Callable[[str, list[Value]], Value]]]] = {
    "$tsSecond": (1, 1, timestamp_part),
    "$tsIncrement": (1, 1, timestamp_part),
}
NAMED_DATES: Final[
    dict[str, tuple[list[str], list[str], Callable[[str, dict[str, Value]], Value]]]
] = {
    "$dateToParts": (["date"], ["timezone", "iso8601"], to_parts),
    "$dateFromParts": (
        [],
        ["year", "isoWeekYear", "timezone", *_DEFAULTS],
        from_parts,
    ),
    "$dateToString": (["date"], ["format", "timezone", "onNull"], to_string),
    "$dateFromString": (["dateString"], ["format", "timezone", "onError", "onNull"], from_string),
    "$dateAdd": (["startDate", "unit", "amount"], ["timezone"], add),
    "$dateSubtract": (["startDate", "unit", "amount"], ["timezone"], add),
    "$dateDiff": (["startDate", "endDate", "unit"], ["timezone", "startOfWeek"], difference),
    "$dateTrunc": (["date", "unit"], ["binSize", "timezone", "startOfWeek"], truncate),
}
