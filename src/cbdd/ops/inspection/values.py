"""Showing stored bytes: documents as Extended JSON, everything else as hexadecimal digits."""

from __future__ import annotations

import json
from typing import Any

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


def shown_value(value: bytes, is_document: bool) -> object:
    """A value of a tree for JSON."""
    if is_document:
        try:
            document = bson.decode(value, _OPTIONS)
        except BSONError:
            return value.hex()
        text = json_util.dumps(document, json_options=json_util.RELAXED_JSON_OPTIONS)
        return json.loads(text)
    return value.hex()
