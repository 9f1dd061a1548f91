"""`cbdd doctor`: what is wrong with a file, how bad it is, and what to do next."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from cbdd.cli.arguments import FileArgument, JsonOption
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.output import print_json, printable, size_text, stdout_console
from cbdd.cli.progress import DocumentBar
from cbdd.ops import Diagnosis, Finding, diagnose
from cbdd.ops.diagnosis import VERDICTS

_STYLES = {"SEV-1": "bold red", "SEV-2": "yellow", "SEV-3": "cyan", "info": "dim"}

QuickOption = Annotated[
    bool, typer.Option("--quick", help="Only what opening tells: pages are not read.")
]


def doctor(file: FileArgument, quick: QuickOption = False, json: JsonOption = False) -> None:
    """Say what is wrong with a file, what it touches, how bad it is, and what to type next.

    Never writes. Works on files that others have open and on files that do not open. Exit code: 0
    healthy, 1 a warning, 2 can be repaired without loss, 3 data is lost or at risk, 4 cannot be
    opened.
    """
    if "://" in file:
        raise CommandError("the command line works on files, not on servers", BAD_USAGE, "FILE")
    with DocumentBar() as bar:
        diagnosis = diagnose(file, quick, bar.show)
    if json:
        print_json(diagnosis.to_dict())
    else:
        _show(diagnosis)
    if diagnosis.verdict:
        raise typer.Exit(diagnosis.verdict)


def _show(diagnosis: Diagnosis) -> None:
    console = stdout_console()
    facts = diagnosis.facts
    size = f", {size_text(facts['file_size_bytes'])}" if "file_size_bytes" in facts else ""
    console.print(f"{printable(diagnosis.path)}{size}", markup=False)
    shown: set[str] = set()
    for finding in diagnosis.findings:
        _show_finding(console, finding, shown)
    if diagnosis.readable:
        console.print(f"\nwhole: {printable(', '.join(diagnosis.readable))}", markup=False)
    how = "looked at" if diagnosis.is_quick or not diagnosis.can_open else "every page read"
    text = VERDICTS[diagnosis.verdict]
    console.print(f"\nverdict: {text} ({how} in {diagnosis.seconds:.1f} s)", markup=False)


def _show_finding(console: Console, finding: Finding, shown: set[str]) -> None:
    """Show a finding, with the commands that none before it had."""
    console.print()
    console.print(f"{finding.severity} {finding.code}", style=_STYLES[finding.severity])
    console.print(f"  {printable(finding.message)}", markup=False)
    documents = finding.where.get("documents")
    if documents:
        console.print(f"  {documents:,} documents cannot be read", markup=False)
    pids = finding.where.get("pids")
    if isinstance(pids, list) and pids and str(pids[0]) not in finding.message:
        listed = ", ".join(map(str, pids))
        console.print(f"  open in process {listed}", markup=False)
    console.print(f"  {finding.advice}", markup=False)
    for command in finding.commands:
        if command in shown:
            continue
        shown.add(command)
        console.print(f"  $ {printable(command)}", markup=False)
