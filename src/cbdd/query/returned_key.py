"""What `return_key` and `show_record_id` of a find return."""

from __future__ import annotations

from typing import Final

import bson

from cbdd.catalog.duplicate_key import key_values
from cbdd.document.raw import TYPE_INT64
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_types import AS_INT64, KeyReader
from cbdd.index.wildcard import PATH_FIELD

_RECORD_ID_FIELD: Final = b"$recordId\0"


def returned_key(definition: IndexDefinition, key: bytes, document: bytes) -> bytes:
    """Return an index key as a document of the values it was made from.

    :param key: the composite key string.
    :param document: the document the key belongs to.
    """
    if definition.fields[0][0] == PATH_FIELD:
        reader = KeyReader(key, 0, False)
        path = reader.read(0)
        assert path is not None
        values = IndexDefinition("", definition.fields[1:])
        found = bson.encode(key_values(values, document, key[reader.at :]))
        return _joined([(PATH_FIELD, path)], found)
    if definition.hashed_field < 0:
        return bson.encode(key_values(definition, document, key))
    parts: list[tuple[str, bytes]] = []
    at = 0
    for position in range(len(definition.fields)):
        reader = KeyReader(key, at, definition.descending[position])
        code = AS_INT64 if position == definition.hashed_field else 0
        parts.append((definition.fields[position][0], reader.read(code) or b"\x0a"))
        at = reader.at
    return _joined(parts, b"")


def with_record_id(document: bytes, record_id: int) -> bytes:
    """Return the document with the field `$recordId` at its end."""
    field = bytes([TYPE_INT64]) + _RECORD_ID_FIELD + record_id.to_bytes(8, "little")
    size = len(document) + len(field)
    return size.to_bytes(4, "little") + document[4:-1] + field + b"\0"


def _joined(parts: list[tuple[str, bytes]], rest: bytes) -> bytes:
    """Return a document of some fields (type byte and value) and those of another document."""
    body = b"".join([value[:1] + path.encode() + b"\0" + value[1:] for path, value in parts])
    if rest:
        body += rest[4:-1]
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
