"""One document read from a source, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
from bson.errors import InvalidBSON, InvalidDocument
from pymongo.errors import PyMongoError


class Record:
    """A document as BSON with the place it came from; or an error and no document.

    :param place: where it begins, as a person would look it up: ``line 17``.
    :param is_last: the source cannot be read beyond this record.
    """

    def __init__(
        self, place: str, document: bytes = b"", error: str = "", is_last: bool = False
    ) -> None:
        self.place = place
        self.document = document
        self.error = error
        self.is_last = is_last


def record_of(place: str, document: Mapping[str, Any]) -> Record:
    """Encode a document; one without an `_id` gets it when it is stored."""
    try:
        return Record(place, bson.encode(document))
    except (InvalidDocument, InvalidBSON, OverflowError, UnicodeError, RecursionError) as error:
        return Record(place, error=str(error) or type(error).__name__)
    except (PyMongoError, TypeError, ValueError) as error:
        return Record(place, error=str(error))
