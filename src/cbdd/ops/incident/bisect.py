"""Which release brought a fault: the last that passes a test, and the first that fails it.

The newest release has to fail and the oldest to pass; in between the range is halved. A release
with which the test cannot tell is passed over, and then the first bad one may be any of several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from cbdd.ops.incident.regression import BROKEN, FAILED, PASSED

T = TypeVar("T")


class Bisection(Generic[T]):
    """What was found: None where there is none. ``outcomes`` by position, of those tried."""

    def __init__(self, candidates: Sequence[T]) -> None:
        self.candidates = list(candidates)
        self.outcomes: dict[int, str] = {}
        self.good: int | None = None
        self.bad: int | None = None

    @property
    def last_good(self) -> T | None:
        """The last candidate that passes."""
        return None if self.good is None else self.candidates[self.good]

    @property
    def first_bad(self) -> T | None:
        """The first candidate that fails."""
        return None if self.bad is None else self.candidates[self.bad]

    @property
    def unknown(self) -> list[T]:
        """Candidates between the two with which the test could not tell."""
        if self.good is None or self.bad is None:
            return []
        return self.candidates[self.good + 1 : self.bad]

    def to_dict(self, named: Callable[[T], str]) -> dict[str, Any]:
        """The bisection for JSON."""
        return {
            "last_good": named(self.last_good) if self.last_good is not None else "",
            "first_bad": named(self.first_bad) if self.first_bad is not None else "",
            "unknown": [named(each) for each in self.unknown],
            "tried": {named(self.candidates[i]): each for i, each in sorted(self.outcomes.items())},
        }


def bisect(candidates: Sequence[T], judge: Callable[[T], str]) -> Bisection[T]:
    """Find where a test began to fail.

    :param candidates: oldest first.
    :param judge: tells `PASSED`, `FAILED` or `BROKEN`; called once for each candidate at most.
    """
    found = Bisection(candidates)

    def state(index: int) -> str:
        if index not in found.outcomes:
            found.outcomes[index] = judge(candidates[index])
        return found.outcomes[index]

    newest = _first_that_tells(range(len(candidates) - 1, -1, -1), state)
    if newest is None:
        return found
    if state(newest) == PASSED:
        found.good = newest
        return found
    found.bad = newest
    oldest = _first_that_tells(range(newest), state)
    if oldest is None:
        return found
    if state(oldest) == FAILED:
        found.bad = oldest
        return found
    found.good = oldest
    while True:
        inside = range(found.good + 1, found.bad)
        middle = (found.good + found.bad) // 2
        order = sorted(inside, key=lambda index: abs(index - middle))
        index = _first_that_tells(order, state)
        if index is None:
            return found
        if state(index) == PASSED:
            found.good = index
        else:
            found.bad = index


def _first_that_tells(order: Sequence[int], state: Callable[[int], str]) -> int | None:
    return next((index for index in order if state(index) != BROKEN), None)
