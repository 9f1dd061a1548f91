"""`cbdd import`: store the documents of a file in a collection."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import typer
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cbdd.cli.arguments import (
    CollectionArgument,
    DatabaseOption,
    FileArgument,
    JsonOption,
    WaitOption,
)
from cbdd.cli.failures import BAD_INPUT, BAD_USAGE, CommandError
from cbdd.cli.import_options import (
    BatchOption,
    DelimiterOption,
    DropOption,
    Durability,
    DurabilityOption,
    FieldsOption,
    FormatOption,
    InferOption,
    MissingOption,
    OnError,
    OnErrorOption,
    SourceArgument,
    TextOption,
)
from cbdd.cli.loading import Loader
from cbdd.cli.opening import database_of, open_for_writing
from cbdd.cli.output import print_json, stdout_console
from cbdd.cli.progress import TerminalProgress
from cbdd.cli.readers import Format, Record, Source, format_of, open_source
from cbdd.cli.readers.csv_rows import CsvOptions
from cbdd.cli.readers.source import STANDARD_INPUT
from cbdd.client import Collection

MAX_ERRORS_KEPT: Final = 100


def import_documents(
    file: FileArgument,
    collection: CollectionArgument,
    source: SourceArgument,
    database: DatabaseOption = None,
    format: FormatOption = None,
    on_error: OnErrorOption = OnError.STOP,
    drop: DropOption = False,
    batch: BatchOption = 1000,
    durability: DurabilityOption = Durability.FULL,
    fields: FieldsOption = None,
    text: TextOption = None,
    missing: MissingOption = None,
    infer: InferOption = True,
    delimiter: DelimiterOption = None,
    wait: WaitOption = 30.0,
    json: JsonOption = False,
) -> None:
    """Store the documents of a file in a collection.

    Reads JSON lines, a JSON array (or documents one after another), CSV with a header, Extended
    JSON in either, and the .bson files of mongodump, all as streams. The database file is created
    when it is not there. Batches that were stored stay stored when the import ends early; exit
    code 1 says that at least one record was not.

    CSV: each cell is judged by its text: 12 is an int, 1.5 a double, true a boolean, 2013-01-31 and
    2013-01-31T10:00:00Z dates; 007 and the rest are text; an empty cell is no field; a column
    `address.city` becomes a document inside the document.
    """
    chosen = format or format_of(source)
    if chosen is None:
        if source != STANDARD_INPUT:
            raise CommandError(f"the name {source} tells no format: use --format", BAD_USAGE)
        chosen = Format.JSONL
    options = CsvOptions(
        _delimiter(delimiter, chosen), _names(fields), infer, _names(text), missing
    )
    started = time.perf_counter()
    with (
        open_source(source, chosen) as opened,
        open_for_writing(file, wait, must_exist=False, durability=durability.value) as client,
    ):
        target = database_of(client, database)[collection]
        load = _Import(opened, target, on_error is OnError.STOP, batch, json)
        try:
            load.run(options, drop)
        finally:
            load.tell(time.perf_counter() - started)
    if load.loader.skipped:
        raise typer.Exit(BAD_INPUT)


class _Import:
    """One run of the command: reads, stores, shows progress, keeps the errors."""

    def __init__(
        self,
        source: Source,
        target: Collection[dict[str, Any]],
        stops: bool,
        batch: int,
        as_json: bool,
    ) -> None:
        self.loader = Loader(target, batch, stops, self._note)
        self._source = source
        self._target = target
        self._as_json = as_json
        self._errors: list[dict[str, str]] = []
        self._progress = _ProgressLine(source)

    def run(self, options: CsvOptions, drop: bool) -> None:
        """Read to the end, or to the record that ends it."""
        with self._progress:
            for record in self._source.records(options):
                if drop:
                    drop = False  # not before something could be read
                    self._target.drop()
                self.loader.add(record)
                if self.loader.is_stopped:
                    break
                self._progress.show(self.loader.inserted)
            if drop:
                self._target.drop()
            self.loader.flush()

    def tell(self, seconds: float) -> None:
        """Print what was done."""
        loader = self.loader
        if self._as_json:
            print_json(
                {
                    "collection": self._target.full_name,
                    "inserted": loader.inserted,
                    "refused": loader.skipped,
                    "is_stopped": loader.is_stopped,
                    "errors": self._errors,
                    "seconds": seconds,
                }
            )
            return
        rate = loader.inserted / seconds if seconds else 0
        line = f"{loader.inserted:,} documents imported into {self._target.full_name}"
        line += f" in {seconds:.1f} s ({rate:,.0f} a second)"
        if loader.skipped:
            line += f"; {loader.skipped:,} bad, " + ("stopped" if loader.is_stopped else "skipped")
        stdout_console().print(line)

    def _note(self, record: Record) -> None:
        if len(self._errors) < MAX_ERRORS_KEPT:
            self._errors.append({"place": record.place, "error": record.error})
        self._progress.clear()
        sys.stderr.write(f"cbdd: {record.place}: {record.error}\n")


class _ProgressLine(TerminalProgress):
    """A bar with rate and remaining time on standard error, when that is a terminal."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._next = 0.0
        columns: list[Any] = [
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.fields[documents]:,}"),
        ]
        columns += [TextColumn("documents, {task.fields[rate]:,.0f}/s"), TimeElapsedColumn()]
        if source.size_bytes is not None:
            columns.insert(2, TaskProgressColumn())
            columns += [TextColumn("left"), TimeRemainingColumn()]
        super().__init__(*columns)
        self._started = time.monotonic()
        self._task = self.progress.add_task("", total=source.size_bytes, documents=0, rate=0.0)

    def show(self, documents: int) -> None:
        """Show how far it is; costs next to nothing when it was shown a moment ago."""
        if not self.is_shown:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.1
        rate = documents / max(now - self._started, 0.001)
        self.progress.update(
            self._task, completed=self._source.bytes_read(), documents=documents, rate=rate
        )

    def clear(self) -> None:
        """Make room for a line of text."""
        if self.is_shown:
            self.progress.console.print(end="")


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",")] if text else []


def _delimiter(given: str | None, format: Format) -> str:
    if given is None:
        return "\t" if format is Format.TSV else ","
    if given == "\\t":
        return "\t"
    if len(given) != 1 or given in '"\r\n':
        raise typer.BadParameter("must be one character", param_hint="--delimiter")
    return given
