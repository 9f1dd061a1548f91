"""Key strings: one BSON value as bytes that sort as MongoDB sorts the values.

Comparing two key strings byte by byte gives MongoDB's order of the two values, across all types.
Equal values give equal bytes (int32 1, int64 1, double 1.0 and decimal 1.00 are one key), and no
key string is the beginning of another one, so key strings can be joined into compound keys, and
complementing every byte (`invert`) reverses the order.

A key string is a class byte and what the class needs:

    class      values               then
    04         MinKey               -
    08         undefined            - (what an empty array leaves in an index)
    0C         null                 -
    10         NaN                  -
    11         -infinity            -
    12         x <= -2^63           groups of the double, tail, complemented
    13..1A     -2^63 < x <= -1      8..1 bytes integer part, groups, tail, complemented
    1B         -1 < x < 0           groups of the double, tail, complemented
    1C         0, -0.0              -
    1D         0 < x < 1            groups of the double, tail
    1E..25     1 <= x < 2^63        1..8 bytes integer part, groups of the fraction, tail
    26         2^63 <= x            groups of the double, tail
    27         +infinity            -
    30         string, symbol       text
    38         object               per field: class of the value, name, 00, key string; then 00
    40         array                key string per element; then 00
    48         binary               length (1 byte, or FF and 4 bytes), subtype, bytes
    50         ObjectId             12 bytes
    58, 59     false, true          -
    60         date                 8 bytes, milliseconds + 2^63
    68         timestamp            8 bytes, seconds and increment
    70         regular expression   pattern, 00, options, 00
    78         DBPointer            length of the name (4 bytes), name, ObjectId
    80         code                 text
    88         code with scope      text, then the scope as in an object
    F0         MaxKey               -

Integers are big-endian. *Text* is UTF-8 with 00 written as 01 01 and 01 as 01 02, ended by 00.

Numbers. The *integer part* i of |x| is written as 2i, plus 1 when a fraction follows, in as few
bytes as hold it: 1 to 127 need two bytes with the class, a flight number three. A *group* is one
byte: seven bits of the value and, lowest, whether more follows; trailing groups of zero bits are
not written. The fraction of a double with integer part i has 53 - bits(i) bits, aligned to the
left of ceil(bits / 7) groups. Where |x| is below 1 or not below 2^63, the groups hold the 63 low
bits of x as an IEEE double (9 groups), which order as the doubles do.

Doubles and integers end there. A decimal that lies between two doubles is cut toward zero to the
lower one, writes all its groups, each with the more bit, and then the *tail* that tells it from
its neighbours: the decimal exponent of its first digit + 2^13 (2 bytes), its digits without
trailing zeros as pairs (one byte each, pair + 1), and 00.

Invariants: canonical (one value, one key string), prefix-free, order-preserving, no class byte
is 00 or FF. The version of this format is `KEY_STRING_VERSION`, kept in every index definition.
"""

from __future__ import annotations

from typing import Final, cast

import bson
from bson.errors import InvalidBSON
from bson.objectid import ObjectId
from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i64_be
from mypy_extensions import i64

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_CODE,
    TYPE_CODE_WITH_SCOPE,
    TYPE_DATE,
    TYPE_DB_POINTER,
    TYPE_DECIMAL128,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_MAX_KEY,
    TYPE_MIN_KEY,
    TYPE_NULL,
    TYPE_OBJECT_ID,
    TYPE_REGEX,
    TYPE_STRING,
    TYPE_SYMBOL,
    TYPE_TIMESTAMP,
    TYPE_UNDEFINED,
    skip_name,
    skip_value,
)
from cbdd.index.decimal_key import append_decimal
from cbdd.index.number_key import NUMBER_INFINITY, TWO_TO_61, append_double, append_integer

KEY_STRING_VERSION: Final = 2

CLASS_MIN_KEY: Final = 0x04
CLASS_UNDEFINED: Final = 0x08
CLASS_NULL: Final = 0x0C
CLASS_NUMBER: Final = 0x10
CLASS_STRING: Final = 0x30
CLASS_OBJECT: Final = 0x38
CLASS_ARRAY: Final = 0x40
CLASS_BINARY: Final = 0x48
CLASS_OBJECT_ID: Final = 0x50
CLASS_BOOLEAN: Final = 0x58
CLASS_DATE: Final = 0x60
CLASS_TIMESTAMP: Final = 0x68
CLASS_REGEX: Final = 0x70
CLASS_DB_POINTER: Final = 0x78
CLASS_CODE: Final = 0x80
CLASS_CODE_WITH_SCOPE: Final = 0x88
CLASS_MAX_KEY: Final = 0xF0
"""Class of a value: the first byte of its key string, or the lowest one of a class with several."""

MIN_KEY: Final = b"\x04"
UNDEFINED_KEY: Final = b"\x08"
NULL_KEY: Final = b"\x0c"
NAN_KEY: Final = b"\x10"
MAX_KEY: Final = b"\xf0"
"""Whole key strings of the values that have only one."""

MAX_KEY_DEPTH: Final = 200

