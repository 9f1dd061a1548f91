"""`cbdd explain`: what a code means, how bad it is, and what to do."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_INPUT, CommandError
from cbdd.cli.output import facts_table, print_json, stdout_console, table
from cbdd.codes import CODES, Code

CodeArgument = Annotated[
    str | None,
    typer.Argument(metavar="CODE", help="A code, e.g. WAL_HOLE; all without it."),
]


def explain(code: CodeArgument = None, json: JsonOption = False) -> None:
    """Say what a code means, how bad it is, and what to do next.

    Codes stand in every error, in `cbdd check` and in the report of opening a file.
    """
    if code is None:
        _list(json)
        return
    name = code.strip().upper().replace("-", "_")
    found = CODES.get(name)
    if found is None:
        raise CommandError(f"no code {code}{_like(name)}", BAD_INPUT, "UNKNOWN_CODE")
    if json:
        print_json(found.to_dict())
        return
    console = stdout_console()
    console.print(
        facts_table(
            {
                "code": found.name,
                "about": found.group,
                "severity": found.severity_text,
                "meaning": found.meaning,
                "what to do": found.next_step,
            }
        ),
        markup=False,
    )


def _list(json: bool) -> None:
    if json:
        for each in CODES.values():
            print_json(each.to_dict())
        return
    made = table("code", "severity", "meaning")
    for each in _by_group():
        made.add_row(each.name, each.severity, each.meaning)
    stdout_console().print(made, markup=False)


def _by_group() -> list[Code]:
    return sorted(CODES.values(), key=lambda code: code.group_rank)


def _like(name: str) -> str:
    close = difflib.get_close_matches(name, CODES, n=3)
    parts = close or [each for each in CODES if name and name in each][:5]
    return f"; is it {', '.join(parts)}?" if parts else "; `cbdd explain` lists all"
