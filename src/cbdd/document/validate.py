"""Judging documents before they are stored: well-formed, not too deep, not too large.

`validate_document` accepts exactly the BSON that every later reader may rely on: lengths agree,
every value ends inside its document, text is UTF-8, booleans are 0 or 1, at most
`MAX_DEPTH` documents and arrays inside each other and at most `MAX_DOCUMENT_BYTES` bytes.
`check_document_id` and `check_replacement` hold MongoDB's rules about names and `_id`:

    rule                                                     code
    _id is an array, a regular expression or undefined         53
    _id holds a document with a field that begins with $       52
    two _id fields                                              2
    a replacement has a top-level field that begins with $     52

MongoDB (since 5.0) stores fields that begin with $ when they are inserted, so an insert may have
them; only _id and replacements may not.
"""

from __future__ import annotations

from typing import Final

from bson.errors import InvalidBSON, InvalidDocument
from librt.strings import read_i32_le, read_i64_le
from mypy_extensions import i64
from pymongo.errors import DocumentTooLarge, WriteError

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_CODE,
    TYPE_CODE_WITH_SCOPE,
    TYPE_DATE,
    TYPE_DB_POINTER,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_OBJECT_ID,
    TYPE_REGEX,
    TYPE_STRING,
    TYPE_SYMBOL,
    TYPE_TIMESTAMP,
    TYPE_UNDEFINED,
    skip_name,
    skip_value,
)

MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 100

_NOT_PLAIN: Final = -1
_ONES: Final = 0x0101_0101_0101_0101
_UNDERSCORE: Final = 0x5F
_DOLLAR: Final = 0x24
_BAD_VALUE: Final = 2
_DOLLAR_PREFIXED_FIELD_NAME: Final = 52
_INVALID_ID_FIELD: Final = 53


def validate_document(data: bytes) -> bool:
    """Raise `InvalidDocument` (or `DocumentTooLarge`) unless `data` is one document we may store.

    Names are judged apart, by `check_document_id` and `check_replacement`. Returns True when the
    first of those has nothing to look for: the answer would be the same.
    """
    size = len(data)
    if size > MAX_DOCUMENT_BYTES:
        raise DocumentTooLarge(
            f"BSON document too large ({size} bytes), the limit is {MAX_DOCUMENT_BYTES} bytes"
        )
    try:
        end = _check_document(data, 0, size, 1)
    except (InvalidBSON, UnicodeDecodeError) as error:
        raise InvalidDocument(f"invalid BSON document: {error}") from error
    if end == -size:
        return True
    if end != size:
        raise InvalidDocument(f"invalid BSON document: {size - end} bytes after its end")
    return False


def _check_document(data: bytes, start: i64, limit: i64, depth: i64) -> i64:
    """Check the document at `start`, which must end at or before `limit`; return its end.

    Negated for one at the top that is stored as it is for sure: the first field is an `_id` of a
    plain type, and no other field is one or holds a timestamp.
    """
    if depth > MAX_DEPTH:
        raise InvalidDocument(f"cannot store a document with more than {MAX_DEPTH} levels")
    if start + 5 > limit:
        raise InvalidBSON(f"document at offset {start} runs past the end")
    length = i64(read_i32_le(data, start))
    end: i64 = start + length
    if length < 5 or end > limit:
        raise InvalidBSON(f"document at offset {start} has the impossible length {length}")
    last: i64 = end - 1
    element: i64 = start + 4
    is_stored_form = False
    while element < last:
        bson_type: i64 = data[element]
        value: i64 = _end_of_name(data, element + 1)
        if depth == 1:
            if value - element == 5 and data[element + 1] == _UNDERSCORE:
                is_stored_form = element == 4 and _is_plain_id(data, bson_type)
            elif bson_type == TYPE_TIMESTAMP:
                is_stored_form = False
        if value > last:
            raise InvalidBSON(f"field name at offset {element + 1} runs past its document")
        element = _end_of_plain(data, bson_type, value, last)
        if element == _NOT_PLAIN:
            element = skip_value(data, bson_type, value)
            if element > last:
                raise InvalidBSON(f"value at offset {value} runs past its document")
            _check_value(data, bson_type, value, element, depth)
    if data[last] != 0:
        raise InvalidBSON(f"document at offset {start} is not terminated")
    if is_stored_form:
        return -end
    return end


