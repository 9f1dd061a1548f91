"""Signals: what is read from files, bundles, errors and test runs, and what is not taken over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cbdd
from cbdd.errors import CbddError, CorruptDataError, UsageError
from cbdd.ops.bundle import Pseudonyms, collect, write_bundle
from cbdd.ops.incident.from_bundle import signal_from_bundle
from cbdd.ops.incident.from_error import signal_from_exception, signal_from_text
from cbdd.ops.incident.from_file import signal_from_file
from cbdd.ops.incident.from_tests import signals_from_junit
from cbdd.ops.incident.store import IncidentStore
from cbdd.storage.events import read_events
from cbdd.storage.io import Io
from cbdd.storage.meta import HEADER_REGION_BYTES
from cbdd.storage.version import VERSION
from cbdd.testing.damage import PATH, Specimen, specimens

SECRET = "s3cr3t-value"


def damaged(path: Path) -> str:
    """A file with a leaf of `shop.things` damaged, after a reader has met it."""
    file = str(path / "shop.cbdd")
    with cbdd.connect(file) as client:
        client.shop.things.insert_many([{"_id": n, "text": "x" * 300} for n in range(100)])
    data = bytearray((path / "shop.cbdd").read_bytes())
    at = data.rfind(b"x" * 300)
    data[at] ^= 1
    (path / "shop.cbdd").write_bytes(data)
    with pytest.raises(CorruptDataError), cbdd.connect(file) as client:
        list(client.shop.things.find())
    return file


def test_a_file_tells_what_met_the_fault_when_and_where(tmp_path: Path) -> None:
    file = damaged(tmp_path)
    before = (tmp_path / "shop.cbdd").read_bytes()
    signal = signal_from_file(file)
    assert (tmp_path / "shop.cbdd").read_bytes() == before
    assert signal.codes == [["PAGE_CHECKSUM", "SEV-1"]]
    assert signal.context.cbdd == VERSION
    assert signal.context.operation == "reading a page"
    assert not [each for each in signal.context.missing() if each != "wheel_sha256"]
    events = read_events(Io(), f"{file}-events")
    (met,) = [each for each in events if each["event"] == "damage"]
    assert signal.first_failure.at_us == met["time_us"]
    assert signal.first_failure.source == "flight recorder: damage PAGE_CHECKSUM"
    opened = [each["time_us"] for each in events if each["event"] == "open"]
    assert signal.first_failure.not_before_us == opened[-1]
    assert signal.facts["findings"][0]["where"]["collection"] == "things"
    assert set(signal.evidence) == {"doctor.json", "events.jsonl", "redacted.json"}


def test_a_bundle_of_the_file_joins_the_incident_of_the_file(
    tmp_path: Path, store: IncidentStore
) -> None:
    file = damaged(tmp_path)
    bundle = str(tmp_path / "sent.zip")
    write_bundle(bundle, collect(file, Pseudonyms(bytes(32))), 1_800_000_000_000_000)
    assert store.open(signal_from_bundle(bundle)).is_new
    joined = store.open(signal_from_file(file))
    assert not joined.is_new
    told = joined.incident
    assert told.context.cbdd == VERSION
    assert told.first_failure.source.startswith("flight recorder in the bundle")
    assert "things" not in json.dumps(told.signals[0].facts)


@pytest.mark.parametrize("name", list(specimens(1)))
def test_a_file_that_does_not_open_is_a_signal(name: str, tmp_path: Path) -> None:
    specimen: Specimen = specimens(1)[name]
    for path, data in specimen.files.items():
        kept = data[: HEADER_REGION_BYTES + 100] if path == PATH else data
        (tmp_path / Path(path).name).write_bytes(kept)
    signal = signal_from_file(str(tmp_path / Path(PATH).name))
    assert "FILE_TRUNCATED" in [code for code, _ in signal.codes]
    assert signal.keys


def test_a_healthy_file_has_no_cause(tmp_path: Path) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        client.a.a.insert_one({})
    signal = signal_from_file(str(tmp_path / "a.cbdd"))
    assert (signal.codes, signal.keys) == ([], [])
    assert signal.title == "nothing found in the file"
    assert signal.facts["verdict"] == 0


def test_an_exception_is_taken_without_its_message(tmp_path: Path) -> None:
    file = damaged(tmp_path)
    with pytest.raises(CbddError) as raised, cbdd.connect(file) as client:
        list(client.shop.things.find({"text": SECRET}))
    signal = signal_from_exception(raised.value)
    assert signal.codes == [["PAGE_CHECKSUM", "SEV-1"]]
    assert signal.context.operation.startswith("cursor.")
    assert signal.facts["where"]["page"] > 0
    assert all(each.startswith("cbdd.") for each in signal.facts["raised_in"])
    assert file not in json.dumps(signal.facts)


TRACE = f"""\
cbdd 1.2.3
Traceback (most recent call last):
  File "/home/me/{SECRET}.py", line 3, in main
    orders.find_one({{"token": "{SECRET}"}})
  File "/usr/lib/python3/site-packages/cbdd/client/collection_reads.py", line 90, in find_one
    return next(cursor)
  File "/usr/lib/python3/site-packages/cbdd/storage/pager.py", line 12, in load
    raise error
