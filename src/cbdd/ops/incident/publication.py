"""What others see of an incident in a tracker: by an allow-list, without names, paths or messages.

Codes, severities, milestones and versions may be told to anybody; titles are made of codes and of
names of tests. Everything a person writes (root cause, reasons, follow-ups) is meant to be read.
Names of collections, paths, findings and evidence stay in the records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cbdd.client import ClientSession, Database
from cbdd.ops.incident.milestones import MILESTONES
from cbdd.ops.incident.record import Incident
from cbdd.ops.trackers.outbox import Outbox

LABEL: Final = "incident"


class Publication:
    """Tells nobody: the records are all there is. Others put what is to be told into an outbox."""

    def attach(self, database: Database[dict[str, Any]]) -> None:
        """Take the database of the records, before the first use."""

    def publish(self, incident: Incident, told: str, session: ClientSession) -> None:
        """Note what is to be told of an incident, in the transaction that changes it."""


class TrackerPublication(Publication):
    """Keeps what is to be told until it is delivered to a tracker, see `cbdd.ops.trackers`."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._outbox: Outbox | None = None

    @property
    def outbox(self) -> Outbox:
        """The messages; there once the records are open."""
        assert self._outbox is not None
        return self._outbox

    def attach(self, database: Database[dict[str, Any]]) -> None:
        """Take the database of the records."""
        self._outbox = Outbox(database, self._now_us)

    def publish(self, incident: Incident, told: str, session: ClientSession) -> None:
        """Keep the issue as it should be, and a comment where there is something to tell."""
        state = {
            "title": title_of(incident),
            "body": body_of(incident),
            "labels": labels_of(incident),
            "is_open": incident.is_open,
        }
        self.outbox.add(incident.number, state, told, session)


Publisher = Publication


def title_of(incident: Incident) -> str:
    """The title of the issue."""
    return f"Incident {incident.number}: {incident.severity} {incident.title}"


def labels_of(incident: Incident) -> list[str]:
    """The labels of the issue."""
    return [LABEL, incident.severity]


def body_of(incident: Incident) -> str:
    """The text of the issue, in Markdown."""
    codes = sorted({code for each in incident.signals for code, _ in each.codes})
    areas = sorted({area or "unknown" for each in incident.signals for area in each.areas})
    context = incident.context
    rows = {
        "severity": f"{incident.severity} ({'; '.join(_reasons(incident))})",
        "owner": incident.owner or "nobody yet",
        "release maintainer": incident.release_maintainer or "-",
        "codes": ", ".join(f"`{code}`" for code in codes) or "-",
        "areas": ", ".join(areas) or "-",
        "release": context.cbdd or "not known",
        "wheel": context.wheel_sha256 or "not known",
        "Python": context.python or "not known",
        "operating system": context.os or "not known",
        "file system": context.file_system or "not known",
        "signals": ", ".join(f"{each.kind} x{each.count}" for each in incident.signals),
        "status": status_of(incident),
    }
    lines = ["| | |", "|---|---|", *(f"| {name} | {_cell(text)} |" for name, text in rows.items())]
    lines.append("")
    lines += [f"- [{'x' if name in incident.milestones else ' '}] {name}" for name in MILESTONES]
    if incident.closure is not None:
        lines += ["", "## Root cause", "", incident.closure.root_cause]
        lines += ["", "## Follow-ups", ""]
        lines += [
            f"- {each.text} ({each.owner}, due {each.due})" for each in incident.closure.follow_ups
        ]
    return "\n".join(lines) + "\n"


def status_of(incident: Incident) -> str:
    """How far it is: closed, the last milestone, or open."""
    if not incident.is_open:
        return "closed"
    reached = [name for name in MILESTONES if name in incident.milestones]
    return reached[-1] if reached else "open"


def _reasons(incident: Incident) -> list[str]:
    if incident.override is not None:
        return [f"chosen by {incident.override.by or 'a maintainer'}: {incident.override.reason}"]
    return incident.reasons


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
