"""`cbdd incident reproduce`: a test that fails while the fault is there."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_INPUT, CommandError
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
from cbdd.cli.incident.wheels import (
    ExtraOption,
    FolderOption,
    IndexOption,
    OfflineOption,
    needed,
    say,
    source_of,
)
from cbdd.cli.output import print_json, printable, stdout_console
from cbdd.cli.progress import DocumentBar
from cbdd.ops.incident.next_steps import file_of
from cbdd.ops.incident.record import Incident

if TYPE_CHECKING:
    from cbdd.ops.environments import Environment, Source
    from cbdd.ops.incident.reproduce import Reproduced

DbOption = Annotated[
    str | None,
    typer.Option("--db", metavar="FILE", help="The damaged file; default: that of the incident."),
]
TestOption = Annotated[
    str | None,
    typer.Option("--test", metavar="FILE", help="A test of your own: a file, or FILE::NAME."),
]
WheelOption = Annotated[
    str | None,
    typer.Option("--wheel", metavar="WHEEL", help="The release that has the fault."),
]
BackupOption = Annotated[
    str | None,
    typer.Option("--backup", metavar="BACKUP", help="Begin with this backup of the file."),
]
ArchiveOption = Annotated[
    str | None, typer.Option("--archive", metavar="FOLDER", help="The archived log behind it.")
]
OutputOption = Annotated[
    str | None, typer.Option("--output", metavar="NEW", help="Write the test to a file too.")
]
ValuesOption = Annotated[
    bool,
    typer.Option("--keep-values", help="With real values where faked ones do not fail."),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Processes of pytest-xdist; 0: without it.")
]


def reproduce(
    number: NumberArgument,
    db: DbOption = None,
    test: TestOption = None,
    wheel: WheelOption = None,
    backup: BackupOption = None,
    archive: ArchiveOption = None,
    output: OutputOption = None,
    keep_values: ValuesOption = False,
    workers: WorkersOption = 0,
    extra: ExtraOption = None,
    tests: FolderOption = ".",
    offline: OfflineOption = False,
    index_url: IndexOption = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Find a test that fails while the fault is there, and keep it with the incident.

    A damaged file is replayed on a copy, commit by commit, up to the first that breaks it; the
    operations are reduced and written as a test, with fake values. Other incidents are reproduced
    by the tests that failed, else by those of their area, or by a test of your own (`--test`).
    Exit code 1 when nothing failed.
    """
    from cbdd.ops.incident.reproduce import (
        reproduce_by_file,
        reproduce_by_own_test,
        reproduce_by_tests,
    )

    with store_at(store, tracker) as records, ExitStack() as stack:
        incident = records.get(number)
        environment = _environment(stack, wheel, source_of(offline, index_url), extra)
        path = db if db is not None else file_of(incident)
        if test is not None:
            made = reproduce_by_own_test(test, environment, os.path.realpath(path) if path else "")
        elif path:
            with DocumentBar() as bar:
                made = reproduce_by_file(
                    incident, path, environment, backup, archive, keep_values, bar.show
                )
        else:
            options = ["-n", str(workers), "--dist", "loadgroup"] if workers else []
            made = reproduce_by_tests(incident, tests, environment, options, say)
        if output is not None:
            _write(output, made)
        now = records.now_us()

        def change(incident: Incident) -> str:
            if made.facts["failed"] or not incident.reproduction.get("failed"):
                incident.reproduction = {**made.facts, "at_us": now}
            incident.note(now, "reproduction", _told(made.facts), person(by))
            return f"Reproduction: {_told(made.facts)}."

        records.change(number, change, made.files)
    _show(made, number, json)
    if not made.facts["failed"]:
        raise typer.Exit(BAD_INPUT)


def _environment(
    stack: ExitStack, wheel: str | None, source: Source, extra: list[str] | None
) -> Environment | None:
    if wheel is None:
        return None
    from cbdd.ops.environments import build_environment

    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="cbdd-reproduce-"))
    place = os.path.join(scratch, "environment")
    return build_environment(place, [os.path.abspath(wheel), *needed(wheel, extra)], source)


def _write(path: str, made: Reproduced) -> None:
    if not made.files:
        raise CommandError("there is no test file to write: tests by name stay where they are")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise CommandError(f"{path} is there already", code="OUTPUT_EXISTS") from error
    with os.fdopen(fd, "wb") as file:
        file.write(next(iter(made.files.values())))


def _told(facts: dict[str, Any]) -> str:
    done = "fails" if facts["failed"] else "does not fail"
    if facts["kind"] == "file":
        return f"{facts['verdict']}; the test {done}"
    if facts["kind"] == "tests":
        return f"{len(facts['tests'])} tests fail" if facts["failed"] else "no test fails"
    return f"{facts['test']} {done}"


def _show(made: Reproduced, number: int, json: bool) -> None:
    if json:
        print_json(made.facts)
        return
    console = stdout_console()
    console.print(printable(_told(made.facts)), markup=False)
    for each in made.facts["tests"][:20] if made.facts["kind"] == "tests" else []:
        console.print(f"  {printable(each)}", markup=False)
    for line in made.facts.get("summary", []):
        console.print(f"  {printable(str(line))}", markup=False)
    if made.files:
        name = next(iter(made.files))
        console.print(
            f"kept as {name}: cbdd incident show {number} --save FOLDER writes it", markup=False
        )
