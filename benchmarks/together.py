"""Rows with several threads or processes, with a full log, and with the command line."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Final

from benchmarks.documents import Document
from benchmarks.rivals.base import Contestant
from benchmarks.rows import Bench, Row

WRITERS: Final = 8
READERS: Final = 4
_SPAWN: Final = multiprocessing.get_context("spawn")


def in_threads(works: list[Callable[[], object]]) -> None:
    """Run them at once; the first error is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def durable_threads(count: int) -> Callable[[Bench], float]:
    """So many threads insert durably at once, each with a handle of its own where it needs one."""

    def work(bench: Bench) -> float:
        documents = bench.workload.more(count * bench.sizes.durable)
        shared = bench.filled()
        size = bench.sizes.durable

        def insert(number: int) -> None:
            contestant = handle(bench, shared)
            for document in documents[number * size : (number + 1) * size]:
                contestant.insert_one(document)
            if contestant is not shared:
                contestant.close()

        started = perf_counter()
        in_threads([lambda number=number: insert(number) for number in range(count)])  # type: ignore[misc]
        return (perf_counter() - started) / len(documents)

    return work


def handle(bench: Bench, shared: Contestant) -> Contestant:
    """sqlite3's connections belong to one thread; others are shared."""
    if bench.kind.name == "sqlite3":
        return bench.kind(bench.path, bench.durability, bench.indexes)
    return shared


def mixed_threads(bench: Bench) -> float:
    """Four readers and one writer in threads: seconds per operation, four of five reads."""
    shared = bench.filled()
    fresh = bench.workload.more(100_000)
    ids = [each["_id"] for each in bench.workload.some(5000)]
    until = perf_counter() + bench.seconds
    done = [0] * (READERS + 1)

    def read(number: int) -> None:
        contestant = handle(bench, shared)
        source = random.Random(number)
        while perf_counter() < until:
            contestant.get(source.choice(ids))
            done[number] += 1
        if contestant is not shared:
            contestant.close()

    def write() -> None:
        contestant = handle(bench, shared)
        while perf_counter() < until:
            if done[READERS] * READERS > sum(done[:READERS]):
                sleep(0)  # let the readers come up: one write for four reads
                continue
            contestant.insert_one(fresh[done[READERS]])
            done[READERS] += 1
        if contestant is not shared:
            contestant.close()

    works: list[Callable[[], object]] = [
        lambda number=number: read(number)  # type: ignore[misc]
        for number in range(READERS)
    ]
    in_threads([*works, write])
    return bench.seconds / sum(done)


def _read_process(
    kind: type[Contestant], path: str, ids: list[int], seconds: float, report: Any
) -> None:
    contestant = kind(path, "normal")
    source = random.Random(os.getpid())
    report.put("ready")
    until = perf_counter() + seconds
    done = 0
    while perf_counter() < until:
        contestant.get(source.choice(ids))
        done += 1
    contestant.close()
    report.put(done)


def _write_process(
    kind: type[Contestant], path: str, fresh: list[Document], seconds: float, report: Any
) -> None:
    contestant = kind(path, "normal")
    report.put("ready")
    until = perf_counter() + seconds
    done = 0
    for document in fresh:
        if perf_counter() >= until:
            break
        contestant.insert_one(document)
        done += 1
        sleep(0.0002)
    contestant.close()
    report.put(done)


def mixed_processes(bench: Bench) -> float:
    """Four readers and one writer in processes of their own: seconds per operation."""
    bench.filled()
    ids = [each["_id"] for each in bench.workload.some(5000)]
    report = _SPAWN.Queue()
    works = [
        _SPAWN.Process(
            target=_read_process, args=(bench.kind, bench.path, ids, bench.seconds, report)
        )
        for _ in range(READERS)
    ]
    fresh = bench.workload.more(20_000)
    works.append(
        _SPAWN.Process(
            target=_write_process, args=(bench.kind, bench.path, fresh, bench.seconds, report)
        )
    )
    for work in works:
        work.start()
    answers = [report.get(timeout=120) for _ in range(2 * len(works))]
    for work in works:
        work.join()
    return bench.seconds / max(1, sum(int(each) for each in answers if each != "ready"))


