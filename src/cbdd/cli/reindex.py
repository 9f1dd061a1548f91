"""`cbdd reindex`: make indexes anew."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cbdd.cli.arguments import (
    CollectionArgument,
    DatabaseOption,
    FileArgument,
    JsonOption,
    WaitOption,
)
from cbdd.cli.opening import existing_collection, open_for_writing
from cbdd.cli.output import print_json, stdout_console
from cbdd.cli.progress import DocumentBar


def reindex(
    file: FileArgument,
    collection: CollectionArgument,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Only this index, as `cbdd indexes` shows it; all without it.",
            show_default=False,
        ),
    ] = None,
    database: DatabaseOption = None,
    wait: WaitOption = 30.0,
    json: JsonOption = False,
) -> None:
    """Make indexes anew from the documents, whatever the old ones hold.

    For an index that `cbdd check` found wrong. One transaction: nothing is changed when it cannot
    be done, or when Ctrl-C ends it.
    """
    started = time.perf_counter()
    with open_for_writing(file, wait) as client:
        target = existing_collection(client, database, collection)
        with DocumentBar() as bar:
            made = target.reindex(name, progress=bar.show)
        documents = target.estimated_document_count()
    seconds = time.perf_counter() - started
    if json:
        print_json({"rebuilt": made, "documents": documents, "seconds": seconds})
    else:
        names = ", ".join(made)
        stdout_console().print(
            f"rebuilt {names} from {documents:,} documents in {seconds:.2f} s", markup=False
        )
