"""The options of an index: which are kept, which are refused, and with which code."""

from __future__ import annotations

from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.errors import OperationFailure

from cbdd.catalog import parse_index
from cbdd.catalog.index_options import (
    MAX_EXPIRE_AFTER_SECONDS,
    check_collation,
    expire_after,
    parse_options,
    same_options,
    same_signature,
)

ON_A = [("a", 1)]
ON_ID = [("_id", 1)]


def refused(document: dict[str, Any], fields: list[tuple[str, int]]) -> OperationFailure:
    with pytest.raises(OperationFailure) as raised:
        parse_options(document, fields)
    return raised.value


def test_index_without_options_has_none() -> None:
    assert parse_options({"key": {"a": 1}, "name": "a_1"}, ON_A) == (False, {})


def test_options_that_change_nothing_are_accepted_and_forgotten() -> None:
    given = {"v": 2, "ns": "shop.orders", "background": True, "comment": "why", "name": "x"}
    assert parse_options(given, ON_A) == (False, {})


def test_options_are_kept_in_the_order_list_indexes_shows_them() -> None:
    given = {"hidden": True, "partialFilterExpression": {"b": 1}, "expireAfterSeconds": 5}
    _, options = parse_options(given, ON_A)
    assert list(options.items()) == [
        ("expireAfterSeconds", 5),
        ("partialFilterExpression", {"b": 1}),
        ("hidden", True),
    ]


@pytest.mark.parametrize("value", [True, 1, 1.5, Int64(3), -1])
@pytest.mark.parametrize("flag", ["sparse", "hidden", "unique"])
def test_a_flag_may_be_any_number_that_is_not_zero(flag: str, value: object) -> None:
    is_unique, options = parse_options({flag: value}, ON_A)
    assert is_unique == (flag == "unique")
    assert options == ({} if flag == "unique" else {flag: True})


@pytest.mark.parametrize("value", [False, 0, 0.0])
@pytest.mark.parametrize("flag", ["sparse", "hidden", "unique"])
def test_a_flag_that_is_off_leaves_no_trace(flag: str, value: object) -> None:
    assert parse_options({flag: value}, ON_A) == (False, {})


@pytest.mark.parametrize("value", ["true", None, [], {}])
@pytest.mark.parametrize("flag", ["sparse", "hidden", "unique"])
def test_a_flag_that_is_no_boolean_is_refused(flag: str, value: object) -> None:
    assert refused({flag: value}, ON_A).code == 14


@pytest.mark.parametrize("seconds", [0, 1, 0.5, Int64(3600), MAX_EXPIRE_AFTER_SECONDS])
def test_seconds_of_a_ttl_index_are_kept_as_given(seconds: float) -> None:
    assert expire_after(seconds) == seconds
    assert parse_options({"expireAfterSeconds": seconds}, ON_A) == (
        False,
        {"expireAfterSeconds": seconds},
    )


@pytest.mark.parametrize(
    "seconds",
    [-1, -0.5, MAX_EXPIRE_AFTER_SECONDS + 1, float("inf"), float("nan"), "60", None, True, [60]],
)
def test_seconds_of_a_ttl_index_outside_the_range_are_refused(seconds: object) -> None:
    assert refused({"expireAfterSeconds": seconds}, ON_A).code == 67


@pytest.mark.parametrize("fields", [[("a", 1), ("b", 1)], [("a", -1), ("_id", 1)]])
def test_ttl_index_has_a_single_field(fields: list[tuple[str, int]]) -> None:
    error = refused({"expireAfterSeconds": 60}, fields)
    assert error.code == 67
    assert "single-field" in str(error)


@pytest.mark.parametrize("option", ["sparse", "unique", "expireAfterSeconds", "wildcardProjection"])
def test_the_id_index_takes_none_of_these_options(option: str) -> None:
    values: dict[str, object] = {"expireAfterSeconds": 1, "wildcardProjection": {"a": 1}}
    error = refused({option: values.get(option, True)}, ON_ID)
    assert error.code == 197
    assert option in str(error)


def test_the_id_index_cannot_be_hidden() -> None:
    assert refused({"hidden": True}, ON_ID).code == 2
    assert parse_options({"hidden": False}, ON_ID) == (False, {})


def test_the_id_index_cannot_be_partial() -> None:
    with pytest.raises(OperationFailure, match="_id index"):
        parse_options({"partialFilterExpression": {"a": 1}}, ON_ID)


def test_compound_index_that_begins_with_id_takes_options() -> None:
    fields = [("_id", 1), ("a", 1)]
    assert parse_options({"unique": True, "hidden": True}, fields) == (True, {"hidden": True})


def test_sparse_and_partial_do_not_go_together() -> None:
    error = refused({"sparse": True, "partialFilterExpression": {"a": 1}}, ON_A)
    assert error.code == 67
    assert "cannot mix" in str(error)
    _, options = parse_options({"sparse": False, "partialFilterExpression": {"a": 1}}, ON_A)
    assert options == {"partialFilterExpression": {"a": 1}}