def _fill_log(kind: type[Contestant], path: str, documents: list[Document], log_bytes: int) -> None:
    """Commit without a checkpoint, then die."""
    if kind.name == "cbdd":
        import cbdd

        client: cbdd.Client[Any] = cbdd.connect(
            path, durability="normal", checkpoint_log_bytes=1 << 30, cache_size_bytes=1 << 30
        )
        table = client["bench"]["documents"]
        number, written = 0, 0
        while written < log_bytes:
            batch = [{**documents[i % len(documents)], "_id": number + i} for i in range(500)]
            table.insert_many(batch)
            number += len(batch)
            written = int(str(client.statistics()["log_bytes"]))
    else:
        contestant: Any = kind(path, "normal")
        contestant.connection.execute("PRAGMA wal_autocheckpoint=0")
        number = 0
        while os.path.getsize(f"{path}-wal") < log_bytes:
            contestant.insert_many(
                [{**documents[i % len(documents)], "_id": number + i} for i in range(500)]
            )
            number += 500
    os.kill(os.getpid(), signal.SIGKILL)


def recovery(bench: Bench) -> float:
    """Open a file whose process was killed with a log of 32 MiB; seconds, not per document."""
    dying = _SPAWN.Process(
        target=_fill_log,
        args=(bench.kind, bench.path, bench.workload.documents[:2000], bench.log_bytes),
    )
    dying.start()
    dying.join()
    started = perf_counter()
    contestant = bench.open()
    assert contestant.get(0) is not None
    return perf_counter() - started


def pauses(quantile: float) -> Callable[[Bench], float]:
    """How long an insert takes while checkpoints run: a quantile."""

    def work(bench: Bench) -> float:
        contestant = bench.filled()
        fresh = bench.workload.more(20_000)
        times: list[float] = []
        is_over = threading.Event()

        def checkpoints() -> None:
            other = handle(bench, contestant)
            while not is_over.is_set():
                other.checkpoint()
                is_over.wait(0.05)
            if other is not contestant:
                other.close()

        def inserts() -> None:
            mine = handle(bench, contestant)
            until = perf_counter() + bench.seconds
            for document in fresh:
                started = perf_counter()
                mine.insert_one(document)
                ended = perf_counter()
                times.append(ended - started)
                if ended > until:
                    break
            is_over.set()
            if mine is not contestant:
                mine.close()

        in_threads([checkpoints, inserts])
        times.sort()
        return times[min(len(times) - 1, int(len(times) * quantile))]

    return work


def importing(bench: Bench) -> float:
    """Import JSON lines by command line; seconds per document."""
    lines = bench.folder / "documents.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        for document in bench.workload.documents:
            file.write(json.dumps(document) + "\n")
    command = [sys.executable, "-m", "cbdd.cli", "import", bench.path, "documents", str(lines)]
    started = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (perf_counter() - started) / bench.workload.count


def _measure_memory(kind: type[Contestant], path: str, report: Any) -> None:
    contestant = kind(path, "normal")
    count = contestant.read_all()
    status = Path("/proc/self/status").read_text().splitlines()
    [peak] = [int(each.split()[1]) * 1024 for each in status if each.startswith("VmHWM")]
    report.put((peak, count))
    contestant.close()


def memory(bench: Bench) -> float:
    """Peak resident bytes of a process that opens the file and reads everything once."""
    bench.filled()
    bench.close()
    report = _SPAWN.Queue()
    process = _SPAWN.Process(target=_measure_memory, args=(bench.kind, bench.path, report))
    process.start()
    peak, _ = report.get(timeout=300)
    process.join()
    return float(peak)


TOGETHER: Final = (
    Row("insert, full, 1 thread", durable_threads(1), ("insert_one",), "full", ("rank",)),
    Row(
        f"insert, full, {WRITERS} threads",
        durable_threads(WRITERS),
        ("insert_one",),
        "full",
        ("rank",),
        is_concurrent=True,
    ),
    Row("mixed 80/20, threads", mixed_threads, ("get",), indexes=("rank",), is_concurrent=True),
    Row("mixed 80/20, processes", mixed_processes, ("get",), indexes=(), is_concurrent=True),
    Row("insert beside checkpoints, p50", pauses(0.5), ("checkpoint",), is_concurrent=True),
    Row("insert beside checkpoints, p99", pauses(0.99), ("checkpoint",), is_concurrent=True),
    Row("insert beside checkpoints, max", pauses(1.0), ("checkpoint",), is_concurrent=True),
    Row("recovery of a 32 MiB log", recovery, indexes=(), unit="s", is_about_files=True),
    Row("import by command line", importing, indexes=(), is_about_files=True),
    Row("memory to read all", memory, ("read_all",), indexes=(), unit="bytes", is_about_files=True),
)
ONLY: Final = {"recovery of a 32 MiB log": ("cbdd", "sqlite3"), "import by command line": ("cbdd",)}
