"""The milestones of an incident, when each is due, and whom it escalates to.

The owner comes first. The release maintainer is told as well when the incident is SEV-1 or a
release has to be rolled back. Each milestone posts a status; one that is late, and a SEV-1 without
an owner, are shown before everything else.
"""

from __future__ import annotations

from typing import Final

from cbdd.codes import SEV_1, SEV_2, SEV_3

TRIAGE: Final = "triage-complete"
MITIGATION: Final = "mitigation-active"
FIX: Final = "fix-merged"
VALIDATION: Final = "validation-complete"
MILESTONES: Final = (TRIAGE, MITIGATION, FIX, VALIDATION)

HOUR_US: Final = 3600 * 1_000_000
DAY_US: Final = 24 * HOUR_US

DUE_US: Final = {
    SEV_1: {TRIAGE: HOUR_US, MITIGATION: 4 * HOUR_US, FIX: 3 * DAY_US, VALIDATION: 4 * DAY_US},
    SEV_2: {TRIAGE: DAY_US, MITIGATION: 3 * DAY_US, FIX: 14 * DAY_US, VALIDATION: 16 * DAY_US},
    SEV_3: {TRIAGE: 5 * DAY_US, MITIGATION: 30 * DAY_US, FIX: 60 * DAY_US, VALIDATION: 65 * DAY_US},
}
"""Microseconds from the opening of an incident."""
OWNER_DUE_US: Final = 0
"""A SEV-1 wants an owner from the first moment."""


def duration_text(microseconds: int) -> str:
    """A duration for people, in its two largest units.

    >>> duration_text(93_784_000_000)
    '1 d 2 h'
    >>> duration_text(42_000_000)
    '42 s'
    """
    seconds = max(0, microseconds) // 1_000_000
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def to_markdown() -> str:
    """The table for docs/runbook.md."""
    lines = ["| milestone | SEV-1 | SEV-2 | SEV-3 |", "|---|---|---|---|"]
    for name in MILESTONES:
        due = [duration_text(DUE_US[severity][name]) for severity in (SEV_1, SEV_2, SEV_3)]
        lines.append(f"| {name} | {' | '.join(due)} |")
    return "\n".join(lines) + "\n"
