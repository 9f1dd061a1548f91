"""The options of a collection: what is kept, what is refused, and with which code."""

from __future__ import annotations

from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.errors import OperationFailure

from cbdd.catalog.collection_options import (
    MAX_CAPPED_BYTES,
    MAX_CAPPED_DOCUMENTS,
    capped_bytes,
    capped_documents,
    create_options,
    validation_options,
)


def refused(given: dict[str, Any]) -> OperationFailure:
    with pytest.raises(OperationFailure) as raised:
        create_options(given)
    return raised.value


def test_plain_collection_has_no_options() -> None:
    assert create_options({}) == {}
    assert create_options({"capped": False}) == {}
    assert create_options({"capped": None, "size": None, "max": None, "validator": None}) == {}


def test_options_without_effect_are_forgotten() -> None:
    given = {"comment": "why", "writeConcern": {"w": 1}, "autoIndexId": True, "flags": 1}
    assert create_options(given) == {}
    assert create_options({"collation": {"locale": "simple"}}) == {}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1, 4096),
        (4095, 4096),
        (4096, 4096),
        (4097, 4352),
        (5000, 5120),
        (5120, 5120),
        (5120.9, 5120),
        (Int64(1 << 40), 1 << 40),
        (MAX_CAPPED_BYTES, MAX_CAPPED_BYTES),
    ],
)
def test_capped_size_is_at_least_4096_and_a_multiple_of_256(given: float, kept: int) -> None:
    assert capped_bytes(given) == kept
    assert create_options({"capped": True, "size": given}) == {"capped": True, "size": kept}


@pytest.mark.parametrize("size", [0, -1, MAX_CAPPED_BYTES + 1, 0.5])
def test_capped_size_outside_the_range_is_refused(size: float) -> None:
    with pytest.raises(OperationFailure, match="size"):
        capped_bytes(size)


@pytest.mark.parametrize("size", [0, -1, MAX_CAPPED_BYTES + 1])
def test_capped_size_outside_the_range_has_the_code_of_a_bound(size: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        capped_bytes(size)
    assert raised.value.code == 51024


@pytest.mark.parametrize("value", ["5000", True, [5000], {}, float("nan")])
def test_capped_limits_must_be_numbers(value: object) -> None:
    for check, name in ((capped_bytes, "size"), (capped_documents, "max")):
        with pytest.raises(OperationFailure, match=name) as raised:
            check(value)
        assert raised.value.code == 14


def test_infinite_capped_limits_are_refused() -> None:
    for check in (capped_bytes, capped_documents):
        with pytest.raises(OperationFailure):
            check(float("inf"))


@pytest.mark.parametrize(("given", "kept"), [(1, 1), (2.9, 2), (MAX_CAPPED_DOCUMENTS,) * 2])
def test_capped_documents_are_kept(given: float, kept: int) -> None:
    assert capped_documents(given) == kept
    options = create_options({"capped": True, "size": 4096, "max": given})
    assert options == {"capped": True, "size": 4096, "max": kept}


@pytest.mark.parametrize("most", [0, -1, -5.5])
def test_zero_documents_or_less_is_no_limit(most: float) -> None:
    assert capped_documents(most) == 0
    assert "max" not in create_options({"capped": True, "size": 4096, "max": most})


def test_too_many_capped_documents_are_refused() -> None:
    error = refused({"capped": True, "size": 4096, "max": 1 << 31})
    assert error.code == 2
    assert "2^31" in str(error)


@pytest.mark.parametrize(
    "given",
    [
        {"capped": True},
        {"capped": True, "max": 5},
        {"size": 5000},
        {"max": 5},
        {"capped": False, "size": 5000},
    ],
)
def test_capped_and_its_limits_go_together(given: dict[str, Any]) -> None:
    assert refused(given).code == 72


@pytest.mark.parametrize("capped", [1, 1.0, Int64(1)])
def test_capped_may_be_a_number(capped: object) -> None:
    assert create_options({"capped": capped, "size": 4096})["capped"] is True


@pytest.mark.parametrize("capped", ["no", "false", [1], {"a": 1}])
def test_capped_that_is_no_boolean_is_refused(capped: object) -> None:
    assert refused({"capped": capped, "size": 4096}).code == 14


def test_validator_brings_its_defaults() -> None:
    assert validation_options({"validator": {"a": 1}}) == {
        "validator": {"a": 1},
        "validationLevel": "strict",
        "validationAction": "error",
    }


def test_validation_options_are_kept_as_given() -> None:
    given = {
        "validator": {"a": 1},
        "validationLevel": "moderate",
        "validationAction": "warn",
    }
    assert create_options(given) == given


def test_level_without_a_validator_is_kept_alone() -> None:
    assert validation_options({"validationLevel": "off"}) == {"validationLevel": "off"}
    assert validation_options({"validationAction": "errorAndLog"}) == {
        "validationAction": "errorAndLog"
    }


def test_empty_validator_is_none() -> None:
    assert "validator" not in create_options({"validator": {}})


@pytest.mark.parametrize("validator", [5, "a", [], [{"a": 1}], True])
def test_validator_must_be_an_object(validator: object) -> None:
    assert refused({"validator": validator}).code == 14


@pytest.mark.parametrize("field", ["validationLevel", "validationAction"])
@pytest.mark.parametrize("value", ["nonsense", "Strict", "ERROR", ""])
def test_value_that_is_not_one_of_the_list_is_refused(field: str, value: str) -> None:
    error = refused({"validator": {"a": 1}, field: value})
    assert error.code == 2
    assert field in str(error)


@pytest.mark.parametrize("field", ["validationLevel", "validationAction"])
@pytest.mark.parametrize("value", [5, [], {"a": 1}, True])
def test_level_that_is_no_string_is_refused(field: str, value: object) -> None:
    with pytest.raises(OperationFailure, match=field):
        create_options({"validator": {"a": 1}, field: value})


@pytest.mark.parametrize("field", ["validationLevel", "validationAction"])
def test_level_that_is_no_string_is_a_mismatch_of_types(field: str) -> None:
    assert refused({"validator": {"a": 1}, field: 5}).code == 14


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeseries", {"timeField": "t"}),
        ("viewOn", "orders"),
        ("pipeline", [{"$match": {}}]),
        ("clusteredIndex", {"key": {"_id": 1}, "unique": True}),
        ("expireAfterSeconds", 60),
        ("changeStreamPreAndPostImages", {"enabled": True}),
        ("encryptedFields", {}),
        ("storageEngine", {"wiredTiger": {}}),
        ("indexOptionDefaults", {}),
        ("idIndex", {}),
        ("temp", True),
    ],
)
def test_option_this_release_has_not_is_refused_by_name(option: str, value: object) -> None:
    error = refused({option: value})
    assert error.code == 238
    assert repr(option) in str(error)


def test_unknown_option_is_refused_by_name() -> None:
    error = refused({"nonsense": 1})
    assert error.code == 40415
    assert "create.nonsense" in str(error)
    assert refused({"Capped": True, "Size": 5}).code == 40415


@pytest.mark.parametrize(("collation", "code"), [({"locale": "sv"}, 238), ({}, 9), ("sv", 14)])
def test_collation_other_than_the_simple_one_is_refused(collation: object, code: int) -> None:
    assert refused({"collation": collation}).code == code
