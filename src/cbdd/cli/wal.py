"""`cbdd wal dump` and `cbdd wal verify`: the log frame by frame, and whether it is whole."""

from __future__ import annotations

from typing import Any

import typer

from cbdd.cli.arguments import FileArgument, JsonOption, ValuesOption
from cbdd.cli.failures import DAMAGED
from cbdd.cli.output import facts_table, print_json, printable, size_text, stdout_console, time_text
from cbdd.codes import CODES, SEV_1, severity_of, with_path
from cbdd.ops.inspection import dump_log, verify_log

wal = typer.Typer(
    name="wal",
    help="Look at the log.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@wal.command("dump")
def dump(file: FileArgument, values: ValuesOption = False, json: JsonOption = False) -> None:
    """Show every frame of the log that verifies, and the damage between them.

    LSN, time, operation, the trees that are changed and how much. Works on files in use, and on
    damaged ones. With `--json` one frame on each line.
    """
    count = 0
    console = stdout_console()
    for row in dump_log(file, values=values):
        count += 1
        if json:
            print_json(row)
        else:
            console.print(printable(_line(row)), markup=False)
            for tree in row.get("trees", []):
                console.print(printable(f"    {_tree_text(tree)}"), markup=False)
                for key, value in tree.get("entries", []):
                    console.print(printable(f"        {key} {value}"), markup=False)
    if not json:
        console.print(f"{count:,} frames" if count else "there is no log")


@wal.command("verify")
def verify(file: FileArgument, json: JsonOption = False) -> None:
    """Say whether the log is whole, has a torn tail, or a hole.

    Exit code 3 when commits that were acknowledged are lost.
    """
    found = verify_log(file)
    code = str(found["code"])
    if json:
        print_json(found)
    else:
        _show(found, code, file)
    if code and severity_of(code) == SEV_1:
        raise typer.Exit(DAMAGED)


def _show(found: dict[str, Any], code: str, file: str) -> None:
    console = stdout_console()
    console.print(
        facts_table(
            {
                "segments": found["segments"],
                "frames": f"{found['frames']:,}",
                "commits after the checkpoint": f"{found['commits']:,}",
                "checkpoint LSN": found["first_lsn"],
                "last LSN": found["last_lsn"],
                "durable LSN, proven": found["durable_lsn"],
                "last commit": time_text(found["last_commit_us"]),
            }
        )
    )
    for each in found["damaged"]:
        console.print(
            f"damaged: segment {each['segment']}, offset {each['offset']}, {each['bytes']:,} bytes"
        )
    for each in found["lost_commits"]:
        last = "the end" if each["last_lsn"] is None else f"LSN {each['last_lsn']}"
        console.print(f"lost: commits from LSN {each['first_lsn']} to {last}")
    for note in found["notes"]:
        console.print(printable(f"note: {note}"), markup=False)
    known = CODES.get(code)
    if known is None:
        console.print("the log is whole" if found["segments"] else "there is no log")
    else:
        step = with_path(known.next_step, file)
        console.print(f"{known.severity} {code}: {known.meaning} Next: {step}", markup=False)


def _line(row: dict[str, Any]) -> str:
    where = f"segment {row['segment']} offset {row['offset']}"
    size = size_text(row["bytes"])
    if row["kind"] == "damage":
        return f"{where}: {row['bytes']:,} bytes that are no frame"
    name = row.get("operation", row.get("code", ""))
    asked = " durable" if row["durable"] else ""
    return (
        f"{where}: {row['kind']} LSN {row['lsn']} {time_text(row['time_us'])} {size} {name}{asked}"
    )


def _tree_text(tree: dict[str, Any]) -> str:
    what = [word for word in ("created", "dropped") if tree[word]]
    for word in ("puts", "deletes"):
        if tree[word]:
            what.append(f"{tree[word]:,} {word}")
    name = tree["name"] or "?"
    return f"tree {tree['tree']} {name}: {', '.join(what)}, {size_text(tree['bytes'])}"
