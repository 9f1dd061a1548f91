"""The `cbdd` command: its name, its version, and the commands.

Every command runs inside `CommandGroup.invoke`, so whatever it raises ends in one place, see
`cbdd.cli.failures`.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import Annotated, Any

import pymongo
import typer
from typer.core import TyperGroup

from cbdd.build_info import build_kind
from cbdd.cli.backup import backup
from cbdd.cli.bundle import bundle
from cbdd.cli.check import check
from cbdd.cli.checkpoint import checkpoint
from cbdd.cli.compact import compact
from cbdd.cli.consumers import consumers
from cbdd.cli.create_index import create_index
from cbdd.cli.diff import diff
from cbdd.cli.doctor import doctor
from cbdd.cli.drill import drill
from cbdd.cli.drop_index import drop_index
from cbdd.cli.events import events
from cbdd.cli.explain import explain
from cbdd.cli.export import export
from cbdd.cli.failures import EXIT_CODES, OUTPUT_CLOSED, is_expected, report, without_extra
from cbdd.cli.find import find
from cbdd.cli.import_documents import import_documents
from cbdd.cli.incident import incident
from cbdd.cli.indexes import indexes
from cbdd.cli.info import info
from cbdd.cli.page import page
from cbdd.cli.recover import recover
from cbdd.cli.reindex import reindex
from cbdd.cli.restore import restore
from cbdd.cli.stats import stats
from cbdd.cli.tree import tree
from cbdd.cli.wal import wal
from cbdd.storage.version import VERSION

EPILOG = "Exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES.items()) + "."


class CommandGroup(TyperGroup):
    """Runs a command and turns what it raises into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        as_json = "--json" in ctx.args
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BaseException as raised:
            error = without_extra(raised)
            if not is_expected(error):
                raise
            exit_code = report(error, as_json)
            if exit_code == OUTPUT_CLOSED:
                _silence_stdout()
            raise typer.Exit(exit_code) from error
        return result


def _silence_stdout() -> None:
    """Let the interpreter's last flush of standard output go nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return


app = typer.Typer(
    name="cbdd",
    cls=CommandGroup,
    help="An embedded document database: one file, BSON documents, the PyMongo API.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        python = platform.python_version()
        sys.stdout.write(f"cbdd {VERSION} ({build_kind()}, Python {python}, ")
        sys.stdout.write(f"PyMongo {pymongo.version})\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the version, and whether the core is compiled or interpreted.",
        ),
    ] = False,
) -> None:
    """An embedded document database: one file, BSON documents, the PyMongo API."""


app.command("import")(import_documents)
app.command("export")(export)
app.command("find")(find)
app.command("stats")(stats)
app.command("info")(info)
app.command("doctor")(doctor)
app.command("check")(check)
app.command("checkpoint")(checkpoint)
app.command("recover")(recover)
app.command("compact")(compact)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("bundle")(bundle)
app.command("events")(events)
app.command("explain")(explain)
app.add_typer(wal)
app.add_typer(consumers)
app.add_typer(incident)
app.add_typer(drill)
app.command("page")(page)
app.command("tree")(tree)
app.command("diff")(diff)
app.command("indexes")(indexes)
app.command("create-index")(create_index)
app.command("drop-index")(drop_index)
app.command("reindex")(reindex)


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="cbdd")
