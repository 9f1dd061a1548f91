"""Shorthand: the value of an expression for a document, or the code of its refusal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import bson
from bson import json_util
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure

from cbdd.expression.context import ExpressionContext
from cbdd.expression.value import MISSING, value_of, wrap

AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
GONE = "(missing)"


def evaluated(expression: Any, document: dict[str, Any] | None = None) -> Any:
    """Return the value of an expression; GONE when it is missing."""
    context = ExpressionContext(now_milliseconds=0)
    compiled = context.compile(value_of(expression))
    context.require_sound()
    value = compiled.evaluate(context.environment(bson.encode(document or {})))
    return GONE if value.bson_type == MISSING else bson.decode(wrap(value), AWARE)[""]


def exact(value: Any) -> str:
    """Return a value as text in which numeric types and field order count."""
    written = json_util.dumps({"": value}, json_options=json_util.CANONICAL_JSON_OPTIONS)
    return json.dumps(json.loads(written))


def assert_value(expression: Any, expected: Any, document: dict[str, Any] | None = None) -> None:
    assert exact(evaluated(expression, document)) == exact(expected)


def refusal_code(expression: Any, document: dict[str, Any] | None = None) -> int | None:
    """Return the code of the error an expression raises, None when it raises none."""
    try:
        evaluated(expression, document)
    except OperationFailure as error:
        return error.code
    return None


def date(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]
