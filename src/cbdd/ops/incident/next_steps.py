"""What to type next: the runbook's steps that an incident has not been through yet."""

from __future__ import annotations

import os
import shlex

from cbdd.ops.incident.lifecycle import failed_before, needs_consumers, passes_now
from cbdd.ops.incident.milestones import FIX, MITIGATION, TRIAGE, VALIDATION
from cbdd.ops.incident.record import Incident


class Step:
    """One thing to do: why, and the command; NAMES in capitals are to be filled in."""

    def __init__(self, why: str, command: str) -> None:
        self.why = why
        self.command = command

    def to_dict(self) -> dict[str, str]:
        """The step for JSON."""
        return {"why": self.why, "command": self.command}


def next_steps(incident: Incident) -> list[Step]:
    """The steps that come next, the first to be done first."""
    if not incident.is_open:
        return []
    number = incident.number
    steps: list[Step] = []
    if incident.needs_owner:
        steps.append(Step("nobody owns it", f"cbdd incident assign {number} NAME"))
    if incident.needs_release_maintainer:
        why = f"{incident.severity}: the release maintainer has to know"
        steps.append(Step(why, f"cbdd incident assign {number} --release-maintainer NAME"))
    if incident.context.missing():
        asked = " ".join(f"--{name.replace('_', '-')} ..." for name in incident.context.missing())
        steps.append(Step("could not be read: ask", f"cbdd incident context {number} {asked}"))
    if not failed_before(incident):
        steps.append(Step("no test shows the fault yet", _reproduce(incident)))
    milestone = incident.next_milestone()
    if milestone == TRIAGE and failed_before(incident):
        steps.append(Step("severity, owner and reproduction are there", _reach(number, TRIAGE)))
    if milestone == MITIGATION and not incident.mitigation:
        steps += _contain(incident)
    elif milestone == MITIGATION:
        steps.append(Step("say that it is contained", _reach(number, MITIGATION)))
    if milestone == FIX:
        steps.append(Step("when the fix is merged, or the file recovered", _reach(number, FIX)))
    if milestone == VALIDATION and not passes_now(incident):
        steps.append(Step("prove that it is repaired", _validate(incident)))
    elif milestone == VALIDATION:
        steps.append(Step("say that it is repaired", _reach(number, VALIDATION)))
    if milestone in (VALIDATION, "") and needs_consumers(incident):
        why = "see that consumers recover: `cbdd consumers run --old BAD --new FIXED --json`"
        steps.append(Step(why, f"cbdd incident consumers {number} REPORT.json"))
    if not milestone:
        command = (
            f"cbdd incident close {number} --root-cause TEXT --follow-up 'TEXT; OWNER; 2026-01-31'"
        )
        steps.append(Step("write the review", command))
    return steps


def file_of(incident: Incident) -> str:
    """The database file of the first signal that has one; empty when none has."""
    for each in incident.signals:
        path = each.facts.get("path")
        if isinstance(path, str):
            return path
    return ""


def _reach(number: int, milestone: str) -> str:
    return f"cbdd incident milestone {number} {milestone}"


def _reproduce(incident: Incident) -> str:
    if file_of(incident) or any(each.areas for each in incident.signals):
        return f"cbdd incident reproduce {incident.number}"
    return f"cbdd incident reproduce {incident.number} --test TEST_FILE"


def _contain(incident: Incident) -> list[Step]:
    """By an earlier release where a release is to blame, else by repairing the file."""
    number = incident.number
    path = file_of(incident)
    if not path or incident.reproduction.get("verdict") in ("commit", "base"):
        command = f"cbdd incident mitigate {number} --wheels FOLDER"
        return [Step("contain it: find the last known-good release", command)]
    printed = commands_for(incident)
    recovers = [each for each in printed if each.startswith("cbdd recover ")]
    if recovers:
        new = shlex.split(recovers[0])[-1]
        command = f"cbdd incident mitigate {number} --recover {shlex.quote(new)}"
        return [Step("contain it: recover the file, which stays as it is", command)]
    repaired = f"cbdd incident mitigate {number} --repaired"
    in_place = [each for each in printed if not each.startswith("cbdd explain ")]
    if in_place:
        steps = [Step("contain it: repair the file", each) for each in in_place]
        return [*steps, Step("and say so", f"{repaired} {shlex.quote(path)}")]
    new = shlex.quote(_beside(path))
    return [
        Step(
            "contain it: nothing of it can be read, a backup is needed",
            f"cbdd restore BACKUP {new}",
        ),
        Step("and say so", f"{repaired} {new}"),
    ]


def commands_for(incident: Incident) -> list[str]:
    """The commands that doctor printed for the files of an incident."""
    return list(
        dict.fromkeys(
            command
            for each in incident.signals
            for finding in each.facts.get("findings", [])
            for command in finding.get("commands", [])
        )
    )


def _validate(incident: Incident) -> str:
    recovered = incident.mitigation.get("recovered")
    if isinstance(recovered, str):
        return f"cbdd incident validate {incident.number} --db {shlex.quote(recovered)}"
    return f"cbdd incident validate {incident.number} --wheel WHEEL"


def _beside(path: str) -> str:
    """A name for a new file beside another."""
    stem, ending = os.path.splitext(path)
    return f"{stem}-restored{ending}"
