"""Writers whose every commit can be held against what they said, and the check that does it.

A writer makes numbered commits. Commit ``n`` of writer ``w`` sets its counter to ``n``, inserts the
documents ``w-n-0`` to ``w-n-2`` and deletes those of commit ``n - KEPT``; so from the counter alone
it follows which documents there are, and a commit that is there in part is seen. Before a commit
the writer sends ``b n``, after it ``a n 1`` (``a n 0`` when it need only survive the process).

Processes are forked from one that has imported everything and opened nothing, which makes a start
cost milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from pymongo.write_concern import WriteConcern

import cbdd
from cbdd.errors import DiskFullError

KEPT = 12
PARTS = 3
OPTIONS: dict[str, Any] = {
    "checkpoint_log_bytes": 128 << 10,
    "cache_size_bytes": 1 << 20,
}


class Promises:
    """What one writer has said so far."""

    def __init__(self) -> None:
        self.begun = 0
        self.acknowledged = 0
        self.durable = 0

    def hear(self, line: str) -> None:
        words = line.split()
        if words[0] == "b":
            self.begun = max(self.begun, int(words[1]))
        elif words[0] == "a":
            self.acknowledged = max(self.acknowledged, int(words[1]))
            if words[2] == "1":
                self.durable = max(self.durable, int(words[1]))


class Child:
    """A forked process and the pipe on which it talks."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(reading)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                work(lambda line: _say(writing, line))
                status = 0
            except BaseException:
                with contextlib.suppress(OSError):
                    _say(writing, "error " + json.dumps(traceback.format_exc()))
            finally:
                os._exit(status)
        os.close(writing)
        os.set_blocking(reading, False)
        self.fd = reading
        self._rest = b""
        self.is_dead = False

    def lines(self) -> list[str]:
        """What it has said since the last time, without waiting."""
        data = self._rest
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self.fd, 1 << 16):
                data += more
        *whole, self._rest = data.split(b"\n")
        return [line.decode() for line in whole]

    def kill(self) -> list[str]:
        """SIGKILL it; returns its last words."""
        os.kill(self.pid, signal.SIGKILL)
        return self.join()

    def join(self) -> list[str]:
        """Wait for its end; returns its last words."""
        os.set_blocking(self.fd, True)
        data = self._rest
        while more := os.read(self.fd, 1 << 16):
            data += more
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.is_dead = True
        return [line.decode() for line in data.split(b"\n")[:-1]]


def _say(fd: int, line: str) -> None:
    data = line.encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]


def run(work: Callable[[Callable[[str], None]], None]) -> list[str]:
    """Run something in a process of its own and return what it said.

    :raises AssertionError: it failed.
    """
    said = Child(work).join()
    for line in said:
        if line.startswith("error "):
            raise AssertionError(json.loads(line[6:]))
    return said


def write(path: str, writer: int, seed: int, say: Callable[[str], None], **options: Any) -> None:
    """Commit until killed, or until the disk is full."""
    source = random.Random(seed)
    client = cbdd.connect(path, **{**OPTIONS, "durability": "normal", **options})
    things = client.ledger.things
    # What the last process with this number had appended when it was killed may become visible
    # with the next sync: have that behind us.
    settled = client.ledger.get_collection("settled", write_concern=WriteConcern(j=True))
    try:
        settled.update_one({"_id": writer}, {"$inc": {"n": 1}}, upsert=True)
    except DiskFullError:
        try:
            settled.delete_many({"_id": writer})
        except DiskFullError:
            if not is_beyond_limit(path):
                raise
            return
    counter = things.find_one({"_id": f"counter-{writer}"})
    number = counter["n"] if counter else 0
    say(f"f {number}")
    while True:
        number += 1
        durability = source.choice(["full", "full", "normal"])
        say(f"b {number}")
        try:
            commit(client, writer, number, durability, source)
        except DiskFullError:
            number -= 1
            say("full")
            try:
                client.checkpoint()
            except DiskFullError:
                if not is_beyond_limit(path):
                    raise
            continue
        say(f"a {number} {int(durability == 'full')}")


def is_beyond_limit(path: str) -> bool:
    """Whether others, without this process's limit, have made the file longer than it may write."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return limit != resource.RLIM_INFINITY and os.path.getsize(path) > limit


def commit(client: Any, writer: int, number: int, durability: str, source: random.Random) -> None:
    """One commit of a writer."""
    concern = WriteConcern(j=durability == "full")
    with client.start_session() as session:

        def work(session: Any) -> None:
            things = client.ledger.things
            things.replace_one(
                {"_id": f"counter-{writer}"},
                {"_id": f"counter-{writer}", "n": number},
                upsert=True,
                session=session,
            )
            things.insert_many(
                [
                    {
                        "_id": f"{writer}-{number}-{part}",
                        "writer": writer,
                        "n": number,
                        "pad": source.randbytes(source.choice([10, 100, 1000])),
                    }
                    for part in range(PARTS)
                ],
                session=session,
            )
            things.delete_many({"writer": writer, "n": number - KEPT}, session=session)

        session.with_transaction(work, write_concern=concern)


def prepare(path: str, **options: Any) -> None:
    """Make the file, and the index by which documents are deleted."""
    with cbdd.connect(path, **{**OPTIONS, **options}) as client:
        client.ledger.things.create_index([("writer", 1), ("n", 1)])


def look(path: str, writers: int, say: Callable[[str], None], **options: Any) -> None:
    """Open, check everything about all writers, and say the counter of each."""
    with cbdd.connect(path, **{**OPTIONS, **options}) as client:
        counters = [require_whole(client, writer) for writer in range(writers)]
        report = client.check()
        assert report.is_clean, report.to_dict()
        findings = [finding.code for finding in client.recovery_report.findings]
        was_clean = client.recovery_report.was_clean
    say(json.dumps({"counters": counters, "findings": findings, "was_clean": was_clean}))


def require_whole(client: Any, writer: int) -> int:
    """The counter of a writer, whose documents are exactly those that follow from it."""
    with client.start_session(snapshot=True) as session:
        things = client.ledger.things
        counter = things.find_one({"_id": f"counter-{writer}"}, session=session)
        number = counter["n"] if counter else 0
        found = {d["_id"] for d in things.find({"writer": writer}, session=session)}
    first = max(1, number - KEPT + 1)
    expected = {f"{writer}-{n}-{p}" for n in range(first, number + 1) for p in range(PARTS)}
    assert found == expected, f"writer {writer} at {number}: {found ^ expected}"
    return int(number)


def judge(counters: list[int], promises: list[Promises], is_power_cut: bool, where: str) -> None:
    """Hold counters against promises.

    :raises AssertionError: an acknowledged commit is gone, or one is there that nobody began.
    """
    for writer, (number, said) in enumerate(zip(counters, promises, strict=True)):
        least = said.durable if is_power_cut else said.acknowledged
        assert least <= number <= said.begun, (
            f"{where}: writer {writer} is at commit {number}; it must be from {least} (promised) "
            f"to {said.begun} (begun)"
        )


def fail(where: str, error: Exception) -> int:
    """Print what went wrong; returns the exit code."""
    print(f"FAILED, {where}: {error}", file=sys.stderr)
    return 1
