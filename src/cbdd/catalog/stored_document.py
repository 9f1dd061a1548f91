"""The form in which a document is stored: ``_id`` is its first field.

MongoDB moves ``_id`` to the front and makes one where it is missing. PyMongo's encoder already puts
it first, so the usual cost is one look at the first field's name.
"""

from __future__ import annotations

from typing import Final

from bson.objectid import ObjectId

from cbdd.document.raw import find_field, skip_value, value_start

_ID: Final = b"_id"
_FIRST_ELEMENT: Final = 4
_OBJECT_ID_TYPE: Final = b"\x07"


def with_id_first(document: bytes) -> bytes:
    """Return the document with `_id` as its first field, made up when there is none."""
    element = find_field(document, 0, _ID)
    if element == _FIRST_ELEMENT:
        return document
    if element < 0:
        identity = _OBJECT_ID_TYPE + _ID + b"\0" + ObjectId().binary
        rest = document[_FIRST_ELEMENT:]
    else:
        end = skip_value(document, document[element], value_start(document, element))
        identity = document[element:end]
        rest = document[_FIRST_ELEMENT:element] + document[end:]
    size = _FIRST_ELEMENT + len(identity) + len(rest)
    return size.to_bytes(4, "little") + identity + rest
