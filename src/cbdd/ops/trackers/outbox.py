"""What is to be told in a tracker, kept until it was told: nothing is lost while it is away.

A message is written in the transaction that changes the incident. Delivery goes incident by
incident: the issue is made, or brought up to date with the newest message, then the comments follow
in order. What was told is removed only then; a kill in between is made good by markers.

Collections: ``outbox`` (messages, in order), ``references`` (incident to issue), ``leases`` (who
delivers now: one process at a time).

Invariants: of each incident at most one issue is made by all processes together; comments come in
the order of their messages, each once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from cbdd.client import ClientSession, Database
from cbdd.ops.trackers.tracker import Tracker, TrackerRefusedError, TrackerUnavailableError

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
        message = {"_id": ObjectId(), "incident": incident, "state": state, "comment": comment}
        self._messages.insert_one(message, session=session)

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
                    self._deliver(number, tracker, found)
                except TrackerRefusedError as error:
                    found.refused[number] = str(error)
                except TrackerUnavailableError as error:
                    found.unavailable = str(error)
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

    def _deliver(self, number: int, tracker: Tracker, found: Delivery) -> None:
        messages = list(self._messages.find({"incident": number}).sort("_id", 1))
        state = messages[-1]["state"]
        reference = self._told_state(number, state, tracker)
        for each in messages:
            if each["comment"]:
                tracker.comment(reference, f"cbdd-note-{each['_id']}", each["comment"])
            self._messages.delete_one({"_id": each["_id"]})
            found.sent += 1

    def _told_state(self, number: int, state: dict[str, Any], tracker: Tracker) -> str:
        """Make the issue or bring it up to date; returns its reference."""
        key = _key(number, tracker.name)
        known = self._references.find_one({"_id": key})
        if known is None:
            marker = f"cbdd-incident-{self._identity()}-{number}"
            reference = tracker.create(marker, state["title"], state["body"], state["labels"])
            self._references.insert_one(
                {"_id": key, "incident": number, "reference": reference, "is_adopted": False}
            )
            if state["is_open"]:
                return reference
            known = {"reference": reference, "is_adopted": False}
        reference = str(known["reference"])
        if known["is_adopted"]:
            there = tracker.fetch(reference).labels
            labels = list(dict.fromkeys([*there, *state["labels"]]))
            tracker.update(reference, None, None, labels, state["is_open"])
        else:
            marker = f"cbdd-incident-{self._identity()}-{number}"
            body = f"{state['body']}\n\n<!-- {marker} -->\n"
            tracker.update(reference, state["title"], body, state["labels"], state["is_open"])
        return reference

    def _identity(self) -> str:
        """What tells the markers of these records from those of others."""
        found = self._references.find_one({"_id": "identity"})
        if found is None:
            found = {"_id": "identity", "value": str(ObjectId())}
            self._references.insert_one(found)
        return str(found["value"])


def _key(incident: int, tracker: str) -> str:
    return f"{tracker}#{incident}"
