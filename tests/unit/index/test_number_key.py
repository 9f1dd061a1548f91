"""Integers and doubles in as few bytes as their value needs."""

from __future__ import annotations

import math

import pytest
from bson import Int64

from cbdd.index.key_string import encode_python


def hexed(value: float) -> str:
    return encode_python(value).hex(" ")


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (0, "1c"),
        (1, "1e 02"),
        (127, "1e fe"),
        (128, "1f 01 00"),
        (255, "1f 01 fe"),
        (32767, "1f ff fe"),
        (32768, "20 01 00 00"),
        (-1, "1a fd"),
        (-128, "19 fe ff"),
        (2**63 - 1, "25 ff ff ff ff ff ff ff fe"),
        (-(2**63) + 1, "13 00 00 00 00 00 00 00 01"),
        (-(2**63), "12 78 1f"),
    ],
)
def test_integers_take_a_class_and_their_bytes(value: int, key: str) -> None:
    assert hexed(value) == key
    assert hexed(Int64(value)) == key


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (-0.0, "1c"),
        (1.0, "1e 02"),
        (3.25, "1e 07 40"),
        (-3.25, "1a f8 bf"),
        (0.5, "1d 7f e0"),
        (-0.5, "1b 80 1f"),
        (5e-324, "1d 01 01 01 01 01 01 01 01 02"),
        (2.0**63, "26 87 e0"),
        (math.inf, "27"),
        (-math.inf, "11"),
        (math.nan, "10"),
    ],
)
def test_doubles_write_only_the_groups_they_need(value: float, key: str) -> None:
    assert hexed(value) == key


def test_every_nan_is_one_key() -> None:
    assert encode_python(math.copysign(math.nan, -1.0)) == encode_python(math.nan)


def test_no_double_needs_more_than_eleven_bytes() -> None:
    for exponent in range(-1074, 1024):
        value = math.ldexp(1.0 + 2**-52, exponent) if exponent > -1022 else math.ldexp(1, exponent)
        assert len(encode_python(value)) <= 11
