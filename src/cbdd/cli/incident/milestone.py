"""`cbdd incident milestone`: a step is done, and everybody is told."""

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
from cbdd.cli.output import print_json
from cbdd.ops.incident.lifecycle import reach
from cbdd.ops.incident.milestones import MILESTONES, duration_text

MilestoneArgument = Annotated[
    str, typer.Argument(metavar="|".join(MILESTONES), help="Which one.", show_default=False)
]
TextOption = Annotated[str, typer.Option("--text", help="The status in words.")]


def milestone(
    number: NumberArgument,
    name: MilestoneArgument,
    text: TextOption = "",
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Say that a milestone is reached, which posts a status; the time between them is reported.

    In this order: triage-complete, mitigation-active, fix-merged, validation-complete.
    """
    with store_at(store, tracker) as records:
        found = records.change(number, reach(records.now_us(), name, text, person(by)))
    if json:
        print_json(found.to_dict())
        return
    reached = found.milestones[name]
    since_opening = duration_text(reached.at_us - found.opened_us)
    following = found.next_milestone() or "close"
    sys.stdout.write(f"{name}, {since_opening} after opening; next: {following}\n")
