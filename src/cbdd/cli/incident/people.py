"""`cbdd incident assign`, `classify` and `context`: who, how bad, and what had to be asked."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
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
from cbdd.cli.output import print_json, printable
from cbdd.ops.incident.lifecycle import assign as assign_change
from cbdd.ops.incident.lifecycle import complete_context, override_severity, use_table
from cbdd.ops.incident.record import Incident

OwnerArgument = Annotated[
    str | None,
    typer.Argument(metavar="OWNER", help="Who owns it from now on.", show_default=False),
]
ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release-maintainer",
        metavar="NAME",
        help="Whom it escalates to: told of a SEV-1, and when a release is rolled back.",
    ),
]
SeverityOption = Annotated[
    str | None, typer.Option("--severity", metavar="SEV-1|SEV-2|SEV-3", help="Override the table.")
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Why the table is wrong here; it is kept.")
]
TableOption = Annotated[bool, typer.Option("--by-table", help="Take an override back.")]


def assign(
    number: NumberArgument,
    owner: OwnerArgument = None,
    release_maintainer: ReleaseOption = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Name who owns an incident, and the release maintainer it escalates to."""
    with store_at(store, tracker) as records:
        change = assign_change(records.now_us(), owner or "", release_maintainer or "", person(by))
        tell(records.change(number, change), json)


def classify(
    number: NumberArgument,
    severity: SeverityOption = None,
    reason: ReasonOption = None,
    by_table: TableOption = False,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Show why an incident has its severity, or override it with a reason, which is logged."""
    if severity is not None and by_table:
        raise CommandError("give --severity or --by-table, not both", BAD_USAGE)
    if reason is not None and severity is None:
        raise CommandError("--reason belongs to --severity", BAD_USAGE)
    with store_at(store, tracker) as records:
        now = records.now_us()
        if severity is not None:
            change = override_severity(now, severity, reason or "", person(by))
            found = records.change(number, change)
        elif by_table:
            found = records.change(number, use_table(now, person(by)))
        else:
            found = records.get(number)
        tell(found, json)
        if not json:
            for each in found.reasons:
                sys.stdout.write(f"  {printable(each)}\n")
            if found.override is not None:
                chosen = found.override
                sys.stdout.write(f"  {printable(chosen.by)} chose it: {printable(chosen.reason)}\n")


def context(
    number: NumberArgument,
    cbdd: Annotated[str | None, typer.Option("--cbdd", help="The release.")] = None,
    wheel_sha256: Annotated[str | None, typer.Option("--wheel-sha256", help="Its wheel.")] = None,
    build: Annotated[str | None, typer.Option("--build", help="compiled or interpreted.")] = None,
    python: Annotated[str | None, typer.Option("--python", help="Python and its version.")] = None,
    os: Annotated[str | None, typer.Option("--os", help="The operating system.")] = None,
    file_system: Annotated[
        str | None, typer.Option("--file-system", help="Of the database file.")
    ] = None,
    operation: Annotated[str | None, typer.Option("--operation", help="What failed.")] = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Note what could not be read from the evidence and was asked for."""
    given = {
        "cbdd": cbdd,
        "wheel_sha256": wheel_sha256,
        "build": build,
        "python": python,
        "os": os,
        "file_system": file_system,
        "operation": operation,
    }
    facts = {name: value for name, value in given.items() if value}
    if not facts:
        raise CommandError("nothing was given to note", BAD_USAGE)
    with store_at(store, tracker) as records:
        tell(records.change(number, complete_context(records.now_us(), facts, person(by))), json)


def tell(incident: Incident, json: bool) -> None:
    """Say in one line how an incident stands."""
    if json:
        print_json(incident.to_dict())
        return
    owner = incident.owner or "nobody"
    line = f"incident {incident.number}: {incident.severity}, owned by {owner}"
    if incident.needs_release_maintainer:
        line += "; the release maintainer has to be told"
    sys.stdout.write(f"{printable(line)}\n")
