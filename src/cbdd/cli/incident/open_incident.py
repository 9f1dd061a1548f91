"""`cbdd incident open`: from a signal to a record with its evidence."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_USAGE, CANNOT_OPEN, CommandError
from cbdd.cli.incident.options import (
    DEFAULT_STORE,
    DEFAULT_TRACKER,
    ByOption,
    StoreOption,
    TrackerOption,
    person,
    store_at,
)
from cbdd.cli.incident.show import show_incident
from cbdd.cli.output import print_json, stdout_console
from cbdd.cli.progress import DocumentBar
from cbdd.ops.incident.from_bundle import signal_from_bundle
from cbdd.ops.incident.from_error import MAX_TEXT_BYTES, signal_from_text
from cbdd.ops.incident.from_file import signal_from_file
from cbdd.ops.incident.from_issue import signal_from_issue
from cbdd.ops.incident.from_tests import signals_from_junit
from cbdd.ops.incident.record import Incident, Signal

DbOption = Annotated[
    str | None,
    typer.Option("--db", metavar="FILE", help="A database file that something is wrong with."),
]
BundleOption = Annotated[
    str | None, typer.Option("--bundle", metavar="FILE", help="A bundle that somebody has sent.")
]
ErrorOption = Annotated[
    str | None,
    typer.Option(
        "--exception",
        metavar="FILE",
        help="A traceback, or what a command printed with --json; - for standard input.",
    ),
]
CiOption = Annotated[
    str | None, typer.Option("--from-ci", metavar="JUNIT.xml", help="The JUnit file of a CI run.")
]
ConsumersOption = Annotated[
    str | None,
    typer.Option(
        "--from-consumers", metavar="REPORT.json", help="What `cbdd consumers run --json` wrote."
    ),
]
IssueOption = Annotated[
    str | None,
    typer.Option("--from-issue", metavar="NUMBER", help="An issue of the tracker."),
]
TitleOption = Annotated[
    str | None, typer.Option("--title", help="Another title than the one made of the signal.")
]
OperationOption = Annotated[
    str | None, typer.Option("--operation", help="What failed, where it cannot be read.")
]


def open_incident(
    db: DbOption = None,
    bundle: BundleOption = None,
    exception: ErrorOption = None,
    from_ci: CiOption = None,
    from_consumers: ConsumersOption = None,
    from_issue: IssueOption = None,
    title: TitleOption = None,
    operation: OperationOption = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Open an incident from a file, a bundle, an error, a test run, or the consumers' tests.

    Release, Python, operating system, failing operation and first failure are read from the
    evidence. A signal of the same cause as an open incident joins that one.
    """
    given = {
        "db": db,
        "bundle": bundle,
        "exception": exception,
        "from_ci": from_ci,
        "from_consumers": from_consumers,
        "from_issue": from_issue,
    }
    named = {name: value for name, value in given.items() if value is not None}
    signals = _signals(named) if from_issue is None else []
    if not signals and from_issue is None:
        sys.stderr.write("nothing failed in this run: no incident was opened\n")
        return

    def apply(incident: Incident) -> None:
        if title:
            incident.title = title
        if operation:
            incident.context.operation = operation

    with store_at(store, tracker, must_exist=False) as records:
        if from_issue is not None:
            _require_one(named)
            signals = [signal_from_issue(records.tracker().fetch(from_issue), records.tracker_name)]
        opened = [records.open(each, person(by), apply) for each in signals]
        if from_issue is not None and opened[0].is_new:
            records.outbox.adopt(opened[0].incident.number, records.tracker().name, from_issue)
        if json:
            for each in opened:
                print_json({"is_new": each.is_new, **each.incident.to_dict()})
            return
        console = stdout_console()
        for each in opened:
            number = each.incident.number
            done = "opened incident" if each.is_new else "this belongs to the open incident"
            console.print(f"{done} {number}", markup=False)
            show_incident(records, records.get(number), is_brief=True)


def _require_one(given: dict[str, str]) -> None:
    if len(given) != 1:
        raise CommandError(
            "name one signal: --db, --bundle, --exception, --from-ci, --from-consumers or "
            "--from-issue",
            BAD_USAGE,
        )


def _signals(given: dict[str, str]) -> list[Signal]:
    _require_one(given)
    ((kind, value),) = given.items()
    if kind == "db":
        if "://" in value:
            raise CommandError("the command line works on files, not on servers", BAD_USAGE, "FILE")
        _require_something(value)
        with DocumentBar() as bar:
            return [signal_from_file(value, bar.show)]
    if kind == "bundle":
        return [signal_from_bundle(value)]
    if kind == "exception":
        return [signal_from_text(_text(value))]
    if kind == "from_ci":
        return signals_from_junit(value)
    from cbdd.ops.consumers import read_report
    from cbdd.ops.incident.from_consumers import signals_from_consumers

    return signals_from_consumers(read_report(value))


def _require_something(path: str) -> None:
    """A file that is gone leaves its log or its flight recorder; else the path is mistyped."""
    found = os.path.realpath(path)
    folder, name = os.path.split(found)
    there = os.listdir(folder) if os.path.isdir(folder) else []
    if not any(each == name or each.startswith(f"{name}-") for each in there):
        raise CommandError(
            f"{path}: there is no such file, and nothing that belongs to it; check the path",
            CANNOT_OPEN,
            "NOT_FOUND",
        )


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read(MAX_TEXT_BYTES)
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(MAX_TEXT_BYTES)
