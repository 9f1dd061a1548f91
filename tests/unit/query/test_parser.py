"""The structure of filters, and what is refused."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import DBRef, ObjectId, Regex
from pymongo.errors import DocumentTooLarge

from cbdd.query import parse_filter
from tests.unit.query.asking import matches, refusal_of


def test_no_filter_matches_everything() -> None:
    assert parse_filter(None).matches(bson.encode({}))
    assert matches({}, {"a": 1})


def test_filter_may_be_given_as_bson() -> None:
    assert parse_filter(bson.encode({"a": 1})).matches(bson.encode({"a": 1}))


def test_conditions_on_several_fields_must_all_hold() -> None:
    assert matches({"a": 1, "b": 2}, {"a": 1, "b": 2})
    assert not matches({"a": 1, "b": 2}, {"a": 1, "b": 3})


def test_and_or_nor_combine_filters() -> None:
    document = {"a": 1, "b": 2}
    assert matches({"$and": [{"a": 1}, {"b": 2}]}, document)
    assert matches({"$or": [{"a": 9}, {"b": 2}]}, document)
    assert not matches({"$nor": [{"a": 9}, {"b": 2}]}, document)
    assert matches({"$nor": [{"a": 9}, {"b": 9}], "a": 1}, document)


def test_not_negates_operators_and_patterns() -> None:
    assert matches({"a": {"$not": {"$gt": 5}}}, {"a": 1})
    assert matches({"a": {"$not": {"$gt": 5}}}, {})
    assert not matches({"a": {"$not": Regex("^x")}}, {"a": "xy"})
    assert matches({"a": {"$not": {"$gt": 1, "$lt": 5}}}, {"a": 7})


def test_document_is_a_value_unless_its_first_name_is_an_operator() -> None:
    assert matches({"a": {"b": 1, "$gt": 2}}, {"a": {"b": 1, "$gt": 2}})
    assert matches({"a": {}}, {"a": {}})
    reference = DBRef("users", ObjectId("0" * 24))
    assert matches({"a": reference}, {"a": reference})


def test_comment_is_ignored() -> None:
    assert matches({"$comment": "nightly report", "a": 1}, {"a": 1})


def test_all_wants_every_value() -> None:
    assert matches({"a": {"$all": [1, 2]}}, {"a": [2, 1, 3]})
    assert not matches({"a": {"$all": [1, 2]}}, {"a": [1]})
    assert matches({"a": {"$all": [1]}}, {"a": 1})
    assert not matches({"a": {"$all": []}}, {"a": []})
    assert matches({"a": {"$all": [[1, 2]]}}, {"a": [1, 2]})
    conditions = [{"$elemMatch": {"x": 1}}, {"$elemMatch": {"y": 2}}]
    assert matches({"a": {"$all": conditions}}, {"a": [{"x": 1}, {"y": 2}]})


@pytest.mark.parametrize(
    ("filter", "code", "named"),
    [
        ({"a": {"$bogus": 1}}, 2, "unknown operator: $bogus"),
        ({"$bogus": 1}, 2, "unknown top level operator: $bogus"),
        ({"$not": {"a": 1}}, 2, "$not"),
        ({"a": {"$gt": 1, "b": 2}}, 2, "unknown operator: b"),
        ({"$and": []}, 2, "$and"),
        ({"$or": {}}, 2, "$or"),
        ({"$nor": [1]}, 2, "$nor"),
        ({"a": {"$not": 5}}, 2, "$not"),
        ({"a": {"$not": {}}}, 2, "$not"),
        ({"a": {"$ne": Regex("x")}}, 2, "$ne"),
        ({"a": {"$gt": Regex("x")}}, 2, "field 'a'"),
        ({"a": {"$in": 5}}, 2, "$in"),
        ({"a": {"$nin": {"x": 1}}}, 2, "$nin"),
        ({"a": {"$in": [{"$gt": 5}]}}, 2, "$in"),
        ({"a": {"$all": 5}}, 2, "$all"),
        ({"a": {"$all": [{"$gt": 5}]}}, 2, "$all"),
        ({"a": {"$all": [{"$elemMatch": {}}, 5]}}, 2, "$all"),
        ({"a": {"$elemMatch": 5}}, 2, "$elemMatch"),
        ({"a": {"$size": -1}}, 2, "$size"),
        ({"a": {"$size": 1.5}}, 2, "$size"),
        ({"a": {"$size": "1"}}, 2, "$size"),
        ({"a": {"$type": "strin"}}, 2, "strin"),
        ({"a": {"$type": 0}}, 2, "$exists"),
        ({"a": {"$type": 25}}, 2, "25"),
        ({"a": {"$type": []}}, 9, "$type"),
        ({"a": {"$mod": [0, 1]}}, 2, "divisor"),
        ({"a": {"$mod": [1]}}, 2, "mod"),
        ({"a": {"$mod": [1, 2, 3]}}, 2, "mod"),
        ({"a": {"$mod": ["x", 2]}}, 2, "mod"),
        ({"a": {"$mod": [float("inf"), 2]}}, 2, "mod"),
        ({"a": {"$regex": 5}}, 2, "$regex"),
        ({"a": {"$options": "i"}}, 2, "$options"),
        ({"a": {"$regex": Regex("x", "i"), "$options": "m"}}, 51075, "options"),
        ({"a": {"$regex": "("}}, 51091, "invalid"),
        ({"a": {"$regex": "x", "$options": "q"}}, 51108, "q"),
        ({"a": {"$bitsAllSet": -1}}, 9, "$bitsAllSet"),
        ({"a": {"$bitsAnySet": "x"}}, 2, "$bitsAnySet"),
        ({"a": {"$bitsAnySet": [-1]}}, 2, "$bitsAnySet"),
    ],
)
def test_wrong_filter_is_refused_with_the_code_and_name(
    filter: dict[str, Any], code: int, named: str
) -> None:
    refused = refusal_of(filter)
    assert refused[0] == code
    assert named in refused[1]


@pytest.mark.parametrize(
    ("filter", "operator"),
    [
        ({"$where": "true"}, "$where"),
        ({"$text": {"$search": "x"}}, "$text"),
        ({"a": {"$near": [1, 2]}}, "$near"),
        ({"a": {"$elemMatch": {"$geoWithin": {}}}}, "$geoWithin"),
        ({"$or": [{"a": 1}, {"$where": "true"}]}, "$where"),
    ],
)
def test_operator_of_a_later_release_is_refused_by_name(
    filter: dict[str, Any], operator: str
) -> None:
    code, message = refusal_of(filter)
    assert code == 2
    assert f"{operator} is not supported" in message


def nested(depth: int) -> dict[str, Any]:
    filter: dict[str, Any] = {"a": 1}
    for _ in range(depth):
        filter = {"$and": [filter]}
    return filter


def test_filter_may_be_a_hundred_deep_but_not_deeper() -> None:
    assert matches(nested(100), {"a": 1})
    assert refusal_of(nested(101))[0] == 2
    condition: dict[str, Any] = {"$gt": 1}
    for _ in range(150):
        condition = {"$not": condition}
    assert refusal_of({"a": condition})[0] == 2


def test_operand_deeper_than_any_document_is_refused() -> None:
    value: object = 1
    for _ in range(250):
        value = [value]
    assert refusal_of({"a": value})[0] == 15
    assert refusal_of({"a": {"$in": [value]}})[0] == 15


def test_filter_that_no_driver_could_send_is_refused() -> None:
    with pytest.raises(DocumentTooLarge, match="filter too large"):
        parse_filter({"a": {"$in": ["x" * 1000] * 17_000}})
