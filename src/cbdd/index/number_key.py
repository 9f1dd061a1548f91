"""The number part of key strings: integers and doubles (the format is in `key_string`).

Everything here is arithmetic on 64-bit integers, a double is only ever looked at as its bits.
Compiled, a literal on the left of << is 32 bits wide and constants from 2^62 on are objects: so
bits are cut off with >> and <<, and 2^63 is 2^61 four times.
A `mask` of 0 or 0xFF carries the sign: the bytes of a negative number are complemented.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_le
from mypy_extensions import i64

NUMBER_NAN: Final = 0x10
NUMBER_MINUS_INFINITY: Final = 0x11
NUMBER_NEGATIVE_LARGE: Final = 0x12
NUMBER_NEGATIVE_BASE: Final = 0x1B
NUMBER_NEGATIVE_SMALL: Final = 0x1B
NUMBER_ZERO: Final = 0x1C
NUMBER_POSITIVE_SMALL: Final = 0x1D
NUMBER_POSITIVE_BASE: Final = 0x1D
NUMBER_POSITIVE_LARGE: Final = 0x26
NUMBER_INFINITY: Final = 0x27
"""Class bytes; an integer part of n bytes has POSITIVE_BASE + n or NEGATIVE_BASE - n."""

DOUBLE_GROUPS: Final = 9
MANTISSA_BITS: Final = 52
EXPONENT_BIAS: Final = 1023
EXPONENT_SPECIAL: Final = 0x7FF
MANTISSA_MASK: Final = 0x000F_FFFF_FFFF_FFFF
TWO_TO_61: Final = 0x2000_0000_0000_0000

_BITS_OF_2_63: Final = 0x43E0_0000_0000_0000


def append_integer(writer: BytesWriter, value: i64) -> None:
    """Write the whole key string of an integer."""
    if value > 0:
        append_integer_part(writer, value, 0, 0)
    elif value == 0:
        writer.append(NUMBER_ZERO)
    elif value + TWO_TO_61 + TWO_TO_61 + TWO_TO_61 + TWO_TO_61 == 0:
        # Only -2^63, which has no positive twin: its negation would overflow.
        writer.append(NUMBER_NEGATIVE_LARGE)
        append_groups(writer, _BITS_OF_2_63, DOUBLE_GROUPS, 0xFF)
    else:
        append_integer_part(writer, -value, 0, 0xFF)


def append_integer_part(writer: BytesWriter, integer: i64, fraction: i64, mask: i64) -> None:
    """Write class and integer part of 1 <= |x| < 2^63; `fraction` is 1 when more follows."""
    size: i64 = 1
    rest: i64 = integer >> 7
    while rest != 0:
        size += 1
        rest >>= 8
    byte: int = NUMBER_POSITIVE_BASE + size if mask == 0 else NUMBER_NEGATIVE_BASE - size
    writer.append(byte)
    shift: i64 = 8 * size - 9
    while shift > 0:
        byte = ((integer >> shift) & 0xFF) ^ mask
        writer.append(byte)
        shift -= 8
    byte = (((integer & 0x7F) << 1) | fraction) ^ mask
    writer.append(byte)


def append_groups(writer: BytesWriter, bits: i64, count: i64, mask: i64) -> None:
    """Write the `count` * 7 bits of `bits` in groups, without trailing zero groups."""
    shift: i64 = 7 * (count - 1)
    rest: i64 = bits
    while True:
        group: i64 = rest >> shift
        rest -= group << shift
        byte: int = ((group << 1) | (1 if rest != 0 else 0)) ^ mask
        writer.append(byte)
        if rest == 0:
            return
        shift -= 7


def append_double(writer: BytesWriter, data: bytes, start: i64) -> None:
    """Write the whole key string of the little-endian IEEE double at `start`."""
    bits: i64 = read_i64_le(data, start)
    magnitude: i64 = bits
    mask: i64 = 0
    if bits < 0:
        magnitude = bits + TWO_TO_61 + TWO_TO_61 + TWO_TO_61 + TWO_TO_61
        mask = 0xFF
    if magnitude == 0:
        writer.append(NUMBER_ZERO)
        return
    exponent: i64 = (magnitude >> MANTISSA_BITS) - EXPONENT_BIAS
    if exponent == EXPONENT_SPECIAL - EXPONENT_BIAS:
        _append_special(writer, magnitude, mask)
    elif exponent < 0:
        writer.append(NUMBER_POSITIVE_SMALL if mask == 0 else NUMBER_NEGATIVE_SMALL)
        append_groups(writer, magnitude, DOUBLE_GROUPS, mask)
    elif exponent >= 63:
        writer.append(NUMBER_POSITIVE_LARGE if mask == 0 else NUMBER_NEGATIVE_LARGE)
        append_groups(writer, magnitude, DOUBLE_GROUPS, mask)
    else:
        mantissa: i64 = (magnitude & MANTISSA_MASK) | (MANTISSA_MASK + 1)
        _append_fixed(writer, mantissa, MANTISSA_BITS - exponent, mask)


def _append_fixed(writer: BytesWriter, mantissa: i64, fraction_bits: i64, mask: i64) -> None:
    """Write mantissa * 2^-fraction_bits, a number from 1 to below 2^63."""
    if fraction_bits <= 0:
        append_integer_part(writer, mantissa << -fraction_bits, 0, mask)
        return
    integer: i64 = mantissa >> fraction_bits
    fraction: i64 = mantissa - (integer << fraction_bits)
    if fraction == 0:
        append_integer_part(writer, integer, 0, mask)
        return
    append_integer_part(writer, integer, 1, mask)
    count: i64 = (fraction_bits + 6) // 7
    append_groups(writer, fraction << (7 * count - fraction_bits), count, mask)


def _append_special(writer: BytesWriter, magnitude: i64, mask: i64) -> None:
    if magnitude & MANTISSA_MASK != 0:
        writer.append(NUMBER_NAN)
    elif mask == 0:
        writer.append(NUMBER_INFINITY)
    else:
        writer.append(NUMBER_MINUS_INFINITY)
