"""`cbdd export`: write the documents of a collection to a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, BinaryIO, Final, cast

import typer
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from cbdd.cli.arguments import (
    CanonicalOption,
    CollectionArgument,
    DatabaseOption,
    FileArgument,
    JsonOption,
    LimitOption,
    ProjectionOption,
    SalvageOption,
    SkipOption,
    SortOption,
    parse_document,
    parse_keys,
    parse_projection,
)
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.opening import existing_collection, open_for_reading
from cbdd.cli.output import stderr_console
from cbdd.cli.readers import Format, format_of
from cbdd.cli.readers.extended_json import CANONICAL, RELAXED
from cbdd.cli.writers import (
    columns_of,
    write_bson,
    write_csv,
    write_json_array,
    write_json_lines,
)
from cbdd.client import Collection, Cursor

STANDARD_OUTPUT: Final = "-"
_RAW: Final[CodecOptions[RawBSONDocument]] = CodecOptions(document_class=RawBSONDocument)


def export(
    file: FileArgument,
    collection: CollectionArgument,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="File to write; - is standard output.")
    ] = STANDARD_OUTPUT,
    format: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", help="Default: by the name of TARGET, else jsonl.", show_default=False
        ),
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help="What must match, as (Extended) JSON.", show_default=False)
    ] = None,
    sort: SortOption = None,
    projection: ProjectionOption = None,
    limit: LimitOption = 0,
    skip: SkipOption = 0,
    canonical: CanonicalOption = False,
    database: DatabaseOption = None,
    salvage: SalvageOption = False,
    json: JsonOption = False,
) -> None:
    """Write the documents of a collection, all from one snapshot.

    The target has its name only when it is complete. bson, and json or jsonl with --canonical, keep
    every type; plain JSON and CSV are for other programs.
    """
    chosen = format or format_of(target) or (Format.JSONL if target == STANDARD_OUTPUT else None)
    if chosen is None:
        raise CommandError(f"the name {target} tells no format: use --format", BAD_USAGE)
    if target.endswith(".gz"):
        raise CommandError("export writes no .gz: pipe it through gzip", BAD_USAGE)
    started = time.perf_counter()
    with open_for_reading(file, salvage) as client:
        source = existing_collection(client, database, collection)
        query = {
            "filter": parse_document(filter, "--filter"),
            "projection": parse_projection(projection),
            "skip": skip,
            "limit": limit,
            "sort": parse_keys(sort, "--sort") or None,
        }
        writing = _Export(source, query, chosen, canonical)
        count = _write_to(target, writing.write)
    seconds = time.perf_counter() - started
    _tell(count, target, seconds, json)


class _Export:
    """What to read, and the format to write it in."""

    def __init__(
        self,
        source: Collection[dict[str, Any]],
        query: dict[str, Any],
        format: Format,
        canonical: bool,
    ) -> None:
        self._source = source
        self._query = query
        self._format = format
        self._options = CANONICAL if canonical else RELAXED

    def write(self, out: BinaryIO) -> int:
        """Write the documents; return how many."""
        if self._format is Format.BSON:
            raw = self._source.with_options(codec_options=_RAW)
            return write_bson(cast(Cursor[RawBSONDocument], raw.find(**self._query)), out)
        if self._format is Format.JSONL:
            return write_json_lines(self._find(), out, self._options)
        if self._format is Format.JSON:
            return write_json_array(self._find(), out, self._options)
        delimiter = "\t" if self._format is Format.TSV else ","
        return self._write_csv(out, delimiter)

    def _write_csv(self, out: BinaryIO, delimiter: str) -> int:
        with self._source.database.client.start_session(snapshot=True) as session:
            fields = self._query["projection"]
            if isinstance(fields, list):
                columns = list(dict.fromkeys(fields))
            else:
                columns = columns_of(self._source.find(**self._query, session=session))
            found = self._source.find(**self._query, session=session)
            return write_csv(found, columns, out, self._options, delimiter)

    def _find(self) -> Cursor[dict[str, Any]]:
        return self._source.find(**self._query)


def _write_to(target: str, write: Callable[[BinaryIO], int]) -> int:
    """Write to standard output, or to a file that gets its name when it is complete."""
    if target == STANDARD_OUTPUT:
        return write(cast(BinaryIO, sys.stdout.buffer))
    partial = f"{target}.part"
    try:
        with open(partial, "wb") as out:
            count = write(out)
        os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
    return count


def _tell(count: int, target: str, seconds: float, as_json: bool) -> None:
    """Say what was done, beside the documents and never among them."""
    if as_json:
        sys.stderr.write(f'{{"exported": {count}, "seconds": {seconds:.3f}}}\n')
    elif target != STANDARD_OUTPUT or sys.stderr.isatty():
        stderr_console().print(f"{count:,} documents exported in {seconds:.1f} s")
