"""The rows of the table: how each is prepared, what is timed, and per how many operations.

A row runs for one contestant in a fresh folder and returns seconds per operation. What prepares
(filling, opening, closing) is not timed unless it is what the row is about.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks import floors
from benchmarks.documents import Workload
from benchmarks.rivals.base import Contestant, can, each

RANGE: Final = 100


@dataclass
class Sizes:
    """How much of each kind of work is timed, for a workload of this size."""

    singles: int
    durable: int
    lookups: int
    ranges: int
    changes: int
    scans: int

    @staticmethod
    def of(count: int, most: int) -> Sizes:
        """As many as the documents and the contestant allow."""
        return Sizes(
            singles=min(count, most, 2000),
            durable=min(count, most, 300),
            lookups=min(count, most, 5000),
            ranges=min(count, most, 200),
            changes=min(count, most, 2000),
            scans=1 if count >= 20_000 else 3,
        )


@dataclass
class Bench:
    """What one run of a row has: the kind of database, where it is, and the documents."""

    kind: type[Contestant]
    folder: Path
    workload: Workload
    durability: str
    indexes: tuple[str, ...] = ()
    seconds: float = 1.0
    """How long rows run that are measured for a time."""
    log_bytes: int = 32 << 20
    """How full the log is that is recovered."""
    opened: list[Contestant] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The file, or the folder of those that make one."""
        return str(self.folder / "bench.db")

    @property
    def sizes(self) -> Sizes:
        """How much to do."""
        return Sizes.of(self.workload.count, self.kind.most_operations)

    def open(self) -> Contestant:
        """Open the database, once more if it is open."""
        contestant = self.kind(self.path, self.durability, self.indexes)
        self.opened.append(contestant)
        return contestant

    def filled(self) -> Contestant:
        """Open it and put all documents in."""
        contestant = self.open()
        contestant.insert_many(self.workload.documents)
        return contestant

    def close(self) -> None:
        """Close whatever is open."""
        while self.opened:
            self.opened.pop().close()

    def bytes_on_disk(self) -> int:
        """Everything in the folder."""
        paths = (Path(at, name) for at, _, names in os.walk(self.folder) for name in names)
        return sum(path.stat().st_size for path in paths)


Timed = Callable[[Bench], float]


@dataclass
class Row:
    """One line of the table.

    :param work: returns seconds per operation; or, where ``unit`` says so, something else.
    :param needs: the methods that a contestant must have.
    :param floor: seconds per operation of the least that anybody would have to do.
    """

    name: str
    work: Timed
    needs: tuple[str, ...] = ()
    durability: str = "normal"
    indexes: tuple[str, ...] = ("key", "rank")
    floor: Callable[[Workload], float] | None = None
    unit: str = "us"
    is_concurrent: bool = False
    is_about_files: bool = False

    def suits(self, kind: type[Contestant]) -> bool:
        """Whether it makes sense for a contestant."""
        return (
            all(can(kind, method) for method in self.needs)
            and self.durability in kind.durabilities
            and (kind.has_processes or not self.is_concurrent)
            and (kind.is_file or not self.is_about_files)
        )


def timed(work: Callable[[], object], operations: int) -> float:
    """Seconds per operation; nobody pays for the garbage of what was before."""
    gc.collect()
    started = perf_counter()
    work()
    return (perf_counter() - started) / operations


def bulk(bench: Bench) -> float:
    """All documents at once."""
    contestant, documents = bench.open(), bench.workload.documents
    return timed(lambda: contestant.insert_many(documents), len(documents))


def singles(bench: Bench) -> float:
    """One by one into a file that has all the others."""
    count = bench.sizes.durable if bench.durability == "full" else bench.sizes.singles
    documents = bench.workload.more(count)
    contestant = bench.filled()
    return timed(lambda: each(contestant.insert_one, documents), count)


def lookups(bench: Bench) -> float:
    """By _id."""
    numbers = [each["_id"] for each in bench.workload.some(bench.sizes.lookups)]
    contestant = bench.filled()
    return timed(lambda: each(contestant.get, numbers), len(numbers))


def by_key(bench: Bench) -> float:
    """By the unique index."""
    keys = [each["key"] for each in bench.workload.some(bench.sizes.lookups)]
    contestant = bench.filled()
    return timed(lambda: each(contestant.by_key, keys), len(keys))


def ranges(bench: Bench) -> float:
    """A hundred neighbours in the index; per document."""
    size = min(RANGE, bench.workload.count)
    last = bench.workload.count - size
    lows = [min(each["rank"], last) for each in bench.workload.some(bench.sizes.ranges)]
    contestant = bench.filled()
    return timed(
        lambda: each(lambda low: contestant.by_rank(low, low + size), lows), len(lows) * size
    )


