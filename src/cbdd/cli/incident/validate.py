"""`cbdd incident validate`: prove that the repaired release, or the repaired file, is good."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_INPUT, BAD_USAGE, CommandError
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
    regression_of,
    say,
    source_of,
)
from cbdd.cli.output import print_json, stdout_console
from cbdd.ops.incident.lifecycle import require_reproduction
from cbdd.ops.incident.record import Incident

if TYPE_CHECKING:
    from cbdd.ops.incident.regression import Regression

WheelOption = Annotated[
    str | None, typer.Option("--wheel", metavar="WHEEL", help="The repaired release.")
]
DbOption = Annotated[
    str | None, typer.Option("--db", metavar="FILE", help="The repaired database file.")
]
QuickOption = Annotated[
    bool,
    typer.Option("--targeted-only", help="Without the full suite; does not count as validated."),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Processes of pytest-xdist; 0: without it.")
]


def validate(
    number: NumberArgument,
    wheel: WheelOption = None,
    db: DbOption = None,
    targeted_only: QuickOption = False,
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
    """Prove that it is repaired, and record it.

    With `--wheel`, in an environment of its own: the incident's test, the tests of its area, the
    full suite. With `--db`: doctor and the incident's test on the repaired file. Exit code 1 when
    something failed.
    """
    if wheel is None and db is None:
        raise CommandError("give --wheel, --db, or both", BAD_USAGE)
    with store_at(store, tracker) as records:
        incident = records.get(number)
        require_reproduction(incident)
        regression = regression_of(records, incident)
        options = ["-n", str(workers), "--dist", "loadgroup"] if workers else []
        facts = _run(
            incident,
            regression,
            wheel,
            db,
            tests,
            options,
            not targeted_only,
            (offline, index_url),
            extra,
        )
        now = records.now_us()

        def change(incident: Incident) -> str:
            incident.validation = {**facts, "at_us": now}
            text = "Validated: good." if facts["is_good"] else "Validated: not good yet."
            incident.note(now, "validation", text, person(by))
            return text

        records.change(number, change)
    _show(facts, number, json)
    if not facts["is_good"]:
        raise typer.Exit(BAD_INPUT)


def _run(
    incident: Incident,
    regression: Regression,
    wheel: str | None,
    db: str | None,
    tests: str,
    options: list[str],
    is_full: bool,
    where: tuple[bool, str | None],
    extra: list[str] | None,
) -> dict[str, Any]:
    from cbdd.ops.environments import build_environment
    from cbdd.ops.incident.validate import Validation

    database = os.path.realpath(db) if db is not None else ""
    if wheel is None:
        return Validation(incident, regression, None, tests, database, options, say).run(is_full)
    with tempfile.TemporaryDirectory(prefix="cbdd-validate-") as scratch:
        place = os.path.join(scratch, "environment")
        more = needed(wheel, extra)
        environment = build_environment(place, [os.path.abspath(wheel), *more], source_of(*where))
        validation = Validation(incident, regression, environment, tests, database, options, say)
        return validation.run(is_full)


def _show(facts: dict[str, Any], number: int, json: bool) -> None:
    if json:
        print_json(facts)
        return
    console = stdout_console()
    if facts["is_good"]:
        console.print(
            f"it is repaired\n\nnext:\n  $ cbdd incident milestone {number} validation-complete",
            markup=False,
        )
        return
    for name in ("regression", "full"):
        for each in facts.get(name, {}).get("failing", []):
            console.print(f"  failing: {each}", markup=False)
    console.print("it is not repaired, or was not validated in full", markup=False)
