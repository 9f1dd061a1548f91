"""What is a regression, what is flaky, and what is no difference at all."""

from __future__ import annotations

import pytest

from cbdd.ops.consumers.comparison import compare
from cbdd.ops.consumers.outcome import Outcome, Trial

OUTCOMES = {
    "p": Outcome("passed"),
    "s": Outcome("skipped"),
    "f": Outcome("failed", "assert 1 == 2"),
    "F": Outcome("failed", "KeyError: 'total'"),
    "e": Outcome("error", "no fixture"),
    "-": None,
}


def trials(letters: str) -> list[Trial]:
    """Runs of one test `t`, one for each letter, beside a test that passes."""
    found = []
    for letter in letters:
        outcome = OUTCOMES[letter]
        tests = {"other": Outcome("passed")}
        if outcome is not None:
            tests["t"] = outcome
        found.append(Trial(Outcome("passed"), tests))
    return found


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("p", "p", None),
        ("f", "f", None),
        ("s", "s", None),
        ("s", "-", None),
        ("p", "f", "regressed"),
        ("p", "e", "regressed"),
        ("s", "f", "regressed"),
        ("-", "f", "regressed"),
        ("f", "p", "repaired"),
        ("e", "p", "repaired"),
        ("f", "F", "other failure"),
        ("f", "e", "other failure"),
        ("p", "-", "vanished"),
        ("p", "s", "vanished"),
        ("f", "-", "vanished"),
        ("f", "s", "vanished"),
        ("-", "p", "new"),
        ("s", "p", "new"),
        # The second run of both:
        ("pp", "ff", "regressed"),
        ("pp", "fp", "regressed"),  # now and then is a regression, too
        ("pp", "pf", "regressed"),
        ("pf", "fp", "flaky"),
        ("pf", "ff", "flaky"),
        ("fp", "pp", "flaky"),
        ("ff", "pp", "repaired"),
        ("ff", "pf", None),
        ("ff", "FF", "other failure"),
        ("ff", "fF", None),
        ("fF", "FF", None),  # it failed so before, at times
        ("fF", "ee", None),  # nor was the old failure always the same
    ],
)
def test_the_kind_of_a_difference(old: str, new: str, kind: str | None) -> None:
    found = compare(trials(old), trials(new))
    assert [(each.test, each.kind) for each in found] == ([("t", kind)] if kind else [])


def test_a_run_that_ends_before_its_tests_is_one_difference() -> None:
    crashed = Trial(Outcome("crashed", "SIGSEGV: Fatal Python error"))
    [difference] = compare(trials("p"), [crashed])
    assert (difference.test, difference.kind) == ("", "regressed")
    assert difference.outcome.line == "SIGSEGV: Fatal Python error"
    [difference] = compare([crashed], trials("p"))
    assert (difference.test, difference.kind) == ("", "repaired")
    assert compare([crashed], [crashed]) == []


def test_the_worst_comes_first() -> None:
    def trial(**letters: str) -> Trial:
        return Trial(Outcome("passed"), {name: OUTCOMES[each] for name, each in letters.items()})

    old = trial(a="f", b="p", c="p", d="f")
    new = trial(a="p", b="s", c="f", d="F")
    kinds = [each.kind for each in compare([old], [new])]
    assert kinds == ["regressed", "other failure", "vanished", "repaired"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<Order object at 0x7f01>", "<Order object at 0x7f02>"),
        ("no 665f1c2ab3d4e5f60718293a", "no 665f1c2ab3d4e5f607182aaa"),
        ("in /tmp/run-1/a.cbdd", "in /tmp/run-2/b.cbdd"),
        ("late: 2024-05-01T10:00:00.123", "late: 2024-05-02T11:00:00Z"),
        ("took 1.52 s", "took 17 s"),
        ("refused by 127.0.0.1:4411", "refused by 127.0.0.1:9"),
    ],
)
def test_the_same_failure_is_recognized_whatever_it_names(one: str, other: str) -> None:
    assert Outcome("failed", one).kind == Outcome("failed", other).kind


def test_other_numbers_make_another_failure() -> None:
    assert Outcome("failed", "assert 3 == 4").kind != Outcome("failed", "assert 3 == 5").kind
