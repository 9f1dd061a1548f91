"""`cbdd incident consumers`: confirm that consumers have recovered."""

from __future__ import annotations

from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import REGRESSED
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
from cbdd.cli.output import print_json, printable, stdout_console
from cbdd.ops.incident.record import Incident

ReportArgument = Annotated[
    str,
    typer.Argument(
        metavar="REPORT.json",
        help="What `cbdd consumers run --json` wrote for the bad and the fixed wheel.",
        show_default=False,
    ),
]


def consumers(
    number: NumberArgument,
    report: ReportArgument,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Record whether the consumers of an incident have recovered with a fixed release.

    Exit code 6 when they have not.
    """
    from cbdd.ops.consumers import read_report
    from cbdd.ops.incident.from_consumers import recovery_of

    found = read_report(report)
    with store_at(store, tracker) as records:
        now = records.now_us()

        def change(incident: Incident) -> str:
            incident.consumers = {**recovery_of(incident, found), "at_us": now}
            version = found.new["version"]
            done = "recovered" if incident.consumers["recovered"] else "not recovered"
            incident.note(now, "consumers", f"{done} with cbdd {version}", person(by))
            return f"Consumers have {done} with cbdd {version}."

        facts = records.change(number, change).consumers
    if json:
        print_json(facts)
    else:
        console = stdout_console()
        done = "have recovered" if facts["recovered"] else "have NOT recovered"
        console.print(f"consumers {done} with cbdd {found.new['version']}", markup=False)
        for name in ("still_failing", "regressed", "unseen"):
            for each in facts[name]:
                console.print(f"  {name.replace('_', ' ')}: {printable(each)}", markup=False)
    if not facts["recovered"]:
        raise typer.Exit(REGRESSED)
