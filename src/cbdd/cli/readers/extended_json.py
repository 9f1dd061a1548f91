"""Extended JSON text to documents.

Text without a ``$`` has no Extended JSON in it and takes the JSON parser's fast path; the result is
the same.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bson import json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.json_util import DatetimeRepresentation, JSONMode, JSONOptions

from cbdd.cli.readers.record import Record, record_of

RELAXED = JSONOptions(
    json_mode=JSONMode.RELAXED, datetime_representation=DatetimeRepresentation.ISO8601
)
CANONICAL = JSONOptions(json_mode=JSONMode.CANONICAL)
_READING = JSONOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)


def parse(text: str) -> Any:
    """Parse JSON or Extended JSON, canonical or relaxed.

    :raises ValueError: it is not JSON, or not what Extended JSON allows.
    """
    try:
        if "$" not in text:
            return json.loads(text, parse_constant=_refuse_constant)
        return json_util.loads(text, json_options=_READING)
    except json.JSONDecodeError as error:
        column = f" in line {error.lineno}" if error.lineno > 1 else ""
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}{column}") from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except (BSONError, KeyError, TypeError, AttributeError, ArithmeticError, re.error) as error:
        raise ValueError(f"not Extended JSON: {error}") from error


def read_text(place: str, data: bytes) -> Record:
    """Make a record of the text of one document."""
    try:
        value = parse(data.decode())
    except UnicodeDecodeError as error:
        return Record(place, error=f"not UTF-8: {error.reason} at byte {error.start + 1}")
    except ValueError as error:
        return Record(place, error=str(error))
    if not isinstance(value, dict):
        return Record(place, error=f"expected an object, found {describe(value)}")
    return record_of(place, value)


def describe(value: object) -> str:
    """Name a JSON value's kind for a message."""
    if value is None:
        return "null"
    for kind, name in ((bool, "a boolean"), (str, "a string"), (list, "an array")):
        if isinstance(value, kind):
            return name
    return "a number" if isinstance(value, (int, float)) else f"a {type(value).__name__}"


def _refuse_constant(name: str) -> float:
    raise ValueError(f"not JSON: {name} is no JSON number; write it as " + '{"$numberDouble": ...}')
