"""`cbdd create-index`: build an index."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from cbdd.cli.arguments import (
    CollectionArgument,
    DatabaseOption,
    FileArgument,
    JsonOption,
    WaitOption,
    parse_document,
    parse_keys,
)
from cbdd.cli.opening import existing_collection, open_for_writing
from cbdd.cli.output import print_json, stdout_console
from cbdd.cli.progress import DocumentBar


def create_index(
    file: FileArgument,
    collection: CollectionArgument,
    keys: Annotated[
        str,
        typer.Argument(
            metavar="KEYS",
            help="Fields: 'dest,dep_delay:-1', or JSON '{\"dest\": 1, \"dep_delay\": -1}'.",
            show_default=False,
        ),
    ],
    unique: Annotated[bool, typer.Option("--unique", help="Refuse a key that is there.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="Default: made of the keys.", show_default=False)
    ] = None,
    options: Annotated[
        str | None,
        typer.Option(
            "--options",
            metavar="JSON",
            help="Other options: '{\"expireAfterSeconds\": 3600}'.",
            show_default=False,
        ),
    ] = None,
    database: DatabaseOption = None,
    wait: WaitOption = 30.0,
    json: JsonOption = False,
) -> None:
    """Build an index on the documents that are there; it follows every later change.

    Nothing is changed when it cannot be built, or when Ctrl-C ends it.
    """
    pairs = parse_keys(keys, "KEYS")
    wanted: dict[str, Any] = parse_document(options, "--options") if options else {}
    if name:
        wanted["name"] = name
    if unique:
        wanted["unique"] = True
    started = time.perf_counter()
    with open_for_writing(file, wait) as client:
        target = existing_collection(client, database, collection)
        with DocumentBar() as bar:
            made = target.create_index(pairs, progress=bar.show, **wanted)
        documents = target.estimated_document_count()
    seconds = time.perf_counter() - started
    if json:
        print_json({"name": made, "documents": documents, "seconds": seconds})
    else:
        stdout_console().print(f"index {made} on {documents:,} documents in {seconds:.2f} s")
