"""Operators on dates."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, ObjectId, Timestamp

from tests.unit.expression.evaluating import assert_value, date, refusal_code

WHEN = date(2021, 1, 3, 23, 30, 15, 678000)  # a Sunday, ISO week 53 of 2020
DOCUMENT = {"d": WHEN, "n": None, "s": "x", "t": Timestamp(1, 7)}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$year": "$d"}, 2021),
        ({"$month": ["$d"]}, 1),
        ({"$dayOfMonth": {"date": "$d"}}, 3),
        ({"$dayOfMonth": {"date": "$d", "timezone": "Europe/Berlin"}}, 4),
        ({"$hour": {"date": "$d", "timezone": "-05:00"}}, 18),
        ({"$hour": {"date": "$d", "timezone": "$n"}}, None),
        ({"$dayOfYear": "$d"}, 3),
        ({"$dayOfWeek": "$d"}, 1),
        ({"$isoDayOfWeek": "$d"}, 7),
        ({"$week": "$d"}, 1),
        ({"$isoWeek": "$d"}, 53),
        ({"$isoWeekYear": "$d"}, Int64(2020)),
        ({"$minute": "$d"}, 30),
        ({"$second": "$d"}, 15),
        ({"$millisecond": "$d"}, 678),
        ({"$year": "$n"}, None),
        ({"$year": {"$literal": ObjectId("5e9f1e5c0000000000000001")}}, 2020),
        ({"$year": "$t"}, 1970),
        (
            {"$dateToParts": {"date": "$d"}},
            {
                "year": 2021,
                "month": 1,
                "day": 3,
                "hour": 23,
                "minute": 30,
                "second": 15,
                "millisecond": 678,
            },
        ),
        ({"$dateFromParts": {"year": 2021, "month": 2, "day": 3}}, date(2021, 2, 3)),
        ({"$dateFromParts": {"year": 2021, "month": 14}}, date(2022, 2, 1)),
        ({"$dateFromParts": {"year": 2021, "day": 0}}, date(2020, 12, 31)),
        (
            {"$dateFromParts": {"year": 2021, "hour": 12, "timezone": "America/New_York"}},
            date(2021, 1, 1, 17),
        ),
        (
            {"$dateFromParts": {"isoWeekYear": 2020, "isoWeek": 53, "isoDayOfWeek": 7}},
            date(2021, 1, 3),
        ),
        ({"$dateFromParts": {"year": "$n"}}, None),
        ({"$dateToString": {"date": "$d"}}, "2021-01-03T23:30:15.678Z"),
        ({"$dateToString": {"date": "$d", "timezone": "+0100"}}, "2021-01-04T00:30:15.678"),
        (
            {
                "$dateToString": {
                    "date": "$d",
                    "format": "%d.%m.%Y %H:%M:%S.%L %j %u %w %U %V %G %%",
                }
            },
            "03.01.2021 23:30:15.678 003 7 1 01 53 2020 %",
        ),
        ({"$dateToString": {"date": "$d", "format": "%z %Z", "timezone": "-05:30"}}, "-0530 -330"),
        ({"$dateToString": {"date": "$d", "format": "%b %B"}}, "Jan January"),
        ({"$dateToString": {"date": "$n", "onNull": "none"}}, "none"),
        ({"$dateToString": {"date": "$d", "format": "$n"}}, None),
        ({"$dateFromString": {"dateString": "2021-01-03"}}, date(2021, 1, 3)),
        (
            {"$dateFromString": {"dateString": "2021-01-03T10:00:00", "timezone": "Europe/Berlin"}},
            date(2021, 1, 3, 9),
        ),
        (
            {"$dateFromString": {"dateString": "03/01/2021", "format": "%d/%m/%Y"}},
            date(2021, 1, 3),
        ),
        ({"$dateFromString": {"dateString": "x", "onError": 1}}, 1),
        ({"$dateFromString": {"dateString": None, "onNull": 2}}, 2),
        (
            {"$dateAdd": {"startDate": "$d", "unit": "day", "amount": 2}},
            date(2021, 1, 5, 23, 30, 15, 678000),
        ),
        (
            {"$dateAdd": {"startDate": date(2021, 1, 31), "unit": "month", "amount": 1}},
            date(2021, 2, 28),
        ),
        (
            {"$dateSubtract": {"startDate": date(2020, 2, 29), "unit": "year", "amount": 1}},
            date(2019, 2, 28),
        ),
        (
            {
                "$dateAdd": {
                    "startDate": date(2021, 3, 27, 12),
                    "unit": "day",
                    "amount": 1,
                    "timezone": "Europe/Berlin",
                }
            },
            date(2021, 3, 28, 11),
        ),
        ({"$dateAdd": {"startDate": "$n", "unit": "day", "amount": 2}}, None),
        (
            {
                "$dateDiff": {
                    "startDate": date(2020, 12, 31),
                    "endDate": date(2021, 1, 1),
                    "unit": "year",
                }
            },
            Int64(1),
        ),
        (
            {
                "$dateDiff": {
                    "startDate": date(2021, 1, 2),
                    "endDate": date(2021, 1, 3),
                    "unit": "week",
                }
            },
            Int64(1),
        ),
        (
            {
                "$dateDiff": {
                    "startDate": date(2021, 1, 2),
                    "endDate": date(2021, 1, 3),
                    "unit": "week",
                    "startOfWeek": "monday",
                }
            },
            Int64(0),
        ),
        (
            {
                "$dateDiff": {
                    "startDate": date(2021, 3, 1),
                    "endDate": date(2020, 12, 1),
                    "unit": "quarter",
                }
            },
            Int64(-1),
        ),
        ({"$dateTrunc": {"date": "$d", "unit": "hour"}}, date(2021, 1, 3, 23)),
        ({"$dateTrunc": {"date": "$d", "unit": "month"}}, date(2021, 1, 1)),
        ({"$dateTrunc": {"date": "$d", "unit": "week", "startOfWeek": "Mon"}}, date(2020, 12, 28)),
        ({"$dateTrunc": {"date": "$d", "unit": "minute", "binSize": 20}}, date(2021, 1, 3, 23, 20)),
        (
            {"$dateTrunc": {"date": date(2021, 5, 9), "unit": "quarter", "binSize": 2}},
            date(2021, 1, 1),
        ),
        ({"$tsSecond": "$t"}, Int64(1)),
        ({"$tsIncrement": "$t"}, Int64(7)),
        ({"$tsSecond": "$n"}, None),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$year": "$s"}, 16006),
        ({"$year": ["$d", "$d"]}, 40536),
        ({"$year": {"date": "$d", "x": 1}}, 40535),
        ({"$year": {"timezone": "UTC"}}, 40539),
        ({"$year": {"date": "$d", "timezone": "Mars/Olympus"}}, 40485),
        ({"$year": {"date": "$d", "timezone": 5}}, 40517),
        ({"$dateToString": 1}, 18629),
        ({"$dateToString": {"format": "%Y"}}, 18628),
        ({"$dateToString": {"date": "$d", "x": 1}}, 18534),
        ({"$dateToString": {"date": "$d", "format": 5}}, 18533),
        ({"$dateToString": {"date": "$d", "format": "%"}}, 18535),
        ({"$dateToString": {"date": "$d", "format": "%q"}}, 18536),
        ({"$dateToString": {"date": "$s"}}, 16006),
        ({"$dateFromString": {"dateString": "x"}}, 241),
        ({"$dateFromString": {"dateString": "2021-02-30"}}, 241),
        ({"$dateFromString": {"dateString": 5}}, 241),
        ({"$dateFromString": {"dateString": "2021-01-01Z", "timezone": "UTC"}}, 241),
        ({"$dateFromParts": {"month": 1}}, 40516),
        ({"$dateFromParts": {"year": 2020, "isoWeek": 1}}, 40525),
        ({"$dateFromParts": {"isoWeekYear": 2020, "month": 1}}, 40489),
        ({"$dateFromParts": {"year": 0}}, 40523),
        ({"$dateFromParts": {"year": "x"}}, 40515),
        ({"$dateFromParts": {"year": 2020, "month": 40000}}, 31034),
        ({"$dateToParts": {"date": "$d", "iso8601": 1}}, 40521),
        ({"$dateAdd": {"startDate": "$d", "unit": "fortnight", "amount": 1}}, 9),
        ({"$dateAdd": {"startDate": "$d", "unit": 5, "amount": 1}}, 5439013),
        ({"$dateAdd": {"startDate": "$d", "unit": "day", "amount": 1.5}}, 5166405),
        ({"$dateAdd": {"startDate": "$s", "unit": "day", "amount": 1}}, 5166403),
        ({"$dateAdd": {"startDate": "$d", "unit": "year", "amount": Int64(2**60)}}, 5166406),
        ({"$dateAdd": {"startDate": "$d", "unit": "day"}}, 5166402),
        ({"$dateDiff": {"startDate": "$s", "endDate": "$d", "unit": "day"}}, 5166307),
        ({"$dateTrunc": {"date": "$d", "unit": "day", "binSize": 0}}, 5439018),
        ({"$dateTrunc": {"date": "$d", "unit": "week", "startOfWeek": "x"}}, 9),
        ({"$dateTrunc": {"date": "$s", "unit": "day"}}, 5439012),
        ({"$tsSecond": "$d"}, 5687301),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code
