"""Consumers' reports: as signals, and as the proof that consumers have recovered."""

from __future__ import annotations

from typing import Any

import pytest

from cbdd.ops.consumers.report import Report
from cbdd.ops.incident.from_consumers import recovery_of, signals_from_consumers
from cbdd.ops.incident.lifecycle import Review, missing_for_close
from cbdd.ops.incident.store import IncidentStore


def outcome(status: str, line: str = "") -> dict[str, Any]:
    return {"status": status, "message": line}


def difference(test: str, kind: str, line: str = "AssertionError") -> dict[str, Any]:
    passed, failed = [outcome("passed")], [outcome("failed", line)]
    before, after = {
        "regressed": (passed, failed),
        "repaired": (failed, passed),
        "vanished": (failed, [outcome("absent")]),
        "flaky": (passed + failed, passed + failed),
    }[kind]
    return {"test": test, "kind": kind, "old": before, "new": after}


def report(consumers: dict[str, list[dict[str, Any]]], old: str, new: str) -> Report:
    def side(version: str) -> dict[str, str]:
        return {"file": f"{version}.whl", "name": "cbdd", "version": version, "sha256": version * 9}

    return Report.from_dict(
        {
            "kind": "cbdd consumers",
            "format": 1,
            "old": side(old),
            "new": side(new),
            "started_us": 1_800_000_000_000_000,
            "seconds": 1.0,
            "consumers": [
                {
                    "name": name,
                    "differences": found,
                    "same_failures": [],
                    "same_message": "",
                    "old_counts": {},
                    "new_counts": {},
                    "seconds": 1.0,
                }
                for name, found in consumers.items()
            ],
        }
    )


REGRESSED = {
    "service": [difference("test_a", "regressed"), difference("test_b", "regressed")],
    "job": [difference("test_c", "regressed", "cbdd.errors.CorruptDataError: WAL_HOLE: gone")],
    "quiet": [],
}


def test_each_cause_is_a_signal_and_the_same_release_joins(store: IncidentStore) -> None:
    found = signals_from_consumers(report(REGRESSED, "1.0.0", "1.1.0"))
    plain, coded = found
    assert plain.title == "2 tests of service fail with cbdd 1.1.0"
    assert plain.areas == ["consumer"]
    assert plain.context.wheel_sha256 == "1.1.0" * 9
    assert coded.codes == [["WAL_HOLE", ""]]
    opened = [store.open(each).incident for each in found]
    assert [each.severity for each in opened] == ["SEV-2", "SEV-1"]
    later = report({"service": [difference("test_z", "regressed")]}, "1.0.0", "1.1.0")
    assert not store.open(signals_from_consumers(later)[0]).is_new
    other = report({"service": [difference("test_z", "regressed")]}, "1.0.0", "1.2.0")
    assert store.open(signals_from_consumers(other)[0]).is_new


def test_a_report_without_regressions_is_no_signal() -> None:
    assert signals_from_consumers(report({"service": []}, "1.0.0", "1.1.0")) == []


@pytest.mark.parametrize(
    ("consumers", "is_recovered"),
    [
        ({"service": [difference("test_a", "repaired"), difference("test_b", "repaired")]}, True),
        ({"service": []}, True),  # compared with the good release
        ({"service": [difference("test_a", "regressed")]}, False),
        ({"service": [difference("test_new", "regressed")]}, False),
        ({"service": [difference("test_a", "vanished")]}, False),
        ({"service": [difference("test_other", "vanished")]}, True),
        ({"service": [difference("test_a", "flaky")]}, False),
        ({"other": []}, False),
        ({}, False),
    ],
)
def test_consumers_have_recovered_when_their_tests_pass_again(
    store: IncidentStore, consumers: dict[str, list[dict[str, Any]]], is_recovered: bool
) -> None:
    told = {"service": REGRESSED["service"]}
    opened = store.open(signals_from_consumers(report(told, "1.0.0", "1.1.0"))[0])
    facts = recovery_of(opened.incident, report(consumers, "1.1.0", "1.1.1"))
    assert facts["recovered"] is is_recovered
    opened.incident.consumers = facts
    missing = missing_for_close(opened.incident, Review("x", []))
    assert ("consumers were not seen to recover (consumers)" in missing) is not is_recovered


def test_what_could_not_be_run_has_not_recovered(store: IncidentStore) -> None:
    told = {"service": REGRESSED["service"]}
    incident = store.open(signals_from_consumers(report(told, "1.0.0", "1.1.0"))[0]).incident
    found = report({"service": [], "quiet": []}, "1.1.0", "1.1.1")
    assert recovery_of(incident, found)["recovered"]
    service, quiet = found.consumers
    quiet.same_failures = [""]  # has always failed, and nobody has asked about it
    assert recovery_of(incident, found)["recovered"]
    service.same_failures = [""]
    facts = recovery_of(incident, found)
    assert (facts["recovered"], facts["unseen"]) == (False, ["service"])
    service.same_failures = []
    quiet.old_counts = quiet.new_counts = {"not installed": 1}
    assert (quiet.verdict, found.verdict) == ("not judged", "not judged")
    facts = recovery_of(incident, found)
    assert (facts["recovered"], facts["unseen"]) == (False, ["quiet"])
