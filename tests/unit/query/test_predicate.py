"""$exists, $type, $mod and the bit operators."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey

from tests.unit.query.asking import matches


def test_null_exists() -> None:
    assert matches({"a": {"$exists": True}}, {"a": None})
    assert matches({"a": {"$exists": 1}}, {"a": []})
    assert not matches({"a": {"$exists": True}}, {})
    assert matches({"a.b": {"$exists": False}}, {"a": 1})
    assert not matches({"a": {"$exists": False}}, {"a": 0})


def test_exists_takes_anything_but_zero_null_and_false_for_true() -> None:
    flags: list[Any] = [1, "", {}, 2.5, Decimal128("1")]
    for flag in flags:
        assert matches({"a": {"$exists": flag}}, {"a": 1})
    flags = [0, 0.0, None, Decimal128("0"), Int64(0)]
    for flag in flags:
        assert matches({"a": {"$exists": flag}}, {})


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("int", 1),
        (16, 1),
        ("long", Int64(1)),
        ("double", 1.0),
        ("decimal", Decimal128("1")),
        ("number", 1.5),
        ("string", "x"),
        ("array", [1]),
        ("int", [1]),
        ("object", {}),
        ("null", None),
        ("bool", False),
        ("minKey", MinKey()),
        (-1, MinKey()),
        (127, MaxKey()),
        (["string", 16], 1),
    ],
)
def test_type_by_name_and_number(wanted: Any, value: Any) -> None:
    assert matches({"a": {"$type": wanted}}, {"a": value})


def test_missing_has_no_type() -> None:
    assert not matches({"a": {"$type": "null"}}, {})


def test_modulo_cuts_toward_zero() -> None:
    assert matches({"a": {"$mod": [4, 1]}}, {"a": 5})
    assert matches({"a": {"$mod": [4, -1]}}, {"a": -5})
    assert matches({"a": {"$mod": [-4, 1]}}, {"a": 5})
    assert matches({"a": {"$mod": [4, 1]}}, {"a": 5.9})
    assert matches({"a": {"$mod": [4.7, 1.9]}}, {"a": Decimal128("5.5")})
    assert matches({"a": {"$mod": [2, 1]}}, {"a": Int64(2**62 + 1)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "5", Decimal128("1E+99")])
def test_what_is_no_int64_has_no_remainder(value: Any) -> None:
    assert not matches({"a": {"$mod": [1, 0]}}, {"a": value})


def test_bits_of_numbers_and_binary_values() -> None:
    assert matches({"a": {"$bitsAllSet": 5}}, {"a": 7})
    assert not matches({"a": {"$bitsAllSet": 5}}, {"a": 4})
    assert matches({"a": {"$bitsAnySet": [0, 5]}}, {"a": 1.0})
    assert matches({"a": {"$bitsAllClear": [1, 3]}}, {"a": Decimal128("5")})
    assert matches({"a": {"$bitsAnyClear": 3}}, {"a": 1})
    assert matches({"a": {"$bitsAllSet": [100]}}, {"a": -1})
    assert matches({"a": {"$bitsAllSet": [9]}}, {"a": b"\x00\x02"})
    assert matches({"a": {"$bitsAllSet": b"\x05"}}, {"a": 13})
    assert not matches({"a": {"$bitsAllClear": 1}}, {"a": 1.5})
    assert not matches({"a": {"$bitsAllClear": 1}}, {"a": "x"})
