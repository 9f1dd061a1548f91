"""`cbdd incident status`: how it stands, in words, told to everybody."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
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
from cbdd.cli.output import print_json, printable
from cbdd.ops.incident.lifecycle import tell_status
from cbdd.ops.incident.publication import status_of

TextArgument = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="The status in words.", show_default=False),
]


def status(
    number: NumberArgument,
    text: TextArgument = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Show how far an incident is, or tell the tracker how it stands between two milestones."""
    with store_at(store, tracker) as records:
        if text is None:
            found = records.get(number)
        else:
            found = records.change(number, tell_status(records.now_us(), text, person(by)))
    if json:
        print_json({"status": status_of(found), **found.to_dict()})
        return
    following = found.next_milestone() or ("close" if found.is_open else "-")
    sys.stdout.write(
        printable(
            f"incident {number}: {found.severity}, {status_of(found)}, owned by "
            f"{found.owner or 'nobody'}; next: {following}"
        )
        + "\n"
    )
