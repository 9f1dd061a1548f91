"""What a run of all consumers with an old and a new wheel has found.

A report can be saved as JSON and read back; ``format`` says in which form it is, and a later form
is refused rather than guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cbdd.errors import UsageError
from cbdd.ops.consumers.comparison import REGRESSED, Difference
from cbdd.ops.consumers.outcome import NOT_INSTALLED

FORMAT: Final = 1
KIND: Final = "cbdd consumers"
_SIDE_FACTS: Final = ("file", "name", "version", "sha256")

SAME: Final = "no difference"
HAS_REGRESSED: Final = "regressed"
DIFFERENT: Final = "other differences"
NOT_JUDGED: Final = "not judged"
"""It could be installed with neither wheel, which says nothing about them."""


class ConsumerReport:
    """One consumer: what differs, and what fails the same with both wheels.

    ``old_counts`` and ``new_counts`` say how many tests ended how in the first run of each.
    ``same_failures`` has the names of tests; an empty one is the run as a whole, whose message is
    ``same_message``.
    """

    def __init__(
        self,
        name: str,
        differences: Sequence[Difference],
        same_failures: Sequence[str],
        old_counts: dict[str, int],
        new_counts: dict[str, int],
        seconds: float,
        same_message: str = "",
    ) -> None:
        self.name = name
        self.differences = list(differences)
        self.same_failures = list(same_failures)
        self.old_counts = old_counts
        self.new_counts = new_counts
        self.seconds = seconds
        self.same_message = same_message

    @property
    def verdict(self) -> str:
        """`SAME`, `HAS_REGRESSED`, `DIFFERENT` or `NOT_JUDGED`."""
        if any(each.kind == REGRESSED for each in self.differences):
            return HAS_REGRESSED
        if self.differences:
            return DIFFERENT
        return NOT_JUDGED if NOT_INSTALLED in self.new_counts else SAME

    def of_kind(self, kind: str) -> list[Difference]:
        """The differences of one kind."""
        return [each for each in self.differences if each.kind == kind]

    def to_dict(self) -> dict[str, object]:
        """The consumer for JSON."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "differences": [each.to_dict() for each in self.differences],
            "same_failures": self.same_failures,
            "same_message": self.same_message,
            "old_counts": self.old_counts,
            "new_counts": self.new_counts,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> ConsumerReport:
        """A consumer that was saved."""
        return cls(
            str(facts["name"]),
            [Difference.from_dict(each) for each in facts["differences"]],
            [str(each) for each in facts["same_failures"]],
            _counts(facts["old_counts"]),
            _counts(facts["new_counts"]),
            float(facts["seconds"]),
            str(facts["same_message"]),
        )


class Report:
    """All consumers.

    ``old`` and ``new`` are wheels as `Wheel.to_dict` tells them; ``started_us`` is in microseconds
    since 1970.
    """

    def __init__(
        self,
        old: dict[str, str],
        new: dict[str, str],
        consumers: Sequence[ConsumerReport],
        started_us: int,
        seconds: float,
    ) -> None:
        self.old = old
        self.new = new
        self.consumers = list(consumers)
        self.started_us = started_us
        self.seconds = seconds

    @property
    def verdict(self) -> str:
        """The worst of the consumers' verdicts."""
        verdicts = {each.verdict for each in self.consumers}
        order = (HAS_REGRESSED, NOT_JUDGED, DIFFERENT)
        return next((each for each in order if each in verdicts), SAME)

    def regressed(self) -> list[tuple[str, Difference]]:
        """Every regressed test, with the name of its consumer."""
        return [
            (consumer.name, each)
            for consumer in self.consumers
            for each in consumer.of_kind(REGRESSED)
        ]

    def to_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "verdict": self.verdict,
            "old": self.old,
            "new": self.new,
            "started_us": self.started_us,
            "seconds": self.seconds,
            "consumers": [each.to_dict() for each in self.consumers],
        }

    @classmethod
    def from_dict(cls, facts: object) -> Report:
        """A report that was saved.

        :raises UsageError: ``CONSUMERS_REPORT``: it is none, or of a later form.
        """
        if not isinstance(facts, dict) or facts.get("kind") != KIND:
            raise _unreadable("it is no report of `cbdd consumers run`")
        if facts.get("format") != FORMAT:
            raise _unreadable(f"its form is {facts.get('format')!r}, expected {FORMAT}")
        try:
            return cls(
                _side(facts["old"]),
                _side(facts["new"]),
                [ConsumerReport.from_dict(each) for each in facts["consumers"]],
                int(facts["started_us"]),
                float(facts["seconds"]),
            )
        except KeyError as error:
            raise _unreadable(f"it lacks {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise _unreadable(f"something in it is not as it was written: {error}") from error


def read_report(path: str | Path) -> Report:
    """Read what `cbdd consumers run --json` has written.

    :raises UsageError: ``CONSUMERS_REPORT``.
    """
    try:
        facts = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"{path} is no JSON: {error}") from error
    return Report.from_dict(facts)


def _side(facts: dict[str, Any]) -> dict[str, str]:
    return {name: str(facts[name]) for name in _SIDE_FACTS}


def _counts(facts: dict[str, Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in facts.items()}


def _unreadable(why: str) -> UsageError:
    return UsageError(
        "CONSUMERS_REPORT",
        f"the report cannot be read: {why}",
        "name a file that `cbdd consumers run --json` has written, of a release no newer than this",
    )
