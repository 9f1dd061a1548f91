"""The error for a key that a unique index already holds, in MongoDB's words.

An index holds only key strings, so the values that collided are found again in the refused
document: at each field of the key, the value whose key string the composite key goes on with.
Values are written as MongoDB's messages write them: ``ObjectId('...')``, ``new Date(...)``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import bson
from bson.binary import Binary
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from pymongo.errors import DuplicateKeyError

from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import encode_python, invert

DUPLICATE_KEY: Final = 11000
_UUID_SUBTYPES: Final = (3, 4)
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS
)


def duplicate_key_error(
    namespace: str, definition: IndexDefinition, document: bytes, key: bytes
) -> DuplicateKeyError:
    """Return (not raise) the error for a document whose index key exists already.

    :param key: the composite key string that collided, without a record id.
    """
    key_value = key_values(definition, document, key)
    shown = ", ".join([f"{name}: {show(value)}" for name, value in key_value.items()])
    message = (
        f"E11000 duplicate key error collection: {namespace} index: {definition.name} "
        f"dup key: {{ {shown} }}"
    )
    details: dict[str, Any] = {
        "index": 0,
        "code": DUPLICATE_KEY,
        "errmsg": message,
        "keyPattern": definition.key_pattern(),
        "keyValue": key_value,
    }
    return DuplicateKeyError(message, DUPLICATE_KEY, details)


def key_values(definition: IndexDefinition, document: bytes, key: bytes) -> dict[str, object]:
    """Return the values of a document that an index key was made from, by field path."""
    decoded = bson.decode(document, _OPTIONS)
    found: dict[str, object] = {}
    position = 0
    for name, direction in definition.fields:
        for candidate in _values_at(decoded, name.split("."), 0):
            encoded = encode_python(candidate)
            if direction < 0:
                encoded = invert(encoded)
            if key.startswith(encoded, position):
                found[name] = candidate
                position += len(encoded)
                break
        else:
            found[name] = None
    return found


def _values_at(value: object, parts: list[str], depth: int) -> list[object]:
    """List every value an index may take at a path: array elements, whole arrays, null."""
    if depth == len(parts):
        if isinstance(value, list):
            return [*value, value, None]
        return [value]
    values: list[object] = []
    if isinstance(value, dict) and parts[depth] in value:
        values.extend(_values_at(value[parts[depth]], parts, depth + 1))
    elif isinstance(value, list):
        if parts[depth].isdigit() and int(parts[depth]) < len(value):
            values.extend(_values_at(value[int(parts[depth])], parts, depth + 1))
        for element in value:
            if isinstance(element, dict):
                values.extend(_values_at(element, parts, depth))
    values.append(None)
    return values


def show(value: object) -> str:
    """Write a value as MongoDB's messages do."""
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, dict):
        fields = ", ".join([f"{name}: {show(item)}" for name, item in value.items()])
        return f"{{ {fields} }}" if fields else "{}"
    if isinstance(value, list):
        items = ", ".join([show(item) for item in value])
        return f"[ {items} ]" if items else "[]"
    return _show_scalar(value)


def _show_scalar(value: object) -> str:
    if isinstance(value, ObjectId):
        return f"ObjectId('{value}')"
    if isinstance(value, DatetimeMS):
        return f"new Date({int(value)})"
    if isinstance(value, datetime):
        return f"new Date({int(DatetimeMS(value.replace(tzinfo=UTC)))})"
    if isinstance(value, (MinKey, MaxKey)):
        return "MinKey" if isinstance(value, MinKey) else "MaxKey"
    if isinstance(value, Timestamp):
        return f"Timestamp({value.time}, {value.inc})"
    if isinstance(value, Regex):
        return f"/{value.pattern}/"
    if isinstance(value, Decimal128):
        return str(value)
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Binary) and value.subtype in _UUID_SUBTYPES and len(value) == 16:
        text = value.hex()
        return f'UUID("{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")'
    if isinstance(value, bytes):
        subtype = value.subtype if isinstance(value, Binary) else 0
        return f"BinData({subtype}, {value.hex().upper()})"
    return repr(value)
