"""Incident records in a CBDD database, by default `incidents.cbdd` in the working folder.

Collections of the database `incidents`: ``incidents`` (one document each, see `record`),
``evidence`` (files by incident and name), ``numbers`` (the last number given). Whoever changes an
incident gives a function; it runs in a transaction and again when somebody else was faster, so two
people lose nothing of each other's.

Invariants: an open incident is the only open one with any of its keys, unless two were opened
before a signal connected them: that signal joins the older one and says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any, Final, Self, TypeVar

from bson.binary import Binary

from cbdd.client import Client, ClientSession
from cbdd.client.connect import connect
from cbdd.errors import UsageError
from cbdd.ops.incident.publication import Publication, Publisher
from cbdd.ops.incident.record import Incident, Signal
from cbdd.ops.incident.severity import ORDER, judge
from cbdd.storage.io import Clock

T = TypeVar("T")

DEFAULT_PATH: Final = "incidents.cbdd"
DATABASE: Final = "incidents"
MAX_EVIDENCE_BYTES: Final = 8 << 20
_MOST_KEYS: Final = 500
_MOST_SIGNALS: Final = 200

Change = Callable[[Incident], str]
"""Changes an incident; returns what to tell in the tracker, empty for nothing."""


class Opened:
    """What became of a signal: a new incident, or one that it joined."""

    def __init__(self, incident: Incident, is_new: bool) -> None:
        self.incident = incident
        self.is_new = is_new


class IncidentStore:
    """The records; a context manager.

    :param path: the database file; made if it is not there.
    :param publisher: keeps what is to be told in a tracker, in the same transaction.
    """

    def __init__(
        self,
        path: str = DEFAULT_PATH,
        publisher: Publisher | None = None,
        clock: Clock | None = None,
        must_exist: bool = False,
    ) -> None:
        self.path = os.path.realpath(path)
        self._clock = clock or Clock()
        if must_exist and not os.path.lexists(path):
            raise UsageError(
                "NO_INCIDENTS",
                f"there are no incident records at {path}",
                "open an incident, or name the file with --store",
                {"path": path},
            )
        self.client: Client[dict[str, Any]] = connect(path)
        try:
            database = self.client[DATABASE]
            self._incidents = database["incidents"]
            self._evidence = database["evidence"]
            self._numbers = database["numbers"]
            self.database = database
            self.publisher = publisher or Publication()
            self.publisher.attach(database)
            self._incidents.create_index([("open", 1), ("keys", 1)])
            self._evidence.create_index([("incident", 1), ("name", 1), ("sha256", 1)], unique=True)
        except BaseException:
            self.client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self.client.close()

    def now_us(self) -> int:
        """The time by the clock of the store."""
        return self._clock.now_us()

    # -- reading -----------------------------------------------------------------------------

    def get(self, number: int) -> Incident:
        """One incident.

        :raises UsageError: INCIDENT_NOT_FOUND.
        """
        return self._get(number, None)

    def all(self, is_open: bool | None = None) -> list[Incident]:
        """Incidents, what is overdue or needs an owner first, then by severity and age."""
        wanted = {} if is_open is None else {"open": is_open}
        now = self.now_us()
        found = [Incident.from_document(each) for each in self._incidents.find(wanted)]
        found.sort(
            key=lambda each: (
                not each.is_open,
                not each.overdue(now),
                ORDER.index(each.severity),
                each.opened_us,
            )
        )
        return found

    def evidence(self, number: int) -> list[dict[str, Any]]:
        """Name, size, SHA-256 and time of each file kept with an incident."""
        listed = self._evidence.find({"incident": number}, {"data": 0}).sort("_id", 1)
        return list(listed)

    def evidence_data(self, number: int, name: str) -> bytes:
        """The newest file of a name.

        :raises UsageError: EVIDENCE_NOT_FOUND.
        """
        found = self._evidence.find_one(
            {"incident": number, "name": name}, sort=[("at_us", -1), ("_id", -1)]
        )
        if found is None:
            raise UsageError(
                "EVIDENCE_NOT_FOUND",
                f"incident {number} has no evidence named {name}",
                f"`cbdd incident show {number}` lists what it has",
            )
        return bytes(found["data"])

    # -- writing -----------------------------------------------------------------------------

    def open(
        self, signal: Signal, by: str = "", apply: Callable[[Incident], None] | None = None
    ) -> Opened:
        """Make an incident of a signal, or let it join the open one that has the same cause.

        :param apply: what else to do to the incident in the same transaction.
        """
        signal.at_us = self.now_us()
        signal.keys = list(dict.fromkeys(signal.keys))[:_MOST_KEYS]

        def work(session: ClientSession) -> Opened:
            incident = self._same_cause(signal.keys, session)
            is_new = incident is None
            if incident is None:
                incident = Incident(self._next_number(session), signal.title, signal.at_us)
            is_repeated = any(_is_repeated(each, signal) for each in incident.signals)
            told = _take(incident, signal, is_new, by)
            if apply is not None:
                apply(incident)
            if not is_repeated:
                self._keep_evidence(incident.number, signal.evidence, session)
            self._save(incident, told, session)
            return Opened(incident, is_new)

        return self._transaction(work)

    def change(
        self, number: int, change: Change, evidence: dict[str, bytes] | None = None
    ) -> Incident:
        """Change an incident.

        :raises UsageError: INCIDENT_NOT_FOUND, INCIDENT_CLOSED, or what ``change`` raises.
        """

        def work(session: ClientSession) -> Incident:
            incident = self._get(number, session)
            if not incident.is_open:
                raise UsageError(
                    "INCIDENT_CLOSED",
                    f"incident {number} is closed",
                    "open another; a new signal of the same cause does so by itself",
                )
            told = change(incident)
            self._keep_evidence(number, evidence or {}, session)
            self._save(incident, told, session)
            return incident

        return self._transaction(work)

    def _transaction(self, work: Callable[[ClientSession], T]) -> T:
        with self.client.start_session() as session:
            return session.with_transaction(work)

    def _get(self, number: int, session: ClientSession | None) -> Incident:
        found = self._incidents.find_one({"_id": number}, session=session)
        if found is None:
            raise UsageError(
                "INCIDENT_NOT_FOUND",
                f"there is no incident {number} in {self.path}",
                "`cbdd incident list --all` shows those that are there",
            )
        return Incident.from_document(found)

    def _same_cause(self, keys: list[str], session: ClientSession) -> Incident | None:
        found = self._incidents.find_one(
            {"open": True, "keys": {"$in": keys}}, sort=[("_id", 1)], session=session
        )
        return None if found is None else Incident.from_document(found)

    def _next_number(self, session: ClientSession) -> int:
        made = self._numbers.find_one_and_update(
            {"_id": "incident"},
            {"$inc": {"last": 1}},
            upsert=True,
            return_document=True,
            session=session,
        )
        assert made is not None  # upserted
        return int(made["last"])

    def _save(self, incident: Incident, told: str, session: ClientSession) -> None:
        document = incident.to_document()
        self._incidents.replace_one(
            {"_id": incident.number}, document, upsert=True, session=session
        )
        self.publisher.publish(incident, told, session)

    def _keep_evidence(self, number: int, files: dict[str, bytes], session: ClientSession) -> None:
        for name, data in files.items():
            kept = data[:MAX_EVIDENCE_BYTES]
            digest = hashlib.sha256(data).hexdigest()
            self._evidence.update_one(
                {"incident": number, "name": name, "sha256": digest},
                {
                    "$setOnInsert": {
                        "bytes": len(data),
                        "is_cut": len(kept) < len(data),
                        "data": Binary(kept),
                        "at_us": self.now_us(),
                    }
                },
                upsert=True,
                session=session,
            )


def _take(incident: Incident, signal: Signal, is_new: bool, by: str) -> str:
    """Add a signal to an incident; returns what to tell of it."""
    incident.keys = list(dict.fromkeys([*incident.keys, *signal.keys]))[:_MOST_KEYS]
    same = next((each for each in incident.signals if _is_repeated(each, signal)), None)
    if same is not None:
        same.count += 1
        same.at_us = signal.at_us
        return ""
    incident.context.fill(signal.context)
    first = signal.first_failure
    known = incident.first_failure
    is_earlier = first.at_us and (not known.at_us or first.at_us < known.at_us)
    if is_earlier or not known.source:
        incident.first_failure = first
    if len(incident.signals) < _MOST_SIGNALS:
        incident.signals.append(signal)
    before = incident.severity
    classify(incident)
    if is_new:
        if incident.first_failure.not_before_us:
            incident.note(incident.first_failure.not_before_us, "last known good", "")
        if incident.first_failure.at_us:
            incident.note(
                incident.first_failure.at_us, "first failure", incident.first_failure.source
            )
        incident.note(signal.at_us, "opened", f"{incident.severity}: {signal.title}", by)
        return f"Opened as {incident.severity}."
    incident.note(signal.at_us, "signal", f"{signal.kind}: {signal.title}", by)
    raised = f"; now {incident.severity}" if incident.severity != before else ""
    return f"Another signal of the same cause: {signal.kind}{raised}."


def _is_repeated(old: Signal, new: Signal) -> bool:
    """Whether the same is told again, as by a job that runs every hour."""
    return (old.kind, old.title, old.keys, old.codes, old.areas) == (
        new.kind,
        new.title,
        new.keys,
        new.codes,
        new.areas,
    )


def classify(incident: Incident) -> None:
    """Judge an incident by all of its signals; what a person chose stays."""
    if incident.override is not None:
        return
    judgement = judge(_codes(incident.signals), _areas(incident.signals))
    incident.severity = judgement.severity
    incident.reasons = judgement.reasons


def _codes(signals: Iterable[Signal]) -> list[tuple[str, str]]:
    return [(code, severity) for each in signals for code, severity in each.codes]


def _areas(signals: Iterable[Signal]) -> list[str]:
    return [area for each in signals for area in each.areas]
