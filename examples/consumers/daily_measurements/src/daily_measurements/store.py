"""Measurements in one file: one document for each station and time, whatever is imported twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Self

from pymongo import UpdateOne

import cbdd
from daily_measurements.records import Measurement

BATCH = 500


@dataclass(frozen=True)
class Stored:
    """How many measurements were new, replaced another value, or were there already."""

    new: int = 0
    changed: int = 0
    same: int = 0

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.new + other.new, self.changed + other.changed, self.same + other.same)

    @property
    def total(self) -> int:
        return self.new + self.changed + self.same


class MeasurementStore:
    """The database of the job."""

    def __init__(self, path: str, **options: Any) -> None:
        self._client = cbdd.connect(path, **options)
        self._measurements = self._client.get_default_database("measurements").measurements
        self._measurements.create_index([("taken_at", 1), ("station", 1)], unique=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def store(self, measurements: Iterable[Measurement], batch: int = BATCH) -> Iterator[Stored]:
        """Store measurements; yields what each batch did, once it is on disk."""
        remaining = iter(measurements)
        while some := list(islice(remaining, batch)):
            done = self._measurements.bulk_write([_upsert(each) for each in some], ordered=False)
            new, changed = done.upserted_count, done.modified_count
            yield Stored(new, changed, len(some) - new - changed)

    def of_day(self, day: date) -> Iterator[Measurement]:
        """The measurements of a day in UTC, by time."""
        begin = datetime.combine(day, time(), UTC)
        wanted = {"taken_at": {"$gte": begin, "$lt": begin + timedelta(days=1)}}
        for each in self._measurements.find(wanted, {"_id": 0}).sort("taken_at", 1):
            yield Measurement(
                each["station"], each["taken_at"].replace(tzinfo=UTC), each["celsius"]
            )

    def count(self) -> int:
        """How many measurements there are."""
        return self._measurements.count_documents({})


def _upsert(measurement: Measurement) -> UpdateOne:
    return UpdateOne(
        {"station": measurement.station, "taken_at": measurement.taken_at},
        {"$set": {"celsius": measurement.celsius}},
        upsert=True,
    )
