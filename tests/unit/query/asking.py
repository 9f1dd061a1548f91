"""Shorthand: does a document match a filter, what does it become, why is it refused."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure

from cbdd.query import Update, parse_filter, parse_projection

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


def matches(filter: dict[str, Any], document: dict[str, Any]) -> bool:
    return parse_filter(filter).matches(bson.encode(document))


def refusal_of(filter: dict[str, Any]) -> tuple[int | None, str]:
    """Return code and message of the error a filter raises."""
    with pytest.raises(OperationFailure) as raised:
        parse_filter(filter)
    assert raised.value.details is not None
    return raised.value.code, raised.value.details["errmsg"]


def updated(document: dict[str, Any], update: dict[str, Any], *filters: Any) -> dict[str, Any]:
    compiled = Update.compile(update, filters, now_milliseconds=1_600_000_000_000)
    return bson.decode(compiled.apply(bson.encode(document)), OPTIONS)


def update_refusal(document: dict[str, Any], update: dict[str, Any], *filters: Any) -> int | None:
    """Return the code of the error an update raises, compiled or applied."""
    with pytest.raises(OperationFailure) as raised:
        updated(document, update, *filters)
    return raised.value.code


def projected(document: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    projection = parse_projection(spec)
    data = bson.encode(document)
    return bson.decode(data if projection is None else projection.apply(data), OPTIONS)
