"""Records: numbers, joining, context, evidence, and several people at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cbdd.errors import NewerFormatError, UsageError
from cbdd.ops.incident.lifecycle import annotate, assign, override_severity, use_table
from cbdd.ops.incident.record import Context, FirstFailure, Incident
from cbdd.ops.incident.store import MAX_EVIDENCE_BYTES, IncidentStore
from tests.unit.ops.incident.conftest import START_US, SetClock, signal


def test_incidents_are_numbered_and_kept(store: IncidentStore) -> None:
    first = store.open(signal(key="a"), "ada")
    second = store.open(signal(key="b"), "ada")
    assert (first.is_new, first.incident.number) == (True, 1)
    assert (second.is_new, second.incident.number) == (True, 2)
    again = store.get(1)
    assert again.to_document() == first.incident.to_document()
    assert Incident.from_document(again.to_document()).to_document() == again.to_document()


def test_a_signal_of_the_same_cause_joins(store: IncidentStore) -> None:
    store.open(signal(key="a"))
    other = signal("WAL_TORN_TAIL", key="b")
    other.keys.append("a")
    joined = store.open(other)
    assert not joined.is_new
    assert [each.codes for each in joined.incident.signals] == [
        [["PAGE_CHECKSUM", ""]],
        [["WAL_TORN_TAIL", ""]],
    ]
    assert not store.open(signal("WAL_TORN_TAIL", key="b")).is_new, "keys are those of all signals"
    assert len(store.all()) == 1


def test_the_same_signal_again_is_counted_and_keeps_nothing_twice(
    store: IncidentStore, clock: SetClock
) -> None:
    for turn in range(3):
        clock.at_us = START_US + turn
        told = signal(key="a")
        told.evidence = {"doctor.json": b"%d" % turn}
        store.open(told)
    (found,) = store.get(1).signals
    assert (found.count, found.at_us) == (3, START_US + 2)
    assert [each["bytes"] for each in store.evidence(1)] == [1]
    assert store.evidence_data(1, "doctor.json") == b"0"


def test_a_closed_incident_is_not_joined(store: IncidentStore) -> None:
    number = store.open(signal(key="a")).incident.number
    store._incidents.update_one({"_id": number}, {"$set": {"open": False}})
    assert store.open(signal(key="a")).is_new


def test_a_worse_signal_raises_the_severity_and_a_milder_one_does_not_lower_it(
    store: IncidentStore,
) -> None:
    assert store.open(signal("META_COPY_DAMAGED", key="a")).incident.severity == "SEV-3"
    assert store.open(signal("WAL_HOLE", key="a")).incident.severity == "SEV-1"
    assert store.open(signal("DISK_FULL", key="a")).incident.severity == "SEV-1"


def test_what_a_person_chose_stays_until_it_is_taken_back(store: IncidentStore) -> None:
    store.open(signal("META_COPY_DAMAGED", key="a"))
    found = store.change(1, override_severity(START_US, "SEV-2", "many files", "ada"))
    assert found.severity == "SEV-2"
    assert store.open(signal("WAL_HOLE", key="a")).incident.severity == "SEV-2"
    assert any("SEV-3 to SEV-2: many files" in each.text for each in found.timeline)
    assert store.change(1, use_table(START_US)).severity == "SEV-1"


def test_an_override_needs_a_reason_and_a_severity_that_exists() -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        override_severity(0, "SEV-2", "  ")
    with pytest.raises(UsageError, match="SEV-1, SEV-2, SEV-3"):
        override_severity(0, "SEV-9", "because")


def test_context_and_first_failure_are_completed_by_later_signals(store: IncidentStore) -> None:
    first = signal(key="a", context=Context(cbdd="1.0.0"))
    first.first_failure = FirstFailure(500, 400, "flight recorder")
    store.open(first)
    second = signal("WAL_HOLE", key="a", context=Context(cbdd="2.0.0", python="cpython 3.12.1"))
    second.first_failure = FirstFailure(300, 200, "log")
    third = signal("DISK_FULL", key="a")
    third.first_failure = FirstFailure(900, 800, "somebody")
    store.open(second)
    found = store.open(third).incident
    assert (found.context.cbdd, found.context.python) == ("1.0.0", "cpython 3.12.1")
    assert (found.first_failure.at_us, found.first_failure.source) == (300, "log")


def test_large_evidence_is_cut_and_says_so(store: IncidentStore) -> None:
    told = signal(key="a")
    told.evidence = {"big": bytes(MAX_EVIDENCE_BYTES + 5)}
    store.open(told)
    (found,) = store.evidence(1)
    assert (found["bytes"], found["is_cut"]) == (MAX_EVIDENCE_BYTES + 5, True)
    assert len(store.evidence_data(1, "big")) == MAX_EVIDENCE_BYTES
    with pytest.raises(UsageError, match="EVIDENCE_NOT_FOUND"):
        store.evidence_data(1, "small")


def test_people_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = str(tmp_path / "incidents.cbdd")
    with IncidentStore(path) as store:
        store.open(signal(key="shared"))

        def write(name: str) -> None:
            for turn in range(5):
                store.change(1, annotate(START_US + turn, f"{name} {turn}", name))
                store.open(signal(key=f"{name} {turn}"))

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        notes = [each.text for each in store.get(1).timeline if each.what == "note"]
        assert sorted(notes) == sorted(f"{name} {turn}" for name in "abcd" for turn in range(5))
        assert sorted(each.number for each in store.all()) == list(range(1, 22))


def test_what_is_late_or_owned_by_nobody_comes_first(store: IncidentStore, clock: SetClock) -> None:
    store.open(signal("META_COPY_DAMAGED", key="a"))
    store.open(signal("DISK_FULL", key="b"))
    store.open(signal("WAL_HOLE", key="c"))
    store.change(3, assign(START_US, "ada"))
    store.open(signal("WAL_HOLE", key="d"))
    assert [each.number for each in store.all()] == [4, 3, 2, 1]
    clock.at_us += 26 * 3600 * 1_000_000
    late = store.all()
    assert [each.number for each in late] == [3, 4, 2, 1]
    assert late[1].overdue(clock.at_us) == ["owner", "triage-complete", "mitigation-active"]
    assert late[2].overdue(clock.at_us) == ["triage-complete"]
    assert late[3].overdue(clock.at_us) == []


def test_records_of_a_later_release_are_refused(store: IncidentStore) -> None:
    store.open(signal(key="a"))
    store._incidents.update_one({"_id": 1}, {"$set": {"format": 2}})
    with pytest.raises(NewerFormatError, match="INCIDENT_FORMAT"):
        store.get(1)


def test_what_is_not_there_is_said(store: IncidentStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="INCIDENT_NOT_FOUND"):
        store.get(5)
    with pytest.raises(UsageError, match="NO_INCIDENTS"):
        IncidentStore(str(tmp_path / "none.cbdd"), must_exist=True)
    assert not (tmp_path / "none.cbdd").exists()