@pytest.mark.parametrize("value", [5, "a", None, [], True])
@pytest.mark.parametrize("option", ["partialFilterExpression", "wildcardProjection"])
def test_option_that_must_be_an_object_is_refused_otherwise(option: str, value: object) -> None:
    assert refused({option: value}, ON_A).code == 14


def test_hashed_index_cannot_be_unique() -> None:
    error = refused({"unique": True}, [("a", 0)])
    assert error.code == 16764
    assert parse_options({"unique": False}, [("a", 0)]) == (False, {})
    assert refused({"unique": True}, [("b", 1), ("a", 0)]).code == 16764


@pytest.mark.parametrize("option", ["unique", "sparse", "expireAfterSeconds"])
@pytest.mark.parametrize("path", ["$**", "a.$**"])
def test_wildcard_index_refuses_what_needs_a_known_field(path: str, option: str) -> None:
    assert refused({option: 1}, [(path, 1)]).code == 67


def test_wildcard_index_may_be_partial_and_hidden() -> None:
    given = {"partialFilterExpression": {"a": 1}, "hidden": True}
    assert parse_options(given, [("$**", 1)]) == (False, given)


@pytest.mark.parametrize(
    ("path", "projection", "code"),
    [
        ("a", {"b": 1}, 2),
        ("a.$**", {"b": 1}, 9),
        ("$**", {}, 9),
        ("$**", {"a": 1, "b": 0}, 9),
        ("$**", {"a": "yes"}, 9),
    ],
)
def test_wildcard_projection_that_makes_no_sense_is_refused(
    path: str, projection: dict[str, object], code: int
) -> None:
    assert refused({"wildcardProjection": projection}, [(path, 1)]).code == code


@pytest.mark.parametrize(
    "projection", [{"a": 1}, {"a": 0, "b.c": False}, {"_id": 1, "a": 0}, {"_id": 0, "a": True}]
)
def test_wildcard_projection_may_treat_id_apart(projection: dict[str, object]) -> None:
    assert parse_options({"wildcardProjection": projection}, [("$**", 1)]) == (
        False,
        {"wildcardProjection": projection},
    )


@pytest.mark.parametrize("option", ["Unique", "expireafterseconds", "nonsense", ""])
def test_unknown_option_is_refused(option: str) -> None:
    error = refused({option: 1}, ON_A)
    assert error.code == 197
    assert f"'{option}'" in str(error)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("weights", {"a": 2}),
        ("default_language", "english"),
        ("clustered", True),
        ("prepareUnique", True),
        ("2dsphereIndexVersion", 3),
        ("storageEngine", {}),
    ],
)
def test_option_of_other_kinds_of_indexes_is_refused_by_name(option: str, value: object) -> None:
    error = refused({option: value}, ON_A)
    assert error.code == 238
    assert option in str(error)


@pytest.mark.parametrize("value", [None, False])
def test_unsupported_option_that_asks_for_nothing_is_accepted(value: object) -> None:
    assert parse_options({"prepareUnique": value}, ON_A) == (False, {})


@pytest.mark.parametrize(
    ("collation", "code"),
    [
        ({"locale": "en"}, 238),
        ({"locale": "simple", "strength": 1}, 2),
        ({}, 9),
        ({"strength": 2}, 9),
        ({"locale": 5}, 9),
        ("en", 14),
        (5, 14),
    ],
)
def test_collation_other_than_the_simple_one_is_refused(collation: object, code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        check_collation(collation, "an index")
    assert raised.value.code == code


def test_simple_collation_is_no_option() -> None:
    check_collation(None, "an index")
    assert parse_options({"collation": {"locale": "simple"}}, ON_A) == (False, {})
    assert parse_options({"collation": None}, ON_A) == (False, {})


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ({}, {}, True),
        ({}, {"hidden": True}, True),
        ({"expireAfterSeconds": 5}, {"expireAfterSeconds": 5.0}, True),
        ({"expireAfterSeconds": 5}, {"expireAfterSeconds": 6}, False),
        ({"expireAfterSeconds": 0}, {}, False),
        ({"sparse": True}, {}, True),
    ],
)
def test_same_options(left: dict[str, object], right: dict[str, object], same: bool) -> None:
    assert same_options(left, right) is same
    assert same_options(right, left) is same


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ({}, {"hidden": True, "expireAfterSeconds": 5}, True),
        ({"sparse": True}, {}, False),
        ({"wildcardProjection": {"a": 1}}, {"wildcardProjection": {"b": 1}}, False),
    ],
)
def test_sparse_and_wildcard_projection_tell_indexes_on_one_key_apart(
    left: dict[str, object], right: dict[str, object], same: bool
) -> None:
    assert same_signature(left, right) is same
    assert same_signature(right, left) is same


@pytest.mark.parametrize(
    ("name", "code"), [("*", 2), ("_id_", 2), ("a\0b", 67), (5, 14), (["a"], 14)]
)
def test_name_that_no_index_may_have_is_refused(name: object, code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        parse_index({"key": {"a": 1}, "name": name})
    assert raised.value.code == code


def test_empty_name_is_refused() -> None:
    with pytest.raises(OperationFailure) as raised:
        parse_index({"key": {"a": 1}, "name": ""})
    assert raised.value.code == 67
