"""What a tracker does: issues with a title, a text, labels and comments.

Every issue and comment that is made has a *marker*, a short unique text hidden in an HTML comment.
It is looked for before anything is made: whether a request was carried out may be unknown, and
whoever sent it may be gone. Nothing is made twice and nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cbdd.errors import UsageError

LABEL = "incident"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}")


class TrackerUnavailableError(UsageError):
    """The service is away or busy: what was to be sent waits."""


class TrackerRefusedError(UsageError):
    """The service does not do it, now or later: a token, a name or a right is wrong."""


@dataclass
class TrackedIssue:
    """An issue as the tracker has it; ``reference`` is its number."""

    reference: str
    title: str
    body: str
    is_open: bool
    labels: list[str] = field(default_factory=list)
    url: str = ""


class Tracker(Protocol):
    """One place with issues."""

    name: str
    """Tells this place from others, as in ``github:owner/repository``."""

    def create(self, marker: str, title: str, body: str, labels: Sequence[str]) -> str:
        """Make an issue, or find the one that has the marker; returns its reference."""

    def update(
        self,
        reference: str,
        title: str | None,
        body: str | None,
        labels: Sequence[str],
        is_open: bool,
    ) -> None:
        """Give an issue these labels, open or close it, and its title and text where given."""

    def comment(self, reference: str, marker: str, text: str) -> None:
        """Add a comment, if none has the marker."""

    def fetch(self, reference: str) -> TrackedIssue:
        """One issue."""

    def list_open(self) -> list[TrackedIssue]:
        """The open issues with the label `incident`."""


def number_of(reference: str) -> int:
    """The number of an issue.

    :raises TrackerRefusedError: it is none.
    """
    if not _NUMBER.fullmatch(reference):
        raise TrackerRefusedError(
            "TRACKER_REFUSED", f"{reference[:40]!r} is no number of an issue", "give its number"
        )
    return int(reference)


def marked(text: str, marker: str) -> str:
    """A text with its marker."""
    return f"{text}\n\n<!-- {marker} -->\n"


def has_marker(text: object, marker: str) -> bool:
    """Whether a text has a marker."""
    return isinstance(text, str) and f"<!-- {marker} -->" in text