cbdd.errors.CorruptDataError: PAGE_CHECKSUM: page 31 of /home/me/{SECRET}.cbdd is damaged. Next: x
"""


def test_a_traceback_is_read_without_paths_and_values() -> None:
    signal = signal_from_text(TRACE)
    assert signal.codes == [["PAGE_CHECKSUM", "SEV-1"]]
    assert signal.context.cbdd == "1.2.3"
    assert signal.context.operation == "collection_reads.find_one"
    assert signal.keys == ["error:PAGE_CHECKSUM:cbdd.storage.pager.load"]
    assert signal.facts["where"] == {"page": 31}
    assert SECRET not in json.dumps(vars(signal), default=vars)


@pytest.mark.parametrize(
    ("line", "code", "areas"),
    [
        ("AssertionError", "", ["storage"]),
        ("pymongo.errors.DuplicateKeyError: E11000 dup key: {a: 1}", "", ["storage"]),
        ("cbdd.errors.ReadOnlyError: READ_ONLY: opened for reading", "READ_ONLY", ["storage"]),
        ("cbdd.errors.LockedError: LOCKED: in use", "LOCKED", []),
    ],
)
def test_an_error_without_a_serious_code_is_judged_by_its_area(
    line: str, code: str, areas: list[str]
) -> None:
    trace = TRACE[: TRACE.index("cbdd.errors")] + line
    signal = signal_from_text(trace)
    assert [each for each, _ in signal.codes] == ([code] if code else [])
    assert signal.areas == areas


def test_what_a_command_printed_is_an_error_too() -> None:
    told = {"error": {"code": "WAL_HOLE", "message": SECRET, "details": {"path": SECRET, "lsn": 7}}}
    signal = signal_from_text(json.dumps(told))
    assert signal.codes == [["WAL_HOLE", "SEV-1"]]
    assert signal.facts["where"] == {"lsn": 7}
    assert SECRET not in json.dumps(vars(signal), default=vars)


@pytest.mark.parametrize("text", ["", "all is well", "{}", "[" * 100_000, "\x00\xff"])
def test_a_text_without_an_error_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="SIGNAL_INVALID"):
        signal_from_text(text)


JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest" timestamp="2026-01-31T12:00:00+00:00">
<testcase classname="tests.unit.storage.test_wal" name="test_a"><properties>
<property name="area" value="wal"/></properties><failure
message="WAL_HOLE: x">E  cbdd.errors.CorruptDataError: WAL_HOLE: gone
</failure></testcase>
<testcase classname="tests.unit.storage.test_recovery" name="test_b"><error
message="boom">E   cbdd.errors.CorruptDataError: WAL_HOLE: gone</error></testcase>
<testcase classname="tests.unit.query.test_update.TestInc" name="test_c[1]"><failure
message="assert 1 == 2">E  AssertionError: assert 1 == 2</failure></testcase>
<testcase classname="tests.unit.query.test_update" name="test_d"/>
<testcase classname="tests.unit.query.test_update" name="test_e"><skipped/></testcase>
</testsuite></testsuites>
"""


def test_a_test_run_has_a_signal_for_each_cause(tmp_path: Path, store: IncidentStore) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    hole, query = signals_from_junit(str(path))
    assert hole.codes == [["WAL_HOLE", ""]]
    assert hole.areas == ["recovery", "wal"]
    assert hole.title == "WAL_HOLE: test_a fails and 1 more"
    assert hole.first_failure.at_us == 1_769_860_800_000_000
    assert query.areas == ["query"]
    assert query.facts["tests"] == ["tests/unit/query/test_update.py::TestInc::test_c[1]"]
    assert (query.facts["passed"], query.facts["failed"]) == (1, 3)
    opened = [store.open(each) for each in (hole, query)]
    assert [each.incident.severity for each in opened] == ["SEV-1", "SEV-2"]
    again = [store.open(each) for each in signals_from_junit(str(path))]
    assert not [each for each in again if each.is_new]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<html/>",
        '<!DOCTYPE a [<!ENTITY b "c">]><testsuites>&b;</testsuites>',
        "<testsuites><testsuite>",
    ],
)
def test_a_hostile_or_broken_report_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(text)
    with pytest.raises(UsageError, match="SIGNAL_INVALID"):
        signals_from_junit(str(path))


def test_a_run_without_failures_is_no_signal(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text('<testsuite><testcase classname="a" name="b"/></testsuite>')
    assert signals_from_junit(str(path)) == []
