"""Outcomes: how one test ended, and how a whole run of a consumer's tests did."""

from __future__ import annotations

import re
from typing import Any, Final

PASSED: Final = "passed"
SKIPPED: Final = "skipped"
FAILED: Final = "failed"
ERROR: Final = "error"
"""A test that could not be run to its verdict: set-up, collection, tear-down."""
CRASHED: Final = "crashed"
TIMED_OUT: Final = "timed out"
NOT_INSTALLED: Final = "not installed"
ABSENT: Final = "absent"
"""The other wheel's run had this test, this one had not."""

STATUSES: Final = (
    PASSED,
    SKIPPED,
    FAILED,
    ERROR,
    CRASHED,
    TIMED_OUT,
    NOT_INSTALLED,
    ABSENT,
)
BAD: Final = (FAILED, ERROR, CRASHED, TIMED_OUT, NOT_INSTALLED)
"""From bad to worse."""

MOST_MESSAGE: Final = 4000
"""So many characters of a message are kept."""

# What differs between two runs of the same failure: addresses, ids, times, ports, places.
_VARYING: Final = (
    re.compile(r"0x[0-9a-fA-F]+"),
    re.compile(r"\b[0-9a-f]{24,}\b"),
    re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
    re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(Z|[+-]\d\d:?\d\d)?"),
    re.compile(r"\b\d+(\.\d+)? ?(s|ms|seconds)\b"),
    re.compile(r"\b(pid|process|port)[ =:]+\d+", re.IGNORECASE),
    re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+"),
    re.compile(r"(/[^\s/'\"]+)+"),
)


class Outcome:
    """How one test ended; ``message`` says why where it is not passed."""

    def __init__(self, status: str, message: str = "") -> None:
        if status not in STATUSES:
            raise ValueError(f"unknown status {status!r}")
        self.status = status
        text = message.strip()
        self.message = text if len(text) <= MOST_MESSAGE else f"{text[:MOST_MESSAGE]}..."

    @property
    def is_bad(self) -> bool:
        """Whether it is a failure of any kind."""
        return self.status in BAD

    @property
    def line(self) -> str:
        """The line of the message that says most: the first; pytest begins with the exception."""
        return self.message.partition("\n")[0].strip()

    @property
    def kind(self) -> tuple[str, str]:
        """The same for two runs of the same failure, whatever ids, places and times it names."""
        if not self.is_bad:
            return self.status, ""
        text = self.message
        for pattern in _VARYING:
            text = pattern.sub("~", text)
        return self.status, text

    def to_dict(self) -> dict[str, str]:
        """The outcome for JSON."""
        return {"status": self.status, "message": self.message}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Outcome:
        """An outcome that was saved."""
        return cls(str(facts["status"]), str(facts["message"]))


NEVER_RUN: Final = Outcome(ABSENT)


class Trial:
    """One run of a consumer's tests with one wheel.

    ``whole`` is how the run itself ended: passed where the tests say all there is to say, else why
    not, e.g. crashed by a signal. ``tests`` has the outcome of each test by its name.
    """

    def __init__(self, whole: Outcome, tests: dict[str, Outcome] | None = None) -> None:
        self.whole = whole
        self.tests = tests or {}

    @property
    def is_without_tests(self) -> bool:
        """Whether the run ended before any test could be told from another."""
        return self.whole.is_bad and not self.tests

    @property
    def is_good(self) -> bool:
        """Whether the run and every test in it passed or was skipped."""
        return not self.whole.is_bad and not any(each.is_bad for each in self.tests.values())

    def counts(self) -> dict[str, int]:
        """How many tests ended how; only what there is."""
        found = dict.fromkeys(STATUSES, 0)
        for each in self.tests.values():
            found[each.status] += 1
        if self.whole.is_bad:
            found[self.whole.status] += 1
        return {status: count for status, count in found.items() if count}


def worst(outcomes: list[Outcome]) -> Outcome:
    """The worst of several outcomes; of equals the first."""
    ranks = {status: rank for rank, status in enumerate(BAD, 1)}
    return max(outcomes, key=lambda each: ranks.get(each.status, 0))
