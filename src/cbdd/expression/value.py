"""BSON values as the query language holds them: a type and the value's own bytes.

Filters and updates are encoded to BSON before they are read, so that an operand and a stored value
are the same kind of thing and no Python type comes between them: an int64 stays an int64, `True`
is never 1, a compiled pattern is a BSON regular expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from librt.strings import read_f64_le, read_i32_le, read_i64_le
from mypy_extensions import mypyc_attr

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
    elements,
    find_field,
    skip_value,
    value_start,
)
from cbdd.index.key_string import encode_value

MISSING: Final = 0
"""The type of a value that is not there; no stored element has it."""

_DEFAULT_OPTIONS: Final[CodecOptions[Any]] = CodecOptions()

TYPE_NAMES: Final[dict[int, str]] = {
    MISSING: "missing",
    TYPE_DOUBLE: "double",
    TYPE_STRING: "string",
    TYPE_DOCUMENT: "object",
    TYPE_ARRAY: "array",
    TYPE_BINARY: "binData",
    TYPE_UNDEFINED: "undefined",
    TYPE_OBJECT_ID: "objectId",
    TYPE_BOOLEAN: "bool",
    TYPE_DATE: "date",
    TYPE_NULL: "null",
    TYPE_REGEX: "regex",
    TYPE_DB_POINTER: "dbPointer",
    TYPE_CODE: "javascript",
    TYPE_SYMBOL: "symbol",
    TYPE_CODE_WITH_SCOPE: "javascriptWithScope",
    TYPE_INT32: "int",
    TYPE_TIMESTAMP: "timestamp",
    TYPE_INT64: "long",
    TYPE_DECIMAL128: "decimal",
    TYPE_MIN_KEY: "minKey",
    TYPE_MAX_KEY: "maxKey",
}


@mypyc_attr(acyclic=True)
class Value:
    """One BSON value, cut out of the document it came from; immutable."""

    def __init__(self, bson_type: int, data: bytes) -> None:
        self.bson_type = bson_type
        self.data = data

    def key(self) -> bytes:
        """Return the key string: equal values have equal keys, smaller ones smaller keys."""
        return encode_value(self.data, self.bson_type, 0, len(self.data))

    def is_number(self) -> bool:
        """Tell whether this is an int32, int64, double or Decimal128."""
        return is_number(self.bson_type)

    def type_name(self) -> str:
        """Return MongoDB's name of the type."""
        return TYPE_NAMES[self.bson_type]

    def fields(self) -> list[tuple[str, Value]]:
        """List the fields of a document or array value, in order."""
        data = self.data
        return [
            (name.decode("utf-8"), Value(bson_type, data[start:end]))
            for bson_type, name, start, end in elements(data, 0)
        ]

    def text(self) -> str:
        """Return the string of a string value."""
        assert self.bson_type == TYPE_STRING
        return self.data[4:-1].decode("utf-8")

    def number(self) -> int | float | Decimal | None:
        """Return the number as Python's int, float or Decimal; None for other types."""
        if self.bson_type == TYPE_INT32:
            small: int = read_i32_le(self.data, 0)
            return small
        if self.bson_type == TYPE_INT64:
            large: int = read_i64_le(self.data, 0)
            return large
        if self.bson_type == TYPE_DOUBLE:
            return read_f64_le(self.data, 0)
        if self.bson_type == TYPE_DECIMAL128:
            return read_decimal(self.data, 0)
        return None

    def integer(self) -> int | None:
        """Return the number as an int, or None when it is no number or not a whole one."""
        if self.bson_type == TYPE_DOUBLE:
            double = read_f64_le(self.data, 0)
            return int(double) if double.is_integer() else None
        if self.bson_type == TYPE_DECIMAL128:
            decimal = read_decimal(self.data, 0)
            is_whole = decimal.is_finite() and decimal == decimal.to_integral_value()
            return int(decimal) if is_whole else None
        if self.bson_type == TYPE_INT32 or self.bson_type == TYPE_INT64:
            return read_integer(self.data, self.bson_type, 0)
        return None

    def is_true(self) -> bool:
        """Tell what the value means where a flag is expected: everything but null, 0 and false."""
        if self.bson_type == TYPE_BOOLEAN:
            return self.data[0] != 0
        if self.bson_type == TYPE_NULL or self.bson_type == TYPE_UNDEFINED:
            return False
        number = self.number()
        return number is None or number != 0

    def python(self) -> object:
        """Return the value decoded by PyMongo's codec; for messages and reports, not hot paths."""
        return bson.decode(wrap(self))[""]

    def __repr__(self) -> str:
        return f"<{self.type_name()} {self.python()!r}>"


def is_number(bson_type: int) -> bool:
    """Tell whether `bson_type` is one of the four numeric types."""
    return (
        bson_type == TYPE_INT32
        or bson_type == TYPE_INT64
        or bson_type == TYPE_DOUBLE
        or bson_type == TYPE_DECIMAL128
    )


def read_integer(data: bytes, bson_type: int, start: int) -> int:
    """Read the int32 or int64 at `start`."""
    if bson_type == TYPE_INT32:
        small: int = read_i32_le(data, start)
        return small
    large: int = read_i64_le(data, start)
    return large


def read_decimal(data: bytes, start: int) -> Decimal:
    """Read the Decimal128 at `start`."""
    return Decimal128.from_bid(data[start : start + 16]).to_decimal()


def wrap(value: Value, name: bytes = b"") -> bytes:
    """Return the document {name: value}."""
    body = bytes([value.bson_type]) + name + b"\0" + value.data + b"\0"
    return (len(body) + 4).to_bytes(4, "little") + body


def document_value(document: bytes) -> Value:
    """Return the whole of `document` as a value."""
    return Value(TYPE_DOCUMENT, document)


def encode_document(
    document: Mapping[str, Any] | bytes, codec_options: CodecOptions[Any] | None = None
) -> bytes:
    """Encode a filter, update, projection or the like; bytes are taken to be BSON already.

    It is encoded as a field of another document, as a command would carry it: PyMongo moves `_id`
    to the front of a document it encodes by itself, and here the order means something.
    """
    if isinstance(document, bytes):
        return document
    outer = bson.encode({"": document}, codec_options=codec_options or _DEFAULT_OPTIONS)
    return outer[6:-1]


def value_of(python_value: object) -> Value:
    """Encode one Python value."""
    document = bson.encode({"": python_value})
    bson_type, _, start, end = elements(document, 0)[0]
    return Value(bson_type, document[start:end])


def id_element(document: bytes) -> bytes:
    """Return the whole `_id` element of `document`, or b"" when it has none."""
    element = int(find_field(document, 0, b"_id"))
    if element < 0:
        return b""
    start = int(value_start(document, element))
    return document[element : int(skip_value(document, document[element], start))]
