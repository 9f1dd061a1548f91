"""`cbdd incident show`: everything about one incident, and what to type next."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.console import Console

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import CommandError
from cbdd.cli.incident.options import DEFAULT_STORE, NumberArgument, StoreOption, records_at
from cbdd.cli.output import (
    facts_table,
    print_json,
    printable,
    size_text,
    stdout_console,
    table,
    time_text,
)
from cbdd.ops.incident.milestones import MILESTONES, duration_text
from cbdd.ops.incident.next_steps import next_steps
from cbdd.ops.incident.publication import status_of
from cbdd.ops.incident.record import Incident, Signal
from cbdd.ops.incident.store import IncidentStore

SaveOption = Annotated[
    str | None,
    typer.Option("--save", metavar="FOLDER", help="Write the evidence into a new folder."),
]


def show(
    number: NumberArgument,
    save: SaveOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show an incident: signals, context, milestones, timeline, evidence, and what to type next."""
    with records_at(store) as records:
        incident = records.get(number)
        if save is not None:
            _save(records, number, save)
        if json:
            steps = [each.to_dict() for each in next_steps(incident)]
            evidence = records.evidence(number)
            print_json({**incident.to_dict(), "evidence": evidence, "next_steps": steps})
        else:
            show_incident(records, incident, is_brief=False)


def show_incident(records: IncidentStore, incident: Incident, is_brief: bool) -> None:
    """Print an incident for people; the brief form leaves out its history."""
    console = stdout_console()
    now = records.now_us()
    _print(console, f"\nincident {incident.number}: {incident.severity} {incident.title}", "bold")
    late = incident.overdue(now)
    if late:
        listed = ", ".join("it needs an owner" if each == "owner" else each for each in late)
        _print(console, f"OVERDUE: {listed}", "bold red")
    console.print(facts_table(_facts(incident)))
    for signal in incident.signals:
        _show_signal(console, signal)
    if not is_brief:
        _show_history(console, records, incident)
    steps = next_steps(incident)
    if steps:
        _print(console, "\nnext:", "bold")
    for step in steps:
        _print(console, f"  {step.why}")
        _print(console, f"  $ {step.command}")


def _facts(incident: Incident) -> dict[str, str]:
    context = incident.context
    first = incident.first_failure
    facts = {
        "severity": f"{incident.severity}: {'; '.join(_reasons(incident))}",
        "owner": incident.owner or "NOBODY",
        "release maintainer": incident.release_maintainer or "-",
        "status": status_of(incident),
        "first failure": time_text(first.at_us) + (f" ({first.source})" if first.source else ""),
        "last known good": time_text(first.not_before_us),
        "release": f"{context.cbdd or 'not known'} {context.build}".rstrip(),
        "wheel": context.wheel_sha256 or "not known",
        "Python": context.python or "not known",
        "system": f"{context.os or 'not known'}, {context.file_system or 'file system not known'}",
        "operation": context.operation or "not known",
    }
    return {name: printable(value) for name, value in facts.items()}


def _reasons(incident: Incident) -> list[str]:
    if incident.override is None:
        return incident.reasons
    return [f"{incident.override.by or 'somebody'} chose it: {incident.override.reason}"]


def _show_signal(console: Console, signal: Signal) -> None:
    times = f", {signal.count} times" if signal.count > 1 else ""
    of = signal.facts.get("path", "")
    _print(console, f"\nsignal: {signal.kind} {of} ({time_text(signal.at_us)}{times})", "bold")
    for finding in signal.facts.get("findings", [])[:20]:
        message = finding.get("message", "")
        _print(console, f"  {finding['severity']} {finding['code']} {message}".rstrip())
        for command in finding.get("commands", []):
            _print(console, f"    $ {command}")
    for name in ("tests", "raised_in"):
        for each in signal.facts.get(name, [])[:20]:
            _print(console, f"  {each}")


def _show_history(console: Console, records: IncidentStore, incident: Incident) -> None:
    for title, facts in (
        ("reproduction", incident.reproduction),
        ("mitigation", incident.mitigation),
        ("validation", incident.validation),
        ("consumers", incident.consumers),
    ):
        if facts:
            _print(console, f"\n{title}:", "bold")
            console.print(facts_table({name: _text(value) for name, value in facts.items()}))
    _print(console, "\nmilestones:", "bold")
    before = incident.opened_us
    for name in MILESTONES:
        reached = incident.milestones.get(name)
        if reached is None:
            _print(console, f"  [ ] {name}, due {time_text(incident.due_us(name))}")
        else:
            took = duration_text(reached.at_us - before)
            _print(console, f"  [x] {name} {time_text(reached.at_us)}, after {took}")
            before = reached.at_us
    _print(console, "\ntimeline:", "bold")
    for index, entry in enumerate(incident.timeline, 1):
        who = f" ({entry.by})" if entry.by else ""
        text = f": {entry.text}" if entry.text else ""
        _print(console, f"  {index}. {time_text(entry.at_us)} {entry.what}{text}{who}")
    evidence = records.evidence(incident.number)
    if evidence:
        made = table("evidence", "#size", "SHA-256")
        for each in evidence:
            made.add_row(printable(each["name"]), size_text(each["bytes"]), each["sha256"])
        console.print()
        console.print(made, markup=False)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return printable(", ".join(str(each) for each in value)) or "-"
    return printable(str(value))


def _print(console: Console, text: str, style: str = "") -> None:
    shown = "\n".join(printable(line) for line in text.split("\n"))
    console.print(shown, markup=False, style=style or None)


def _save(records: IncidentStore, number: int, folder: str) -> None:
    """Write the newest evidence of each name; names are those the store gave."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError as error:
        raise CommandError(f"{folder} is there already", code="OUTPUT_EXISTS") from error
    for name in sorted({each["name"] for each in records.evidence(number)}):
        target = os.path.join(folder, os.path.basename(name))
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(records.evidence_data(number, name))
