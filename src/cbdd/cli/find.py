"""`cbdd find`: show the documents that match."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from bson import json_util
from rich.json import JSON

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
from cbdd.cli.opening import existing_collection, open_for_reading
from cbdd.cli.output import print_json, stdout_console
from cbdd.cli.readers.extended_json import CANONICAL, RELAXED


def find(
    file: FileArgument,
    collection: CollectionArgument,
    filter: Annotated[
        str | None,
        typer.Argument(
            metavar="FILTER",
            help='What must match, as (Extended) JSON: \'{"qty": {"$gt": 5}}\'.',
            show_default=False,
        ),
    ] = None,
    sort: SortOption = None,
    projection: ProjectionOption = None,
    limit: LimitOption = 0,
    skip: SkipOption = 0,
    hint: Annotated[
        str | None, typer.Option(help="Name of the index to use.", show_default=False)
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Print only how many there are.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print the plan instead.")] = False,
    canonical: CanonicalOption = False,
    database: DatabaseOption = None,
    salvage: SalvageOption = False,
    json: JsonOption = False,
) -> None:
    """Show the documents that match, for people; with --json one on each line."""
    wanted = parse_document(filter, "FILTER")
    keys = parse_keys(sort, "--sort")
    fields = parse_projection(projection)
    with open_for_reading(file, salvage) as client:
        target = existing_collection(client, database, collection)
        if count:
            bounds: dict[str, Any] = {"limit": limit} if limit else {}
            number = target.count_documents(wanted, skip=skip, hint=hint, **bounds)
            if json:
                print_json({"count": number})
            else:
                sys.stdout.write(f"{number}\n")
            return
        cursor = target.find(wanted, fields, skip, limit, sort=keys or None, hint=hint)
        if explain:
            _show(cursor.explain(), json, canonical)
            return
        for document in cursor:
            _show(document, json, canonical)


def _show(document: Any, as_json: bool, canonical: bool) -> None:
    options = CANONICAL if canonical else RELAXED
    if as_json:
        sys.stdout.write(json_util.dumps(document, json_options=options) + "\n")
        return
    text = json_util.dumps(document, json_options=options, indent=2, ensure_ascii=False)
    if sys.stdout.isatty():
        stdout_console().print(JSON(text, ensure_ascii=False))
    else:
        sys.stdout.write(text + "\n")
