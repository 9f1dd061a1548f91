"""`cbdd drop-index`: remove an index."""

from __future__ import annotations

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


def drop_index(
    file: FileArgument,
    collection: CollectionArgument,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As `cbdd indexes` shows it.", show_default=False)
    ],
    database: DatabaseOption = None,
    wait: WaitOption = 30.0,
    json: JsonOption = False,
) -> None:
    """Remove an index; the documents stay."""
    with open_for_writing(file, wait) as client:
        existing_collection(client, database, collection).drop_index(name)
    if json:
        print_json({"dropped": name})
    else:
        stdout_console().print(f"index {name} dropped")
