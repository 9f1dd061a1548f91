"""`cbdd consumers run` and `cbdd consumers list`: what a new release changes for its users."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_INPUT, BAD_USAGE, DIFFERENT, REGRESSED, CommandError
from cbdd.cli.incident.options import (
    DEFAULT_STORE,
    DEFAULT_TRACKER,
    StoreOption,
    TrackerOption,
    person,
    store_at,
)
from cbdd.cli.output import print_json, printable, stdout_console, table
from cbdd.cli.progress import StepBar

if TYPE_CHECKING:
    from cbdd.ops.consumers import Consumer, ConsumerReport, Difference, Report

_EXIT_CODES: Final = {
    "regressed": REGRESSED,
    "not judged": BAD_INPUT,
    "other differences": DIFFERENT,
    "no difference": 0,
}
_WIDTH_OF_FILES: Final = 240
"""A table in a file or a log has lines that are as long as they need be, to be searched."""

_STYLES: Final = {
    "regressed": "bold red",
    "other failure": "yellow",
    "flaky": "magenta",
    "vanished": "cyan",
    "new": "green",
    "repaired": "green",
}

consumers = typer.Typer(
    name="consumers",
    help="Run the tests of packages that use CBDD with an old and a new release.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

ConsumersOption = Annotated[
    str, typer.Option("--consumers", metavar="FILE", help="The file that names the consumers.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="NAME", help="Only this consumer; may be repeated.", show_default=False
    ),
]
OldOption = Annotated[
    str,
    typer.Option("--old", metavar="WHEEL", help="The release that is known.", show_default=False),
]
NewOption = Annotated[
    str,
    typer.Option("--new", metavar="WHEEL", help="The release to judge.", show_default=False),
]
OfflineOption = Annotated[
    bool,
    typer.Option(
        "--offline", help="No network: what the consumers need is taken from where cbdd runs."
    ),
]
LinksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--find-links",
        metavar="FOLDER",
        help="A folder of wheels to install from, too; may be repeated.",
        show_default=False,
    ),
]
JunitOption = Annotated[
    str | None,
    typer.Option(
        "--junit",
        metavar="FILE",
        help="Write what differs as a JUnit report, too.",
        show_default=False,
    ),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, metavar="N", help="So many consumers at the same time.")
]


IncidentOption = Annotated[
    bool, typer.Option("--open-incident", help="Open an incident of what regressed.")
]


@consumers.command("run")
def run(
    old: OldOption,
    new: NewOption,
    file: ConsumersOption = "consumers.toml",
    only: OnlyOption = None,
    offline: OfflineOption = False,
    find_links: LinksOption = None,
    junit: JunitOption = None,
    jobs: JobsOption = 1,
    open_incident: IncidentOption = False,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Run the consumers' own tests with the old and the new wheel, and show what differs.

    What differs is run once more, which tells flaky tests apart. Exit code: 0 no difference, 1 a
    consumer could be installed with neither wheel, 6 a test fails that did not before, 7 something
    else differs.
    """
    found = _read(file, only)
    from cbdd.ops.consumers import run as run_consumers
    from cbdd.ops.consumers import write_junit
    from cbdd.ops.environments import Source

    _check_folder_of(junit)
    with StepBar() as bar, _stopped_by_sigterm():
        report = run_consumers(
            old, new, found, Source(offline, find_links=find_links or ()), jobs, bar.show
        )
    if json:
        print_json(report.to_dict())
    else:
        _show(report)
    if open_incident:
        _open_incidents(report, store, tracker)
    if junit is not None:
        write_junit(junit, report)
    exit_code = _EXIT_CODES[report.verdict]
    if exit_code:
        raise typer.Exit(exit_code)


@consumers.command("list")
def show_list(
    file: ConsumersOption = "consumers.toml", only: OnlyOption = None, json: JsonOption = False
) -> None:
    """Show the consumers a file names, and how their tests are run."""
    found = _read(file, only)
    if json:
        for each in found:
            print_json(each.to_dict())
        return
    made = table("consumer", "folder or wheel", "command", "#timeout")
    for each in found:
        made.add_row(
            each.name,
            escape(printable(os.path.relpath(each.path))),
            escape(printable(" ".join(each.command))),
            f"{each.timeout_seconds:g} s",
        )
    stdout_console().print(made)


def _open_incidents(report: Report, path: str, tracker: str | None) -> None:
    """Open an incident for each cause, or let it join the open one."""
    from cbdd.ops.incident.from_consumers import signals_from_consumers

    with store_at(path, tracker, must_exist=False) as records:
        for signal in signals_from_consumers(report):
            opened = records.open(signal, person(None))
            done = "opened incident" if opened.is_new else "belongs to the open incident"
            sys.stderr.write(printable(f"{done} {opened.incident.number}: {signal.title}") + "\n")


def _read(file: str, only: list[str] | None) -> list[Consumer]:
    """The consumers of a file."""
    from cbdd.ops.consumers import read_consumers, select

    return select(read_consumers(file), only or [])


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which a CI server cancels a job, end the consumers' processes as Ctrl-C does.

    They have process groups of their own and would go on without this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_folder_of(path: str | None) -> None:
    """Say before a long run, not after it, that its report has nowhere to go."""
    if path is None:
        return
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise CommandError(f"--junit: no file can be written at {path}", BAD_USAGE, "OPTION")


def _show(report: Report) -> None:
    console = stdout_console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_FILES)
    old, new = report.old["version"], report.new["version"]
    console.print(f"old: cbdd {old}, sha256 {report.old['sha256'][:16]}", markup=False)
    console.print(f"new: cbdd {new}, sha256 {report.new['sha256'][:16]}\n", markup=False)
    differing = [each for each in report.consumers if each.differences]
    if differing:
        made = table("consumer", "what", "test", "why")
        for consumer in differing:
            for difference in consumer.differences:
                made.add_row(
                    consumer.name,
                    f"[{_STYLES[difference.kind]}]{difference.kind}[/]",
                    escape(printable(difference.test or "(the whole run)")),
                    escape(printable(_why(difference))),
                )
        console.print(made)
        console.print()
    for consumer in report.consumers:
        console.print(printable(_line(consumer)), markup=False)
    count = len(report.regressed())
    found = f"{count:,} regressed" if count else report.verdict
    console.print(f"\nverdict: {found} ({report.seconds:.1f} s)", markup=False)


def _why(difference: Difference) -> str:
    """How the runs of a test ended, where that is not clear from the kind, and the message."""
    runs = [f"{each.status}" for each in difference.new]
    parts = []
    if difference.kind == "flaky":
        parts.append(f"old: {', '.join(each.status for each in difference.old)}")
        parts.append(f"new: {', '.join(runs)}")
    elif len(set(runs)) > 1:
        parts.append(f"in {sum(each.is_bad for each in difference.new)} of {len(runs)} runs")
    elif difference.outcome.status in ("crashed", "timed out", "not installed"):
        parts.append(difference.outcome.status)
    if difference.outcome.line:
        parts.append(difference.outcome.line)
    return "; ".join(parts)


def _line(consumer: ConsumerReport) -> str:
    """A consumer in one line."""
    counts = f"old {_counts_text(consumer.old_counts)}; new {_counts_text(consumer.new_counts)}"
    same = ""
    if "" in consumer.same_failures:
        same = f"; fails the same with both: {consumer.same_message}"
    elif consumer.same_failures:
        count = len(consumer.same_failures)
        same = f"; {count:,} test{'s' if count > 1 else ''} failing the same with both"
    return f"{consumer.name}: {consumer.verdict} ({counts}){same}"


def _counts_text(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "no tests"