def scan(share: float) -> Timed:
    """Read everything for the share that has high scores; per document read."""

    def work(bench: Bench) -> float:
        count = bench.workload.count
        scores = sorted(each["score"] for each in bench.workload.documents)
        least = scores[count - max(1, int(count * share))] if share < 1 else -1.0
        contestant = bench.filled()
        times = bench.sizes.scans
        return timed(lambda: each(contestant.scores_above, [least] * times), count * times)

    return work


def read_all(bench: Bench) -> float:
    """Every document; per document."""
    contestant, times = bench.filled(), bench.sizes.scans
    return timed(
        lambda: each(lambda _: contestant.read_all(), range(times)), bench.workload.count * times
    )


def sorting(name: str) -> Timed:
    """All in order of a field; per document."""

    def work(bench: Bench) -> float:
        contestant, count = bench.filled(), bench.workload.count
        return timed(lambda: contestant.sorted_by(name, count), count)

    return work


def increments(bench: Bench) -> float:
    """`$inc` of a field without index, by _id."""
    numbers = [each["_id"] for each in bench.workload.some(bench.sizes.changes)]
    contestant = bench.filled()
    return timed(lambda: each(contestant.increment, numbers), len(numbers))


def update_many(bench: Bench) -> float:
    """`$inc` of a tenth of all; per document changed."""
    contestant = bench.filled()
    started = perf_counter()
    changed = contestant.update_many(0.9)
    return (perf_counter() - started) / max(1, changed)


def deletes(bench: Bench) -> float:
    """By _id."""
    numbers = [each["_id"] for each in bench.workload.some(bench.sizes.changes)]
    contestant = bench.filled()
    return timed(lambda: each(contestant.delete, numbers), len(numbers))


def counts(bench: Bench) -> float:
    """How many are in half of all ranks."""
    half = bench.workload.count // 2
    contestant, times = bench.filled(), bench.sizes.ranges
    return timed(
        lambda: each(lambda low: contestant.count_ranks(low, low + half), range(times)), times
    )


def skips(bench: Bench) -> float:
    """Ten documents behind half of all."""
    half = bench.workload.count // 2
    contestant, times = bench.filled(), max(1, bench.sizes.ranges // 10)
    return timed(
        lambda: each(lambda low: contestant.skip_ranks(low, half, 10), range(times)), times
    )


def opening(bench: Bench) -> float:
    """Open a cleanly closed file and read one document."""
    bench.filled()
    bench.close()
    number = bench.workload.documents[0]["_id"]
    return timed(lambda: bench.open().get(number), 1)


def file_size(bench: Bench) -> float:
    """Bytes on disk for each document, closed."""
    bench.filled()
    bench.close()
    return bench.bytes_on_disk() / bench.workload.count


def floor_size(workload: Workload) -> float:
    """BSON bytes of each document."""
    return floors.encoded_bytes(workload)


SEQUENTIAL: Final = (
    Row("bulk insert, no index", bulk, ("insert_many",), indexes=(), floor=floors.encode),
    Row("bulk insert, one index", bulk, ("insert_many",), indexes=("rank",), floor=floors.encode),
    Row(
        "bulk insert, three indexes",
        bulk,
        ("insert_many",),
        indexes=("key", "rank", "score"),
        floor=floors.encode,
    ),
    Row("insert, full", singles, ("insert_one",), "full", ("rank",), floors.synced_append),
    Row("insert, normal", singles, ("insert_one",), "normal", ("rank",), floors.encode),
    Row("insert, off", singles, ("insert_one",), "off", ("rank",), floors.encode),
    Row("get by _id", lookups, ("get",), floor=floors.decode),
    Row("get by unique index", by_key, ("by_key",), floor=floors.decode),
    Row("range by index", ranges, ("by_rank",), floor=floors.decode),
    Row("scan selecting 1 %", scan(0.01), ("scores_above",)),
    Row("scan selecting 10 %", scan(0.1), ("scores_above",)),
    Row("scan selecting 100 %", scan(1.0), ("scores_above",), floor=floors.decode),
    Row("read all", read_all, ("read_all",), floor=floors.decode),
    Row("sort with index", sorting("rank"), ("sorted_by",), floor=floors.decode),
    Row("sort without index", sorting("score"), ("sorted_by",), floor=floors.decode),
    Row("$inc by _id", increments, ("increment",)),
    Row("update_many of 10 %", update_many, ("update_many",)),
    Row("delete by _id", deletes, ("delete",)),
    Row("count half by index", counts, ("count_ranks",)),
    Row("skip half by index", skips, ("skip_ranks",)),
    Row("open after clean close", opening, ("get",), is_about_files=True),
    Row("file size", file_size, (), floor=floor_size, unit="bytes", is_about_files=True),
)
