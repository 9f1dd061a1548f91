"""Decimal128 equals the number it stands for, and lies between its neighbours when it is none."""

from __future__ import annotations

import pytest
from bson import Decimal128, Int64

from cbdd.index.key_string import encode_python, encode_value


def key(text: str) -> bytes:
    return encode_python(Decimal128(text))


def raw_key(high: int, low: int = 0) -> bytes:
    data = low.to_bytes(8, "little") + high.to_bytes(8, "little")
    return encode_value(data, 0x13, 0, 16)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("1.00", 1),
        ("1E+2", 100),
        ("-5", -5),
        ("0", 0),
        ("-0.000", 0),
        ("0E+6111", 0),
        ("0.5", 0.5),
        ("-19.25", -19.25),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", 2.0**63),
        ("Infinity", float("inf")),
        ("-Infinity", float("-inf")),
        ("NaN", float("nan")),
        ("-sNaN", float("nan")),
    ],
)
def test_decimal_equals_the_integer_or_double_of_its_value(text: str, number: float) -> None:
    other = Int64(number) if isinstance(number, int) else number
    assert key(text) == encode_python(other)


def test_inexact_decimal_lies_between_its_double_and_the_next() -> None:
    # The double 0.1 is a little above the decimal 0.1.
    assert encode_python(0.09999999999999999) < key("0.1") < encode_python(0.1)
    assert encode_python(-0.1) < key("-0.1") < encode_python(-0.09999999999999999)


def test_extreme_decimals_order_beyond_the_doubles() -> None:
    ordered = [
        key("-9.999999999999999999999999999999999E+6144"),
        key("-1E+309"),
        encode_python(-1.7976931348623157e308),
        key("-1E-6176"),
        key("0"),
        key("1E-6176"),
        key("9E-331"),
        key("1E-324"),
        encode_python(5e-324),
        key("5E-324"),
        encode_python(1.7976931348623157e308),
        key("1.797693134862315708145274237317044E+308"),
        key("1E+309"),
        key("9.999999999999999999999999999999999E+6144"),
    ]
    assert ordered == sorted(ordered)
    assert len(set(ordered)) == len(ordered)


def test_fraction_of_an_integer_beyond_the_doubles_is_kept() -> None:
    ordered = [
        encode_python(Int64(2**62 + 1)),
        key(f"{2**62 + 1}.1"),
        key(f"{2**62 + 1}.11"),
        encode_python(Int64(2**62 + 2)),
    ]
    assert ordered == sorted(ordered)
    assert len(set(ordered)) == len(ordered)


def test_decimals_of_one_double_order_by_their_digits() -> None:
    texts = ["0.1", "0.100000000000000000000001", "0.10000000000000000000000101"]
    texts += ["19.99", "19.990000000000000000000002", "19.9900000000000000000000021"]
    positive = [key(text) for text in texts]
    negative = [key("-" + text) for text in reversed(texts)]
    assert negative + positive == sorted(negative + positive)
    assert len(set(negative + positive)) == 2 * len(texts)


def test_large_decimals_order_among_the_large_doubles() -> None:
    ordered = [
        key("9223372036854775808"),
        key("9223372036854775808.1"),
        encode_python(2.0**63 + 2048),
        encode_python(1e300),
        key("1E+301"),
        encode_python(2e301),
        key("3E+307"),
        encode_python(1e308),
        key("1.7E+308"),
        encode_python(1.75e308),
        key("1.8E+308"),
    ]
    assert ordered == sorted(ordered)
    assert len(set(ordered)) == len(ordered)


def test_codings_with_too_large_a_coefficient_are_zero() -> None:
    too_large = (10**34).to_bytes(16, "little")
    high = int.from_bytes(too_large[8:], "little") | 6176 << 49
    assert raw_key(high, int.from_bytes(too_large[:8], "little")) == encode_python(0)
    assert raw_key(0x6C10_0000_0000_0000) == encode_python(0)


def test_price_is_short() -> None:
    assert len(key("19.99")) == 14
    assert len(key("20.00")) == 2