def _end_of_plain(data: bytes, bson_type: i64, start: i64, last: i64) -> i64:
    """Return the end of a value of a type that most are, if it is sound; else `_NOT_PLAIN`."""
    end: i64 = start
    if bson_type == TYPE_STRING:
        if start + 4 > last:
            return _NOT_PLAIN
        length = i64(read_i32_le(data, start))
        end = start + 4 + length
        if length < 1 or end > last or data[end - 1] != 0:
            return _NOT_PLAIN
        if _is_ascii(data, start + 4, end):
            return end
        return _NOT_PLAIN
    if bson_type == TYPE_INT32:
        end = start + 4
    elif bson_type == TYPE_DOUBLE or bson_type == TYPE_INT64 or bson_type == TYPE_DATE:
        end = start + 8
    elif bson_type == TYPE_OBJECT_ID:
        end = start + 12
    else:
        return _NOT_PLAIN
    if end <= last:
        return end
    return _NOT_PLAIN


def _is_plain_id(data: bytes, bson_type: i64) -> bool:
    """Whether the first field is an `_id` of a type that needs no look at its value."""
    if bson_type == TYPE_DOCUMENT or bson_type == TYPE_TIMESTAMP:
        return False
    if bson_type == TYPE_ARRAY or bson_type == TYPE_REGEX or bson_type == TYPE_UNDEFINED:
        return False
    return data[6] == 0x69 and data[7] == 0x64


def _check_value(data: bytes, bson_type: i64, start: i64, end: i64, depth: i64) -> None:
    if bson_type == TYPE_STRING or bson_type == TYPE_CODE or bson_type == TYPE_SYMBOL:
        _check_string(data, start, end)
    elif bson_type == TYPE_DOCUMENT or bson_type == TYPE_ARRAY:
        if _check_document(data, start, end, depth + 1) != end:
            raise InvalidBSON(f"document at offset {start} has the wrong length")
    elif bson_type == TYPE_BOOLEAN:
        if data[start] > 1:
            raise InvalidBSON(f"boolean at offset {start} is neither 0 nor 1")
    elif bson_type == TYPE_REGEX:
        options: i64 = skip_name(data, start)
        _check_text(data, start, options - 1)
        _check_text(data, options, end - 1)
    elif bson_type == TYPE_BINARY:
        if data[start + 4] == 2 and not _is_old_binary(data, start, end):
            raise InvalidBSON(f"binary of subtype 2 at offset {start} has the wrong inner length")
    elif bson_type == TYPE_CODE_WITH_SCOPE:
        if end - start < 14:
            raise InvalidBSON(f"code with scope at offset {start} is too short")
        scope: i64 = skip_value(data, TYPE_STRING, start + 4)
        if scope > end:
            raise InvalidBSON(f"code at offset {start} runs past its value")
        _check_string(data, start + 4, scope)
        if _check_document(data, scope, end, depth + 1) != end:
            raise InvalidBSON(f"scope at offset {scope} has the wrong length")
    elif bson_type == TYPE_DB_POINTER:
        _check_string(data, start, end - 12)


def _is_old_binary(data: bytes, start: i64, end: i64) -> bool:
    if end - start < 9:
        return False
    inner: int = read_i32_le(data, start + 5)
    return inner == end - start - 9


def _check_string(data: bytes, start: i64, end: i64) -> None:
    if data[end - 1] != 0:
        raise InvalidBSON(f"string at offset {start} is not terminated")
    _check_text(data, start + 4, end - 1)


