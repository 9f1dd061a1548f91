"""CBDD and sqlite3 side by side: same documents, same index, same durability, same run.

    python benchmarks/side_by_side.py [--documents N] [--rounds N] [--json FILE]

sqlite3 keeps each document as JSON text with its id as primary key, in WAL mode, one expression
index where CBDD has one index; ``synchronous`` is FULL against ``durability="full"`` and NORMAL
against ``"normal"``. Every row is run alternately, several rounds, each in a fresh file; medians
are reported, and the ratio is sqlite3's time over CBDD's: above 1 CBDD is faster. The floor is
``bson.encode`` or ``bson.decode`` of the same documents alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import bson

import cbdd
from cbdd.build_info import build_kind

Document = dict[str, Any]
Row = Callable[["Contestant", "Workload"], float]


class Workload:
    """The documents and the random choices, the same for everyone."""

    def __init__(self, count: int) -> None:
        source = random.Random(7)
        self.count = count
        self.documents: list[Document] = [
            {
                "_id": n,
                "name": f"name {source.randrange(10**6):06d}",
                "group": source.randrange(1000),
                "score": source.random() * 1000,
                "active": bool(source.randrange(2)),
                "tags": [source.choice(["red", "green", "blue"]) for _ in range(3)],
                "address": {
                    "city": f"city {source.randrange(500)}",
                    "zip": source.randrange(99999),
                },
            }
            for n in range(count)
        ]
        self.ids = [source.randrange(count) for _ in range(min(count, 5000))]
        self.groups = [source.randrange(1000) for _ in range(200)]
        self.singles = self.documents[: min(count, 2000)]
        self.durable = self.documents[: min(count, 300)]


class Contestant:
    """One database under test."""

    name = ""

    def __init__(self, path: str, durability: str, indexed: bool) -> None:
        raise NotImplementedError

    def insert_many(self, documents: list[Document]) -> None:
        raise NotImplementedError

    def insert_one(self, document: Document) -> None:
        raise NotImplementedError

    def get(self, number: int) -> Document:
        raise NotImplementedError

    def by_group(self, group: int) -> list[Document]:
        raise NotImplementedError

    def score_above(self, score: float) -> list[Document]:
        raise NotImplementedError

    def read_all(self) -> int:
        raise NotImplementedError

    def increment(self, number: int) -> None:
        raise NotImplementedError

    def delete(self, number: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Cbdd(Contestant):
    name = "cbdd"

    def __init__(self, path: str, durability: str, indexed: bool) -> None:
        self.client = cbdd.connect(path, durability=durability)
        self.table = self.client["bench"]["documents"]
        if indexed:
            self.table.create_index("group")

    def insert_many(self, documents: list[Document]) -> None:
        self.table.insert_many(documents)

    def insert_one(self, document: Document) -> None:
        self.table.insert_one(document)

    def get(self, number: int) -> Document:
        found = self.table.find_one({"_id": number})
        assert found is not None
        return dict(found)

    def by_group(self, group: int) -> list[Document]:
        return list(self.table.find({"group": group}))

    def score_above(self, score: float) -> list[Document]:
        return list(self.table.find({"score": {"$gt": score}}))

    def read_all(self) -> int:
        return sum(1 for _ in self.table.find())

    def increment(self, number: int) -> None:
        self.table.update_one({"_id": number}, {"$inc": {"group": 1}})

    def delete(self, number: int) -> None:
        self.table.delete_one({"_id": number})

    def close(self) -> None:
        self.client.close()


class Sqlite(Contestant):
    name = "sqlite3"

    def __init__(self, path: str, durability: str, indexed: bool) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute(f"PRAGMA synchronous={durability.upper()}")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, body TEXT)"
        )
        if indexed:
            self.connection.execute(
                "CREATE INDEX IF NOT EXISTS by_group ON documents (json_extract(body, '$.group'))"
            )

    def insert_many(self, documents: list[Document]) -> None:
        connection = self.connection
        for start in range(0, len(documents), 1000):
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO documents VALUES (?, ?)",
                [(d["_id"], json.dumps(d)) for d in documents[start : start + 1000]],
            )
            connection.execute("COMMIT")

    def insert_one(self, document: Document) -> None:
        self.connection.execute(
            "INSERT INTO documents VALUES (?, ?)", (document["_id"], json.dumps(document))
        )

    def get(self, number: int) -> Document:
        row = self.connection.execute(
            "SELECT body FROM documents WHERE id = ?", (number,)
        ).fetchone()
        found: Document = json.loads(row[0])
        return found

    def by_group(self, group: int) -> list[Document]:
        rows = self.connection.execute(
            "SELECT body FROM documents WHERE json_extract(body, '$.group') = ?", (group,)
        )
        return [json.loads(row[0]) for row in rows]

    def score_above(self, score: float) -> list[Document]:
        rows = self.connection.execute(
            "SELECT body FROM documents WHERE json_extract(body, '$.score') > ?", (score,)
        )
        return [json.loads(row[0]) for row in rows]

    def read_all(self) -> int:
        rows = self.connection.execute("SELECT body FROM documents")
        return sum(1 for row in rows if json.loads(row[0]))

    def increment(self, number: int) -> None:
        self.connection.execute(
            "UPDATE documents SET body = json_set(body, '$.group', "
            "json_extract(body, '$.group') + 1) WHERE id = ?",
            (number,),
        )

    def delete(self, number: int) -> None:
        self.connection.execute("DELETE FROM documents WHERE id = ?", (number,))

    def close(self) -> None:
        self.connection.close()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def each(function: Callable[[Any], object], items: list[Any]) -> float:
    start = time.perf_counter()
    for item in items:
        function(item)
    return time.perf_counter() - start


class Measurement:
    """One row: how it is prepared, what is timed, and per how many operations."""

    def __init__(
        self,
        name: str,
        durability: str,
        indexed: bool,
        filled: bool,
        work: Callable[[Contestant, Workload], float],
        operations: Callable[[Workload], int],
        floor: Callable[[Workload], float] | None = None,
    ) -> None:
        self.name = name
        self.durability = durability
        self.indexed = indexed
        self.filled = filled
        self.work = work
        self.operations = operations
        self.floor = floor

    def run(self, kind: type[Contestant], workload: Workload, folder: str) -> float:
        """Seconds per operation."""
        path = os.path.join(folder, f"{kind.name}.db")
        for leftover in os.listdir(folder):
            os.unlink(os.path.join(folder, leftover))
        contestant = kind(path, self.durability, self.indexed)
        try:
            if self.filled:
                contestant.insert_many(workload.documents)
            return self.work(contestant, workload) / self.operations(workload)
        finally:
            contestant.close()


def encode_floor(workload: Workload) -> float:
    return each(bson.encode, workload.documents) / workload.count


def decode_floor(workload: Workload) -> float:
    encoded = [bson.encode(document) for document in workload.documents]
    return each(bson.decode, encoded) / workload.count


def all_of(workload: Workload) -> int:
    return workload.count


def ids_of(workload: Workload) -> int:
    return len(workload.ids)


ROWS = [
    Measurement(
        "bulk insert, no index", "normal", False, False,
        lambda c, w: timed(lambda: c.insert_many(w.documents)), all_of, encode_floor,
    ),
    Measurement(
        "bulk insert, one index", "normal", True, False,
        lambda c, w: timed(lambda: c.insert_many(w.documents)), all_of, encode_floor,
    ),
    Measurement(
        "single insert, normal", "normal", True, False,
        lambda c, w: each(c.insert_one, w.singles), lambda w: len(w.singles), encode_floor,
    ),
    Measurement(
        "single insert, full", "full", True, False,
        lambda c, w: each(c.insert_one, w.durable), lambda w: len(w.durable), encode_floor,
    ),
    Measurement(
        "get by _id", "normal", True, True,
        lambda c, w: each(c.get, w.ids), ids_of, decode_floor,
    ),
    Measurement(
        "find by index", "normal", True, True,
        lambda c, w: each(c.by_group, w.groups), lambda w: len(w.groups), None,
    ),
    Measurement(
        "scan selecting 1 %", "normal", True, True,
        lambda c, w: timed(lambda: c.score_above(990)), all_of, None,
    ),
    Measurement(
        "read all", "normal", True, True,
        lambda c, w: timed(c.read_all), all_of, decode_floor,
    ),
    Measurement(
        "$inc by _id", "normal", True, True,
        lambda c, w: each(c.increment, w.ids), ids_of, None,
    ),
    Measurement(
        "delete by _id", "normal", True, True,
        lambda c, w: each(c.delete, sorted(set(w.ids))), lambda w: len(set(w.ids)), None,
    ),
]  # fmt: skip


def compare(workload: Workload, rounds: int) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            times: dict[str, list[float]] = {"cbdd": [], "sqlite3": []}
            for number in range(rounds):
                pair: list[type[Contestant]] = [Cbdd, Sqlite]
                for kind in pair if number % 2 == 0 else pair[::-1]:
                    times[kind.name].append(row.run(kind, workload, folder))
            medians = {name: statistics.median(values) for name, values in times.items()}
            results.append(
                {
                    "row": row.name,
                    "cbdd_us": medians["cbdd"] * 1e6,
                    "sqlite3_us": medians["sqlite3"] * 1e6,
                    "ratio": medians["sqlite3"] / medians["cbdd"],
                    "floor_us": row.floor(workload) * 1e6 if row.floor else None,
                }
            )
            show(results[-1])
        results.append(file_sizes(workload, folder))
    return results


def file_sizes(workload: Workload, folder: str) -> dict[str, Any]:
    """Size of the closed file with one index, bytes a document."""
    sizes: dict[str, float] = {}
    for kind in (Cbdd, Sqlite):
        path = os.path.join(folder, f"size-{kind.name}")
        contestant = kind(path, "normal", True)
        contestant.insert_many(workload.documents)
        contestant.close()
        sizes[kind.name] = os.path.getsize(path) / workload.count
    result = {
        "row": "file, bytes a document",
        "cbdd_us": sizes["cbdd"],
        "sqlite3_us": sizes["sqlite3"],
        "ratio": sizes["sqlite3"] / sizes["cbdd"],
        "floor_us": len(bson.encode(workload.documents[0])),
    }
    show(result)
    return result


def show(result: dict[str, Any]) -> None:
    floor = f"{result['floor_us']:10.2f}" if result["floor_us"] is not None else " " * 10
    print(
        f"{result['row']:24} {result['cbdd_us']:10.2f} {result['sqlite3_us']:10.2f}"
        f" {result['ratio']:7.2f} {floor}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="write the results to this file")
    arguments = parser.parse_args()
    workload = Workload(arguments.documents)
    print(
        f"cbdd {cbdd.__version__} ({build_kind()}), sqlite {sqlite3.sqlite_version}, "
        f"Python {sys.version.split()[0]}; {workload.count} documents, medians of "
        f"{arguments.rounds}; microseconds an operation"
    )
    print(f"{'row':24} {'cbdd':>10} {'sqlite3':>10} {'ratio':>7} {'floor':>10}")
    results = compare(workload, arguments.rounds)
    behind = [result["row"] for result in results if result["ratio"] < 1]
    print(f"CBDD is behind on: {', '.join(behind) or 'nothing'}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
