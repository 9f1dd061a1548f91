"""What differs between the outcomes of a consumer's tests with the old and with the new wheel.

Where a first run of both shows a difference, both are run once more, all tests of the consumer: a
test may depend on those before it. A test whose outcome with the *old* wheel is not the same in
both runs is flaky, and says nothing about the new one. One that is steady with the old wheel and
fails in any run of the new is regressed: a failure now and then is one, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cbdd.ops.consumers.outcome import (
    ABSENT,
    NEVER_RUN,
    SKIPPED,
    Outcome,
    Trial,
    worst,
)

REGRESSED: Final = "regressed"
OTHER_FAILURE: Final = "other failure"
FLAKY: Final = "flaky"
VANISHED: Final = "vanished"
NEW: Final = "new"
REPAIRED: Final = "repaired"
KINDS: Final = {
    REGRESSED: "fails with the new wheel and did not with the old",
    OTHER_FAILURE: "fails with both, for another reason than before",
    FLAKY: "not the same in two runs with the old wheel: says nothing about the new",
    VANISHED: "ran with the old wheel and does not with the new",
    NEW: "runs with the new wheel only, and passes",
    REPAIRED: "failed with the old wheel and passes with the new",
}
"""Each kind of difference, the worst first."""


class Difference:
    """A test that is not the same with both wheels.

    ``test`` is empty for the run as a whole. ``old`` and ``new`` have the outcome of each run.
    """

    def __init__(
        self, test: str, kind: str, old: Sequence[Outcome], new: Sequence[Outcome]
    ) -> None:
        self.test = test
        self.kind = kind
        self.old = list(old)
        self.new = list(new)

    @property
    def outcome(self) -> Outcome:
        """The outcome that is worth showing: what fails, else what was before."""
        found = worst(self.new)
        return found if found.is_bad else worst(self.old)

    def to_dict(self) -> dict[str, object]:
        """The difference for JSON."""
        return {
            "test": self.test,
            "kind": self.kind,
            "old": [each.to_dict() for each in self.old],
            "new": [each.to_dict() for each in self.new],
        }

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Difference:
        """A difference that was saved."""
        kind = str(facts["kind"])
        if kind not in KINDS:
            raise ValueError(f"unknown kind of difference {kind!r}")
        old, new = ([Outcome.from_dict(each) for each in facts[side]] for side in ("old", "new"))
        if not old or not new:
            raise ValueError("a difference without outcomes")
        return cls(str(facts["test"]), kind, old, new)


def compare(old: Sequence[Trial], new: Sequence[Trial]) -> list[Difference]:
    """What differs, the worst kind first; as many runs of one as of the other."""
    found: list[Difference] = []
    names = dict.fromkeys(name for trial in [*old, *new] for name in trial.tests)
    for name in ["", *names]:
        before = _outcomes(old, name)
        after = _outcomes(new, name)
        if not before or not after:
            continue
        kind = _kind_of(before, after)
        if kind is not None:
            found.append(Difference(name, kind, before, after))
    order = list(KINDS)
    return sorted(found, key=lambda each: (order.index(each.kind), each.test))


def _outcomes(trials: Sequence[Trial], name: str) -> list[Outcome]:
    """The outcomes of a test. A run that ended before its tests says nothing about any of them."""
    if not name:
        return [trial.whole for trial in trials]
    return [trial.tests.get(name, NEVER_RUN) for trial in trials if not trial.is_without_tests]


def _kind_of(old: list[Outcome], new: list[Outcome]) -> str | None:
    """The kind of difference between the runs of one test; None for none."""
    if len({each.status for each in old}) > 1:
        return FLAKY
    before, after = old[0], worst(new)
    if after.is_bad:
        if not before.is_bad:
            return REGRESSED
        is_other = not {each.kind for each in old} & {each.kind for each in new}
        return OTHER_FAILURE if is_other and len({each.kind for each in old}) == 1 else None
    if before.is_bad:
        # Neither skipped nor left out is repaired.
        return VANISHED if {each.status for each in new} & {ABSENT, SKIPPED} else REPAIRED
    return _of_presence(before, after)


def _of_presence(before: Outcome, after: Outcome) -> str | None:
    is_run = [each.status not in (ABSENT, SKIPPED) for each in (before, after)]
    if is_run == [True, False]:
        return VANISHED
    if is_run == [False, True]:
        return NEW
    return None
