"""The flight recorder: bounded, parseable, and never the reason for a failure."""

from __future__ import annotations

import json
from pathlib import Path

from cbdd.storage.events import MAX_BYTES, EventLog, read_events
from cbdd.storage.io import Io
from cbdd.testing import TickingClock


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


def test_failing_to_write_is_no_error(tmp_path: Path) -> None:
    log = EventLog(Io(), TickingClock(), str(tmp_path), True)  # a directory
    log.record("open", {})
    assert read_events(Io(), str(tmp_path / "missing")) == []


def test_switched_off_it_writes_nothing(tmp_path: Path) -> None:
    EventLog(Io(), TickingClock(), str(tmp_path / "a-events"), False).record("open", {})
    assert list(tmp_path.iterdir()) == []
