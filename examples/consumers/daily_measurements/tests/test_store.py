"""One document for each station and time; days begin and end at midnight in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pymongo.errors import DuplicateKeyError

from daily_measurements.records import Measurement
from daily_measurements.store import MeasurementStore, Stored

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(str(tmp_path / "measurements.cbdd"), durability="off") as opened:
        yield opened


def hours(count: int, celsius: float = 10.0) -> list[Measurement]:
    return [Measurement("north", NOON + timedelta(hours=n), celsius + n) for n in range(count)]


def test_what_is_stored_twice_is_there_once(store: MeasurementStore) -> None:
    assert list(store.store(hours(5))) == [Stored(new=5)]
    assert list(store.store(hours(7))) == [Stored(new=2, same=5)]
    assert store.count() == 7


def test_a_correction_replaces_what_was_there(store: MeasurementStore) -> None:
    list(store.store(hours(3)))
    assert list(store.store(hours(3, celsius=20.0))) == [Stored(changed=3)]
    assert [each.celsius for each in store.of_day(NOON.date())] == [20.0, 21.0, 22.0]


def test_batches_are_of_the_size_that_was_asked_for(store: MeasurementStore) -> None:
    assert [each.total for each in store.store(hours(10), batch=4)] == [4, 4, 2]


def test_a_day_has_its_first_moment_and_not_that_of_the_next(store: MeasurementStore) -> None:
    midnight = datetime(2024, 5, 2, tzinfo=UTC)
    moments = [midnight - timedelta(milliseconds=1), midnight, midnight + timedelta(days=1)]
    list(store.store(Measurement("north", each, 1.0) for each in moments))
    assert [each.taken_at for each in store.of_day(date(2024, 5, 2))] == [midnight]


def test_no_second_document_gets_past_the_index(store: MeasurementStore) -> None:
    list(store.store(hours(1)))
    with pytest.raises(DuplicateKeyError):
        store._measurements.insert_one({"station": "north", "taken_at": NOON, "celsius": 0})
    assert store.count() == 1
