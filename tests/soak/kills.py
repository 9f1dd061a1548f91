"""SIGKILLs of random processes at random moments, with the oracle after each.

    python -m tests.soak.kills --kills 1000 --seed 1 [--seconds N] [--json]

Three writers, a process that checkpoints and reads, and one that has the file open for reading only
work on one file. At a random moment one of them is killed, or all at once, so that the next opener
recovers; a fresh process, for reading only now and then, so that nobody recovers, then checks
everything about every writer: each acknowledged commit is there, none is there in part, none is
there that nobody began, and `check` is clean. The killed are started again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cbdd
from tests.soak.ledger import (
    OPTIONS,
    Child,
    Promises,
    fail,
    judge,
    look,
    prepare,
    require_whole,
    run,
    write,
)

WRITERS = 3
DISTURBER = WRITERS
WATCHER = WRITERS + 1
PROCESSES = WRITERS + 2
LOOK_EVERY = 5
PROGRESS_SECONDS = 10


def disturb(path: str, seed: int, say: Callable[[str], None]) -> None:
    """Checkpoint, read, and open and close, until killed."""
    source = random.Random(seed)
    while True:
        with cbdd.connect(path, **OPTIONS) as client:
            for _ in range(source.randrange(1, 20)):
                if source.random() < 0.3:
                    client.checkpoint()
                client.ledger.things.count_documents({"writer": source.randrange(WRITERS)})
        say("round")


def watch(path: str, say: Callable[[str], None]) -> None:
    """Read without writing, until killed: every commit whole, no writer ever further back."""
    seen = [0] * WRITERS
    with cbdd.connect(path, read_only=True) as client:
        while True:
            for writer in range(WRITERS):
                number = require_whole(client, writer)
                assert number >= seen[writer], f"writer {writer}: {number} after {seen[writer]}"
                seen[writer] = number
            say("watched")


class KillLoop:
    """The processes, what they have promised, and the counts."""

    def __init__(self, path: str, seed: int) -> None:
        self.path = path
        self.seed = seed
        self.source = random.Random(seed)
        self.promises = [Promises() for _ in range(WRITERS)]
        self.children: dict[int, Child] = {}
        self.counts: Counter[str] = Counter()
        self._starts = 0

    def start(self, number: int) -> None:
        """Start a writer, or one of the others, see `DISTURBER` and `WATCHER`."""
        self._starts += 1
        seed = self.seed * 100_003 + self._starts
        path = self.path
        if number == DISTURBER:
            self.children[number] = Child(lambda say: disturb(path, seed, say))
        elif number == WATCHER:
            self.children[number] = Child(lambda say: watch(path, say))
        else:
            self.children[number] = Child(lambda say: write(path, number, seed, say))

    def hear(self, number: int, lines: list[str]) -> None:
        for line in lines:
            if line.startswith("error "):
                raise AssertionError(f"process {number}: {json.loads(line[6:])}")
            self.counts["watched"] += line == "watched"
            if number < WRITERS:
                before = self.promises[number].acknowledged
                self.promises[number].hear(line)
                self.counts["commits"] += self.promises[number].acknowledged > before

    def kill(self, number: int) -> None:
        self.hear(number, self.children.pop(number).kill())
        self.counts["kills"] += 1

    def round(self) -> None:
        """Wait a moment, kill somebody, look, start them again."""
        for number in range(PROCESSES):
            if number not in self.children:
                self.start(number)
        time.sleep(self.source.choice([0.002, 0.02, 0.05, 0.1]) * self.source.random() * 2)
        everybody = list(self.children)
        all_at_once = self.source.random() < 0.2
        for number in everybody if all_at_once else [self.source.choice(everybody)]:
            self.kill(number)
        if all_at_once or self.counts["kills"] % LOOK_EVERY == 0:
            self.look()

    def look(self) -> None:
        """Check what is there now against what had been promised before, and may be by then."""
        least = []
        for number, said in enumerate(self.promises):
            if number in self.children:
                self.hear(number, self.children[number].lines())
            least.append(said.acknowledged)
        read_only = self.source.random() < 0.3
        found = json.loads(run(lambda say: look(self.path, WRITERS, say, read_only=read_only))[-1])
        now = []
        for number, said in enumerate(self.promises):
            if number in self.children:
                self.hear(number, self.children[number].lines())
            bounds = Promises()
            bounds.acknowledged, bounds.begun = least[number], said.begun
            now.append(bounds)
        where = f"seed {self.seed}, after {self.counts['kills']} kills"
        judge(found["counters"], now, False, where)
        self.counts["looks"] += 1
        is_alone = not self.children and not read_only
        self.counts["recoveries"] += not found["was_clean"] and is_alone

    def stop(self) -> None:
        for number in list(self.children):
            self.hear(number, self.children.pop(number).kill())
        self.look()


def run_kills(
    path: str, kills: int, seed: int, seconds: float = 1e9, quiet: bool = True
) -> Counter[str]:
    """Kill until there were enough or time is up; returns the counts.

    :raises AssertionError: something acknowledged is gone, or there is something else wrong.
    """
    run(lambda say: prepare(path))
    loop = KillLoop(path, seed)
    began = shown = time.monotonic()
    try:
        while loop.counts["kills"] < kills and time.monotonic() - began < seconds:
            loop.round()
            if not quiet and time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                print(f"{dict(loop.counts)}", file=sys.stderr, flush=True)
        loop.stop()
    finally:
        for child in loop.children.values():
            child.kill()
    return loop.counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cbdd-kills-") as folder:
        path = str(Path(folder) / "app.cbdd")
        try:
            counts = run_kills(path, chosen.kills, chosen.seed, chosen.seconds, chosen.json)
        except AssertionError as error:
            kept = tempfile.mkdtemp(prefix="cbdd-kills-failed-")
            os.rename(folder, f"{kept}/files")
            os.mkdir(folder)
            return fail(f"seed {chosen.seed}, files kept in {kept}", error)
    result = {
        **counts,
        "seconds": round(time.monotonic() - began, 1),
        "seed": chosen.seed,
    }
    print(
        json.dumps(result)
        if chosen.json
        else "{kills} SIGKILLs over {processes} processes in {seconds} s: {commits} commits "
        "acknowledged, {looks} states verified, {watched} looks of a reader, "
        "{recoveries} recoveries, none lost".format(
            processes=PROCESSES, **{"recoveries": 0, "watched": 0, **result}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
