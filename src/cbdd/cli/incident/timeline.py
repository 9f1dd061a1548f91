"""`cbdd incident timeline`: what happened when, made by itself and open to corrections."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption, parse_time
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.incident.options import (
    DEFAULT_STORE,
    DEFAULT_TRACKER,
    ByOption,
    NumberArgument,
    StoreOption,
    TrackerOption,
    person,
    store_at,
)
from cbdd.cli.output import print_json, printable, time_text
from cbdd.ops.incident.lifecycle import annotate, edit_timeline

AddOption = Annotated[str | None, typer.Option("--add", metavar="TEXT", help="Add a note.")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="When it was, in UTC unless it says otherwise."),
]
EditOption = Annotated[
    int | None, typer.Option("--edit", metavar="LINE", min=1, help="Change a line.")
]
TextOption = Annotated[
    str | None,
    typer.Option("--text", help="Its new text; an empty one takes a note away."),
]


def timeline(
    number: NumberArgument,
    add: AddOption = None,
    at: AtOption = None,
    edit: EditOption = None,
    text: TextOption = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Show the timeline, add a note to it, or correct a line."""
    if add is not None and edit is not None:
        raise CommandError("give --add or --edit, not both", BAD_USAGE)
    if (edit is None) != (text is None):
        raise CommandError("--edit and --text belong together", BAD_USAGE)
    with store_at(store, tracker) as records:
        if add is not None:
            moment = parse_time(at, "--at") or records.now_us()
            found = records.change(number, annotate(moment, add, person(by)))
        elif edit is not None:
            found = records.change(number, edit_timeline(edit, text or ""))
        else:
            found = records.get(number)
    for index, entry in enumerate(found.timeline, 1):
        if json:
            print_json({"line": index, **vars(entry)})
            continue
        who = f" ({entry.by})" if entry.by else ""
        said = f": {entry.text}" if entry.text else ""
        sys.stdout.write(
            printable(f"{index}. {time_text(entry.at_us)} {entry.what}{said}{who}") + "\n"
        )
