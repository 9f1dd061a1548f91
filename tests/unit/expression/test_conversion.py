"""$convert and its short forms."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp

from tests.unit.expression.evaluating import assert_value, date, refusal_code

ID = ObjectId("5e9f1e5c0000000000000001")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$toInt": "42"}, 42),
        ({"$toInt": "-42"}, -42),
        ({"$toInt": 5.9}, 5),
        ({"$toInt": -5.9}, -5),
        ({"$toInt": True}, 1),
        ({"$toInt": Decimal128("7.5")}, 7),
        ({"$toInt": None}, None),
        ({"$toInt": "$gone"}, None),
        ({"$toLong": 5}, Int64(5)),
        ({"$toLong": "9223372036854775807"}, Int64(2**63 - 1)),
        ({"$toLong": date(1970, 1, 1, 0, 0, 1)}, Int64(1000)),
        ({"$toDouble": "-1.5e3"}, -1500.0),
        ({"$toDouble": Int64(3)}, 3.0),
        ({"$toDouble": False}, 0.0),
        ({"$toDouble": date(1970, 1, 1, 0, 0, 1)}, 1000.0),
        ({"$toDecimal": "1.50"}, Decimal128("1.50")),
        ({"$toDecimal": 2}, Decimal128("2")),
        ({"$toBool": 0}, False),
        ({"$toBool": "false"}, True),
        ({"$toBool": ""}, True),
        ({"$toBool": [[]]}, True),
        ({"$toBool": 0.1}, True),
        ({"$toString": 5}, "5"),
        ({"$toString": 2.5}, "2.5"),
        ({"$toString": 3.0}, "3"),
        ({"$toString": math.inf}, "Infinity"),
        ({"$toString": Decimal128("1E+3")}, "1E+3"),
        ({"$toString": True}, "true"),
        ({"$toString": ID}, "5e9f1e5c0000000000000001"),
        ({"$toString": date(2020, 1, 2, 3, 4, 5)}, "2020-01-02T03:04:05.000Z"),
        ({"$toString": [[1, "a"]]}, '[1,"a"]'),
        ({"$toObjectId": "5e9f1e5c0000000000000001"}, ID),
        ({"$toDate": "2020-01-02"}, date(2020, 1, 2)),
        ({"$toDate": "2020-01-02T03:04:05.678Z"}, date(2020, 1, 2, 3, 4, 5, 678000)),
        ({"$toDate": "2020-01-02T03:04:05+01:00"}, date(2020, 1, 2, 2, 4, 5)),
        ({"$toDate": Int64(1000)}, date(1970, 1, 1, 0, 0, 1)),
        ({"$toDate": 1000.9}, date(1970, 1, 1, 0, 0, 1)),
        ({"$toDate": ID}, ID.generation_time),
        ({"$toDate": Timestamp(1, 5)}, date(1970, 1, 1, 0, 0, 1)),
        ({"$convert": {"input": "7", "to": "int"}}, 7),
        ({"$convert": {"input": "7", "to": 1}}, 7.0),
        ({"$convert": {"input": "x", "to": "int", "onError": "no"}}, "no"),
        ({"$convert": {"input": None, "to": "int", "onNull": 0}}, 0),
        ({"$convert": {"input": None, "to": "int"}}, None),
        ({"$convert": {"input": 1, "to": None}}, None),
        ({"$type": "$gone"}, "missing"),
        ({"$type": {"$literal": re.compile("a")}}, "regex"),
        ({"$type": Int64(1)}, "long"),
        ({"$isNumber": Decimal128("1")}, True),
        ({"$isNumber": "1"}, False),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$toInt": "4.2"}, 241),
        ({"$toInt": " 4"}, 241),
        ({"$toInt": ""}, 241),
        ({"$toInt": 2**31}, 241),
        ({"$toInt": math.nan}, 241),
        ({"$toInt": math.inf}, 241),
        ({"$toInt": date(2020, 1, 1)}, 241),
        ({"$toLong": 1e300}, 241),
        ({"$toLong": "9223372036854775808"}, 241),
        ({"$toDouble": "x"}, 241),
        ({"$toDouble": Decimal128("1E+400")}, 241),
        ({"$toDate": 5}, 241),
        ({"$toDate": "yesterday"}, 241),
        ({"$toDate": "2020-13-01"}, 241),
        ({"$toDate": True}, 241),
        ({"$toObjectId": "5e9f"}, 241),
        ({"$toObjectId": 5}, 241),
        ({"$toString": re.compile("a")}, 241),
        ({"$convert": {"input": 1}}, 9),
        ({"$convert": {"input": 1, "to": "int", "x": 1}}, 9),
        ({"$convert": {"input": 1, "to": "number"}}, 2),
        ({"$convert": {"input": 1, "to": True}}, 9),
        ({"$convert": {"input": 1, "to": 99}}, 9),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression) == code
