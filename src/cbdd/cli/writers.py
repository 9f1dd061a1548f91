"""Writing documents as JSON lines, a JSON array, CSV or BSON, one at a time.

CSV needs its columns before the first row: they are those of `--projection`, or else every field of
the documents, in the order in which they first appear, which takes a pass over them before.
Documents inside documents become columns with dots, as the import reads them; arrays and whatever
has no text of its own are Extended JSON in the cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

from bson import json_util
from bson.int64 import Int64
from bson.json_util import JSONOptions
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

_MAX_DEPTH: Final = 100


def write_json_lines(
    documents: Iterable[Mapping[str, Any]], out: BinaryIO, options: JSONOptions
) -> int:
    """Write each document on a line; return how many."""
    count = 0
    for document in documents:
        out.write(json_util.dumps(document, json_options=options).encode() + b"\n")
        count += 1
    return count


def write_json_array(
    documents: Iterable[Mapping[str, Any]], out: BinaryIO, options: JSONOptions
) -> int:
    """Write one array, a document on each line; return how many."""
    count = 0
    out.write(b"[")
    for document in documents:
        out.write(b",\n" if count else b"\n")
        out.write(json_util.dumps(document, json_options=options).encode())
        count += 1
    out.write(b"\n]\n")
    return count


def write_bson(documents: Iterable[RawBSONDocument], out: BinaryIO) -> int:
    """Write the documents as they are stored, one after another; return how many."""
    count = 0
    for document in documents:
        out.write(document.raw)
        count += 1
    return count


def write_csv(
    documents: Iterable[Mapping[str, Any]],
    columns: list[str],
    out: BinaryIO,
    options: JSONOptions,
    delimiter: str,
) -> int:
    """Write a header and a row for each document; return how many documents."""
    count = 0
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    try:
        rows = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        rows.writerow(columns)
        for document in documents:
            cells = dict(flatten(document))
            rows.writerow([cell_text(cells.get(column), options) for column in columns])
            count += 1
    finally:
        text.detach()
    return count


def columns_of(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the fields of all documents, dotted, in the order of first appearance."""
    found: dict[str, None] = {}
    for document in documents:
        for name, _ in flatten(document):
            found.setdefault(name)
    return list(found)


def flatten(
    document: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a document, those of documents inside it under dotted names."""
    for name, value in document.items():
        if isinstance(value, dict) and value and depth < _MAX_DEPTH:
            yield from flatten(value, f"{prefix}{name}.", depth + 1)
        else:
            yield prefix + name, value


def cell_text(value: object, options: JSONOptions) -> str:
    """Return the text of a CSV cell; None is an empty one."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Int64, ObjectId)):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json_util.dumps(value, json_options=options)
