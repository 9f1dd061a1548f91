"""Modifiers of one value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, Timestamp

from tests.unit.query.asking import update_refusal, updated


def after(value: Any, update: dict[str, Any]) -> Any:
    """Return field a, which was `value` before, with its exact numeric type."""
    return updated({"a": value}, update)["a"]


def test_set_makes_the_path() -> None:
    assert updated({}, {"$set": {"a.b.0": 1}}) == {"a": {"b": {"0": 1}}}
    assert updated({"a": {"x": 1}}, {"$set": {"a.b": 1}}) == {"a": {"x": 1, "b": 1}}
    assert updated({"a": [1]}, {"$set": {"a.3": 4}}) == {"a": [1, None, None, 4]}
    assert updated({}, {"$set": {"a.b": 1, "a.c.d": 2}}) == {"a": {"b": 1, "c": {"d": 2}}}


@pytest.mark.parametrize("document", [{"a": 5}, {"a": [1]}, {"a": None}])
def test_path_through_a_value_cannot_be_made(document: dict[str, Any]) -> None:
    assert update_refusal(document, {"$set": {"a.b": 1}}) == 28


def test_gap_before_a_position_is_limited() -> None:
    assert update_refusal({"a": []}, {"$set": {"a.2000000": 1}}) == 2


def test_unset_removes_fields_and_empties_positions() -> None:
    assert updated({"a": 1, "b": {"c": 1}}, {"$unset": {"a": "", "b.c": 1}}) == {"b": {}}
    assert updated({"a": [1, 2]}, {"$unset": {"a.0": 1}}) == {"a": [None, 2]}
    assert updated({"a": 5}, {"$unset": {"a.b.c": 1}}) == {"a": 5}


@pytest.mark.parametrize(
    ("value", "operand", "expected"),
    [
        (1, 2, 3),
        (2**31 - 1, 1, Int64(2**31)),
        (1, Int64(2), Int64(3)),
        (Int64(1), -2, Int64(-1)),
        (1, 2.5, 3.5),
        (1, Decimal128("0.10"), Decimal128("1.10")),
        (0.1, Decimal128("1"), Decimal128("1.100000000000000")),
        (2.0, Decimal128("1"), Decimal128("3.00000000000000")),
        (float("inf"), Decimal128("1"), Decimal128("Infinity")),
        (-0.0, Decimal128("1"), Decimal128("1")),
        (Decimal128("9E+6144"), Decimal128("9E+6144"), Decimal128("Infinity")),
    ],
)
def test_inc_gives_mongodbs_numeric_type(value: Any, operand: Any, expected: Any) -> None:
    result = after(value, {"$inc": {"a": operand}})
    assert (type(result), result) == (type(expected), expected)


def test_inc_of_int64_past_its_end_is_refused() -> None:
    assert update_refusal({"a": Int64(2**63 - 1)}, {"$inc": {"a": 1}}) == 2


def test_inc_makes_a_missing_field() -> None:
    assert updated({}, {"$inc": {"a.b": 5}}) == {"a": {"b": 5}}


def test_mul_of_a_missing_field_is_zero_of_the_operands_type() -> None:
    assert after(3, {"$mul": {"a": 2.5}}) == 7.5
    made = updated({}, {"$mul": {"a": Int64(5), "b": 2.5, "c": Decimal128("2.5")}})
    assert repr(made["a"]) == repr(Int64(0))
    assert made["b"] == 0.0 and isinstance(made["b"], float)
    assert made["c"] == Decimal128("0.0")


@pytest.mark.parametrize("value", ["5", None, [1], True])
def test_arithmetic_wants_numbers(value: Any) -> None:
    assert update_refusal({"a": value}, {"$inc": {"a": 1}}) == 14
    assert update_refusal({}, {"$mul": {"a": value}}) == 14


def test_min_and_max_compare_across_types() -> None:
    assert after(5, {"$min": {"a": 3}}) == 3
    assert after(5, {"$min": {"a": "x"}}) == 5
    assert after(5, {"$max": {"a": "x"}}) == "x"
    assert after(5, {"$max": {"a": 5.0}}) == 5
    assert updated({}, {"$max": {"a": 1}}) == {"a": 1}


def test_bit_operations_in_their_order() -> None:
    assert after(12, {"$bit": {"a": {"and": 10, "or": 1}}}) == 9
    assert after(5, {"$bit": {"a": {"xor": Int64(6)}}}) == Int64(3)
    assert updated({}, {"$bit": {"a": {"or": 4}}}) == {"a": 4}
    assert update_refusal({"a": 1.0}, {"$bit": {"a": {"or": 4}}}) == 2
    for operand in (5, {}, {"nand": 1}, {"or": 1.5}):
        assert update_refusal({}, {"$bit": {"a": operand}}) == 2


def test_current_date_as_date_and_timestamp() -> None:
    update = {"$currentDate": {"a": True, "b": {"$type": "date"}, "c": {"$type": "timestamp"}}}
    result = updated({"a": 1}, update)
    moment = datetime.fromtimestamp(1_600_000_000, UTC)
    assert result == {"a": moment, "b": moment, "c": Timestamp(1_600_000_000, 1)}
    for operand in ("now", {"$type": "time"}, {"type": "date"}):
        assert update_refusal({}, {"$currentDate": {"a": operand}}) == 2


def test_set_on_insert_does_nothing_to_a_found_document() -> None:
    assert updated({"a": 1}, {"$setOnInsert": {"a": 2, "b": 3}}) == {"a": 1}


def test_rename_moves_a_value() -> None:
    assert updated({"a": 1, "b": 2}, {"$rename": {"a": "c"}}) == {"b": 2, "c": 1}
    assert list(updated({"a": 1, "b": 2, "c": 3}, {"$rename": {"a": "c"}}).items()) == [
        ("b", 2),
        ("c", 1),
    ]
    assert updated({"a": {"b": 1}}, {"$rename": {"a.b": "c.d"}}) == {"a": {}, "c": {"d": 1}}
    assert updated({"b": 2}, {"$rename": {"a": "c"}}) == {"b": 2}


def test_rename_refuses_arrays_and_itself() -> None:
    assert update_refusal({"a": [{"b": 1}]}, {"$rename": {"a.0.b": "c"}}) == 2
    assert update_refusal({"a": 1, "b": [1]}, {"$rename": {"a": "b.0"}}) == 2
    for target in ("a", "a.b", 5, "b.$", "b.$[]"):
        assert update_refusal({"a": 1}, {"$rename": {"a": target}}) == 2


def test_untouched_values_keep_their_exact_bytes() -> None:
    document = {"a": 1, "n": Int64(1), "d": Decimal128("1.00"), "z": {"i": Int64(2), "m": -0.0}}
    result = updated(document, {"$set": {"a": 2, "z.k": 1}})
    expected = {**document, "a": 2, "z": {"i": Int64(2), "m": -0.0, "k": 1}}
    assert bson.encode(result) == bson.encode(expected)
