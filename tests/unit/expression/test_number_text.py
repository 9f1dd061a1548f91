"""Numbers as text and back."""

from __future__ import annotations

import math
import random
import struct

import pytest

from cbdd.expression.number_text import (
    double_text,
    parse_decimal,
    parse_double,
    parse_integer,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e14, "100000000000000"),
        (1e20, "1e+20"),
        (1.5e-7, "1.5e-7"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_doubles(number: float, text: str) -> None:
    assert double_text(number) == text


def test_doubles_read_back_as_themselves() -> None:
    source = random.Random(5)
    for _ in range(3000):
        (number,) = struct.unpack("<d", source.randbytes(8))
        if math.isfinite(number):
            assert parse_double(double_text(number)) == number


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1.5", "1_000", "0x10", "one", "--1", "١"])
def test_no_integers(text: str) -> None:
    assert parse_integer(text) is None


@pytest.mark.parametrize("text", ["", " 1", "1_0.0", "0x1p3", "e5", ".", "1e", "٣"])
def test_no_decimals_or_doubles(text: str) -> None:
    assert parse_double(text) is None
    assert parse_decimal(text) is None


def test_numbers() -> None:
    assert parse_integer("+007") == 7
    assert parse_double(".5e1") == 5.0
    assert parse_double("-inf") == -math.inf
    assert str(parse_decimal("1.50")) == "1.50"
