"""`cbdd incident open`: from a signal to a record with its evidence."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.incident.options import DEFAULT_STORE, ByOption, StoreOption, person, store_at
from cbdd.cli.incident.show import show_incident
from cbdd.cli.output import print_json, stdout_console
from cbdd.cli.progress import DocumentBar
from cbdd.ops.incident.from_bundle import signal_from_bundle
from cbdd.ops.incident.from_error import MAX_TEXT_BYTES, signal_from_text
from cbdd.ops.incident.from_file import signal_from_file
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
    title: TitleOption = None,
    operation: OperationOption = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Open an incident from a file, a bundle, an error, or a test run.

    Release, Python, operating system, failing operation and first failure are read from the
    evidence. A signal of the same cause as an open incident joins that one.
    """
    signals = _signals(db, bundle, exception, from_ci)
    if not signals:
        sys.stderr.write("nothing failed in this run: no incident was opened\n")
        return

    def apply(incident: Incident) -> None:
        if title:
            incident.title = title
        if operation:
            incident.context.operation = operation

    with store_at(store, must_exist=False) as records:
        opened = [records.open(each, person(by), apply) for each in signals]
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


def _signals(
    db: str | None, bundle: str | None, exception: str | None, from_ci: str | None
) -> list[Signal]:
    given = [each for each in (db, bundle, exception, from_ci) if each is not None]
    if len(given) != 1:
        raise CommandError(
            "name one signal: --db, --bundle, --exception, --from-ci, --from-consumers or "
            "--from-issue",
            BAD_USAGE,
        )
    if db is not None:
        if "://" in db:
            raise CommandError("the command line works on files, not on servers", BAD_USAGE, "FILE")
        with DocumentBar() as bar:
            return [signal_from_file(db, bar.show)]
    if bundle is not None:
        return [signal_from_bundle(bundle)]
    if exception is not None:
        return [signal_from_text(_text(exception))]
    assert from_ci is not None
    return signals_from_junit(from_ci)


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read(MAX_TEXT_BYTES)
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(MAX_TEXT_BYTES)
