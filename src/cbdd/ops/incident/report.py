"""The review of an incident as a document: Markdown, and HTML made from it.

It is for the maintainers: names of collections and paths are in it where the evidence has them.
Text from evidence is escaped; HTML in it stays text.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cbdd.ops.incident.lifecycle import blast_radius
from cbdd.ops.incident.milestones import MILESTONES, duration_text
from cbdd.ops.incident.publication import status_of
from cbdd.ops.incident.record import Incident

_SPECIAL: Final = str.maketrans({each: f"\\{each}" for each in "\\`*_[]<>#|~"})
_STYLE: Final = (
    "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #999;padding:.3em .6em;text-align:left}"
)


def to_markdown(incident: Incident, evidence: list[dict[str, Any]] | None = None) -> str:
    """The review as Markdown.

    :param evidence: as `IncidentStore.evidence` lists it.
    """
    sections = [
        f"# Incident {incident.number}: {_text(incident.title)}",
        _table(_summary(incident)),
        "## Root cause\n\n" + _root_cause(incident),
        "## Blast radius\n\n" + _table(_plain(_radius(incident))),
        "## Timeline\n\n" + _timeline(incident),
        "## Milestones\n\n" + _milestones(incident),
        "## Signals\n\n" + _signals(incident),
    ]
    for title, facts in (
        ("Reproduction", incident.reproduction),
        ("Mitigation", incident.mitigation),
        ("Validation", incident.validation),
        ("Consumers", incident.consumers),
    ):
        sections.append(f"## {title}\n\n" + (_table(_plain(facts)) if facts else "None yet."))
    sections.append("## Follow-ups\n\n" + _follow_ups(incident))
    if evidence:
        rows = [
            f"| {_text(each['name'])} | {each['bytes']:,} | {each['sha256']} |" for each in evidence
        ]
        head = "| file | bytes | SHA-256 |\n|---|---|---|\n"
        sections.append("## Evidence\n\n" + head + "\n".join(rows))
    return "\n\n".join(sections) + "\n"


def to_html(incident: Incident, evidence: list[dict[str, Any]] | None = None) -> str:
    """The review as one HTML page without scripts or anything from elsewhere."""
    from markdown_it import MarkdownIt

    body = (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .render(to_markdown(incident, evidence))
    )
    title = html.escape(f"Incident {incident.number}: {incident.title}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _summary(incident: Incident) -> dict[str, str]:
    context = incident.context
    first = incident.first_failure
    severity = incident.severity
    if incident.override is not None:
        severity += f", chosen by {incident.override.by}: {incident.override.reason}"
    else:
        severity += f": {'; '.join(incident.reasons)}"
    return {
        "severity": severity,
        "status": status_of(incident),
        "owner": incident.owner or "nobody",
        "release maintainer": incident.release_maintainer or "-",
        "opened": _moment(incident.opened_us),
        "first failure": f"{_moment(first.at_us)} ({first.source or 'not known'})",
        "last known good": _moment(first.not_before_us),
        "release": f"{context.cbdd or 'not known'} {context.build}".rstrip(),
        "wheel": context.wheel_sha256 or "not known",
        "Python": context.python or "not known",
        "system": context.os or "not known",
        "file system": context.file_system or "not known",
        "operation": context.operation or "not known",
    }


def _root_cause(incident: Incident) -> str:
    return _text(incident.closure.root_cause) if incident.closure else "Not known yet."


def _radius(incident: Incident) -> dict[str, Any]:
    return incident.closure.blast_radius if incident.closure else blast_radius(incident)


def _timeline(incident: Incident) -> str:
    rows = ["| time | what | | by |", "|---|---|---|---|"]
    rows += [
        f"| {_moment(each.at_us)} | {_text(each.what)} | {_text(each.text)} | {_text(each.by)} |"
        for each in incident.timeline
    ]
    return "\n".join(rows)


def _milestones(incident: Incident) -> str:
    rows = ["| milestone | reached | after | due |", "|---|---|---|---|"]
    before = incident.opened_us
    for name in MILESTONES:
        reached = incident.milestones.get(name)
        took = duration_text(reached.at_us - before) if reached else "-"
        when = _moment(reached.at_us) if reached else "-"
        rows.append(f"| {name} | {when} | {took} | {_moment(incident.due_us(name))} |")
        before = reached.at_us if reached else before
    return "\n".join(rows)


def _signals(incident: Incident) -> str:
    rows = ["| signal | title | times | codes | areas |", "|---|---|---|---|---|"]
    for each in incident.signals:
        codes = ", ".join(f"{code} {severity}".rstrip() for code, severity in each.codes)
        areas = ", ".join(area or "unknown" for area in each.areas)
        rows.append(
            f"| {each.kind} | {_text(each.title)} | {each.count} | {_text(codes)} |"
            f" {_text(areas)} |"
        )
    return "\n".join(rows)


def _follow_ups(incident: Incident) -> str:
    if incident.closure is None or not incident.closure.follow_ups:
        reason = next((e.text for e in incident.timeline if e.what == "no follow-ups"), "")
        return f"None: {_text(reason)}" if reason else "None yet."
    rows = ["| what | owner | due |", "|---|---|---|"]
    rows += [
        f"| {_text(each.text)} | {_text(each.owner)} | {_text(each.due)} |"
        for each in incident.closure.follow_ups
    ]
    return "\n".join(rows)


def _plain(facts: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in facts.items():
        if name.endswith("_us") and isinstance(value, int):
            found[name.removesuffix("_us").replace("_", " ")] = _moment(value)
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            found[name.replace("_", " ")] = text
    return found


def _table(rows: Mapping[str, str]) -> str:
    lines = ["| | |", "|---|---|"]
    lines += [f"| {name} | {_text(value)} |" for name, value in rows.items()]
    return "\n".join(lines)


def _text(text: str) -> str:
    """Text as it is, whatever Markdown would make of it, on one line."""
    return " ".join(text.split()).translate(_SPECIAL)


def _moment(at_us: int) -> str:
    if at_us <= 0:
        return "-"
    return f"{datetime.fromtimestamp(at_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
