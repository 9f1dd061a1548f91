"""The main job on real data: import, ask, be killed, recover, prove. Run it with `make demo`.

Every claim in the report is checked; the first that does not hold ends the run with exit code 1.
The file stays, to be explored.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data import AIRPORTS, FLIGHTS, airports, flights
from questions import INDEXES, QUESTIONS
from rich.console import Console
from rich.table import Table

import cbdd
from cbdd.build_info import build_kind
from crash import Round

BATCH = 1000
REPEATS = 3
ROUNDS = 5
SEED = 2013
DEFAULT_FILE = Path(__file__).resolve().parents[2] / "build" / "demo" / "nyc.cbdd"
console = Console(highlight=False, width=None if sys.stdout.isatty() else 118)


class ProofFailedError(Exception):
    """Something this report claims is not so."""


def prove(holds: bool, claim: str) -> None:
    """State a claim that was checked, or end the demo."""
    if not holds:
        raise ProofFailedError(claim)
    console.print(f"  [green]✓[/] {claim}")


def title(text: str) -> None:
    """Print the title of a section."""
    console.print(f"\n[bold]{text}[/]")


def fresh(path: Path) -> None:
    """Remove what an earlier run left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()


def load(collection: Any, documents: Iterable[dict[str, Any]], limit: int) -> int:
    """Insert documents in batches, each durable when the next begins; return how many."""
    started = time.perf_counter()
    count = 0
    batch: list[dict[str, Any]] = []
    for document in documents:
        batch.append(document)
        if len(batch) == BATCH:
            collection.insert_many(batch)
            count += len(batch)
            batch = []
        if limit and count + len(batch) >= limit:
            break
    if batch:
        collection.insert_many(batch)
        count += len(batch)
    seconds = time.perf_counter() - started
    console.print(
        f"  {count:>9,} {collection.name:<9} in {seconds:5.1f} s, {count / seconds:>8,.0f} a second"
    )
    return count


def import_data(path: Path, limit: int) -> dict[str, int]:
    """Fill a new file; return the number of documents in each collection."""
    title("1. Import, parsing included; every batch of 1,000 is on disk before the next begins")
    with cbdd.connect(path) as client:
        database = client.get_default_database()
        counts = {
            "airports": load(database.airports, airports(), limit),
            "flights": load(database.flights, flights(), limit),
        }
        for name, count in counts.items():
            found = database[name].count_documents({})
            prove(found == count, f"{found:,} {name} are in the file")
        if not limit:
            prove(counts["flights"] == FLIGHTS, f"all {FLIGHTS:,} flights")
            prove(counts["airports"] > AIRPORTS, f"more than {AIRPORTS:,} airports")
    return counts


def ask(database: Any) -> list[tuple[float, str, Any, str]]:
    """Ask every question; return for each: seconds (median), the answer, its value, its plan."""
    answers = []
    for question in QUESTIONS:
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            text, value = question.answer(database)
            times.append(time.perf_counter() - started)
        answers.append((statistics.median(times), text, value, question.plan(database)))
    return answers


def answer_questions(path: Path) -> None:
    """Ask without and with indexes, and show what they change."""
    title("2. Five questions, without and with indexes")
    with cbdd.connect(path) as client:
        database = client.get_default_database()
        before = ask(database)
        for name, indexes in INDEXES.items():
            for keys in indexes:
                started = time.perf_counter()
                made = database[name].create_index(keys)
                seconds = time.perf_counter() - started
                console.print(f"  index {name}.{made} built in {seconds:.1f} s")
        after = ask(database)
        prove_counts_agree(database)
    for question, old, new in zip(QUESTIONS, before, after, strict=True):
        console.print(f"\n  [bold]{question.text}[/]\n  [cyan]{new[1]}[/]")
        console.print(f"    without index {old[0] * 1000:10.2f} ms   {old[3]}")
        faster = old[0] / max(new[0], 1e-9)
        console.print(f"    with index    {new[0] * 1000:10.2f} ms   {new[3]}   {faster:,.0f} x")
    console.print()
    same = all(old[2] == new[2] for old, new in zip(before, after, strict=True))
    prove(same, "the answers with and without indexes are the same")


def prove_counts_agree(database: Any) -> None:
    """Count by index and by scan, for every destination."""
    scanned: dict[str, int] = {}
    for flight in database.flights.find({}, {"dest": 1, "_id": 0}):
        scanned[flight["dest"]] = scanned.get(flight["dest"], 0) + 1
    counted = {dest: database.flights.count_documents({"dest": dest}) for dest in scanned}
    prove(
        counted == scanned, f"for {len(scanned)} destinations, count by index equals count by scan"
    )


