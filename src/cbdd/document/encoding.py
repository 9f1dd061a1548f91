"""Encoding many documents for storage in one call."""

from __future__ import annotations

from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from cbdd.document.validate import validate_document


def encode_document(document: Any, codec_options: CodecOptions[Any]) -> bytes:
    """Return a document as BSON; a `RawBSONDocument` is taken as it is."""
    if type(document) is not dict and isinstance(document, RawBSONDocument):
        return bytes(document.raw)
    return bson.encode(document, False, codec_options)


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
