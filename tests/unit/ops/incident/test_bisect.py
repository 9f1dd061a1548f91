"""Bisecting releases: right for every place of the fault, and honest where it cannot tell."""

from __future__ import annotations

import pytest

from cbdd.ops.incident.bisect import bisect
from cbdd.ops.incident.regression import BROKEN, FAILED, PASSED


@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_the_first_bad_release_is_found_in_few_steps(count: int) -> None:
    for first_bad in range(1, count):
        tried: list[int] = []

        def judge(release: int, first_bad: int = first_bad, tried: list[int] = tried) -> str:
            tried.append(release)
            return FAILED if release >= first_bad else PASSED

        found = bisect(range(count), judge)
        assert (found.last_good, found.first_bad) == (first_bad - 1, first_bad)
        assert not found.unknown
        assert len(tried) == len(set(tried)) <= 2 + count.bit_length()


def test_releases_that_cannot_tell_are_passed_over_and_named() -> None:
    states = [BROKEN, PASSED, PASSED, BROKEN, BROKEN, FAILED, FAILED, BROKEN]
    found = bisect(range(8), states.__getitem__)
    assert (found.last_good, found.first_bad, found.unknown) == (2, 5, [3, 4])
    assert found.to_dict(str)["tried"]["7"] == BROKEN


@pytest.mark.parametrize(
    ("states", "last_good", "first_bad"),
    [
        ([], None, None),
        ([BROKEN, BROKEN], None, None),
        ([PASSED, PASSED], 1, None),
        ([FAILED, FAILED], None, 0),
        ([BROKEN, FAILED], None, 1),
        ([PASSED], 0, None),
        ([FAILED], None, 0),
    ],
)
def test_where_there_is_no_good_or_no_bad_one_it_says_so(
    states: list[str], last_good: int | None, first_bad: int | None
) -> None:
    found = bisect(range(len(states)), states.__getitem__)
    assert (found.last_good, found.first_bad) == (last_good, first_bad)
