"""`cbdd incident mitigate`: contain it, by an earlier release or by a recovered file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

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
from cbdd.cli.incident.wheels import (
    ExtraOption,
    FolderOption,
    IndexOption,
    OfflineOption,
    regression_of,
    say,
    source_of,
)
from cbdd.cli.output import facts_table, print_json, printable, stdout_console
from cbdd.cli.progress import StepBar
from cbdd.ops.incident.lifecycle import require_reproduction
from cbdd.ops.incident.next_steps import file_of
from cbdd.ops.incident.record import Incident
from cbdd.ops.recovery import recover_file

if TYPE_CHECKING:
    from cbdd.ops.incident.mitigate import Mitigation

WheelsOption = Annotated[
    str | None,
    typer.Option("--wheels", metavar="FOLDER", help="A folder with the wheels of releases."),
]
VersionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--release", metavar="VERSION", help="A release of the index to try; may be repeated."
    ),
]
RecoverOption = Annotated[
    str | None,
    typer.Option("--recover", metavar="NEW", help="Recover the damaged file to a new one."),
]
RepairedOption = Annotated[
    str | None,
    typer.Option(
        "--repaired", metavar="FILE", help="The file that was repaired, or restored from a backup."
    ),
]
DbOption = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="FILE", help="A file that the good release has to read; tried on a copy."
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option("--output", metavar="FOLDER", help="Write pins and steps into a new folder."),
]


def mitigate(
    number: NumberArgument,
    wheels: WheelsOption = None,
    release: VersionsOption = None,
    recover: RecoverOption = None,
    repaired: RepairedOption = None,
    db: DbOption = None,
    extra: ExtraOption = None,
    output: OutputOption = None,
    tests: FolderOption = ".",
    offline: OfflineOption = False,
    index_url: IndexOption = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Contain an incident: find the last known-good release, or recover or repair the file.

    With `--wheels` the releases are bisected with the incident's test, each in an environment of
    its own. On a copy it is proven that the good release reads the file. Pins for pip, uv and
    poetry, the reason for withdrawing the bad release, and the steps of the rollback are written.
    """
    from cbdd.ops.incident.mitigate import find_good_release
    from cbdd.ops.incident.mitigate import repaired as repaired_file
    from cbdd.ops.incident.releases import releases_of

    ways = [wheels is not None or bool(release), recover is not None, repaired is not None]
    if ways.count(True) != 1:
        raise CommandError("give --wheels or --release, or --recover, or --repaired", BAD_USAGE)
    with store_at(store, tracker) as records:
        incident = records.get(number)
        if recover is not None:
            made = _recover(incident, recover)
        elif repaired is not None:
            made = repaired_file(repaired)
        else:
            require_reproduction(incident)
            found = releases_of(wheels, release or [], source_of(offline, index_url))
            source = source_of(offline, index_url, [wheels] if wheels else [])
            regression = regression_of(records, incident)
            with found:
                made = find_good_release(
                    incident, regression, found.wheels, source, tests, say, db or "", extra
                )
        if output is not None:
            _write(output, made)
        now = records.now_us()

        def change(incident: Incident) -> str:
            incident.mitigation = {**made.facts, "at_us": now}
            text = _told(made.facts)
            incident.note(now, "mitigation", text, person(by))
            return text

        records.change(number, change, made.files)
    if json:
        print_json({**made.facts, "files": {n: d.decode() for n, d in made.files.items()}})
        return
    _show(made, number, output)


def _recover(incident: Incident, new: str) -> Mitigation:
    from cbdd.ops.incident.mitigate import recovered

    path = file_of(incident)
    if not path:
        raise CommandError(f"incident {incident.number} has no database file to recover", BAD_USAGE)
    with StepBar() as bar:
        report = recover_file(path, new, progress=bar.show)
    return recovered(report, os.path.realpath(new))


def _told(facts: dict[str, Any]) -> str:
    if facts["kind"] == "repair":
        return "The file was repaired, or restored from a backup."
    if facts["kind"] == "recovery":
        whole = "nothing is missing" if facts["is_whole"] else f"{facts['lost']} documents are lost"
        return f"The damaged file was recovered: {facts['saved']} documents saved, {whole}."
    return f"Last known-good release {facts['last_good']}, first bad {facts['first_bad']}."


def _write(folder: str, made: Mitigation) -> None:
    try:
        os.mkdir(folder)
    except FileExistsError as error:
        raise CommandError(f"{folder} is there already", code="OUTPUT_EXISTS") from error
    for name, data in made.files.items():
        with open(os.path.join(folder, name), "xb") as file:
            file.write(data)


def _show(made: Mitigation, number: int, output: str | None) -> None:
    console = stdout_console()
    console.print(printable(_told(made.facts)), markup=False)
    file = made.facts.get("file")
    if isinstance(file, dict):
        able = "reads and writes" if file["writes"] else "reads" if file["reads"] else "cannot read"
        code = f" ({file['code']})" if file["code"] else ""
        text = f"tried on a copy: {made.facts['last_good']} {able} the file{code}"
        console.print(printable(text), markup=False)
    for name, data in made.files.items():
        console.print(f"\n{name}", style="bold")
        console.print(data.decode().rstrip(), markup=False)
    if made.facts["kind"] != "release":
        shown = {name: str(value) for name, value in made.facts.items()}
        console.print(facts_table(shown))
    elif output is None:
        console.print("\nwith --output FOLDER they are written to files", markup=False)
    console.print(f"\nnext:\n  $ cbdd incident milestone {number} mitigation-active", markup=False)
