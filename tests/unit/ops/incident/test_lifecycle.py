"""Owner, milestones and the review: in order, told, and not without what they stand for."""

from __future__ import annotations

import pytest

from cbdd.errors import UsageError
from cbdd.ops.incident.lifecycle import (
    Review,
    annotate,
    assign,
    close,
    complete_context,
    edit_timeline,
    reach,
)
from cbdd.ops.incident.milestones import HOUR_US, MILESTONES
from cbdd.ops.incident.next_steps import next_steps
from cbdd.ops.incident.record import FollowUp, Incident
from cbdd.ops.incident.report import to_html, to_markdown
from cbdd.ops.incident.store import IncidentStore
from tests.unit.ops.incident.conftest import START_US, signal

FOLLOW_UP = FollowUp("check the other disks", "ada", "2027-01-31")
WHOLE = Review("a disk", [FOLLOW_UP])


def prepared(store: IncidentStore) -> Incident:
    """An incident with everything but milestones and a review."""
    store.open(signal(key="a"))

    def change(incident: Incident) -> str:
        incident.owner, incident.release_maintainer = "ada", "bob"
        incident.reproduction = {"failed": True, "sha256": "1234", "operations": ["update"]}
        incident.mitigation = {"bad": ["1.0.0"]}
        incident.validation = {"is_good": True, "test_sha256": "1234"}
        return ""

    return store.change(1, change)


def test_milestones_come_in_order(store: IncidentStore) -> None:
    prepared(store)
    with pytest.raises(UsageError, match="triage-complete comes before fix-merged"):
        store.change(1, reach(START_US, "fix-merged"))
    for name in MILESTONES:
        store.change(1, reach(START_US, name))
        with pytest.raises(UsageError, match="was reached already"):
            store.change(1, reach(START_US, name))
    with pytest.raises(UsageError, match="is no milestone"):
        reach(START_US, "coffee")


def test_a_milestone_is_not_reached_without_what_it_stands_for(store: IncidentStore) -> None:
    store.open(signal(key="a"))
    with pytest.raises(UsageError, match="nobody owns"):
        store.change(1, reach(START_US, "triage-complete"))
    store.change(1, assign(START_US, "ada"))
    store.change(1, reach(START_US, "triage-complete"))
    with pytest.raises(UsageError, match="release maintainer"):
        store.change(1, reach(START_US, "mitigation-active"))
    store.change(1, assign(START_US, release_maintainer="bob"))
    store.change(1, reach(START_US, "mitigation-active"))
    with pytest.raises(UsageError, match="no reproduction"):
        store.change(1, reach(START_US, "fix-merged"))


def test_a_status_says_how_long_it_took_and_how_late_it_is(store: IncidentStore) -> None:
    incident = prepared(store)
    told = reach(START_US + 3 * HOUR_US, "triage-complete", "a disk it is")(incident)
    assert told == "Milestone triage-complete reached after 3 h, 2 h late. a disk it is"
    told = reach(START_US + 3 * HOUR_US + 60_000_000, "mitigation-active")(incident)
    assert told == "Milestone mitigation-active reached after 1 min."


def test_close_lists_everything_that_is_missing(store: IncidentStore) -> None:
    store.open(signal(key="a"))
    with pytest.raises(UsageError) as raised:
        store.change(1, close(START_US, Review("", [FollowUp("x", "", "soon")])))
    missing = raised.value.details["missing"]
    assert missing == [
        "no root cause (--root-cause)",
        "milestone triage-complete was not reached",
        "no regression test that failed (reproduce)",
        "follow-up 'x': it has no owner",
        "follow-up 'x': 'soon' is no date like 2026-01-31",
    ]
    assert store.get(1).is_open


def test_a_test_that_was_changed_after_it_failed_does_not_count(store: IncidentStore) -> None:
    prepared(store)
    for name in MILESTONES:
        store.change(1, reach(START_US, name))

    def change(incident: Incident) -> str:
        incident.validation = {"is_good": True, "test_sha256": "5678"}
        return ""

    store.change(1, change)
    with pytest.raises(UsageError, match="was not seen to pass"):
        store.change(1, close(START_US, WHOLE))


def test_a_whole_review_closes(store: IncidentStore) -> None:
    prepared(store)
    for name in MILESTONES:
        store.change(1, reach(START_US, name))
    found = store.change(1, close(START_US, WHOLE, "ada"))
    assert not found.is_open
    assert found.closure is not None
    assert found.closure.blast_radius["versions"] == ["1.0.0"]
    assert found.closure.blast_radius["operations"] == ["update"]
    assert not next_steps(found)
    with pytest.raises(UsageError, match="INCIDENT_CLOSED"):
        store.change(1, annotate(START_US, "late"))
    assert store.get(1).closure == found.closure


def test_the_timeline_can_be_corrected(store: IncidentStore) -> None:
    store.open(signal(key="a"))
    store.change(1, annotate(START_US - 5, "the power failed", "ada"))
    first = store.get(1).timeline[0]
    assert (first.what, first.text, first.by) == ("note", "the power failed", "ada")
    store.change(1, edit_timeline(1, "the power failed twice"))
    assert store.get(1).timeline[0].text == "the power failed twice"
    store.change(1, edit_timeline(1, ""))
    assert [each.what for each in store.get(1).timeline] == ["opened"]
    with pytest.raises(UsageError, match="only notes"):
        store.change(1, edit_timeline(1, ""))
    with pytest.raises(UsageError, match="no line 7"):
        store.change(1, edit_timeline(7, "x"))


def test_what_was_asked_for_is_noted(store: IncidentStore) -> None:
    incident = store.open(signal(key="a")).incident
    assert "python" in incident.context.missing()
    assert any("cbdd incident context 1" in each.command for each in next_steps(incident))
    found = store.change(1, complete_context(START_US, {"python": "cpython 3.13.0"}))
    assert found.context.python == "cpython 3.13.0"
    with pytest.raises(UsageError, match="is not asked for"):
        complete_context(START_US, {"password": "x"})


def test_a_report_shows_text_of_others_as_text(store: IncidentStore) -> None:
    prepared(store)
    store.change(1, annotate(START_US, "<script>alert(1)</script> | a | [x](javascript:y) `z`"))
    found = store.get(1)
    page = to_html(found, store.evidence(1))
    assert "<script" not in page
    assert "javascript:y)" in page
    assert "<a " not in page
    assert page.count("<h2>") == 11 - 1
    text = to_markdown(found)
    for heading in ("Root cause", "Blast radius", "Timeline", "Follow-ups"):
        assert f"\n## {heading}\n" in text
