"""`cbdd check`: verify the whole file."""

from __future__ import annotations

import time

import typer
from rich.console import Console

from cbdd.cli.arguments import FileArgument, JsonOption
from cbdd.cli.failures import DAMAGED
from cbdd.cli.opening import open_for_inspection
from cbdd.cli.output import print_json, printable, stdout_console, table
from cbdd.codes import CODES, with_path
from cbdd.ops.doctor import reindex_command
from cbdd.storage.check import SEVERE, Problem


def check(file: FileArgument, json: JsonOption = False) -> None:
    """Verify the whole file.

    Every page, checksum, order and count, the freelist, and each index entry against its document.
    Changes nothing. Exit code 3 when something is wrong.
    """
    started = time.perf_counter()
    with open_for_inspection(file) as client:
        report = client.check()
        findings = client.recovery_report.findings
    seconds = time.perf_counter() - started
    if json:
        facts = {**report.to_dict(), "is_clean": not report.problems, "seconds": seconds}
        facts["findings"] = [finding.to_dict() for finding in findings]
        print_json(facts)
    else:
        console = stdout_console()
        console.print(
            f"{report.pages:,} pages, {report.trees:,} trees, {report.entries:,} entries, "
            f"{report.free_pages:,} free pages, checked in {seconds:.1f} s"
        )
        for finding in findings:
            if finding.severity == SEVERE:
                continue  # among the problems
            console.print(f"{finding.severity} {finding.code}: {finding.message}", markup=False)
        if report.problems:
            found = table("code", "#page", "#tree", "of", "problem")
            for problem in report.problems:
                of = f"{problem.namespace} {problem.index}".strip()
                where = [str(problem.page), str(problem.tree), printable(of)]
                found.add_row(problem.code, *where, printable(problem.message))
            console.print(found)
            _explain(console, report.problems, file)
        count = len(report.problems)
        console.print(f"{count:,} problems found" if count else "no problem found")
    if report.problems:
        raise typer.Exit(DAMAGED)


def _explain(console: Console, problems: list[Problem], file: str) -> None:
    """What the codes mean; an index is made anew whatever is wrong with it."""
    for code in sorted({problem.code for problem in problems if not problem.index}):
        known = CODES.get(code)
        if known is not None:
            step = with_path(known.next_step, file)
            text = f"{known.severity} {code}: {known.meaning} Next: {step}"
            console.print(text, markup=False)
    for namespace, index in sorted({(each.namespace, each.index) for each in problems}):
        if index:
            command = reindex_command(file, namespace, index)
            text = f"SEV-2 index {index} of {namespace}: documents are not affected. Next: "
            console.print(printable(f"{text}`{command}`"), markup=False)
