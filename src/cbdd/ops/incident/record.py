"""An incident as it is kept: one document, made of the parts below.

Times are microseconds since 1970. What is not known is empty or 0 and listed by
`Context.missing`. The document has the field names of the classes; ``format`` is its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from cbdd.codes import SEV_1
from cbdd.errors import NewerFormatError
from cbdd.ops.incident.milestones import DUE_US, MILESTONES

FORMAT: Final = 1


@dataclass
class Context:
    """Where the fault was met. `cbdd` is the release that met it, not the one that looks at it."""

    cbdd: str = ""
    wheel_sha256: str = ""
    build: str = ""
    python: str = ""
    os: str = ""
    file_system: str = ""
    operation: str = ""

    def missing(self) -> list[str]:
        """What is not known yet and has to be asked for."""
        return [name for name, value in asdict(self).items() if not value]

    def fill(self, other: Context) -> None:
        """Take over what is known there and not here."""
        for name, value in asdict(other).items():
            if value and not getattr(self, name):
                setattr(self, name, value)


@dataclass
class FirstFailure:
    """When the fault was first met, after when it must have come about, and what tells so."""

    at_us: int = 0
    not_before_us: int = 0
    source: str = ""


@dataclass
class Signal:
    """One sign of the fault: a file, a bundle, an error, tests, consumers, an issue, a person.

    ``keys`` name causes: two signals with one in common are of the same incident. ``codes`` are
    pairs of code and severity. ``facts`` are numbers, names and texts for people and programs;
    they stay with the maintainers. ``evidence`` are files, by name; kept apart in the store.
    """

    kind: str
    title: str
    keys: list[str] = field(default_factory=list)
    codes: list[list[str]] = field(default_factory=list)
    areas: list[str] = field(default_factory=list)
    context: Context = field(default_factory=Context)
    first_failure: FirstFailure = field(default_factory=FirstFailure)
    facts: dict[str, Any] = field(default_factory=dict)
    at_us: int = 0
    count: int = 1
    evidence: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Entry:
    """One line of the timeline."""

    at_us: int
    what: str
    text: str
    by: str = ""


@dataclass
class FollowUp:
    """Work that the incident leaves behind; ``due`` is a date, 2026-01-31."""

    text: str
    owner: str
    due: str


@dataclass
class Override:
    """A severity that a person chose, and why."""

    severity: str
    reason: str
    by: str
    at_us: int


@dataclass
class Closure:
    """What is known at the end."""

    root_cause: str
    blast_radius: dict[str, Any]
    follow_ups: list[FollowUp]
    by: str
    at_us: int


@dataclass
class Incident:
    """One incident.

    ``reproduction``, ``mitigation``, ``validation`` and ``consumers`` are as their commands report.
    """

    number: int
    title: str
    opened_us: int
    severity: str = SEV_1
    reasons: list[str] = field(default_factory=list)
    override: Override | None = None
    owner: str = ""
    release_maintainer: str = ""
    context: Context = field(default_factory=Context)
    first_failure: FirstFailure = field(default_factory=FirstFailure)
    keys: list[str] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    milestones: dict[str, Entry] = field(default_factory=dict)
    timeline: list[Entry] = field(default_factory=list)
    reproduction: dict[str, Any] = field(default_factory=dict)
    mitigation: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    consumers: dict[str, Any] = field(default_factory=dict)
    closure: Closure | None = None
    reference: str = ""
    """What the tracker calls it."""

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return self.closure is None

    @property
    def needs_rollback(self) -> bool:
        """Whether a release was found that has to be rolled back."""
        return bool(self.mitigation.get("first_bad"))

    @property
    def needs_release_maintainer(self) -> bool:
        """Whether the release maintainer has to be told and nobody is named."""
        urgent = self.severity == SEV_1 or self.needs_rollback
        return self.is_open and urgent and not self.release_maintainer

    @property
    def needs_owner(self) -> bool:
        """Whether nobody owns it."""
        return self.is_open and not self.owner

    def next_milestone(self) -> str:
        """The first milestone that was not reached; empty after the last."""
        return next((name for name in MILESTONES if name not in self.milestones), "")

    def due_us(self, milestone: str) -> int:
        """When a milestone is due."""
        return self.opened_us + DUE_US[self.severity][milestone]

    def overdue(self, now_us: int) -> list[str]:
        """Milestones that are late, and a SEV-1 that nobody owns."""
        if not self.is_open:
            return []
        late = [
            name
            for name in MILESTONES
            if name not in self.milestones and now_us > self.due_us(name)
        ]
        if self.needs_owner and self.severity == SEV_1:
            late.insert(0, "owner")
        return late

    def note(self, at_us: int, what: str, text: str, by: str = "") -> Entry:
        """Add a line to the timeline."""
        entry = Entry(at_us, what, text, by)
        self.timeline.append(entry)
        self.timeline.sort(key=lambda each: each.at_us)
        return entry

    def to_document(self) -> dict[str, Any]:
        """The document to store."""
        document = asdict(self)
        document["_id"] = document.pop("number")
        document["format"] = FORMAT
        document["open"] = self.is_open
        for signal in document["signals"]:
            del signal["evidence"]
        return document

    def to_dict(self) -> dict[str, Any]:
        """The incident for JSON."""
        document = self.to_document()
        return {"number": document.pop("_id"), **document, "missing": self.context.missing()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The incident that was stored.

        :raises NewerFormatError: by a later release.
        """
        found = document.get("format", 0)
        if found != FORMAT:
            raise NewerFormatError(
                "INCIDENT_FORMAT",
                f"incident {document.get('_id')} has format {found}, this release knows {FORMAT}",
                "use the release that wrote it, or a later one",
                {"expected": FORMAT, "found": found},
            )
        parts = {name: value for name, value in document.items() if name not in _NOT_FIELDS}
        parts["context"] = Context(**document["context"])
        parts["first_failure"] = FirstFailure(**document["first_failure"])
        parts["signals"] = [_signal(each) for each in document["signals"]]
        parts["timeline"] = [Entry(**each) for each in document["timeline"]]
        parts["milestones"] = {name: Entry(**each) for name, each in document["milestones"].items()}
        parts["override"] = Override(**document["override"]) if document["override"] else None
        parts["closure"] = _closure(document["closure"])
        return cls(number=document["_id"], **parts)


_NOT_FIELDS: Final = ("_id", "format", "open")


def _signal(stored: Mapping[str, Any]) -> Signal:
    parts = dict(stored)
    parts["context"] = Context(**stored["context"])
    parts["first_failure"] = FirstFailure(**stored["first_failure"])
    return Signal(**parts)


def _closure(stored: Mapping[str, Any] | None) -> Closure | None:
    if not stored:
        return None
    parts = dict(stored)
    parts["follow_ups"] = [FollowUp(**each) for each in stored["follow_ups"]]
    return Closure(**parts)
