"""The default tracker: issues and their comments in the database of the incident records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cbdd.client import Database
from cbdd.ops.trackers.tracker import (
    TrackedIssue,
    TrackerRefusedError,
    has_marker,
    marked,
    number_of,
)

NAME: Final = "local"


class LocalTracker:
    """Issues in the collection ``issues`` of a database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self.name = NAME
        self._issues = database["issues"]

    def create(self, marker: str, title: str, body: str, labels: Sequence[str]) -> str:
        """See `Tracker.create`."""
        there = self._issues.find_one({"marker": marker})
        if there is not None:
            return str(there["_id"])
        last = self._issues.find_one(sort=[("_id", -1)])
        number = 1 if last is None else int(last["_id"]) + 1
        made = {"title": title, "body": body, "labels": list(labels), "open": True, "comments": []}
        self._issues.insert_one({"_id": number, "marker": marker, **made})
        return str(number)

    def update(
        self,
        reference: str,
        title: str | None,
        body: str | None,
        labels: Sequence[str],
        is_open: bool,
    ) -> None:
        """See `Tracker.update`."""
        changes: dict[str, Any] = {"labels": list(labels), "open": is_open}
        if title is not None:
            changes["title"] = title
        if body is not None:
            changes["body"] = body
        self._change(reference, {"$set": changes})

    def comment(self, reference: str, marker: str, text: str) -> None:
        """See `Tracker.comment`."""
        comments = self._found(reference)["comments"]
        if not any(has_marker(each, marker) for each in comments):
            self._change(reference, {"$push": {"comments": marked(text, marker)}})

    def fetch(self, reference: str) -> TrackedIssue:
        """See `Tracker.fetch`."""
        return _issue(self._found(reference))

    def list_open(self) -> list[TrackedIssue]:
        """See `Tracker.list_open`."""
        return [_issue(each) for each in self._issues.find({"open": True}).sort("_id", 1)]

    def _found(self, reference: str) -> dict[str, Any]:
        found = self._issues.find_one({"_id": number_of(reference)})
        if found is None:
            raise _missing(reference)
        return found

    def _change(self, reference: str, change: dict[str, Any]) -> None:
        done = self._issues.update_one({"_id": number_of(reference)}, change)
        if not done.matched_count:
            raise _missing(reference)


def _missing(reference: str) -> TrackerRefusedError:
    return TrackerRefusedError(
        "TRACKER_REFUSED", f"there is no issue {reference} here", "check its number"
    )


def _issue(found: dict[str, Any]) -> TrackedIssue:
    return TrackedIssue(
        str(found["_id"]), found["title"], found["body"], found["open"], list(found["labels"])
    )
