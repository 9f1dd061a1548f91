"""Operators on strings and regular expressions."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.expression.evaluating import assert_value, date, refusal_code

DOCUMENT = {"s": "Héllo World", "n": None, "i": 5, "d": date(2020, 1, 2, 3)}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$concat": []}, ""),
        ({"$concat": ["a", "b", "$s"]}, "abHéllo World"),
        ({"$concat": ["a", "$n"]}, None),
        ({"$toUpper": "abc"}, "ABC"),
        ({"$toLower": ["ABC"]}, "abc"),
        ({"$toUpper": "$n"}, ""),
        ({"$toUpper": 5}, "5"),
        ({"$toLower": "$d"}, "2020-01-02t03:00:00.000z"),
        ({"$strcasecmp": ["abc", "ABC"]}, 0),
        ({"$strcasecmp": ["a", "B"]}, -1),
        ({"$strcasecmp": ["$n", ""]}, 0),
        ({"$strLenCP": "$s"}, 11),
        ({"$strLenBytes": "$s"}, 12),
        ({"$substrCP": ["$s", 1, 4]}, "éllo"),
        ({"$substrBytes": ["$s", 0, 3]}, "Hé"),
        ({"$substrBytes": ["$s", 0, -1]}, "Héllo World"),
        ({"$substr": ["abc", 1, 1]}, "b"),
        ({"$substrBytes": ["abc", 9, 1]}, ""),
        ({"$substrCP": ["$n", 0, 2]}, ""),
        ({"$indexOfCP": ["$s", "World"]}, 6),
        ({"$indexOfBytes": ["$s", "World"]}, 7),
        ({"$indexOfCP": ["$s", "x"]}, -1),
        ({"$indexOfCP": ["$s", "o", 5]}, 7),
        ({"$indexOfCP": ["$n", "x"]}, None),
        ({"$split": ["a,b,,c", ","]}, ["a", "b", "", "c"]),
        ({"$split": ["$n", ","]}, None),
        ({"$trim": {"input": " \t a b \n"}}, "a b"),
        ({"$ltrim": {"input": "xxaxx", "chars": "x"}}, "axx"),
        ({"$rtrim": {"input": "xxaxx", "chars": "x"}}, "xxa"),
        ({"$trim": {"input": "$n"}}, None),
        ({"$trim": {"input": "a", "chars": None}}, None),
        ({"$replaceOne": {"input": "aXbX", "find": "X", "replacement": "-"}}, "a-bX"),
        ({"$replaceAll": {"input": "aXbX", "find": "X", "replacement": "-"}}, "a-b-"),
        ({"$replaceAll": {"input": "$n", "find": "X", "replacement": "-"}}, None),
        ({"$regexMatch": {"input": "$s", "regex": "^h", "options": "i"}}, True),
        ({"$regexMatch": {"input": "$s", "regex": re.compile("world", re.I)}}, True),
        ({"$regexMatch": {"input": "$n", "regex": "x"}}, False),
        (
            {"$regexFind": {"input": "$s", "regex": "(l+)(x)?o"}},
            {"match": "llo", "idx": 2, "captures": ["ll", None]},
        ),
        ({"$regexFind": {"input": "$s", "regex": "q"}}, None),
        (
            {"$regexFindAll": {"input": "a1b22", "regex": "[0-9]+"}},
            [
                {"match": "1", "idx": 1, "captures": []},
                {"match": "22", "idx": 3, "captures": []},
            ],
        ),
        ({"$regexFindAll": {"input": "$n", "regex": "x"}}, []),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ({"$concat": ["a", "$i"]}, 16702),
        ({"$toUpper": ["$gone", 1]}, 16020),
        ({"$toUpper": [[1]]}, 16007),
        ({"$strLenCP": "$n"}, 34471),
        ({"$strLenBytes": "$i"}, 34473),
        ({"$substrBytes": ["$s", 2, 1]}, 28656),
        ({"$substrBytes": ["$s", 0, 2]}, 28657),
        ({"$substrBytes": ["abc", "x", 1]}, 16034),
        ({"$substrBytes": ["abc", -1, 1]}, 50752),
        ({"$indexOfCP": ["$i", "x"]}, 40093),
        ({"$indexOfCP": ["$s", "$i"]}, 40094),
        ({"$indexOfBytes": ["$i", "x"]}, 40091),
        ({"$split": ["$i", ","]}, 40085),
        ({"$split": ["a", "$i"]}, 40086),
        ({"$split": ["a", ""]}, 40087),
        ({"$trim": 1}, 50696),
        ({"$trim": {"input": "a", "x": 1}}, 50694),
        ({"$trim": {"chars": "a"}}, 50695),
        ({"$trim": {"input": 1}}, 50699),
        ({"$trim": {"input": "a", "chars": 1}}, 50700),
        ({"$replaceOne": 1}, 51751),
        ({"$replaceOne": {"find": "a", "replacement": "b"}}, 51749),
        ({"$replaceOne": {"input": "a", "find": 1, "replacement": "b"}}, 51745),
        ({"$replaceOne": {"input": 1, "find": "a", "replacement": "b"}}, 51746),
        ({"$regexMatch": 1}, 51103),
        ({"$regexMatch": {"regex": "a"}}, 31022),
        ({"$regexMatch": {"input": "a"}}, 31023),
        ({"$regexMatch": {"input": "a", "regex": "a", "x": 1}}, 31024),
        ({"$regexMatch": {"input": 1, "regex": "a"}}, 51104),
        ({"$regexMatch": {"input": "a", "regex": 1}}, 51105),
        ({"$regexMatch": {"input": "a", "regex": "a", "options": 1}}, 51106),
        ({"$regexMatch": {"input": "a", "regex": re.compile("a", re.I), "options": "m"}}, 51107),
        ({"$regexMatch": {"input": "a", "regex": "a", "options": "q"}}, 51108),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code
