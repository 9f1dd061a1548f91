"""The oracle catches a disk that lies, and says how to see it again."""

from __future__ import annotations

import pytest

from cbdd.storage.io import Io
from cbdd.testing import (
    FaultyIo,
    Oracle,
    RefusedRecovery,
    Replayer,
    Run,
    SilentOutcome,
    find_failure,
    judge_run,
    make_operations,
    program,
    reproduce,
    shrink,
)
from cbdd.testing.crash_states import CrashState
from cbdd.testing.reproduction import minimized


class ForgetfulIo(FaultyIo):
    """Says that it has synced, and has not."""

    def sync(self, fd: int) -> None:
        return


def forgetful(inner: Io) -> Io:
    return ForgetfulIo(inner)


def test_an_honest_disk_has_no_failure() -> None:
    run = Run(3)
    run.run(make_operations(3, 6))
    tally = judge_run(run, 3)
    assert tally.total > 300
    assert tally.checked > 50
    assert tally.written > 10


def test_a_disk_that_does_not_sync_is_caught_and_the_failure_shrunk() -> None:
    operations = make_operations(4, 12)
    failure = find_failure(operations, 4, forgetful)
    assert failure is not None
    small = shrink(failure, forgetful)
    assert len(small.operations) == 1
    assert len(small.operations[0][3]) == 1
    text = program(small)
    codes: list[int] = []

    def run_program(wrap: object) -> None:
        namespace = {
            "reproduce": lambda *given: reproduce(*given, wrap=wrap),
            "__name__": "reproduction",
        }
        body = text.replace("from cbdd.testing import reproduce\n", "")
        with pytest.raises(SystemExit) as left:
            exec(compile(body, "program", "exec"), namespace)
        codes.append(left.value.code)  # type: ignore[arg-type]

    run_program(forgetful)
    assert codes == [1]
    compile(text, "program", "exec")


def test_a_lost_commit_a_wrong_value_and_a_refusal_are_told_apart() -> None:
    run = Run(5)
    run.run(make_operations(5, 4))
    last = len(run.states) - 1
    state = list(Replayer(run.recording).states())[-1]
    Oracle(run.states).judge(state)
    state.acknowledged = state.begun = last + 1
    with pytest.raises(SilentOutcome, match=f"found commit {last}, expected one from {last + 1}"):
        Oracle([*run.states, {1: {b"never": b""}, 2: {}}]).judge(state)
    state.acknowledged = state.begun = last
    run.states[last] = {1: {b"other": b"1"}, 2: {}}
    with pytest.raises(SilentOutcome, match="differences from commit"):
        Oracle(run.states).judge(state)
    broken = CrashState(1, "prefix", "", {"/db/app.cbdd": b"?" * 70_000})
    with pytest.raises(RefusedRecovery, match="NOT_A_DATABASE"):
        Oracle(run.states).judge(broken)


def test_a_list_is_shrunk_to_what_is_needed() -> None:
    assert minimized(list(range(40)), lambda items: {7, 23} <= set(items)) == [7, 23]
    assert minimized([1], lambda items: True) == [1]
