"""The command line of the job.

Exit codes: 0 done, 1 done but for lines that could not be read, 2 not done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TextIO

from pymongo.errors import PyMongoError

from daily_measurements.records import BadLine, Measurement, read_measurements
from daily_measurements.store import BATCH, MeasurementStore, Stored
from daily_measurements.summary import summarize, to_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "import":
            return import_files(options.database, options.files, options.batch)
        return print_summary(options.database, options.day)
    except (OSError, ValueError, PyMongoError) as error:
        print(f"daily-measurements: {error}", file=sys.stderr)
        return 2


def import_files(database: str, files: Sequence[str], batch: int) -> int:
    """Import files, and say after each batch how far it is: what is said is on disk."""
    bad = 0
    with MeasurementStore(database) as store:
        for name in files:
            total = Stored()
            with open(name, encoding="utf-8", newline="") as file:
                reader = Reader(name, file)
                for stored in store.store(reader, batch):
                    total += stored
                    print(f"{name}: {total.total:,} stored", flush=True)
            bad += reader.bad
            print(f"{name}: {total.new:,} new, {total.changed:,} changed, {total.same:,} the same")
    return 1 if bad else 0


def print_summary(database: str, day: date) -> int:
    """Print what each station measured on a day."""
    with MeasurementStore(database, must_exist=True) as store:
        print(to_text(summarize(store.of_day(day))))
    return 0


class Reader:
    """The good lines of a file; the others are reported and counted."""

    def __init__(self, name: str, file: TextIO) -> None:
        self.name = name
        self.file = file
        self.bad = 0

    def __iter__(self) -> Iterator[Measurement]:
        for each in read_measurements(self.file):
            if isinstance(each, BadLine):
                self.bad += 1
                print(f"{self.name}:{each.number}: {each.why}", file=sys.stderr)
            else:
                yield each


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="daily-measurements", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="import CSV files; twice is as good as once")
    importing.add_argument("database")
    importing.add_argument("files", nargs="+")
    importing.add_argument("--batch", type=int, default=BATCH, help="so many lines at a time")
    summary = commands.add_parser("summary", help="print what each station measured on a day")
    summary.add_argument("database")
    summary.add_argument("day", type=date.fromisoformat)
    return parser
