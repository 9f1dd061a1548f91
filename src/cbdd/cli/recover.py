"""`cbdd recover`: get back what verifies from a damaged database, into a new file."""

from __future__ import annotations

import json as json_module
import os
import re
import shlex
from typing import Annotated, Any, Final

import typer
from bson import json_util
from rich.console import Console

from cbdd.cli.arguments import FileArgument, JsonOption, LsnOption, TimeOption, parse_time
from cbdd.cli.failures import BAD_USAGE, DAMAGED, CommandError
from cbdd.cli.output import print_json, printable, stdout_console, table, time_text
from cbdd.cli.progress import StepBar
from cbdd.ops.recovery import CollectionOutcome, RecoverOptions, RecoverReport, recover_file
from cbdd.ops.recovery.report import AT_LEAST, EXACTLY

_SHOWN_IDS: Final = 10
_UUID: Final = re.compile("[0-9a-fA-F]{32}")

OutputOption = Annotated[
    str,
    typer.Option("--output", metavar="NEW", help="The new file; it must not be there yet."),
]
OlderOption = Annotated[
    bool,
    typer.Option("--older-meta", help="The state of the older meta page and the log behind it."),
]
UuidOption = Annotated[
    str | None,
    typer.Option(
        "--uuid",
        metavar="HEX",
        help="The UUID of the database, where nothing in the file tells it any more.",
        show_default=False,
    ),
]


def recover(
    file: FileArgument,
    output: OutputOption,
    older_meta: OlderOption = False,
    to_lsn: LsnOption = None,
    to_time: TimeOption = None,
    uuid: UuidOption = None,
    json: JsonOption = False,
) -> None:
    """Write everything that can be had of a damaged file to a new one.

    The original is only read. Tells for each collection what was saved, what is certainly lost,
    what is an older version, and what may have been deleted. Exit code: 0 everything is there, 3
    something is missing or old.
    """
    if "://" in file:
        raise CommandError("the command line works on files, not on servers", BAD_USAGE, "FILE")
    options = RecoverOptions(older_meta, to_lsn, parse_time(to_time), _parse_uuid(uuid))
    with StepBar() as bar:
        report = recover_file(file, output, options, progress=bar.show)
    if json:
        facts = json_util.dumps(report.to_dict(), json_options=json_util.RELAXED_JSON_OPTIONS)
        print_json(json_module.loads(facts))
    else:
        _show(report, output)
    if not report.is_whole:
        raise typer.Exit(DAMAGED)


def _parse_uuid(text: str | None) -> bytes | None:
    if text is None:
        return None
    digits = text.replace("-", "")
    if not _UUID.fullmatch(digits):
        raise typer.BadParameter("expected 32 hexadecimal digits", param_hint="--uuid")
    return bytes.fromhex(digits)


def _show(report: RecoverReport, output: str) -> None:
    console = stdout_console()
    when = f", committed {time_text(report.last_commit_us)}" if report.last_commit_us else ""
    console.print(f"wrote {printable(output)}: the state of LSN {report.lsn}{when}", markup=False)
    made = table("collection", "#documents", "#saved", "#lost", "#older", "#perhaps deleted")
    for each in report.collections:
        made.add_row(
            printable(f"{each.database}.{each.name}"),
            f"{each.documents:,}",
            f"{each.saved:,}",
            _lost_text(each),
            f"{each.stale.count:,}",
            f"{each.resurrected.count:,}",
        )
    console.print(made)
    for each in report.collections:
        _show_outcome(console, each)
    for lost in report.lost_commits:
        console.print(
            f"commits lost: {lost}; documents not written since may be older than they were",
            markup=False,
        )
    if not report.catalog_is_complete:
        console.print("the catalog was damaged: there may have been collections that are not here")
    for note in report.notes:
        console.print(f"note: {printable(note)}", markup=False)
    console.print("the original was not changed", markup=False)
    whole = "everything is there" if report.is_whole else "not everything could be saved, see above"
    console.print(f"\n{whole} ({report.seconds:.1f} s)", markup=False)
    _show_next(console, report, output)


def _lost_text(outcome: CollectionOutcome) -> str:
    if outcome.lost_bound == AT_LEAST and not outcome.lost.count:
        return "unknown"
    bound = "" if outcome.lost_bound == EXACTLY else f"{outcome.lost_bound} "
    return f"{bound}{outcome.lost.count:,}"


def _show_outcome(console: Console, outcome: CollectionOutcome) -> None:
    of = f"{outcome.database}.{outcome.name}"
    for what, documents in (
        ("lost", outcome.lost),
        ("an older version", outcome.stale),
        ("perhaps deleted", outcome.resurrected),
        ("left out for a later one with the same unique key", outcome.displaced),
    ):
        if documents.ids:
            ids = ", ".join(_id_text(each) for each in documents.ids[:_SHOWN_IDS])
            more = ", ..." if documents.count > _SHOWN_IDS else ""
            console.print(printable(f"{of}, {what}: _id {ids}{more}"), markup=False)
    if not outcome.name_is_known:
        console.print(f"{of}: its name and indexes are lost, its documents are here", markup=False)
    for name, reason in outcome.indexes_left_out.items():
        console.print(printable(f"{of}: index {name} was not made: {reason}"), markup=False)


def _id_text(identity: Any) -> str:
    return json_util.dumps(identity, json_options=json_util.RELAXED_JSON_OPTIONS)


def _show_next(console: Console, report: RecoverReport, output: str) -> None:
    """How to put the new file in the place of the old one, keeping that."""
    name = os.path.basename(report.path)
    directory = os.path.dirname(report.path)
    old = sorted(
        os.path.join(directory, each)
        for each in os.listdir(directory)
        if each == name or re.fullmatch(re.escape(name) + r"-(wal-\d+|shm|events)", each)
    )
    kept, number = f"{report.path}-damaged", 1
    while os.path.lexists(kept):
        number += 1
        kept = f"{report.path}-damaged-{number}"
    kept = shlex.quote(kept)
    moved = " ".join(shlex.quote(each) for each in old)
    console.print("to put it in the place of the old one, which is kept:")
    console.print(printable(f"  $ mkdir {kept} && mv {moved} {kept}"), markup=False)
    words = f"  $ mv {shlex.quote(output)} {shlex.quote(report.path)}"
    console.print(printable(words), markup=False)
