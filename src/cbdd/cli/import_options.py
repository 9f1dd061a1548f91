"""The arguments and options of `cbdd import`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from cbdd.cli.readers import Format

MAX_BATCH: Final = 100_000


class OnError(StrEnum):
    """What to do about a bad record."""

    STOP = "stop"
    SKIP = "skip"


class Durability(StrEnum):
    """When a commit returns, see `cbdd.connect`."""

    FULL = "full"
    NORMAL = "normal"
    OFF = "off"


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="File to read: .jsonl, .json, .csv, .tsv, .bson, each also with .gz; - is stdin.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="Default: by the name of SOURCE.", show_default=False),
]
OnErrorOption = Annotated[
    OnError, typer.Option(help="At a bad record: stop, or report it and go on.")
]
DropOption = Annotated[bool, typer.Option("--drop", help="Drop the collection first.")]
BatchOption = Annotated[int, typer.Option(min=1, max=MAX_BATCH, help="Documents stored at a time.")]
DurabilityOption = Annotated[
    Durability, typer.Option(help="full: each batch is on disk when the next begins.")
]
FieldsOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="CSV: names of the columns, for a file without a header.",
        show_default=False,
    ),
]
TextOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="CSV: columns that stay text, e.g. 'zip,phone'.",
        show_default=False,
    ),
]
MissingOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="CSV: a text that means no value, as the empty one does; repeatable.",
        show_default=False,
    ),
]
InferOption = Annotated[
    bool, typer.Option("--infer/--no-infer", help="CSV: numbers, booleans, dates by their text.")
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER",
        help="CSV: what is between cells; default: a comma, a tab for tsv.",
        show_default=False,
    ),
]