def _end_of_name(data: bytes, start: i64) -> i64:
    """As `skip_name`, raising UnicodeDecodeError unless the name is UTF-8.

    Eight bytes are looked at in one step: of a word from which 1 is taken in every byte only a byte
    that was 0, or one above it, has a high bit that it did not have (Mycroft, 1987).
    """
    at: i64 = start
    size: i64 = len(data)
    high: i64 = 0
    while at + 8 <= size:
        word: i64 = read_i64_le(data, at)
        zeros: i64 = (((word - _ONES) & ~word) >> 7) & _ONES
        if zeros != 0:
            first: i64 = zeros & -zeros
            high |= (word >> 7) & _ONES & (first - 1)
            if first > 0xFFFFFFFF:
                at += 4
                first >>= 32
            if first > 0xFFFF:
                at += 2
                first >>= 16
            if first > 0xFF:
                at += 1
            return _end_of_text(data, start, at, high)
        high |= (word >> 7) & _ONES
        at += 8
    while at < size:
        byte: i64 = data[at]
        if byte == 0:
            return _end_of_text(data, start, at, high)
        high |= byte >> 7
        at += 1
    raise InvalidBSON(f"name at offset {start} does not end")


def _end_of_text(data: bytes, start: i64, end: i64, high: i64) -> i64:
    """Return the offset behind a name; `high` tells whether some byte is beyond ASCII."""
    if high != 0:
        data[start:end].decode("utf-8")
    return end + 1


def _is_ascii(data: bytes, start: i64, end: i64) -> bool:
    at: i64 = start
    high: i64 = 0
    while at + 8 <= end:
        high |= read_i64_le(data, at)
        at += 8
    high = (high >> 7) & _ONES
    while at < end:
        byte: i64 = data[at]
        high |= byte >> 7
        at += 1
    return high == 0


def _check_text(data: bytes, start: i64, end: i64) -> None:
    """Raise UnicodeDecodeError unless data[start:end] is UTF-8; plain ASCII costs no copy."""
    if not _is_ascii(data, start, end):
        data[start:end].decode("utf-8")


def check_document_id(data: bytes) -> bool:
    """Raise `WriteError` when the `_id` of this valid document is not one MongoDB would store.

    A document without `_id` passes: the writer adds one. Returns whether the document is stored as
    it is, which it is for sure when `_id` is its first field and no field holds a timestamp.
    """
    has_id = False
    is_stored_form = True
    element: i64 = 4
    while data[element] != 0:
        bson_type: i64 = data[element]
        value: i64 = skip_name(data, element + 1)
        if value - element == 5 and data[element + 1 : value] == b"_id\0":
            if has_id:
                raise WriteError("can't have multiple _id fields in one document", _BAD_VALUE)
            has_id = True
            is_stored_form = is_stored_form and element == 4
            _check_id_value(data, bson_type, value)
        elif bson_type == TYPE_TIMESTAMP:
            is_stored_form = False
        element = skip_value(data, bson_type, value)
    return has_id and is_stored_form


def _check_id_value(data: bytes, bson_type: i64, start: i64) -> None:
    name = ""
    if bson_type == TYPE_ARRAY:
        name = "array"
    elif bson_type == TYPE_REGEX:
        name = "regex"
    elif bson_type == TYPE_UNDEFINED:
        name = "undefined"
    if name:
        raise WriteError(f"The '_id' value cannot be of type {name}", _INVALID_ID_FIELD)
    if bson_type == TYPE_DOCUMENT:
        dollar = _find_dollar_name(data, start)
        if dollar:
            raise WriteError(
                f"_id fields may not contain '$'-prefixed fields: {dollar} is not valid for "
                "storage.",
                _DOLLAR_PREFIXED_FIELD_NAME,
            )


def check_replacement(data: bytes) -> None:
    """Raise `WriteError` when a replacement has a top-level field that begins with $."""
    dollar = _find_dollar_name(data, 0)
    if dollar:
        raise WriteError(
            f"The dollar ($) prefixed field '{dollar}' in '{dollar}' is not allowed in the context"
            " of an update's replacement document. Consider using an aggregation pipeline with"
            " $replaceWith.",
            _DOLLAR_PREFIXED_FIELD_NAME,
        )


def _find_dollar_name(data: bytes, start: i64) -> str:
    """Return the first field name of the document at `start` that begins with $, or ''."""
    element: i64 = start + 4
    while data[element] != 0:
        value: i64 = skip_name(data, element + 1)
        if data[element + 1] == _DOLLAR:
            return data[element + 1 : value - 1].decode("utf-8", "replace")
        bson_type: i64 = data[element]
        element = skip_value(data, bson_type, value)
    return ""
