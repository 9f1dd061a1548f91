"""The number part of key strings for Decimal128 (the format is in `key_string`).

A decimal is taken apart into coefficient and exponent (IEEE 754-2008, binary integer coding) and
handled exactly, as a ratio of whole numbers. What a double could hold gets the bytes the double
would get; everything else gets the bytes of the next double toward zero, then a tail.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_le
from mypy_extensions import i64

from cbdd.index.number_key import (
    DOUBLE_GROUPS,
    EXPONENT_BIAS,
    MANTISSA_BITS,
    MANTISSA_MASK,
    NUMBER_INFINITY,
    NUMBER_MINUS_INFINITY,
    NUMBER_NAN,
    NUMBER_NEGATIVE_LARGE,
    NUMBER_NEGATIVE_SMALL,
    NUMBER_POSITIVE_LARGE,
    NUMBER_POSITIVE_SMALL,
    NUMBER_ZERO,
    append_groups,
    append_integer,
    append_integer_part,
)

_EXPONENT_OFFSET: Final = 6176
_MAX_COEFFICIENT: Final = 10**34 - 1
_UINT64: Final = 1 << 64
_LARGE: Final = 1 << 63
_MAX_DOUBLE_BITS: Final = 0x7FEF_FFFF_FFFF_FFFF
_TAIL_EXPONENT_BIAS: Final = 8192


def append_decimal(writer: BytesWriter, data: bytes, start: i64) -> None:
    """Write the whole key string of the Decimal128 at `start`."""
    low: int = read_i64_le(data, start)
    high: int = read_i64_le(data, start + 8)
    mask = 0xFF if high < 0 else 0
    if (high >> 61) & 3 == 3:
        _append_unusual(writer, high, mask)
        return
    if low < 0:
        low += _UINT64
    coefficient = ((high & 0x1_FFFF_FFFF_FFFF) << 64) | low
    if coefficient == 0 or coefficient > _MAX_COEFFICIENT:
        writer.append(NUMBER_ZERO)
        return
    exponent = ((high >> 49) & 0x3FFF) - _EXPONENT_OFFSET
    _append_finite(writer, coefficient, exponent, mask)


def _append_unusual(writer: BytesWriter, high: int, mask: int) -> None:
    """Write infinity, NaN, or one of the codings with too large a coefficient, which are zero."""
    if (high >> 58) & 0x1F == 0x1F:
        writer.append(NUMBER_NAN)
    elif (high >> 58) & 0x1F != 0x1E:
        writer.append(NUMBER_ZERO)
    elif mask == 0:
        writer.append(NUMBER_INFINITY)
    else:
        writer.append(NUMBER_MINUS_INFINITY)


def _append_finite(writer: BytesWriter, coefficient: int, exponent: int, mask: int) -> None:
    digits = str(coefficient)
    first = exponent + len(digits) - 1
    if first > 310:
        writer.append(NUMBER_POSITIVE_LARGE if mask == 0 else NUMBER_NEGATIVE_LARGE)
        _append_open_groups(writer, _MAX_DOUBLE_BITS, DOUBLE_GROUPS, mask)
        _append_tail(writer, digits, first, mask)
        return
    if first < -330:
        writer.append(NUMBER_POSITIVE_SMALL if mask == 0 else NUMBER_NEGATIVE_SMALL)
        _append_open_groups(writer, 0, DOUBLE_GROUPS, mask)
        _append_tail(writer, digits, first, mask)
        return
    numerator = coefficient
    denominator = 1
    if exponent >= 0:
        numerator *= _power_of_ten(exponent)
    else:
        denominator = _power_of_ten(-exponent)
    integer = numerator // denominator
    if integer >= _LARGE:
        _append_large(writer, integer, integer * denominator == numerator, digits, first, mask)
    elif integer == 0:
        _append_small(writer, numerator, denominator, digits, first, mask)
    elif integer * denominator == numerator:
        append_integer(writer, integer if mask == 0 else -integer)
    else:
        rest = numerator - integer * denominator
        _append_fraction(writer, integer, rest, denominator, digits, first, mask)


def _power_of_ten(exponent: int) -> int:
    power = 1
    base = 10
    while exponent:
        if exponent & 1:
            power *= base
        base *= base
        exponent >>= 1
    return power


def _append_fraction(
    writer: BytesWriter,
    integer: int,
    rest: int,
    denominator: int,
    digits: str,
    first: int,
    mask: int,
) -> None:
    """Write integer + rest / denominator, a number from 1 to below 2^63 that is not whole."""
    append_integer_part(writer, integer, 1, mask)
    fraction_bits = MANTISSA_BITS + 1 - integer.bit_length()
    if fraction_bits <= 0:
        _append_tail(writer, digits, first, mask)
        return
    scaled = rest << fraction_bits
    fraction = scaled // denominator
    count = (fraction_bits + 6) // 7
    bits = fraction << (7 * count - fraction_bits)
    if fraction * denominator == scaled:
        append_groups(writer, bits, count, mask)
    else:
        _append_open_groups(writer, bits, count, mask)
        _append_tail(writer, digits, first, mask)


def _append_large(
    writer: BytesWriter, integer: int, is_whole: bool, digits: str, first: int, mask: int
) -> None:
    """Write a number of at least 2^63; `integer` is its integer part."""
    writer.append(NUMBER_POSITIVE_LARGE if mask == 0 else NUMBER_NEGATIVE_LARGE)
    exponent = integer.bit_length() - 1
    bits = _MAX_DOUBLE_BITS
    is_exact = False
    if exponent <= EXPONENT_BIAS:
        shift = exponent - MANTISSA_BITS
        mantissa = integer >> shift
        is_exact = is_whole and mantissa << shift == integer
        bits = ((exponent + EXPONENT_BIAS) << MANTISSA_BITS) | (mantissa & MANTISSA_MASK)
    _append_double_bits(writer, bits, is_exact, digits, first, mask)


def _append_small(
    writer: BytesWriter, numerator: int, denominator: int, digits: str, first: int, mask: int
) -> None:
    """Write a number between 0 and 1."""
    writer.append(NUMBER_POSITIVE_SMALL if mask == 0 else NUMBER_NEGATIVE_SMALL)
    shift = denominator.bit_length() - numerator.bit_length()
    if numerator << shift < denominator:
        shift += 1
    exponent = -shift
    if exponent <= -EXPONENT_BIAS:
        scaled = numerator << (EXPONENT_BIAS - 1 + MANTISSA_BITS)
        bits = scaled // denominator
        is_exact = bits * denominator == scaled
    else:
        scaled = numerator << (MANTISSA_BITS - exponent)
        mantissa = scaled // denominator
        is_exact = mantissa * denominator == scaled
        bits = ((exponent + EXPONENT_BIAS) << MANTISSA_BITS) | (mantissa & MANTISSA_MASK)
    _append_double_bits(writer, bits, is_exact, digits, first, mask)


def _append_double_bits(
    writer: BytesWriter, bits: int, is_exact: bool, digits: str, first: int, mask: int
) -> None:
    if is_exact:
        append_groups(writer, bits, DOUBLE_GROUPS, mask)
    else:
        _append_open_groups(writer, bits, DOUBLE_GROUPS, mask)
        _append_tail(writer, digits, first, mask)


def _append_open_groups(writer: BytesWriter, bits: i64, count: i64, mask: i64) -> None:
    """Write all groups, each saying that more follows: a tail must."""
    shift: i64 = 7 * (count - 1)
    while shift >= 0:
        byte: int = (((bits >> shift) & 0x7F) << 1 | 1) ^ mask
        writer.append(byte)
        shift -= 7


def _append_tail(writer: BytesWriter, digits: str, first: int, mask: int) -> None:
    """Write the digits with the decimal exponent `first` of the first one."""
    writer.append(((first + _TAIL_EXPONENT_BIAS) >> 8) ^ mask)
    writer.append(((first + _TAIL_EXPONENT_BIAS) & 0xFF) ^ mask)
    significant = digits.rstrip("0")
    if len(significant) % 2:
        significant += "0"
    for i in range(0, len(significant), 2):
        writer.append((int(significant[i : i + 2]) + 1) ^ mask)
    writer.append(mask)
