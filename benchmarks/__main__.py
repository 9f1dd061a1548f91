"""CBDD beside sqlite3, LMDB, TinyDB, MontyDB and mongomock: same documents, same indexes, same
durability, same run.

    python -m benchmarks [--kind small] [--documents N] [--rounds N] [--rivals NAME ...]
                         [--rows TEXT] [--json FILE] [--plots FOLDER]

Each row runs for each database in a fresh folder, several rounds, in an order that turns round with
every round; medians are shown, and beside them how many times as long each rival takes as CBDD:
above 1 CBDD is faster. The floor is what nobody can avoid: `bson.encode` or `bson.decode` of the
same documents, or one fdatasync of the same bytes. Rivals that are not installed are left out; slow
ones run with fewer documents, and the table says with how many.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import cbdd
from benchmarks.documents import Workload
from benchmarks.rivals import available
from benchmarks.rivals.base import Contestant
from benchmarks.rows import SEQUENTIAL, Bench, Row
from benchmarks.tables import to_markdown
from benchmarks.together import ONLY, TOGETHER
from cbdd.build_info import build_kind

KINDS: Final = {"small": 50_000, "flights": 50_000, "nested": 10_000}
ROWS: Final = (*SEQUENTIAL, *TOGETHER)


class Runner:
    """Runs rows; one workload for each number of documents."""

    def __init__(self, kind: str, documents: int, rounds: int, is_tiny: bool = False) -> None:
        self.kind = kind
        self.is_tiny = is_tiny
        self.documents = documents
        self.rounds = rounds
        self._workloads: dict[int, Workload] = {}

    def workload(self, contestant: type[Contestant]) -> Workload:
        """The documents for a contestant: all, or as many as it can bear."""
        count = min(self.documents, contestant.largest)
        if count not in self._workloads:
            self._workloads[count] = Workload(self.kind, count)
        return self._workloads[count]

    def row(self, row: Row, contestants: Sequence[type[Contestant]]) -> dict[str, Any]:
        """Medians of one row, in the unit of the row; seconds become microseconds."""
        suited = [
            each
            for each in contestants
            if row.suits(each) and each.name in ONLY.get(row.name, (each.name,))
        ]
        measured: dict[str, list[float]] = {each.name: [] for each in suited}
        for number in range(self.rounds):
            turn = number % max(1, len(suited))
            for each in [*suited[turn:], *suited[:turn]]:
                measured[each.name].append(self._once(row, each))
        scale = 1e6 if row.unit == "us" else 1.0
        medians = {
            name: statistics.median(values) * scale for name, values in measured.items() if values
        }
        ours = medians.get("cbdd", 0.0)
        floor = row.floor(self.workload(contestants[0])) * scale if row.floor else None
        return {
            "row": row.name,
            "unit": row.unit,
            "medians": medians,
            "all": {name: [each * scale for each in values] for name, values in measured.items()},
            "ratios": {
                name: value / ours for name, value in medians.items() if name != "cbdd" and ours
            },
            "floor": floor,
            "documents": {each.name: self.workload(each).count for each in suited},
        }

    def _once(self, row: Row, kind: type[Contestant]) -> float:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            bench = Bench(kind, Path(folder), self.workload(kind), row.durability, row.indexes)
            if self.is_tiny:
                bench.seconds, bench.log_bytes = 0.05, 64 << 10
            try:
                return row.work(bench)
            finally:
                bench.close()


def heading(contestants: Sequence[type[Contestant]]) -> str:
    """The first line of a table."""
    cells = [f"{'row':30}", *(f"{each.name:>10}" for each in contestants), f"{'floor':>10}"]
    cells += [f"{each.name + '/cbdd':>14}" for each in contestants[1:]]
    return " ".join(cells)


def line(result: dict[str, Any], contestants: Sequence[type[Contestant]]) -> str:
    """A row as text."""
    cells = [f"{result['row']:30}"]
    values = [result["medians"].get(each.name) for each in contestants] + [result["floor"]]
    cells += [" " * 9 + "-" if value is None else _number(value) for value in values]
    for each in contestants[1:]:
        ratio = result["ratios"].get(each.name)
        cells.append(" " * 13 + "-" if ratio is None else f"{ratio:14.2f}")
    if result["unit"] != "us":
        cells.append(f" {result['unit']}")
    return " ".join(cells)


def _number(value: float) -> str:
    return f"{value:10.2f}" if value < 1e6 else f"{value:10.3g}"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    versions = {"cbdd": f"{cbdd.__version__} ({build_kind()})", "sqlite3": sqlite3.sqlite_version}
    for package in ("pymongo", "lmdb", "tinydb", "montydb", "mongomock"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": len(os.sched_getaffinity(0)),
        "versions": versions,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--documents", type=int, help="default: 50,000; 10,000 nested ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rivals", nargs="*", help="default: all that are installed")
    parser.add_argument("--tiny", action="store_true", help="only to see that everything runs")
    parser.add_argument("--rows", default="", help="only rows whose name has this text in it")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables as Markdown to this file")
    parser.add_argument("--plots", type=Path, help="draw into this folder; needs matplotlib")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows and show them."""
    options = parse(arguments)
    contestants = available(options.rivals)
    report: dict[str, Any] = {"machine": machine(), "kinds": {}}
    told = ", ".join(f"{name} {text}" for name, text in report["machine"]["versions"].items())
    print(f"{told}; Python {report['machine']['python']}", flush=True)
    kinds = list(KINDS) if options.kind == "all" else [options.kind]
    for kind in kinds:
        runner = Runner(kind, options.documents or KINDS[kind], options.rounds, options.tiny)
        few = [
            f"{each.name} {each.largest:,}"
            for each in contestants
            if each.largest < runner.documents
        ]
        print(
            f"\n{kind}: {runner.documents:,} documents, medians of {options.rounds}; "
            f"microseconds an operation{'; fewer for ' + ', '.join(few) if few else ''}"
        )
        print(heading(contestants), flush=True)
        results = []
        for row in ROWS:
            if options.rows in row.name:
                results.append(runner.row(row, contestants))
                print(line(results[-1], contestants), flush=True)
        report["kinds"][kind] = {"documents": runner.documents, "rows": results}
        behind = [
            f"{each['row']} ({name})"
            for each in results
            for name, ratio in each["ratios"].items()
            if ratio < 1
        ]
        print(f"behind on: {', '.join(behind) or 'nothing'}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(to_markdown(report), encoding="utf-8")
    if options.plots:
        from benchmarks.plots import draw

        draw(report, options.plots)
    return 0


if __name__ == "__main__":
    sys.exit(main())
