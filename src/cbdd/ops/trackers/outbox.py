"""What is to be told in a tracker, kept until it was told: nothing is lost while it is away.

A message is written in the transaction that changes the incident. Delivery goes incident by
incident: the issue is made, or brought up to date with the newest message, then the comments follow
in order. What was told is removed only then; a kill in between is made good by markers.

Collections: ``outbox`` (messages; ``order`` is theirs within an incident, for the identities that
several processes give out within a second have none), ``references`` (incident to issue),
``leases`` (who delivers now: one process at a time, which renews its lease before each step and
stops where another has taken it).

Invariants: of each incident at most one issue is made by all processes together; comments come in
the order of their messages, each once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from cbdd.client import ClientSession, Database
from cbdd.ops.trackers.tracker import (
    Tracker,
    TrackerRefusedError,
    TrackerUnavailableError,
    marked,
)

LEASE_US: Final = 10 * 60 * 1_000_000
"""A process that delivers and dies keeps others from it for so long."""


class Delivery:
    """What came of a delivery."""

    def __init__(self) -> None:
        self.sent = 0
        self.waiting = 0
        self.is_busy = False
        """Another process was delivering."""
        self.unavailable = ""
        self.refused: dict[int, str] = {}
        """By incident, why it was refused."""

    def to_dict(self) -> dict[str, Any]:
        """The delivery for JSON."""
        refused = {str(number): why for number, why in self.refused.items()}
        return {**vars(self), "refused": refused}


class Outbox:
    """The messages of one database.

    :param now_us: tells the time.
    """

    def __init__(self, database: Database[dict[str, Any]], now_us: Callable[[], int]) -> None:
        self._messages = database["outbox"]
        self._references = database["references"]
        self._leases = database["leases"]
        self._now_us = now_us

    def add(
        self, incident: int, state: dict[str, Any], comment: str, session: ClientSession | None
    ) -> None:
        """Keep what is to be told of an incident.

        :param state: title, body, labels and is_open of its issue.
        :param comment: empty for none.
        """
        last = self._messages.find_one(
            {"incident": incident}, sort=[("order", -1)], session=session
        )
        order = 1 if last is None else int(last.get("order", 0)) + 1
        message = {"_id": ObjectId(), "incident": incident, "order": order, "state": state}
        self._messages.insert_one({**message, "comment": comment}, session=session)

    def adopt(self, incident: int, tracker: str, reference: str) -> None:
        """Tell an incident in an issue that is there already; its title and text stay."""
        self._references.replace_one(
            {"_id": _key(incident, tracker)},
            {"incident": incident, "reference": reference, "is_adopted": True},
            upsert=True,
        )

    def waiting(self) -> int:
        """How many messages wait."""
        return self._messages.count_documents({})

    def deliver(self, tracker: Tracker) -> Delivery:
        """Tell what waits; ends at the first message for which the service is away."""
        found = Delivery()
        holder = ObjectId()
        if not self._take_lease(holder):
            found.is_busy = True
            found.waiting = self.waiting()
            return found
        try:
            for number in self._messages.distinct("incident"):
                try:
                    self._deliver(number, tracker, found, holder)
                except TrackerRefusedError as error:
                    found.refused[number] = str(error)
                except TrackerUnavailableError as error:
                    found.unavailable = str(error)
                    break
                except _LeaseLostError:
                    found.is_busy = True
                    break
        finally:
            self._leases.delete_one({"_id": "delivery", "holder": holder})
        found.waiting = self.waiting()
        return found

    def _take_lease(self, holder: ObjectId) -> bool:
        now = self._now_us()
        try:
            self._leases.update_one(
                {"_id": "delivery", "until_us": {"$lt": now}},
                {"$set": {"holder": holder, "until_us": now + LEASE_US}},
                upsert=True,
            )
        except DuplicateKeyError:
            return False  # somebody has it
        return True

    def _keep_lease(self, holder: ObjectId) -> None:
        """Renew the lease before a step that others would see twice."""
        kept = self._leases.update_one(
            {"_id": "delivery", "holder": holder},
            {"$set": {"until_us": self._now_us() + LEASE_US}},
        )
        if not kept.matched_count:
            raise _LeaseLostError

    def _deliver(self, number: int, tracker: Tracker, found: Delivery, holder: ObjectId) -> None:
        self._keep_lease(holder)
        messages = list(self._messages.find({"incident": number}).sort([("order", 1), ("_id", 1)]))
        reference = self._reference(number, messages[-1]["state"], tracker)
        self._keep_lease(holder)
        self._tell_state(number, reference, messages[-1]["state"], tracker)
        for each in messages:
            if each["comment"]:
                self._keep_lease(holder)
                tracker.comment(reference, f"cbdd-note-{each['_id']}", each["comment"])
            self._messages.delete_one({"_id": each["_id"]})
            found.sent += 1

    def _reference(self, number: int, state: dict[str, Any], tracker: Tracker) -> str:
        """The reference of the issue, which is made when there is none."""
        key = _key(number, tracker.name)
        known = self._references.find_one({"_id": key})
        if known is not None:
            return str(known["reference"])
        reference = tracker.create(
            self._marker(number), state["title"], state["body"], state["labels"]
        )
        self._references.replace_one(
            {"_id": key},
            {"incident": number, "reference": reference, "is_adopted": False},
            upsert=True,  # who stood still meanwhile finds what another has remembered
        )
        return reference

    def _tell_state(
        self, number: int, reference: str, state: dict[str, Any], tracker: Tracker
    ) -> None:
        """Bring the issue up to date, also a new one: an earlier process may have made it."""
        known = self._references.find_one({"_id": _key(number, tracker.name)})
        if known is not None and known["is_adopted"]:
            there = tracker.fetch(reference).labels
            labels = list(dict.fromkeys([*there, *state["labels"]]))
            tracker.update(reference, None, None, labels, state["is_open"])
            return
        body = marked(state["body"], self._marker(number))
        tracker.update(reference, state["title"], body, state["labels"], state["is_open"])

    def _marker(self, number: int) -> str:
        return f"cbdd-incident-{self._identity()}-{number}"

    def _identity(self) -> str:
        """What tells the markers of these records from those of others."""
        found = self._references.find_one({"_id": "identity"})
        if found is None:
            found = {"_id": "identity", "value": str(ObjectId())}
            self._references.insert_one(found)
        return str(found["value"])


class _LeaseLostError(Exception):
    """Another process delivers now."""


def _key(incident: int, tracker: str) -> str:
    return f"{tracker}#{incident}"
