"""Everything together, at random by seed, for as long as you like.

    python -m tests.soak.soak --minutes 10 --seed 1

In turns of some seconds: lives of a database with writers, readers and checkpoints in several
processes that are killed, stopped and continued, run into full disks, and lose their shared state
between lives, with every promise checked; collections and indexes made and dropped by processes
that are killed; histories of random transactions checked for anomalies;
crash states of recorded workloads and failing calls; power cuts where the machine can. Prints what
was checked; a failure says the turn and the seed, and ends the run with 1.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.crash.run import STEPS, judge_seed
from tests.isolation.run import run_rounds
from tests.soak.kills import WRITERS, KillLoop
from tests.soak.ledger import Child, prepare, run, write
from tests.soak.schema import run_schema
from tests.system.power_cuts import run_cuts, why_not

TURN_SECONDS = 8.0


def write_on_a_small_disk(
    path: str, writer: int, seed: int, room_bytes: int, say: Callable[[str], None]
) -> None:
    """A writer whose files may grow by so much and no more."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = os.path.getsize(path) + room_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    write(path, writer, seed, say)


class Life(KillLoop):
    """A kill loop with more trouble in it."""

    def start(self, number: int) -> None:
        if number < WRITERS and self.source.random() < 0.2:
            seed, path = self.source.randrange(1 << 30), self.path
            room = self.source.choice([0, 1 << 16, 1 << 20])
            self.children[number] = Child(
                lambda say: write_on_a_small_disk(path, number, seed, room, say)
            )
            self.counts["small disks"] += 1
            return
        super().start(number)

    def round(self) -> None:
        if self.children and self.source.random() < 0.1:
            child = self.children[self.source.choice(list(self.children))]
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(0.02)
            os.kill(child.pid, signal.SIGCONT)
            self.counts["stops"] += 1
        super().round()
        if not self.children and self.source.random() < 0.5:
            for shared in Path(self.path).parent.glob("*-shm"):
                shared.unlink()
                self.counts["shared states lost"] += 1


def live(seed: int, seconds: float) -> Counter[str]:
    """One database, killed again and again."""
    with tempfile.TemporaryDirectory(prefix="cbdd-soak-") as folder:
        path = str(Path(folder) / "app.cbdd")
        run(lambda say: prepare(path))
        life = Life(path, seed)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                life.round()
            life.stop()
        finally:
            for child in life.children.values():
                child.kill()
    life.counts["lives"] += 1
    return life.counts


def change_schemas(seed: int, seconds: float) -> Counter[str]:
    """Collections and indexes made and dropped by processes that are killed."""
    with tempfile.TemporaryDirectory(prefix="cbdd-soak-") as folder:
        counts = run_schema(str(Path(folder) / "app.cbdd"), seed, seconds)
    names = {"kills": "kills", "done": "statements", "read": "snapshots"}
    return Counter({names[name]: counts[name] for name in names})


def check_histories(seed: int, seconds: float) -> Counter[str]:
    """Random transactions, their history checked."""
    counts, _names, bad = run_rounds(seconds, seed, 2, 3, seconds / 2)
    assert not bad, "\n".join(bad)
    return Counter({"transactions": counts["transactions"], "kills": counts["kills"]})


def check_crashes(seed: int, seconds: float) -> Counter[str]:
    """Crash states of workloads and failing calls."""
    end = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    while time.monotonic() < end:
        report = judge_seed(seed, STEPS // 2)
        assert not report.failure, report.failure
        counts["crash states"] += report.distinct
        seed += 1
    return counts


def cut_power(seed: int, seconds: float) -> Counter[str]:
    """Some power cuts."""
    counts, commits = run_cuts(max(4, int(seconds * 2)), seed)
    return Counter({"power cuts": sum(counts.values()), "commits": commits})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    turns: list[Callable[[int, float], Counter[str]]] = [
        *(live, live, change_schemas),
        *(check_histories, check_crashes),
    ]
    reason = why_not()
    if reason:
        print(f"skipped, no power cuts: {reason}")
    else:
        turns.append(cut_power)
    source = random.Random(chosen.seed)
    total: Counter[str] = Counter()
    end = time.monotonic() + chosen.minutes * 60
    while time.monotonic() < end:
        turn, seed = source.choice(turns), source.randrange(1 << 20)
        seconds = min(TURN_SECONDS, max(1.0, end - time.monotonic()))
        try:
            total.update(turn(seed, seconds))
        except AssertionError as error:
            print(f"FAILED in {turn.__name__}, seed {seed}: {error}")
            return 1
        line = ", ".join(f"{count} {name}" for name, count in total.items())
        print(line, file=sys.stderr, flush=True)
    print(f"{chosen.minutes:g} minutes, seed {chosen.seed}: {line}; nothing lost, nothing silent")
    return 0


if __name__ == "__main__":
    sys.exit(main())
