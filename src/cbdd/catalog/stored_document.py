"""The form in which a document is stored: what a MongoDB server changes in it when it arrives.

    _id                                      the first field, made up when there is none
    Timestamp(0, 0) in a field of the top    the current time, in inserts and replacements

PyMongo's encoder already puts ``_id`` first, so the usual cost is one look at the first field's
name and one search for nine zero bytes.
"""

from __future__ import annotations

import itertools
from typing import Final

from bson.objectid import ObjectId

from cbdd.document.raw import (
    TYPE_TIMESTAMP,
    find_field,
    skip_name,
    skip_value,
    value_start,
)
from cbdd.storage import Clock

_ID: Final = b"_id"
_ID_FIELD: Final = b"_id\0"
_FIRST_ELEMENT: Final = 4
_OBJECT_ID_TYPE: Final = b"\x07"
_NO_TIME: Final = bytes(8)
_END_OF_NAME_AND_NO_TIME: Final = bytes(9)
_MICROSECONDS: Final = 1_000_000
_KEPT_SECONDS: Final = 60  # a thread may be that late


class TimestampSource:
    """Gives out timestamps, each later than the one before; shared by threads.

    Without a mutex, which an interrupt could leave locked: finding the counter of a second and
    taking its next number are one step each.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds = 0
        self._increments: dict[int, itertools.count[int]] = {}

    def take(self) -> bytes:
        """Return the BSON value of a timestamp: increment, then seconds, little-endian."""
        seconds = max(self._seconds, self._clock.now_us() // _MICROSECONDS)
        self._seconds = seconds
        increments = self._increments.get(seconds)
        if increments is None:
            increments = self._increments.setdefault(seconds, itertools.count(1))
            for earlier in list(self._increments):
                if earlier < seconds - _KEPT_SECONDS:
                    self._increments.pop(earlier, None)
        increment = next(increments)
        return increment.to_bytes(4, "little") + seconds.to_bytes(4, "little")


def stored_document(document: bytes, timestamps: TimestampSource) -> bytes:
    """Return a document that is inserted as it is stored."""
    return with_id_first(with_timestamps(document, timestamps))


def with_id_first(document: bytes) -> bytes:
    """Return the document with `_id` as its first field, made up when there is none."""
    element = find_field(document, 0, _ID)
    if element == _FIRST_ELEMENT:
        return document
    if element < 0:
        identity = _OBJECT_ID_TYPE + _ID_FIELD + ObjectId().binary
        rest = document[_FIRST_ELEMENT:]
    else:
        end = skip_value(document, document[element], value_start(document, element))
        identity = document[element:end]
        rest = document[_FIRST_ELEMENT:element] + document[end:]
    size = _FIRST_ELEMENT + len(identity) + len(rest)
    return size.to_bytes(4, "little") + identity + rest


def with_timestamps(document: bytes, timestamps: TimestampSource) -> bytes:
    """Return the document with the current time in each top-level field of `Timestamp(0, 0)`.

    Not in `_id`, and not below the top level: so does MongoDB.
    """
    if _END_OF_NAME_AND_NO_TIME not in document:
        return document
    changed = bytearray(document)
    element = _FIRST_ELEMENT
    while document[element] != 0:
        bson_type = document[element]
        start = skip_name(document, element + 1)
        end = skip_value(document, bson_type, start)
        if bson_type == TYPE_TIMESTAMP and document[start:end] == _NO_TIME:
            if document[element + 1 : start] != _ID_FIELD:
                changed[start:end] = timestamps.take()
        element = int(end)
    return bytes(changed)
