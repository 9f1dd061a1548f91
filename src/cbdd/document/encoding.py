"""Encoding documents for storage, one or many in one call."""

from __future__ import annotations

from typing import Any, Final

import bson
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from bson.raw_bson import RawBSONDocument

from cbdd.document.validate import validate_document

# The codec asks the class of documents for this attribute, also where it encodes. Plain dict has
# none, and the exception that says so takes an eighth of encoding a document of 200 bytes.
_MARKED_CLASS: Final[Any] = type("MarkedDocument", (dict,), {"_type_marker": 0})


class _Options:
    """Options that were given, and those to encode with."""

    def __init__(self, given: CodecOptions[Any]) -> None:
        self.given = given
        self.used: CodecOptions[Any] = given
        if given.document_class is dict:
            self.used = given.with_options(document_class=_MARKED_CLASS)


_MOST_KNOWN: Final = 16
_known: list[_Options] = [_Options(DEFAULT_CODEC_OPTIONS)]
"""Those used lately, which are few: each client has its own."""


def _options_of(given: CodecOptions[Any]) -> CodecOptions[Any]:
    for options in _known:
        if options.given is given:
            return options.used
    made = _Options(given)
    _known.insert(0, made)
    del _known[_MOST_KNOWN:]
    return made.used


def encode_document(document: Any, codec_options: CodecOptions[Any]) -> bytes:
    """Return a document as BSON; a `RawBSONDocument` is taken as it is."""
    if type(document) is not dict and isinstance(document, RawBSONDocument):
        return bytes(document.raw)
    return bson.encode(document, False, _options_of(codec_options))


def encode_documents(
    documents: list[Any],
    start: int,
    codec_options: CodecOptions[Any],
    most_documents: int,
    most_bytes: int,
) -> tuple[list[bytes], bool]:
    """Encode documents from one on: so many, or until there are so many bytes.

    :returns: those, and whether `check_document_id` has nothing to look for in any of them.
    :raises InvalidDocument: one of them cannot be stored.
    """
    encoded: list[bytes] = []
    are_stored_form = True
    size = 0
    end = min(len(documents), start + most_documents)
    for position in range(start, end):
        data = encode_document(documents[position], codec_options)
        if not validate_document(data):
            are_stored_form = False
        encoded.append(data)
        size += len(data)
        if size >= most_bytes:
            break
    return encoded, are_stored_form
