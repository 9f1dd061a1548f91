"""From a failure to the smallest program that shows it.

`shrink` is delta debugging over the operations of a workload, then over the changes inside each:
whatever can be left out while some crash state still fails is left out. `program` prints the rest
as a Python program that needs nothing but this package.

Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from cbdd.storage.io import Io
from cbdd.testing.crash_states import Replayer
from cbdd.testing.oracle import Oracle, Tally
from cbdd.testing.workload import Operation, Run

Wrap = Callable[[Io], Io]


class Failure:
    """A workload, the crash state in which it fails, and what was found there."""

    def __init__(self, operations: list[Operation], seed: int, state: str, error: str) -> None:
        self.operations = operations
        self.seed = seed
        self.state = state
        self.error = error


def run_operations(operations: list[Operation], seed: int, wrap: Wrap | None = None) -> Run:
    """Run a workload on a disk in memory, through an `Io` of one's own if given."""
    run = Run(seed, wrap=wrap)
    run.run(operations)
    return run


def find_failure(
    operations: list[Operation],
    seed: int,
    wrap: Wrap | None = None,
    tally: Tally | None = None,
) -> Failure | None:
    """Run a workload and judge its crash states; returns the first failure."""
    run = run_operations(operations, seed, wrap)
    oracle = Oracle(run.states, seed)
    try:
        for state in Replayer(run.recording, seed).states():
            try:
                oracle.judge(state)
            except AssertionError as error:
                return Failure(operations, seed, state.name, str(error))
    finally:
        if tally is not None:
            tally.add(oracle.tally)
    return None


def shrink(failure: Failure, wrap: Wrap | None = None) -> Failure:
    """The failure with as few operations and changes as still fail."""
    smallest = failure

    def still_fails(operations: list[Any]) -> bool:
        nonlocal smallest
        try:
            found = find_failure(operations, failure.seed, wrap)
        except Exception:  # another failure than the one looked for
            return False
        if found is not None:
            smallest = found
        return found is not None

    kept = minimized(list(failure.operations), still_fails)
    for index, operation in enumerate(kept):
        if operation[0] != "commit":
            continue

        def with_changes(changes: list[Any], index: int = index) -> bool:
            commit = (*kept[index][:3], tuple(changes))
            return still_fails([*kept[:index], commit, *kept[index + 1 :]])

        changes = minimized(list(operation[3]), with_changes)
        kept[index] = (*operation[:3], tuple(changes))
    still_fails(kept)
    return smallest


def minimized(items: list[Any], fails: Callable[[list[Any]], bool]) -> list[Any]:
    """A sublist that still fails and from which no single item can be left out."""
    pieces = 2
    while len(items) >= 2:
        size = (len(items) + pieces - 1) // pieces
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size :]
            if rest and fails(rest):
                items = rest
                pieces = max(2, pieces - 1)
                break
        else:
            if size == 1:
                return items
            pieces = min(len(items), pieces * 2)
    return items


def program(failure: Failure) -> str:
    """The failure as a program. It prints what is wrong and exits with 1 while it fails."""
    lines = [
        '"""A crash after which the database is not what it must be."""',
        "",
        "import sys",
        "",
        "from cbdd.testing import reproduce",
        "",
        f"SEED = {failure.seed}",
        f"STATE = {failure.state!r}  # call: kind: choice",
        "OPERATIONS = [",
        *(f"    {operation!r}," for operation in failure.operations),
        "]",
        "",
        *(f"# {line}" for line in failure.error.splitlines()),
        "sys.exit(reproduce(OPERATIONS, SEED, STATE))",
        "",
    ]
    return "\n".join(lines)


def reproduce(operations: list[Operation], seed: int, state: str, wrap: Wrap | None = None) -> int:
    """Run a workload, judge one of its crash states and print what is wrong; 0 when nothing is."""
    run = run_operations(operations, seed, wrap)
    replayer = Replayer(run.recording, seed)
    try:
        Oracle(run.states, seed).judge(replayer.state(state))
    except AssertionError as error:
        calls = replayer.describe(state)
        sys.stdout.write(f"{error}\nThe last calls before the crash:\n{calls}\n")
        return 1
    sys.stdout.write(f"nothing is wrong with crash state {state}\n")
    return 0
