"""`cbdd drill`: break a copy on purpose, handle the incident by the runbook, be graded."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import tempfile
from typing import Annotated, Any

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_INPUT, BAD_USAGE, CommandError
from cbdd.cli.output import print_json, printable, stdout_console, table
from cbdd.ops.drill import KINDS, Grade, Scenario, load_scenario, start_drill
from cbdd.ops.drill import grade as grade_drill
from cbdd.ops.incident.next_steps import next_steps
from cbdd.ops.incident.store import IncidentStore

drill = typer.Typer(
    name="drill",
    help="Practise: a copy is broken on purpose, you handle it by docs/runbook.md, it is graded.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

FolderArgument = Annotated[
    str, typer.Argument(metavar="FOLDER", help="The folder of the drill.", show_default=False)
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", metavar="KIND", help="One kind of failure; default: a surprise."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="The same seed breaks it the same way.")]
DbOption = Annotated[
    str | None,
    typer.Option("--db", metavar="FILE", help="Drill with a copy of this database."),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every kind, one after the other.")]
_MOST_STEPS = 30


@drill.command("kinds")
def kinds(json: JsonOption = False) -> None:
    """List the kinds of failure."""
    if json:
        print_json(list(KINDS))
    else:
        sys.stdout.write("".join(f"{name}\n" for name in KINDS))


@drill.command("start")
def start(
    folder: FolderArgument,
    kind: KindOption = None,
    seed: SeedOption = 1,
    db: DbOption = None,
    json: JsonOption = False,
) -> None:
    """Break a copy, and show the alert. The clock runs from now on."""
    scenario = start_drill(folder, seed, kind, db)
    opening = _opening(scenario)
    if json:
        facts = {"folder": folder, "database": str(scenario.database), "first_command": opening}
        print_json(facts)
        return
    console = stdout_console()
    console.print((scenario.folder / "alert.txt").read_text(), markup=False)
    console.print(f"There is a backup from before: {scenario.backup}", markup=False)
    console.print(f"Handle it by docs/runbook.md. Begin with:\n  $ {opening}", markup=False)
    console.print(f"When you are done:\n  $ cbdd drill grade {shlex.quote(folder)}", markup=False)


@drill.command("grade")
def grade(folder: FolderArgument, json: JsonOption = False) -> None:
    """Grade how an incident was handled: every step, the time it took, and the data.

    Exit code 1 when something is missing.
    """
    found = grade_drill(load_scenario(folder))
    _show([found], json)


@drill.command("run")
def run(
    folder: Annotated[
        str | None,
        typer.Argument(metavar="FOLDER", help="Where to keep it; default: nowhere."),
    ] = None,
    kind: KindOption = None,
    all: AllOption = False,
    seed: SeedOption = 1,
    json: JsonOption = False,
) -> None:
    """Let a script walk through the runbook: it types what the screen says next, and is graded."""
    if all and kind is not None:
        raise CommandError("give --kind or --all, not both", BAD_USAGE)
    grades: list[Grade] = []
    with tempfile.TemporaryDirectory(prefix="cbdd-drill-") as scratch:
        if folder is not None:
            os.mkdir(folder, 0o700)
        for name in list(KINDS) if all else [kind]:
            place = os.path.join(folder or scratch, name or "surprise")
            scenario = start_drill(place, seed, name)
            walk(scenario, is_told=not json)
            grades.append(grade_drill(scenario))
    _show(grades, json)


def _opening(scenario: Scenario) -> str:
    store = shlex.quote(str(scenario.store))
    return f"cbdd incident open --db {shlex.quote(str(scenario.database))} --store {store}"


def walk(scenario: Scenario, is_told: bool) -> None:
    """Type what comes next until nothing does.

    :raises CommandError: a command that the screen named failed.
    """
    _type(_opening(scenario), scenario, is_told)
    done: set[str] = set()
    for _ in range(_MOST_STEPS):
        with IncidentStore(str(scenario.store), must_exist=True) as store:
            steps = next_steps(store.get(1))
        command = next((each.command for each in steps if each.command not in done), None)
        if command is None:
            return
        done.add(command)
        _type(command, scenario, is_told)


def _type(command: str, scenario: Scenario, is_told: bool) -> None:
    """Run a command as it stands on the screen, with its blanks filled in."""
    filled = {
        "NAME": "drill",
        "TEXT": "the drill broke it",
        "BACKUP": str(scenario.backup),
        "'TEXT; OWNER; 2026-01-31'": "'look for the cause; drill; 2026-01-31'",
        "...": "unknown",
    }
    words = shlex.split(command)
    for index, word in enumerate(words):
        words[index] = filled.get(word, filled.get(f"'{word}'", word).strip("'"))
    if words[1] == "incident" and "--store" not in words:
        words += ["--store", str(scenario.store)]
    if words[1:3] == ["incident", "close"]:
        words += ["--corpus", str(scenario.folder)]  # not among the tests of a checkout
    if is_told:
        sys.stderr.write(f"$ {printable(shlex.join(words))}\n")
    exit_code, said = _run(words[1:])
    if exit_code:
        raise CommandError(
            f"`{shlex.join(words)}` ended with {exit_code}: {said.strip()[-500:]}", BAD_INPUT
        )


def _run(words: list[str]) -> tuple[int, str]:
    """Run a command of this program here; returns its exit code and what it said."""
    from cbdd.cli.app import app

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        ended = app(words, prog_name="cbdd", standalone_mode=False)
    return ended if isinstance(ended, int) else 0, said.getvalue()


def _show(grades: list[Grade], json: bool) -> None:
    if json:
        for each in grades:
            print_json(each.to_dict())
    else:
        _show_tables(grades)
    if not all(each.is_passed for each in grades):
        raise typer.Exit(BAD_INPUT)


def _show_tables(grades: list[Grade]) -> None:
    console = stdout_console()
    for each in grades:
        made = table("", "step", "", title=f"{each.scenario.kind}, seed {each.scenario.seed}")
        for check in each.checks:
            made.add_row("yes" if check.is_passed else "NO", check.name, printable(check.text))
        console.print(made, markup=False)
    passed = sum(each.is_passed for each in grades)
    facts: dict[str, Any] = {"passed": passed, "of": len(grades)}
    console.print(f"\n{facts['passed']} of {facts['of']} drills passed", markup=False)
