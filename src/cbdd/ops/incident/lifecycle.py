"""What people do with an incident: own it, judge it, reach milestones, close it.

Each function here makes a change for `IncidentStore.change`.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date
from typing import Any, Final

from cbdd.errors import UsageError
from cbdd.ops.incident.milestones import (
    FIX,
    MILESTONES,
    MITIGATION,
    TRIAGE,
    VALIDATION,
    duration_text,
)
from cbdd.ops.incident.record import Closure, Context, FollowUp, Incident, Override
from cbdd.ops.incident.severity import ORDER
from cbdd.ops.incident.store import Change, classify

CONTEXT_FIELDS: Final = tuple(asdict(Context()))
_PERSON: Final = re.compile(r"[^\x00-\x1f<>]{1,100}")


def assign(now_us: int, owner: str = "", release_maintainer: str = "", by: str = "") -> Change:
    """Name the owner, the release maintainer, or both."""
    for name in (owner, release_maintainer):
        if name and not _PERSON.fullmatch(name):
            raise _refused(f"{name!r} is no name", "give a name or an account")
    if not owner and not release_maintainer:
        raise _refused("nobody was named", "name the owner, or --release-maintainer NAME")

    def change(incident: Incident) -> str:
        told: list[str] = []
        if owner:
            incident.owner = owner
            incident.note(now_us, "owner", owner, by)
            told.append(f"Owner: {owner}.")
        if release_maintainer:
            incident.release_maintainer = release_maintainer
            incident.note(now_us, "escalated", f"release maintainer {release_maintainer}", by)
            told.append(f"Release maintainer: {release_maintainer}.")
        return " ".join(told)

    return change


def override_severity(now_us: int, severity: str, reason: str, by: str = "") -> Change:
    """Choose another severity than the table says."""
    if severity not in ORDER:
        raise _refused(f"{severity!r} is no severity", f"choose one of {', '.join(ORDER)}")
    if not reason.strip():
        raise _refused("an override needs a reason", "say why with --reason")

    def change(incident: Incident) -> str:
        before = incident.severity
        incident.override = Override(severity, reason, by, now_us)
        incident.severity = severity
        incident.note(now_us, "severity", f"{before} to {severity}: {reason}", by)
        return f"Severity changed from {before} to {severity}: {reason}"

    return change


def use_table(now_us: int, by: str = "") -> Change:
    """Take an override back: the table decides again."""

    def change(incident: Incident) -> str:
        before = incident.severity
        incident.override = None
        classify(incident)
        if before == incident.severity:
            return ""
        incident.note(now_us, "severity", f"{before} to {incident.severity} by the table", by)
        return f"Severity changed from {before} to {incident.severity} by the table."

    return change


def complete_context(now_us: int, facts: dict[str, str], by: str = "") -> Change:
    """Note what could not be read and was asked for."""
    for name in facts:
        if name not in CONTEXT_FIELDS:
            raise _refused(f"{name!r} is not asked for", f"one of {', '.join(CONTEXT_FIELDS)}")

    def change(incident: Incident) -> str:
        for name, value in facts.items():
            setattr(incident.context, name, value)
        listed = ", ".join(f"{name} = {value}" for name, value in facts.items())
        incident.note(now_us, "context", listed, by)
        return ""

    return change


def reach(now_us: int, milestone: str, text: str = "", by: str = "") -> Change:
    """Reach a milestone, which posts a status.

    :raises UsageError: MILESTONE_REFUSED: another comes first, or something is missing.
    """
    if milestone not in MILESTONES:
        raise _refused(f"{milestone!r} is no milestone", f"one of {', '.join(MILESTONES)}")

    def change(incident: Incident) -> str:
        _require_order(incident, milestone)
        _require_ready(incident, milestone)
        since = max([incident.opened_us, *(e.at_us for e in incident.milestones.values())])
        incident.milestones[milestone] = incident.note(now_us, milestone, text, by)
        late = now_us - incident.due_us(milestone)
        took = f"after {duration_text(now_us - since)}"
        overdue = f", {duration_text(late)} late" if late > 0 else ""
        return f"Milestone {milestone} reached {took}{overdue}. {text}".strip()

    return change


def _require_order(incident: Incident, milestone: str) -> None:
    expected = incident.next_milestone()
    if milestone in incident.milestones:
        raise _refused(f"{milestone} was reached already", f"the next one is {expected or 'close'}")
    if milestone != expected:
        raise _refused(f"{expected} comes before {milestone}", f"reach {expected} first")


def _require_ready(incident: Incident, milestone: str) -> None:
    """What a milestone stands for must have been done."""
    number = incident.number
    if milestone == TRIAGE and incident.needs_owner:
        raise _refused("nobody owns the incident", f"`cbdd incident assign {number} NAME`")
    if milestone == MITIGATION and incident.needs_release_maintainer:
        raise _refused(
            f"{incident.severity} has to be told to the release maintainer",
            f"`cbdd incident assign {number} --release-maintainer NAME`",
        )
    if milestone == VALIDATION and not incident.validation.get("is_good"):
        raise _refused(
            "nothing says that the repaired build is good",
            f"`cbdd incident validate {number} ...` with the repaired wheel or file",
        )
    if milestone == FIX and not incident.reproduction:
        raise _refused(
            "there is no reproduction that a fix could be judged by",
            f"`cbdd incident reproduce {number} ...`",
        )


def require_reproduction(incident: Incident) -> None:
    """Raise where no test shows the fault: nothing could be judged by it.

    :raises UsageError: INCIDENT_REFUSED.
    """
    if not failed_before(incident):
        raise _refused(
            f"no test was seen to fail with the fault of incident {incident.number}",
            f"`cbdd incident reproduce {incident.number} ...`",
        )


def annotate(at_us: int, text: str, by: str = "") -> Change:
    """Add a line to the timeline."""

    def change(incident: Incident) -> str:
        incident.note(at_us, "note", text, by)
        return ""

    return change


def tell_status(now_us: int, text: str, by: str = "") -> Change:
    """Tell how it stands between two milestones."""
    if not text.strip():
        raise _refused("the status says nothing", "say how it stands")

    def change(incident: Incident) -> str:
        incident.note(now_us, "status", text, by)
        return f"Status: {text}"

    return change


def edit_timeline(index: int, text: str) -> Change:
    """Change the text of a line of the timeline; an empty text takes a note away.

    :param index: counted from 1, as `show` numbers the lines.
    """

    def change(incident: Incident) -> str:
        if not 1 <= index <= len(incident.timeline):
            raise _refused(
                f"the timeline has no line {index}", f"1 to {len(incident.timeline)} are there"
            )
        entry = incident.timeline[index - 1]
        if not text and entry.what == "note":
            del incident.timeline[index - 1]
        elif not text:
            raise _refused("only notes can be taken away", "give the line another text")
        else:
            entry.text = text
        return ""

    return change


class Review:
    """What a person gives at the end."""

    def __init__(
        self,
        root_cause: str,
        follow_ups: list[FollowUp],
        no_follow_ups: str = "",
        blast_radius: str = "",
    ) -> None:
        self.root_cause = root_cause.strip()
        self.follow_ups = follow_ups
        self.no_follow_ups = no_follow_ups.strip()
        self.blast_radius = blast_radius.strip()


def close(now_us: int, review: Review, by: str = "") -> Change:
    """Close an incident.

    :raises UsageError: CLOSE_REFUSED, with everything that is missing.
    """

    def change(incident: Incident) -> str:
        missing = missing_for_close(incident, review)
        if missing:
            raise UsageError(
                "CLOSE_REFUSED",
                f"incident {incident.number} cannot be closed: {'; '.join(missing)}",
                f"`cbdd incident show {incident.number}` says what to type for each",
                {"missing": missing},
            )
        radius = blast_radius(incident)
        if review.blast_radius:
            radius["in_words"] = review.blast_radius
        follow_ups = list(review.follow_ups)
        incident.closure = Closure(review.root_cause, radius, follow_ups, by, now_us)
        incident.note(now_us, "closed", review.root_cause, by)
        if review.no_follow_ups:
            incident.note(now_us, "no follow-ups", review.no_follow_ups, by)
        return f"Closed. Root cause: {review.root_cause}"

    return change


def missing_for_close(incident: Incident, review: Review) -> list[str]:
    """What the review lacks, each in words; empty when nothing."""
    missing: list[str] = []
    if not review.root_cause:
        missing.append("no root cause (--root-cause)")
    radius = blast_radius(incident)
    if not radius["versions"] and not review.blast_radius:
        missing.append("no version is known to be affected (--blast-radius)")
    if incident.next_milestone():
        missing.append(f"milestone {incident.next_milestone()} was not reached")
    if not failed_before(incident):
        missing.append("no regression test that failed (reproduce)")
    elif not passes_now(incident):
        missing.append("the regression test was not seen to pass (validate)")
    if needs_consumers(incident):
        missing.append("consumers were not seen to recover (consumers)")
    if not review.follow_ups and not review.no_follow_ups:
        missing.append("no follow-ups (--follow-up, or --no-follow-ups and why)")
    missing += [
        f"follow-up {each.text!r}: {problem}"
        for each in review.follow_ups
        for problem in _problems(each)
    ]
    return missing


def _problems(follow_up: FollowUp) -> list[str]:
    problems: list[str] = []
    if not follow_up.text.strip():
        problems.append("it says nothing")
    if not follow_up.owner.strip():
        problems.append("it has no owner")
    try:
        date.fromisoformat(follow_up.due)
    except ValueError:
        problems.append(f"{follow_up.due!r} is no date like 2026-01-31")
    return problems


def failed_before(incident: Incident) -> bool:
    """Whether a test was seen to fail with the fault."""
    return bool(incident.reproduction.get("failed"))


def passes_now(incident: Incident) -> bool:
    """Whether the same test was seen to pass on the repaired build or file."""
    test = incident.reproduction.get("sha256")
    validation = incident.validation
    return bool(validation.get("is_good")) and validation.get("test_sha256") == test


def needs_consumers(incident: Incident) -> bool:
    """Whether consumers were affected and not seen to recover."""
    affected = any(each.facts.get("consumers") for each in incident.signals)
    return affected and not incident.consumers.get("recovered")


def blast_radius(incident: Incident) -> dict[str, Any]:
    """Which versions, formats and operations are affected: counted from the evidence."""
    mitigation = incident.mitigation
    versions = list(mitigation.get("bad", []))
    seen = [each.context.cbdd for each in incident.signals if each.context.cbdd]
    if not versions:
        versions = sorted({*seen, *filter(None, [incident.context.cbdd])})
    findings = [
        finding
        for each in incident.signals
        for finding in each.facts.get("findings", [])
        if isinstance(finding, dict)
    ]
    collections = {
        f"{where.get('database')}.{where['collection']}"
        for where in (finding.get("where", {}) for finding in findings)
        if isinstance(where, dict) and "collection" in where
    }
    documents = sum(
        int(finding["where"].get("documents", 0))
        for finding in findings
        if isinstance(finding.get("where"), dict)
    )
    operations = {each.context.operation for each in incident.signals if each.context.operation}
    return {
        "versions": versions,
        "formats": sorted(
            {
                int(each.facts["format"]["format"])
                for each in incident.signals
                if isinstance(each.facts.get("format"), dict) and "format" in each.facts["format"]
            }
        ),
        "operations": sorted({*operations, *incident.reproduction.get("operations", [])}),
        "areas": sorted({area for each in incident.signals for area in each.areas if area}),
        "collections": len(collections),
        "documents": documents,
        "files": len({each.facts["path"] for each in incident.signals if "path" in each.facts}),
        "consumers": sorted(
            {name for each in incident.signals for name in each.facts.get("consumers", [])}
        ),
        "signals": sum(each.count for each in incident.signals),
    }


def _refused(what: str, next_step: str) -> UsageError:
    return UsageError("INCIDENT_REFUSED", what, next_step)