_COMPLEMENT: Final = bytes(range(255, -1, -1))
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1


def encode_value(data: bytes, bson_type: i64, start: i64, end: i64) -> bytes:
    """Return the ascending key string of the BSON value at data[start:end]."""
    writer = BytesWriter()
    append_value(writer, data, bson_type, start, end, 0)
    return writer.getvalue()


def encode_python(value: object) -> bytes:
    """Return the ascending key string of a Python value, as its BSON."""
    data = bson.encode({"": value})
    return encode_value(data, data[4], 6, len(data) - 1)


def encode_plain(value: object) -> bytes | None:
    """Return what `encode_python` does for an integer, a string or an ObjectId; None for others.

    It is for look-ups, where making BSON first takes most of the time. What is no BSON, as an
    integer of more than 64 bits, is None, too.
    """
    kind = type(value)
    writer = BytesWriter()
    if kind is int:
        number = cast("int", value)
        if not _LEAST <= number <= _MOST:
            return None
        append_integer(writer, number)
    elif kind is str:
        try:
            text = cast("str", value).encode("utf-8")
        except UnicodeEncodeError:
            return None
        writer.append(CLASS_STRING)
        append_text(writer, text, 0, len(text))
    elif kind is ObjectId:
        writer.append(CLASS_OBJECT_ID)
        writer.write(cast("ObjectId", value).binary)
    else:
        return None
    return writer.getvalue()


def invert(key: bytes) -> bytes:
    """Complement every byte: the inverted keys sort the other way round, for descending fields."""
    return key.translate(_COMPLEMENT)


def append_value(
    writer: BytesWriter, data: bytes, bson_type: i64, start: i64, end: i64, depth: i64
) -> None:
    """Write the ascending key string of the BSON value at data[start:end].

    `depth` is the number of documents and arrays around it inside the same key string.
    """
    if bson_type == TYPE_INT32:
        number: int = read_i32_le(data, start)
        append_integer(writer, number)
    elif bson_type == TYPE_DOUBLE:
        append_double(writer, data, start)
    elif bson_type == TYPE_STRING or bson_type == TYPE_SYMBOL:
        writer.append(CLASS_STRING)
        append_text(writer, data, start + 4, end - 1)
    elif bson_type == TYPE_OBJECT_ID:
        writer.append(CLASS_OBJECT_ID)
        writer.write(data[start:end])
    elif bson_type == TYPE_INT64:
        append_integer(writer, read_i64_le(data, start))
    elif bson_type == TYPE_DATE:
        writer.append(CLASS_DATE)
        _append_signed(writer, read_i64_le(data, start))
    elif bson_type == TYPE_NULL:
        writer.append(CLASS_NULL)
    elif bson_type == TYPE_BOOLEAN:
        writer.append(CLASS_BOOLEAN if data[start] == 0 else CLASS_BOOLEAN + 1)
    elif bson_type == TYPE_DECIMAL128:
        append_decimal(writer, data, start)
    elif bson_type == TYPE_DOCUMENT:
        writer.append(CLASS_OBJECT)
        _append_document(writer, data, start, depth + 1)
    elif bson_type == TYPE_ARRAY:
        writer.append(CLASS_ARRAY)
        _append_array(writer, data, start, depth + 1)
    else:
        _append_rare_value(writer, data, bson_type, start, end, depth)


def _append_rare_value(
    writer: BytesWriter, data: bytes, bson_type: i64, start: i64, end: i64, depth: i64
) -> None:
    if bson_type == TYPE_BINARY:
        writer.append(CLASS_BINARY)
        _append_binary(writer, data, start, end)
    elif bson_type == TYPE_TIMESTAMP:
        writer.append(CLASS_TIMESTAMP)
        write_i64_be(writer, read_i64_le(data, start))
    elif bson_type == TYPE_REGEX:
        writer.append(CLASS_REGEX)
        writer.write(data[start:end])
    elif bson_type == TYPE_CODE:
        writer.append(CLASS_CODE)
        append_text(writer, data, start + 4, end - 1)
    elif bson_type == TYPE_CODE_WITH_SCOPE:
        writer.append(CLASS_CODE_WITH_SCOPE)
        scope = skip_value(data, TYPE_STRING, start + 4)
        append_text(writer, data, start + 8, scope - 1)
        _append_document(writer, data, scope, depth + 1)
    elif bson_type == TYPE_DB_POINTER:
        writer.append(CLASS_DB_POINTER)
        length: int = read_i32_le(data, start)
        writer.write(length.to_bytes(4, "big"))
        writer.write(data[start + 4 : end])
    elif bson_type == TYPE_UNDEFINED:
        writer.append(CLASS_UNDEFINED)
    elif bson_type == TYPE_MIN_KEY:
        writer.append(CLASS_MIN_KEY)
    elif bson_type == TYPE_MAX_KEY:
        writer.append(CLASS_MAX_KEY)
    else:
        raise InvalidBSON(f"unknown BSON type {bson_type:#04x} at offset {start}")


