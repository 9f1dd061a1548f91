"""Judges crash states until there are enough or time is up, and says how many of which kind.

    python -m tests.crash.run --states 200000 --seconds 840 --workers 2 --seed 1

Each seed is one of three: a workload of one to three processes on trees, of documents with indexes
through the public client, or one with a failing call at every place, recovery included. States
equal byte for byte are counted once. The exit code is 0 when nothing failed and, if ``--states`` is
given, there were so many. A failure is shrunk and printed as a program.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from cbdd.build_info import build_kind
from cbdd.testing import (
    FAULT_KINDS,
    Run,
    Tally,
    fault_loop,
    find_failure,
    make_operations,
    program,
    shrink,
)
from cbdd.testing.memory_disk import MemoryDisk
from tests.crash.documents import DocumentRun

STEPS = 30
PROGRESS_SECONDS = 10


class Report:
    """What one seed came to; plain values, so that it can cross processes."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.distinct = 0
        self.kinds: Counter[str] = Counter()
        self.failure = ""


def crashed_start(seed: int) -> tuple[MemoryDisk, Run]:
    """A disk on which a process has died, for faults during recovery."""
    run = Run(seed)
    for operation in make_operations(seed, 8):
        if operation[0] == "commit":
            run.step(operation)
    run.abandon()
    return run.disk, run


def judge_seed(seed: int, steps: int) -> Report:
    """Everything of one seed."""
    report = Report(seed)
    try:
        if seed % 8 == 7:
            _judge_faults(seed, steps, report)
        elif seed % 8 == 3:
            _judge_documents(seed, steps, report)
        else:
            _judge_trees(seed, steps, report)
    except Exception as error:  # shown with the seed, as every failure
        report.failure = f"seed {seed}: {type(error).__name__}: {error}"
    return report


def _judge_trees(seed: int, steps: int, report: Report) -> None:
    tally = Tally()
    failure = find_failure(make_operations(seed, steps, 1 + seed % 3), seed, tally=tally)
    report.kinds.update(tally.states)
    report.distinct = tally.distinct
    if failure is not None:
        report.failure = program(shrink(failure))


def _judge_documents(seed: int, steps: int, report: Report) -> None:
    run = DocumentRun(seed)
    run.run(steps // 3 + 2)
    for state in run.crashing.states():
        run.judge(state)
        report.kinds[f"documents {state.kind}"] += 1
        report.distinct += 1


def _judge_faults(seed: int, steps: int, report: Report) -> None:
    kind = FAULT_KINDS[seed // 8 % len(FAULT_KINDS)]
    operations = make_operations(seed, steps // 6 + 1)
    start = None if seed // 8 % 2 else lambda: crashed_start(seed)
    for outcome in fault_loop(operations, seed, (kind,), start, step=2):
        report.kinds[f"fault {outcome.kind}"] += 2
        report.distinct += 2


def run(
    states: int, seconds: float, workers: int, seed: int, is_json: bool, steps: int = STEPS
) -> int:
    began = time.monotonic()
    kinds: Counter[str] = Counter()
    distinct = seeds = 0
    failures: list[str] = []
    shown = began
    with ProcessPoolExecutor(workers) as pool:
        waiting: set[Future[Report]] = set()
        while not failures:
            is_over = time.monotonic() - began > seconds or (states and distinct >= states)
            while not is_over and len(waiting) < workers + 1:
                waiting.add(pool.submit(judge_seed, seed, steps))
                seed += 1
            if not waiting:
                break
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                report = future.result()
                seeds += 1
                distinct += report.distinct
                kinds.update(report.kinds)
                if report.failure:
                    failures.append(report.failure)
            if time.monotonic() - shown > PROGRESS_SECONDS and not is_json:
                shown = time.monotonic()
                rate = distinct / (shown - began)
                print(f"{distinct} states, {rate:.0f} a second", file=sys.stderr, flush=True)
        for future in waiting:
            future.cancel()
    is_short = distinct < states
    result = {
        "states": distinct,
        "judged": sum(kinds.values()),
        "seeds": seeds,
        "seconds": round(time.monotonic() - began, 1),
        "build": build_kind(),
        "kinds": dict(sorted(kinds.items())),
        "failures": failures,
    }
    if is_json:
        print(json.dumps(result, indent=2))
    else:
        for kind, count in sorted(kinds.items()):
            print(f"{count:9} {kind}")
        print(
            f"{distinct} crash states, distinct ({result['judged']} judged), of {seeds} seeds in "
            f"{result['seconds']} s, {build_kind()}; {len(failures)} failures"
        )
        for failure in failures:
            print(failure)
        if is_short:
            print(f"{states} states were asked for")
    return 1 if failures or is_short else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=0, help="how many; 0: until time is up")
    parser.add_argument("--seconds", type=float, default=840)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--steps", type=int, default=STEPS, help="operations of each seed")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    return run(
        chosen.states, chosen.seconds, chosen.workers, chosen.seed, chosen.json, chosen.steps
    )


if __name__ == "__main__":
    sys.exit(main())
