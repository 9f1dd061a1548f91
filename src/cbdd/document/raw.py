"""Reading BSON where it lies: fields are found as offsets, nothing is decoded.

A document is ``int32 length, element*, 0x00``; an element is ``type byte, name, 0x00, value``.
The functions here take the whole buffer and offsets into it, so that a field deep in a record is
reached without copying anything. Offsets are never negative and always move forward: a damaged
length raises `InvalidBSON`, it can neither loop nor read outside the buffer.

    offset        element   element + 1        value start        value end
    data     ...  | type    | name ... 0x00    | value ...        | next element

Documents that come from outside go through `cbdd.document.validate` once, before they are stored;
these functions only promise to fail safely on damaged input.
"""

from __future__ import annotations

from typing import Final

from bson.errors import InvalidBSON
from librt.strings import read_i32_le
from mypy_extensions import i64

TYPE_DOUBLE: Final = 0x01
TYPE_STRING: Final = 0x02
TYPE_DOCUMENT: Final = 0x03
TYPE_ARRAY: Final = 0x04
TYPE_BINARY: Final = 0x05
TYPE_UNDEFINED: Final = 0x06
TYPE_OBJECT_ID: Final = 0x07
TYPE_BOOLEAN: Final = 0x08
TYPE_DATE: Final = 0x09
TYPE_NULL: Final = 0x0A
TYPE_REGEX: Final = 0x0B
TYPE_DB_POINTER: Final = 0x0C
TYPE_CODE: Final = 0x0D
TYPE_SYMBOL: Final = 0x0E
TYPE_CODE_WITH_SCOPE: Final = 0x0F
TYPE_INT32: Final = 0x10
TYPE_TIMESTAMP: Final = 0x11
TYPE_INT64: Final = 0x12
TYPE_DECIMAL128: Final = 0x13
TYPE_MAX_KEY: Final = 0x7F
TYPE_MIN_KEY: Final = 0xFF


def skip_value(data: bytes, bson_type: i64, start: i64) -> i64:
    """Return the offset after the value of `bson_type` that begins at `start`.

    Raises `InvalidBSON` for an unknown type, an impossible length or a value that leaves `data`.
    """
    end: i64 = start
    if bson_type == TYPE_INT32:
        end = start + 4
    elif (
        bson_type == TYPE_DOUBLE
        or bson_type == TYPE_DATE
        or bson_type == TYPE_INT64
        or bson_type == TYPE_TIMESTAMP
    ):
        end = start + 8
    elif bson_type == TYPE_STRING or bson_type == TYPE_CODE or bson_type == TYPE_SYMBOL:
        end = start + 4 + _read_length(data, start, 1)
    elif bson_type == TYPE_DOCUMENT or bson_type == TYPE_ARRAY or bson_type == TYPE_CODE_WITH_SCOPE:
        end = start + _read_length(data, start, 5)
    elif bson_type == TYPE_OBJECT_ID:
        end = start + 12
    elif bson_type == TYPE_BOOLEAN:
        end = start + 1
    elif (
        bson_type == TYPE_NULL
        or bson_type == TYPE_UNDEFINED
        or bson_type == TYPE_MIN_KEY
        or bson_type == TYPE_MAX_KEY
    ):
        return start
    else:
        end = _skip_rare_value(data, bson_type, start)
    size: i64 = len(data)
    if end > size:
        raise InvalidBSON(f"value of type {bson_type:#04x} at offset {start} runs past the end")
    return end


def _skip_rare_value(data: bytes, bson_type: i64, start: i64) -> i64:
    if bson_type == TYPE_BINARY:
        return start + 5 + _read_length(data, start, 0)
    if bson_type == TYPE_DECIMAL128:
        return start + 16
    if bson_type == TYPE_REGEX:
        return skip_name(data, skip_name(data, start))
    if bson_type == TYPE_DB_POINTER:
        return start + 16 + _read_length(data, start, 1)
    raise InvalidBSON(f"unknown BSON type {bson_type:#04x} at offset {start}")


def _read_length(data: bytes, start: i64, minimum: i64) -> i64:
    size: i64 = len(data)
    if start + 4 > size:
        raise InvalidBSON(f"length at offset {start} runs past the end")
    length: int = read_i32_le(data, start)
    if length < minimum:
        raise InvalidBSON(f"length {length} at offset {start} is below {minimum}")
    return length


def skip_name(data: bytes, start: i64) -> i64:
    """Return the offset after the NUL that ends the name (or C string) at `start`."""
    at: i64 = start
    size: i64 = len(data)
    while at < size:
        if data[at] == 0:
            return at + 1
        at += 1
    raise InvalidBSON(f"name at offset {start} does not end")


def value_start(data: bytes, element: i64) -> i64:
    """Return the offset of the value of the element whose type byte is at `element`."""
    return skip_name(data, element + 1)


def find_field(data: bytes, start: i64, name: bytes) -> i64:
    """Return the offset of the element `name` in the document at `start`, or -1.

    The first one counts when a name is repeated. `name` must not contain NUL.
    """
    size: i64 = len(data)
    length: i64 = len(name)
    element: i64 = start + 4
    while element < size:
        bson_type: i64 = data[element]
        if bson_type == 0:
            return -1
        at: i64 = element + 1
        i: i64 = 0
        while i < length and at < size and data[at] == name[i]:
            i += 1
            at += 1
        if i == length and at < size and data[at] == 0:
            return element
        element = skip_value(data, bson_type, skip_name(data, at))
    raise InvalidBSON(f"document at offset {start} does not end")


def elements(data: bytes, start: i64) -> list[tuple[int, bytes, int, int]]:
    """List the document at `start` as (type, name, value start, value end), in order."""
    found: list[tuple[int, bytes, int, int]] = []
    size: i64 = len(data)
    element: i64 = start + 4
    while element < size:
        bson_type: i64 = data[element]
        if bson_type == 0:
            return found
        value: i64 = skip_name(data, element + 1)
        end: i64 = skip_value(data, bson_type, value)
        found.append((int(bson_type), data[element + 1 : value - 1], int(value), int(end)))
        element = end
    raise InvalidBSON(f"document at offset {start} does not end")