def crash_and_recover(path: Path, counts: dict[str, int]) -> None:
    """Kill writers, reopen, compare with what they were told."""
    title(f"3. A second process writes and is killed with SIGKILL, {ROUNDS} times")
    source = random.Random(SEED)
    with cbdd.connect(path) as client:
        database = client.get_default_database()
        database.accounts.insert_one({"_id": "total", "entries": 0})
        database.ledger.create_index("group")
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("killed", "acknowledged", "found", "redone", "torn bytes cut", "recovery"):
        shown.add_column(name, justify="left" if name == "killed" else "right")
    total = 0
    cut = 0
    for number in range(ROUNDS):
        dies_inside = number % 2 == 1
        life = Round(str(path), dies_inside, source)
        if life.signal != signal.SIGKILL or not life.acknowledged:
            raise ProofFailedError(f"the writer was not killed while it wrote: {life.signal}")
        with cbdd.connect(path) as client:
            report = client.recovery_report
            found = compare(client.get_default_database(), life.acknowledged, total, counts)
        if report.was_clean:
            raise ProofFailedError("the file was clean, so nothing was recovered")
        if dies_inside:
            cut += report.bytes_cut
        shown.add_row(
            life.how,
            f"{len(life.acknowledged):,}",
            f"{found - total:,}",
            f"{report.commits_redone:,} commits",
            f"{report.bytes_cut:,}",
            f"{report.duration_seconds * 1000:.1f} ms",
        )
        total = found
    console.print(shown)
    console.print()
    prove(total > 0, f"every acknowledged transaction of {total:,} is there, whole")
    prove(cut > 0, "half-written commits were found at the end of the log and cut off")
    prove(True, "no transaction is there in part; nothing that was there before has changed")


def compare(database: Any, acknowledged: list[int], before: int, counts: dict[str, int]) -> int:
    """Check what is there after a crash; return the number of the last entry."""
    entries = {each["_id"]: each for each in database.ledger.find({})}
    last = database.accounts.find_one({"_id": "total"})["entries"]
    missing = [number for number in acknowledged if number not in entries]
    if missing:
        raise ProofFailedError(
            f"{len(missing)} acknowledged transactions are missing: {missing[:5]}"
        )
    if sorted(entries) != list(range(1, last + 1)):
        raise ProofFailedError("the ledger and the counter differ: half a transaction is there")
    if not acknowledged[-1] <= last <= acknowledged[-1] + 1 or acknowledged[0] != before + 1:
        raise ProofFailedError(f"acknowledged up to {acknowledged[-1]}, found up to {last}")
    for number, entry in entries.items():
        if entry["text"] != f"entry {number}" or entry["group"] != number % 7:
            raise ProofFailedError(f"entry {number} has changed: {entry}")
    for group in range(7):
        expected = sum(1 for number in entries if number % 7 == group)
        if database.ledger.count_documents({"group": group}) != expected:
            raise ProofFailedError(f"the index on group miscounts {group}")
    for name, count in counts.items():
        if database[name].count_documents({}) != count:
            raise ProofFailedError(f"{name} has lost documents")
    return int(last)


def command_line(path: Path, *arguments: str) -> str:
    """Run the command line on the file and show what it says."""
    command = [sys.executable, "-m", "cbdd.cli", arguments[0], str(path), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    console.print(f"  $ cbdd {arguments[0]} {path.name} {' '.join(arguments[1:])}", markup=False)
    console.print("\n".join(f"  {line}" for line in done.stdout.splitlines()), markup=False)
    if done.returncode:
        raise ProofFailedError(f"cbdd {arguments[0]} failed: {done.returncode} {done.stderr}")
    return done.stdout


def tell_what_next(path: Path) -> None:
    """Say how to explore the file."""
    title("5. The file is yours")
    shown = os.path.relpath(path)
    command = Path(sys.executable).with_name("cbdd")
    program = os.path.relpath(command) if command.exists() else f"{sys.executable} -m cbdd.cli"
    for line in (
        f"{program} stats {shown}",
        f'{program} find {shown} flights \'{{"dest": "HNL"}}\' --sort=-arr_delay --limit 3',
        f'{program} find {shown} airports \'{{"country": "CH", "elevation": {{"$gt": 4000}}}}\'',
        f"{program} export {shown} flights flights.jsonl --filter '{{\"month\": 12}}'",
        f"{program} info {shown}",
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)


def main() -> int:
    """Run everything; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=DEFAULT_FILE)
    parser.add_argument("--limit", type=int, default=0, help="documents of each kind; 0: all")
    arguments = parser.parse_args()
    path: Path = arguments.file.absolute()
    started = time.perf_counter()
    console.print(f"[bold]CBDD {cbdd.__version__}[/], {build_kind()}, on {os.path.relpath(path)}")
    try:
        fresh(path)
        counts = import_data(path, arguments.limit)
        answer_questions(path)
        crash_and_recover(path, counts)
        title("4. The structure")
        command_line(path, "stats")
        prove("no problem found" in command_line(path, "check"), "cbdd check is clean")
    except ProofFailedError as failure:
        console.print(f"[bold red]FAILED:[/] {failure}", soft_wrap=True)
        return 1
    tell_what_next(path)
    console.print(f"\nEverything above was checked, in {time.perf_counter() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
