"""Arithmetic of BSON numbers."""

from __future__ import annotations

from bson import Decimal128, Int64

from cbdd.expression.number import add, bitwise, multiply
from cbdd.expression.value import value_of


def test_int64_that_does_not_fit_is_none() -> None:
    assert add(value_of(Int64(2**63 - 1)), value_of(1)) is None
    assert multiply(value_of(Int64(2**62)), value_of(2)) is None
    assert add(value_of(Int64(-(2**63))), value_of(Int64(-1))) is None


def test_int32_grows_to_int64() -> None:
    result = multiply(value_of(2**20), value_of(2**20))
    assert result is not None
    assert (result.type_name(), result.number()) == ("long", 2**40)


def test_double_overflows_to_infinity() -> None:
    result = multiply(value_of(1e300), value_of(1e300))
    assert result is not None and result.number() == float("inf")


def test_decimal_keeps_34_digits() -> None:
    result = add(value_of(Decimal128("1")), value_of(Decimal128("1E-40")))
    assert result is not None
    assert result.python() == Decimal128("1." + "0" * 33)


def test_bits_of_mixed_widths_are_int64() -> None:
    assert bitwise("or", value_of(1), value_of(Int64(2))).type_name() == "long"
    assert bitwise("and", value_of(-1), value_of(6)).number() == 6
