"""Collections and indexes made, renamed and dropped by several processes that are killed.

    python -m tests.soak.schema --seconds 60 --seed 1 [--folder PATH]

Three processes change documents, indexes and collections at random, one more reads with the file
open for reading only. They are killed at random, singly or all at once. Every snapshot, of readers
and after kills, must agree with itself: what an index finds is what a scan finds, counts add up, a
capped collection is within its limits, and `check` is clean. With ``--folder`` on a small file
system of its own the disk is full most of the time; opening, reading, checkpoints and closing must
work there, and other calls may raise `DiskFullError` and nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

import cbdd
from cbdd.errors import DiskFullError
from tests.soak.ledger import OPTIONS, Child, run

WRITERS = 3
COLLECTIONS = ("w", "x", "y", "z")
CAPPED_DOCUMENTS = 50
LONGEST_PAUSE_SECONDS = 0.3
INDEXES: tuple[tuple[Any, dict[str, Any]], ...] = (
    ("a", {}),
    ("b", {"unique": True, "sparse": True}),
    ("c", {}),
    ([("a", 1), ("c", -1)], {}),
    ("d", {"partialFilterExpression": {"a": {"$gt": 50}}}),
    ([("t", "hashed")], {}),
    ([("e.$**", 1)], {}),
    ("when", {"expireAfterSeconds": 1}),
)
FILTERS: tuple[dict[str, Any], ...] = ({"a": {"$gt": 50}}, {"c": 1}, {"t": 5}, {"e.q": 2})
# What MongoDB refuses: a name taken or gone, an index of another kind, the dying of an operation.
RACES = {20, 26, 27, 48, 67, 85, 86, 112, 175, 11000}


def made_up(source: random.Random) -> dict[str, Any]:
    """A document, often with the identity or the unique value of another one."""
    document: dict[str, Any] = {"_id": source.randrange(2000), "b": source.randrange(3000)}
    if source.random() < 0.8:
        document |= {
            "a": source.randrange(100),
            "c": [source.randrange(9) for _ in range(source.randrange(3))],
            "d": "p" * source.randrange(1, 3000),
            "t": source.randrange(50),
            "e": {"q": source.randrange(4)},
        }
    return document


def act(client: Any, source: random.Random) -> None:
    """Do one thing."""
    database = client.schema
    things = database[source.choice(COLLECTIONS)]
    other = source.choice(COLLECTIONS)
    chance = source.random()
    if chance < 0.35:
        documents = [made_up(source) for _ in range(source.randrange(1, 20))]
        things.insert_many(documents, ordered=False)
    elif chance < 0.5:
        change = {"$inc": {"t": 1}, "$set": {"c": [1, 2]}}
        things.update_many({"a": source.randrange(100)}, change)
    elif chance < 0.6:
        things.delete_many({"a": {"$lt": source.randrange(30)}})
    elif chance < 0.68:
        keys, options = source.choice(INDEXES)
        things.create_index(keys, **options)
    elif chance < 0.74:
        names = [name for name in things.index_information() if name != "_id_"]
        if names:
            things.drop_index(source.choice(names))
    elif chance < 0.76:
        things.drop()
    elif chance < 0.78:
        things.rename(other, dropTarget=True)
    elif chance < 0.79:
        client.drop_database("schema")
    elif chance < 0.83:
        client.checkpoint()
    elif chance < 0.86:
        client.capped.log.insert_one({"pad": "z" * source.randrange(200)})
    elif chance < 0.88:
        things.insert_one({"when": datetime.datetime.now(datetime.UTC)})
        client.expire_documents()
    elif chance < 0.92:
        require_agreement(client)
    else:
        with client.start_session() as session:

            def insert_both(session: Any) -> None:
                things.insert_one({"a": 1}, session=session)
                database[other].insert_one({"a": 1}, session=session)

            session.with_transaction(insert_both)


def write(path: str, seed: int, say: Callable[[str], None]) -> None:
    """Open, do some things, close; until killed."""
    source = random.Random(seed)
    while True:
        with cbdd.connect(path, **OPTIONS) as client:
            for _ in range(source.randrange(5, 80)):
                try:
                    act(client, source)
                except (DuplicateKeyError, BulkWriteError):
                    say("refused")
                except DiskFullError:
                    say("full")
                except OperationFailure as error:
                    if error.code not in RACES:
                        raise
                    say("refused")
                else:
                    say("done")


def read(path: str, seed: int, say: Callable[[str], None]) -> None:
    """Read without writing, until killed."""
    source = random.Random(seed)
    with cbdd.connect(path, read_only=True, **OPTIONS) as client:
        while True:
            require_agreement(client)
            if source.random() < 0.05:
                require_clean(client)
            say("read")


def require_agreement(client: Any) -> None:
    """Everything in one snapshot agrees with everything else."""
    with client.start_session(snapshot=True) as session:
        for name in COLLECTIONS:
            things = client.schema[name]
            scanned = list(things.find({}, session=session))
            assert len({document["_id"] for document in scanned}) == len(scanned), name
            assert things.count_documents({}, session=session) == len(scanned), name
            for filter in FILTERS:
                found = {d["_id"] for d in things.find(filter, session=session)}
                by_scan = things.find(filter, session=session).hint([("$natural", 1)])
                assert found == {d["_id"] for d in by_scan}, f"{name}: {filter}"
        assert len(list(client.capped.log.find({}, session=session))) <= CAPPED_DOCUMENTS


def require_clean(client: Any) -> None:
    report = client.check()
    assert report.is_clean, report.to_dict()


def look(path: str, _say: Callable[[str], None]) -> None:
    """Open and check everything."""
    with cbdd.connect(path, **OPTIONS) as client:
        require_clean(client)
        require_agreement(client)


def prepare(path: str) -> None:
    """Make the file, and the collection that nobody drops."""
    with cbdd.connect(path, **OPTIONS) as client:
        client.capped.create_collection("log", capped=True, size=6000, max=CAPPED_DOCUMENTS)


def run_schema(path: str, seed: int, seconds: float) -> Counter[str]:
    """Change, kill and look for some seconds; returns the counts.

    :raises AssertionError: something disagrees, or a process met an error it must not meet.
    """
    source = random.Random(seed)
    run(lambda say: prepare(path))
    counts: Counter[str] = Counter()
    children: dict[int, Child] = {}

    def hear(lines: list[str]) -> None:
        for line in lines:
            assert not line.startswith("error "), json.loads(line[6:])
            counts[line] += 1

    def start(number: int) -> None:
        child_seed = source.randrange(1 << 30)
        work = write if number < WRITERS else read
        children[number] = Child(lambda say: work(path, child_seed, say))

    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            for number in range(WRITERS + 1):
                if number not in children:
                    start(number)
            time.sleep(source.random() * LONGEST_PAUSE_SECONDS)
            everybody = list(children)
            for number in everybody if source.random() < 0.3 else [source.choice(everybody)]:
                hear(children.pop(number).kill())
                counts["kills"] += 1
            for child in children.values():
                hear(child.lines())
            if source.random() < 0.3:
                run(lambda say: look(path, say))
                counts["looks"] += 1
    finally:
        for child in children.values():
            hear(child.kill())
    run(lambda say: look(path, say))
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="where to put the files")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = chosen.folder or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="cbdd-schema-")
        )
        path = str(Path(folder) / f"schema-{chosen.seed}.cbdd")
        try:
            counts = run_schema(path, chosen.seed, chosen.seconds)
        except AssertionError as error:
            print(f"FAILED, seed {chosen.seed}: {error}", file=sys.stderr)
            return 1
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
