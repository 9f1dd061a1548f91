"""`cbdd incident sync`: tell the tracker what waits."""

from __future__ import annotations

import sys

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_INPUT
from cbdd.cli.incident.options import (
    DEFAULT_STORE,
    DEFAULT_TRACKER,
    StoreOption,
    TrackerOption,
    store_at,
)
from cbdd.cli.output import print_json


def sync(
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Tell the tracker what could not be told before. Exit code 1 when something still waits."""
    with store_at(store, tracker) as records:
        waiting = records.outbox.waiting()
    found = records.delivery
    left = waiting if found is None else found.waiting
    if json:
        print_json({"waiting": left} if found is None else found.to_dict())
    else:
        sys.stdout.write(f"{waiting - left} messages sent, {left} wait\n")
    if left:
        raise typer.Exit(BAD_INPUT)
