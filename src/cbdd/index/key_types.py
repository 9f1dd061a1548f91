"""What key strings leave open, and how to read values back from them.

Equal values have one key string whatever their type: int32 1, int64 1 and double 1.0. An index
entry therefore tells the types of its values where they are not the usual ones, one code byte per
field; nothing when all of them are usual:

    0    usual: a whole number is int32, or int64 beyond that; any other number is a double
    2    int64
    3    double
    4    anything else: the document must be asked

So a query can be answered from an index alone (it is *covered*) and still give back the types that
were stored. Only values whose key strings say everything are read back: numbers, strings, ObjectId,
booleans, dates, timestamps, binary, MinKey and MaxKey.

Invariants: `decode_fields` returns exactly the BSON that was indexed, or None. Null is never read
back, because a missing field has the same key. Indexes of key string version 1 have no codes.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from cbdd.document.raw import (
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_MAX_KEY,
    TYPE_MIN_KEY,
    TYPE_OBJECT_ID,
    TYPE_STRING,
    TYPE_TIMESTAMP,
)
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import (
    CLASS_BINARY,
    CLASS_BOOLEAN,
    CLASS_DATE,
    CLASS_MAX_KEY,
    CLASS_MIN_KEY,
    CLASS_OBJECT_ID,
    CLASS_STRING,
    CLASS_TIMESTAMP,
    invert,
)
from cbdd.index.number_key import (
    NUMBER_INFINITY,
    NUMBER_MINUS_INFINITY,
    NUMBER_NEGATIVE_BASE,
    NUMBER_NEGATIVE_LARGE,
    NUMBER_NEGATIVE_SMALL,
    NUMBER_POSITIVE_BASE,
    NUMBER_POSITIVE_LARGE,
    NUMBER_POSITIVE_SMALL,
    NUMBER_ZERO,
)

USUAL: Final = 0
AS_INT64: Final = 2
AS_DOUBLE: Final = 3
UNKNOWN: Final = 4

_DOUBLE_GROUPS: Final = 9
_SIGNED_OFFSET: Final = 1 << 63
_SIGN_BIT: Final = 1 << 63


def type_code(data: bytes, bson_type: i64, start: i64) -> i64:
    """Return the code of the value at data[start:]."""
    if bson_type == TYPE_INT32 or bson_type == TYPE_STRING or bson_type == TYPE_OBJECT_ID:
        return USUAL
    if bson_type == TYPE_INT64:
        number: i64 = read_i64_le(data, start)
        return AS_INT64 if -0x8000_0000 <= number <= 0x7FFF_FFFF else USUAL
    if bson_type == TYPE_DOUBLE:
        return _double_code(data, start)
    if (
        bson_type == TYPE_DATE
        or bson_type == TYPE_BOOLEAN
        or bson_type == TYPE_TIMESTAMP
        or bson_type == TYPE_MIN_KEY
        or bson_type == TYPE_MAX_KEY
    ):
        return USUAL
    if bson_type == TYPE_BINARY:
        return UNKNOWN if data[start + 4] == 2 else USUAL  # the old kind has a second length
    return UNKNOWN


def _double_code(data: bytes, start: i64) -> i64:
    number: float = struct.unpack_from("<d", data, start)[0]
    if math.isnan(number) or (number == 0.0 and data[start + 7] != 0):
        return UNKNOWN  # NaN has many forms, and -0.0 the key of 0
    if -9223372036854775808.0 <= number < 9223372036854775808.0 and number == int(number):
        return AS_DOUBLE
    return USUAL


def decode_fields(definition: IndexDefinition, key: bytes, codes: bytes) -> list[bytes] | None:
    """Return the value of each field as its BSON type byte and bytes; None when not all are known.

    :param key: the composite key string, without a record id.
    :param codes: what the entry says about types.
    """
    if not definition.keeps_types or definition.is_multikey:
        return None
    values: list[bytes] = []
    at = 0
    for position in range(len(definition.fields)):
        code = codes[position] if codes else USUAL
        if code == UNKNOWN:
            return None
        reader = KeyReader(key, at, definition.descending[position])
        value = reader.read(code)
        if value is None:
            return None
        at = reader.at
        values.append(value)
    return values


class KeyReader:
    """Reads one value from a composite key; `at` is where the next one begins."""

    def __init__(self, key: bytes, at: int, is_inverted: bool) -> None:
        self.data: bytes = invert(key) if is_inverted else key
        self.at: int = at

    def read(self, code: int) -> bytes | None:
        """Return type byte and BSON of the value, None for one that cannot be read back."""
        first = self.data[self.at]
        self.at += 1
        if NUMBER_MINUS_INFINITY <= first <= NUMBER_INFINITY:
            return self._read_number(first, code)
        if first == CLASS_STRING:
            text = self._read_text()
            return bytes([TYPE_STRING]) + (len(text) + 1).to_bytes(4, "little") + text + b"\0"
        if first == CLASS_OBJECT_ID:
            return bytes([TYPE_OBJECT_ID]) + self._take(12)
        if first == CLASS_BOOLEAN or first == CLASS_BOOLEAN + 1:
            return bytes([TYPE_BOOLEAN, first - CLASS_BOOLEAN])
        if first == CLASS_DATE:
            milliseconds = int.from_bytes(self._take(8), "big") - _SIGNED_OFFSET
            return bytes([TYPE_DATE]) + milliseconds.to_bytes(8, "little", signed=True)
        if first == CLASS_TIMESTAMP:
            return bytes([TYPE_TIMESTAMP]) + self._take(8)[::-1]
        if first == CLASS_BINARY:
            return self._read_binary()
        if first == CLASS_MIN_KEY:
            return bytes([TYPE_MIN_KEY])
        return bytes([TYPE_MAX_KEY]) if first == CLASS_MAX_KEY else None

    def _take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        self.at += size
        return taken

    def _read_text(self) -> bytes:
        end = self.data.index(0, self.at)
        text = self.data[self.at : end]
        self.at = end + 1
        return text.replace(b"\x01\x01", b"\x00").replace(b"\x01\x02", b"\x01")

    def _read_binary(self) -> bytes:
        length = self.data[self.at]
        self.at += 1
        if length == 0xFF:
            length = int.from_bytes(self._take(4), "big")
        return bytes([TYPE_BINARY]) + length.to_bytes(4, "little") + self._take(length + 1)

    def _read_number(self, first: int, code: int) -> bytes:
        if first == NUMBER_ZERO:
            return _number(0, code)
        if first == NUMBER_INFINITY or first == NUMBER_MINUS_INFINITY:
            return _double(float("inf") if first == NUMBER_INFINITY else float("-inf"))
        if first == NUMBER_POSITIVE_SMALL or first == NUMBER_POSITIVE_LARGE:
            return self._read_double_bits(0, code)
        if first == NUMBER_NEGATIVE_SMALL or first == NUMBER_NEGATIVE_LARGE:
            return self._read_double_bits(0xFF, code)
        if first > NUMBER_POSITIVE_BASE:
            return self._read_fixed(first - NUMBER_POSITIVE_BASE, 0, code)
        return self._read_fixed(NUMBER_NEGATIVE_BASE - first, 0xFF, code)

    def _read_double_bits(self, mask: int, code: int) -> bytes:
        """Read a number that is written as the bits of its double."""
        groups, count = self._read_groups(mask)
        bits = groups << (7 * (_DOUBLE_GROUPS - count))
        if mask:
            bits |= _SIGN_BIT
        encoded = bits.to_bytes(8, "little")
        number: float = struct.unpack("<d", encoded)[0]
        if number == -9223372036854775808.0 and code != AS_DOUBLE:
            return _number(-(1 << 63), code)
        return bytes([TYPE_DOUBLE]) + encoded

    def _read_fixed(self, size: int, mask: int, code: int) -> bytes:
        """Read integer part and fraction of a number between 1 and 2^63."""
        integer = 0
        for _ in range(size):
            integer = (integer << 8) | (self.data[self.at] ^ mask)
            self.at += 1
        has_fraction = integer & 1
        integer >>= 1
        if not has_fraction:
            return _number(-integer if mask else integer, code)
        groups, count = self._read_groups(mask)
        number = integer + groups / float(1 << (7 * count))
        return _double(-number if mask else number)

    def _read_groups(self, mask: int) -> tuple[int, int]:
        """Return the bits of the groups and how many groups there are."""
        bits = 0
        count = 0
        while True:
            byte = self.data[self.at] ^ mask
            self.at += 1
            bits = (bits << 7) | (byte >> 1)
            count += 1
            if not byte & 1:
                return bits, count


def _number(value: int, code: int) -> bytes:
    """Return a whole number in the type that a code means."""
    if code == AS_DOUBLE:
        return _double(float(value))
    if code == AS_INT64 or not -0x8000_0000 <= value <= 0x7FFF_FFFF:
        return bytes([TYPE_INT64]) + value.to_bytes(8, "little", signed=True)
    return bytes([TYPE_INT32]) + value.to_bytes(4, "little", signed=True)


def _double(value: float) -> bytes:
    return bytes([TYPE_DOUBLE]) + struct.pack("<d", value)
