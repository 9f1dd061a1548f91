"""Every crash state of recorded runs, a bounded part of what `make test-crash` judges."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from cbdd.testing import FAULT_KINDS, Tally, fault_loop, find_failure, make_operations, program
from tests.crash.documents import DocumentRun
from tests.crash.run import crashed_start

pytestmark = [pytest.mark.crash, pytest.mark.recovery]
SCALE = int(os.environ.get("CBDD_CRASH_SCALE", "1"))


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("seed", [11, 12])
def test_acknowledged_commits_survive_every_crash(
    seed: int, processes: int, record_property: Callable[[str, object], None]
) -> None:
    tally = Tally()
    failure = find_failure(make_operations(seed, 12 * SCALE, processes), seed, tally=tally)
    assert failure is None, program(failure)
    assert tally.distinct > 400
    record_property("crash_states", tally.distinct)


def test_documents_and_indexes_survive_every_crash_together(
    record_property: Callable[[str, object], None],
) -> None:
    run = DocumentRun(21)
    run.run(8 * SCALE)
    states = 0
    for state in run.crashing.states():
        run.judge(state)
        states += 1
    assert states > 400
    record_property("crash_states", states)


@pytest.mark.parametrize("kind", FAULT_KINDS)
@pytest.mark.parametrize("is_recovering", [False, True], ids=["fresh", "recovering"])
def test_a_fault_of_any_call_loses_nothing(kind: str, is_recovering: bool) -> None:
    seed = 31
    start = (lambda: crashed_start(seed)) if is_recovering else None
    step = 1 if SCALE > 1 else 6
    fired = 0
    for outcome in fault_loop(make_operations(seed, 5), seed, (kind,), start, step):
        fired += bool(outcome.method)
    assert fired > 20


def test_the_long_run_says_what_it_has_judged() -> None:
    options = ["--states", "100", "--seed", "8", "--steps", "3", "--workers", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.run", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert '"failures": []' in done.stdout
