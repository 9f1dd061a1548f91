"""CSV: a header row with the names of the fields, then a document on each row.

A name with dots makes documents inside documents: the column `address.city` is the field `city` of
the field `address`. A row with more or fewer cells than the header is a bad record.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from cbdd.cli.readers.csv_values import infer
from cbdd.cli.readers.json_lines import BYTE_ORDER_MARK
from cbdd.cli.readers.record import Record, record_of

MAX_CELL_CHARACTERS: Final = 16 << 20


class CsvOptions:
    """How to read CSV.

    :param delimiter: the character between cells.
    :param fields: names of the columns; empty: the first row has them.
    :param infer_types: whether text that looks like a number or date becomes one.
    :param text_fields: columns that stay text.
    :param missing: texts that, like an empty cell, mean that there is no value.
    """

    def __init__(
        self,
        delimiter: str = ",",
        fields: list[str] | None = None,
        infer_types: bool = True,
        text_fields: list[str] | None = None,
        missing: list[str] | None = None,
    ) -> None:
        self.delimiter = delimiter
        self.fields = list(fields or [])
        self.infer_types = infer_types
        self.text_fields = frozenset(text_fields or [])
        self.missing = frozenset(["", *(missing or [])])


def read_csv(stream: BinaryIO, options: CsvOptions) -> Iterator[Record]:
    """Read a document from each row."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    lines = _Lines(stream)
    rows = csv.reader(lines, delimiter=options.delimiter, strict=True)
    names = options.fields
    if not names:
        row, error = _next_row(rows)
        if row is None and not error:
            return
        if error:
            yield Record("line 1", error=f"header: {error}", is_last=True)
            return
        names = row or []
    error = _header_error(names)
    if error:
        yield Record("header", error=error, is_last=True)
        return
    columns = [_Column(name, options) for name in names]
    while True:
        place = f"line {lines.number + 1}"
        row, error = _next_row(rows)
        if error:
            yield Record(place, error=error)
        elif row is None:
            return
        elif row:
            yield _record(place, row, columns, options)


def _next_row(rows: Any) -> tuple[list[str] | None, str]:
    """Return the next row, or None at the end; or what is wrong with it."""
    try:
        row: list[str] | None = next(rows, None)
    except csv.Error as error:
        return None, f"not CSV: {error}"
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: {error.reason} at byte {error.start + 1} of the line"
    return row, ""


def _header_error(names: list[str]) -> str:
    for name in names:
        if not name:
            return "a column has no name; name all with --fields"
        if names.count(name) > 1:
            return f"two columns are called {name!r}"
        if any(other.startswith(f"{name}.") for other in names):
            return f"{name!r} is a column and, by its dots, a document of others"
        if "" in name.split(".") or "\0" in name:
            return f"{name!r} is no field name"
    return ""


class _Column:
    """The name of a column and where its values go."""

    def __init__(self, name: str, options: CsvOptions) -> None:
        *self.parents, self.name = name.split(".")
        self.infers = options.infer_types and name not in options.text_fields


def _record(place: str, row: list[str], columns: list[_Column], options: CsvOptions) -> Record:
    if len(row) != len(columns):
        return Record(place, error=f"{len(row)} cells where the header has {len(columns)}")
    document: dict[str, Any] = {}
    missing = options.missing
    for text, column in zip(row, columns, strict=True):
        if text in missing:
            continue
        target = document
        for parent in column.parents:
            target = target.setdefault(parent, {})
        target[column.name] = infer(text) if column.infers else text
    return record_of(place, document)


class _Lines:
    """The lines of a stream as text, counted; one that is not UTF-8 raises when it is reached."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline()
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        return line.decode()
