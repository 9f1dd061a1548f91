"""The flight recorder: bounded, parseable, and never the reason for a failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cbdd
from cbdd.errors import CbddError, CorruptDataError
from cbdd.storage.events import (
    MAX_BYTES,
    MAX_DAMAGE_EVENTS,
    EventLog,
    read_events,
    severity_of_event,
)
from cbdd.storage.io import Io
from cbdd.storage.sync import poison
from cbdd.testing import MemoryDisk, MemoryIo, TickingClock, connect_on
from cbdd.testing.damage import PATH


def test_events_are_kept_in_order_with_time_and_process(tmp_path: Path) -> None:
    path = str(tmp_path / "a-events")
    log = EventLog(Io(), TickingClock(), path, True)
    log.record("open", {"lsn": 1})
    log.record("close", {"path": tmp_path})
    first, second = read_events(Io(), path)
    assert (first["event"], first["lsn"], first["pid"]) == ("open", 1, Io().process_id())
    assert second["path"] == str(tmp_path)
    assert first["time_us"] < second["time_us"]  # type: ignore[operator]
    assert (tmp_path / "a-events").stat().st_mode & 0o777 == 0o600


def test_the_older_half_goes_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "a-events"
    log = EventLog(Io(), TickingClock(), str(path), True)
    for number in range(300):
        log.record("note", {"number": number, "text": "x" * 2000})
        assert path.stat().st_size <= MAX_BYTES
    numbers = [event["number"] for event in read_events(Io(), str(path))]
    assert numbers == list(range(300 - len(numbers), 300))
    assert len(numbers) > 60


def test_a_torn_line_hides_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a-events"
    log = EventLog(Io(), TickingClock(), str(path), True)
    log.record("one", {})
    with open(path, "ab") as file:
        file.write(b'{"event": "to')
        file.write(b"\n[1]\n\xff\xfe\n")
    log.record("two", {})
    assert [event["event"] for event in read_events(Io(), str(path))] == ["one", "two"]
    assert json.loads(path.read_bytes().split(b"\n")[0])["event"] == "one"


def test_a_torn_line_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a-events"
    path.write_bytes(b'{"event": "one"}\n{"event": "to')
    EventLog(Io(), TickingClock(), str(path), True).record("two", {})
    assert [event["event"] for event in read_events(Io(), str(path))] == ["one", "two"]


def fill(log: EventLog, path: Path, facts: dict[str, object]) -> None:
    """Record until the older half has gone more than once."""
    for number in range(600):
        log.record("note", {"number": number, **facts, "t": "x" * 2000})
        assert path.stat().st_size <= MAX_BYTES


@pytest.mark.parametrize(
    "facts", [{}, {"code": None}, {"code": "NETWORK_FILE_SYSTEM"}, {"code": "PAGE_CHECKSUM"}]
)
def test_the_first_failure_outlives_what_came_after(
    tmp_path: Path, facts: dict[str, object]
) -> None:
    path = tmp_path / "a-events"
    log = EventLog(Io(), TickingClock(), str(path), True)
    log.record("open", {})
    log.record("network_file_system", {"code": "NETWORK_FILE_SYSTEM"})
    log.record("open_failed", {"code": "DISK_FULL"})
    log.record("hole", {"code": "WAL_HOLE"})
    fill(log, path, facts)
    first, second, third, *_ = read_events(Io(), str(path))
    assert [first["code"], second["code"]] == ["DISK_FULL", "WAL_HOLE"]
    assert int(str(third["number"])) > 400


def test_what_a_recovery_found_counts_as_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a-events"
    log = EventLog(Io(), TickingClock(), str(path), True)
    log.record("recovery", {"findings": [{"code": "WAL_TORN_TAIL", "severity": "info"}]})
    findings = [{"code": "META_COPY_DAMAGED", "severity": "SEV-3"}, 7]
    log.record("recovery", {"findings": [*findings, {"code": "WAL_HOLE", "severity": "SEV-1"}]})
    fill(log, path, {})
    first, second, *_ = read_events(Io(), str(path))
    assert (first["event"], severity_of_event(first)) == ("recovery", "SEV-1")
    assert second["event"] == "note"


def test_a_recorder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a-events").mkdir()
    with pytest.raises(CbddError) as caught:
        read_events(Io(), str(tmp_path / "a-events"))
    assert "read the flight recorder" in str(caught.value)


def test_a_longer_file_than_any_recorder_is_brought_back_to_size(tmp_path: Path) -> None:
    path = tmp_path / "a-events"
    path.write_bytes(b"x" * (3 * MAX_BYTES))
    log = EventLog(Io(), TickingClock(), str(path), True)
    log.record("open", {})
    assert path.stat().st_size <= MAX_BYTES
    assert [event["event"] for event in read_events(Io(), str(path))] == ["open"]


def test_damage_is_noted_once_for_each_page(tmp_path: Path) -> None:
    path = str(tmp_path / "a-events")
    log = EventLog(Io(), TickingClock(), path, True)
    for page in [7, 7, 8, 7, *range(1000)]:
        log.record_damage(CorruptDataError("PAGE_CHECKSUM", "not what was written"), page)
    events = read_events(Io(), path)
    assert [event["page"] for event in events][:3] == [7, 8, 0]
    assert len(events) == MAX_DAMAGE_EVENTS


def test_a_database_records_versions_and_the_damage_it_meets(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    with cbdd.connect(path, page_size_bytes=4096) as client:
        client.a.b.insert_many([{"n": n, "pad": "x" * 50} for n in range(500)])
    data = bytearray(path.read_bytes())
    for page in range(5, len(data) // 4096):
        data[page * 4096 + 2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptDataError), cbdd.connect(path) as client:
        list(client.a.b.find())
    events = read_events(Io(), f"{path}-events")
    opened = [event for event in events if event["event"] == "open"]
    assert opened[0]["cbdd"] == cbdd.__version__
    assert "python" in opened[0]
    assert "os" in opened[0]
    damage = [event for event in events if event["event"] == "damage"]
    assert damage[0]["code"] == "PAGE_CHECKSUM"
    assert isinstance(damage[0]["page"], int)


def test_failing_to_write_is_no_error(tmp_path: Path) -> None:
    log = EventLog(Io(), TickingClock(), str(tmp_path), True)  # a directory
    log.record("open", {})
    assert read_events(Io(), str(tmp_path / "missing")) == []


def test_switched_off_it_writes_nothing(tmp_path: Path) -> None:
    EventLog(Io(), TickingClock(), str(tmp_path / "a-events"), False).record("open", {})
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    with cbdd.connect(path, background=False) as client:
        client.shop.things.insert_one({"_id": 1})
        client.checkpoint()
        generation = client.statistics()["generation"]
    events = read_events(Io(), f"{path}-events")
    assert [event["event"] for event in events] == ["open", "checkpoint", "close"]
    assert events[1]["generation"] == generation


def test_a_failed_sync_and_a_hole_are_recorded_as_failures() -> None:
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk), 1, flight_recorder=True) as client:
        client.shop.notes.insert_one({"_id": 1})
        engine = client._store.engine
        poison(engine._state)
    (failed,) = [each for each in events_on(disk) if each["event"] == "sync_failed"]
    assert severity_of_event(failed) == "SEV-1"

    disk = MemoryDisk()
    client = connect_on(MemoryIo(disk), 1, flight_recorder=True)
    for number in range(3):
        client.shop.notes.insert_one({"_id": number})
    files = disk.files()
    (log,) = [name for name in files if "-wal-" in name]
    data = bytearray(files[log])
    data[data.find(b"CBFR", data.find(b"CBFR", 1) + 1) + 100] ^= 1
    broken = MemoryDisk.holding({**files, log: bytes(data)})
    with pytest.raises(CorruptDataError, match="WAL_HOLE"):
        connect_on(MemoryIo(broken), 2, flight_recorder=True)
    holes = [each for each in events_on(broken) if each["event"] == "hole"]
    assert [severity_of_event(each) for each in holes] == ["SEV-1"]


def events_on(disk: MemoryDisk) -> list[dict[str, object]]:
    return read_events(MemoryIo(disk), f"{PATH}-events")