def _append_signed(writer: BytesWriter, value: i64) -> None:
    """Write value + 2^63 in eight bytes, staying inside 64 bits: the sign bit is flipped."""
    if value >= 0:
        write_i64_be(writer, value - TWO_TO_61 - TWO_TO_61 - TWO_TO_61 - TWO_TO_61)
    else:
        write_i64_be(writer, value + TWO_TO_61 + TWO_TO_61 + TWO_TO_61 + TWO_TO_61)


def append_text(writer: BytesWriter, data: bytes, start: i64, end: i64) -> None:
    """Append text with its low bytes escaped, so that the terminator sorts before them."""
    at: i64 = start
    while at < end and data[at] > 1:
        at += 1
    writer.write(data[start:at])
    while at < end:
        byte = data[at]
        if byte <= 1:
            writer.append(1)
            byte += 1
        writer.append(byte)
        at += 1
    writer.append(0)


def _append_binary(writer: BytesWriter, data: bytes, start: i64, end: i64) -> None:
    length: int = end - start - 5
    if length < 0xFF:
        writer.append(length)
    else:
        writer.append(0xFF)
        writer.append((length >> 24) & 0xFF)
        writer.append((length >> 16) & 0xFF)
        writer.append((length >> 8) & 0xFF)
        writer.append(length & 0xFF)
    writer.write(data[start + 4 : end])


def _append_document(writer: BytesWriter, data: bytes, start: i64, depth: i64) -> None:
    if depth > MAX_KEY_DEPTH:
        raise InvalidBSON(f"value with more than {MAX_KEY_DEPTH} levels of nesting")
    element: i64 = start + 4
    while data[element] != 0:
        bson_type: i64 = data[element]
        value: i64 = skip_name(data, element + 1)
        end: i64 = skip_value(data, bson_type, value)
        bracket: int = type_bracket(bson_type)
        writer.append(bracket)
        writer.write(data[element + 1 : value])
        append_value(writer, data, bson_type, value, end, depth)
        element = end
    writer.append(0)


def _append_array(writer: BytesWriter, data: bytes, start: i64, depth: i64) -> None:
    if depth > MAX_KEY_DEPTH:
        raise InvalidBSON(f"value with more than {MAX_KEY_DEPTH} levels of nesting")
    element: i64 = start + 4
    while data[element] != 0:
        bson_type: i64 = data[element]
        value: i64 = skip_name(data, element + 1)
        end: i64 = skip_value(data, bson_type, value)
        append_value(writer, data, bson_type, value, end, depth)
        element = end
    writer.append(0)


def type_bracket(bson_type: i64) -> i64:
    """Return the class of a BSON type: values compare by content only within their class.

    It is the first byte of the type's key strings, the lowest one where a class has several.
    """
    if 0 <= bson_type < len(_BRACKETS):
        bracket: i64 = _BRACKETS[bson_type]
        if bracket != 0:
            return bracket
    raise InvalidBSON(f"unknown BSON type {bson_type:#04x}")


def bracket_end(bracket: i64) -> i64:
    """Return the byte after the last first byte that key strings of the class have."""
    if bracket == CLASS_NUMBER:
        return NUMBER_INFINITY + 1
    if bracket == CLASS_BOOLEAN:
        return CLASS_BOOLEAN + 2
    return bracket + 1


def bracket_of_key(key: bytes) -> int:
    """Return the class of the value that begins the ascending key string `key`."""
    first = key[0]
    if CLASS_NUMBER <= first <= NUMBER_INFINITY:
        return CLASS_NUMBER
    if first == CLASS_BOOLEAN + 1:
        return CLASS_BOOLEAN
    return first


def _list_brackets() -> bytes:
    table = bytearray(256)
    table[TYPE_DOUBLE] = CLASS_NUMBER
    table[TYPE_STRING] = CLASS_STRING
    table[TYPE_DOCUMENT] = CLASS_OBJECT
    table[TYPE_ARRAY] = CLASS_ARRAY
    table[TYPE_BINARY] = CLASS_BINARY
    table[TYPE_UNDEFINED] = CLASS_UNDEFINED
    table[TYPE_OBJECT_ID] = CLASS_OBJECT_ID
    table[TYPE_BOOLEAN] = CLASS_BOOLEAN
    table[TYPE_DATE] = CLASS_DATE
    table[TYPE_NULL] = CLASS_NULL
    table[TYPE_REGEX] = CLASS_REGEX
    table[TYPE_DB_POINTER] = CLASS_DB_POINTER
    table[TYPE_CODE] = CLASS_CODE
    table[TYPE_SYMBOL] = CLASS_STRING
    table[TYPE_CODE_WITH_SCOPE] = CLASS_CODE_WITH_SCOPE
    table[TYPE_INT32] = CLASS_NUMBER
    table[TYPE_TIMESTAMP] = CLASS_TIMESTAMP
    table[TYPE_INT64] = CLASS_NUMBER
    table[TYPE_DECIMAL128] = CLASS_NUMBER
    table[TYPE_MAX_KEY] = CLASS_MAX_KEY
    table[TYPE_MIN_KEY] = CLASS_MIN_KEY
    return bytes(table)


_BRACKETS: Final = _list_brackets()
