"""`cbdd events`: the flight recorder of a database file."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

import typer

from cbdd.cli.arguments import FileArgument, JsonOption
from cbdd.cli.failures import CANNOT_OPEN, CommandError
from cbdd.cli.output import print_json, printable, stdout_console, table, time_text
from cbdd.storage.events import read_events
from cbdd.storage.io import Io

_OWN_COLUMNS: Final = ("time_us", "event", "pid", "code")
_MAX_FACT_LENGTH: Final = 400

LastOption = Annotated[
    int, typer.Option("--last", min=0, metavar="N", help="Only the last so many; 0: all.")
]
FailuresOption = Annotated[
    bool, typer.Option("--failures", help="Only events with a code: what went wrong.")
]


def events(
    file: FileArgument,
    last: LastOption = 0,
    failures: FailuresOption = False,
    json: JsonOption = False,
) -> None:
    """Show what happened to the file, oldest first.

    Opens and closes, recoveries, failures with their codes. Reads only the flight recorder beside
    the file (NAME-events), so it works when the file is damaged, in use or gone.
    """
    path = os.path.realpath(file)
    recorder = f"{path}-events"
    if not _is_there(recorder):
        if not _is_there(path):
            raise CommandError(f"{file}: no such file", CANNOT_OPEN, "NOT_FOUND")
        raise CommandError(
            f"{file} has no flight recorder: there is no {recorder}. It is not kept with "
            "flight_recorder=False, and not for a file that was copied alone",
            CANNOT_OPEN,
            "NO_EVENTS",
        )
    found = read_events(Io(), recorder)
    if failures:
        found = [event for event in found if _codes(event)]
    if last:
        found = found[-last:]
    if json:
        for event in found:
            print_json(event)
        return
    made = table("time", "event", "#process", "code", "facts")
    for event in found:
        made.add_row(
            time_text(_number(event.get("time_us"))),
            printable(str(event.get("event", "-"))),
            printable(str(event.get("pid", "-"))),
            printable(" ".join(_codes(event))),
            printable(_facts(event)),
        )
    console = stdout_console()
    console.print(made, markup=False)
    console.print(f"{len(found):,} events")


def _is_there(path: str) -> bool:
    """Whether there is a file; a folder that may not be looked into is an error of its own."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _codes(event: dict[str, Any]) -> list[str]:
    """The codes of an event and of the findings in it."""
    named = [event.get("code")]
    findings = event.get("findings")
    if isinstance(findings, list):
        named += [each.get("code") for each in findings if isinstance(each, dict)]
    return [str(code) for code in named if code is not None]


def _facts(event: dict[str, Any]) -> str:
    parts = [
        f"{name}={value}"
        for name, value in event.items()
        if name not in _OWN_COLUMNS
        and name != "findings"
        and (value is False or value not in (0, "", None))
    ]
    text = ", ".join(parts)
    return text if len(text) <= _MAX_FACT_LENGTH else f"{text[:_MAX_FACT_LENGTH]}..."


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
