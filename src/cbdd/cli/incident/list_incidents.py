"""`cbdd incident list`: what is open, what is late first."""

from __future__ import annotations

from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import OVERDUE
from cbdd.cli.incident.options import DEFAULT_STORE, StoreOption, records_at
from cbdd.cli.output import print_json, printable, stdout_console, table, time_text
from cbdd.ops.incident.milestones import duration_text
from cbdd.ops.incident.publication import status_of
from cbdd.ops.incident.record import Incident

AllOption = Annotated[bool, typer.Option("--all", help="Closed ones too.")]


def list_incidents(
    all: AllOption = False, store: StoreOption = DEFAULT_STORE, json: JsonOption = False
) -> None:
    """Show the open incidents, those that are late or without an owner first.

    Exit code 8 when a milestone is overdue or a SEV-1 has no owner, so that cron can call it.
    """
    with records_at(store) as records:
        found = records.all(None if all else True)
        now = records.now_us()
    late = [each for each in found if each.overdue(now)]
    if json:
        for each in found:
            print_json({"overdue": each.overdue(now), "status": status_of(each), **each.to_dict()})
    else:
        _show(found, now)
    if late:
        raise typer.Exit(OVERDUE)


def _show(found: list[Incident], now: int) -> None:
    console = stdout_console()
    if not found:
        console.print("no incidents")
        return
    made = table("#number", "severity", "status", "owner", "next", "opened", "title")
    for each in found:
        made.add_row(
            str(each.number),
            each.severity,
            status_of(each),
            printable(each.owner) or "NOBODY",
            _next(each, now),
            time_text(each.opened_us),
            printable(each.title),
        )
    console.print(made, markup=False)


def _next(incident: Incident, now: int) -> str:
    late = incident.overdue(now)
    if late == ["owner"] or (late and late[0] == "owner"):
        return "OWNER NEEDED"
    name = incident.next_milestone()
    if not incident.is_open:
        return "-"
    if not name:
        return "close"
    left = incident.due_us(name) - now
    return (
        f"{name} in {duration_text(left)}"
        if left >= 0
        else (f"{name} OVERDUE by {duration_text(-left)}")
    )
