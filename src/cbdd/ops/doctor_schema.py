"""The JSON Schema of what `cbdd doctor --json` prints; docs/doctor.schema.json is made from it."""

from __future__ import annotations

import json
from typing import Any, Final

from cbdd.codes import CODES, SEVERITIES

_WHERE: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What is known of the place; others may be added.",
    "properties": {
        "database": {"type": "string"},
        "collection": {"type": "string"},
        "index": {"type": "string"},
        "documents": {"type": "integer", "description": "How many cannot be read."},
        "page": {"type": "integer"},
        "pages": {"type": "array", "items": {"type": "integer"}},
        "offset": {"type": "integer", "description": "Bytes from the start of file or segment."},
        "segment": {"type": "integer", "description": "Number of a segment of the log."},
        "lsn": {"type": "integer"},
        "expected": {"type": ["integer", "string"]},
        "found": {"type": ["integer", "string"]},
        "pids": {"type": "array", "items": {"type": "integer"}},
    },
}
_FINDING: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["code", "severity", "message", "where", "advice", "commands"],
    "properties": {
        "code": {"type": "string", "enum": sorted(CODES)},
        "severity": {"type": "string", "enum": list(SEVERITIES)},
        "message": {"type": "string"},
        "where": _WHERE,
        "advice": {"type": "string", "description": "What to do, in words."},
        "commands": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What to type next, as it is.",
        },
    },
}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["path", "verdict", "verdict_text", "quick", "findings", "facts", "seconds"],
    "properties": {
        "path": {"type": "string"},
        "verdict": {
            "type": "integer",
            "minimum": 0,
            "maximum": 4,
            "description": "Also the exit code.",
        },
        "verdict_text": {"type": "string"},
        "quick": {"type": "boolean", "description": "Whether pages were left unread."},
        "findings": {"type": "array", "items": _FINDING},
        "readable_collections": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Those whose documents can all be read, where some cannot.",
        },
        "facts": {"type": "object", "description": "Those of `cbdd stats`, and more."},
        "seconds": {"type": "number"},
    },
}


def schema_text() -> str:
    """The schema as the document docs/doctor.schema.json."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What `cbdd doctor --json` prints",
    }
    return json.dumps({**head, **SCHEMA}, indent=2) + "\n"
