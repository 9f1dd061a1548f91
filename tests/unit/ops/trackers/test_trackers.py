"""Trackers against servers that keep to the published descriptions, and fail in every way."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cbdd
from cbdd.cli.app import app
from cbdd.ops.trackers import (
    Outbox,
    TrackerRefusedError,
    TrackerUnavailableError,
    tracker_of,
)
from cbdd.ops.trackers.service import ATTEMPTS
from tests.unit.ops.trackers.forge_server import TOKEN
from tests.unit.ops.trackers.setting import ENVIRONMENT, PASSING, Setting

UNREADABLE = ["cut", "no json"]


def test_an_issue_is_made_changed_commented_closed_and_listed(setting: Setting) -> None:
    tracker = setting.tracker
    reference = tracker.create("m-1", "first", "text", ["incident", "SEV-1"])
    tracker.comment(reference, "m-2", "a comment")
    for number in range(5):
        tracker.create(f"n-{number}", f"other {number}", "", ["incident"])
    tracker.update(reference, "new", "other text", ["incident", "SEV-2"], True)
    found = tracker.fetch(reference)
    assert (found.title, found.body, found.labels) == ("new", "other text", ["incident", "SEV-2"])
    assert len(tracker.list_open()) == 6, "all pages"
    tracker.update(reference, None, None, ["incident"], False)
    assert tracker.fetch(reference).title == "new"
    assert not tracker.fetch(reference).is_open
    assert len(tracker.list_open()) == 5
    assert setting.issues[0]["comments"] == ["a comment\n\n<!-- m-2 -->\n"]


@pytest.mark.parametrize("fault", PASSING + UNREADABLE)
def test_what_passes_is_tried_again_and_nothing_is_made_twice(setting: Setting, fault: str) -> None:
    tracker = setting.tracker
    reference = tracker.create("m-0", "zero", "", ["incident"])
    setting.server.forge.failing = "POST"
    setting.server.forge.to_come.append(fault)
    assert tracker.create("m-1", "one", "", ["incident"]) == "2"
    assert not setting.server.forge.to_come
    setting.server.forge.to_come.append(fault)
    tracker.comment(reference, "c-1", "said")
    assert not setting.server.forge.to_come
    assert [each["title"] for each in setting.issues] == ["zero", "one"]
    assert len(setting.issues[0]["comments"]) == 1


@pytest.mark.parametrize("fault", [each for each in PASSING if each != "500 after"])
def test_a_service_that_stays_away_ends_the_attempts(setting: Setting, fault: str) -> None:
    reference = setting.tracker.create("m-0", "zero", "", ["incident"])
    setting.server.forge.to_come.extend([fault] * 50)
    with pytest.raises(TrackerUnavailableError, match="TRACKER_UNAVAILABLE"):
        setting.tracker.fetch(reference)
    assert len(setting.waited) >= ATTEMPTS - 1


def test_it_waits_as_long_as_the_service_asks_up_to_a_limit(setting: Setting) -> None:
    reference = setting.tracker.create("m-0", "zero", "", ["incident"])
    setting.server.forge.to_come.extend(["429", "secondary limit"])
    setting.tracker.fetch(reference)
    assert setting.waited == [7.0, 3.0]
    setting.server.forge.to_come.append("429 long")
    before = len(setting.server.forge.requests)
    with pytest.raises(TrackerUnavailableError):
        setting.tracker.fetch(reference)
    assert len(setting.server.forge.requests) == before + 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("403", "right to write"),
        ("410", "switched off"),
        ("422", "status 422"),
        ("redirect", "elsewhere.example"),
        ("wrong shape", "no issue"),
    ],
)
def test_what_is_final_is_not_tried_again(setting: Setting, fault: str, told: str) -> None:
    reference = setting.tracker.create("m-0", "zero", "", ["incident"])
    setting.server.forge.to_come.append(fault)
    before = len(setting.server.forge.requests)
    with pytest.raises(TrackerRefusedError, match=told):
        setting.tracker.fetch(reference)
    assert len(setting.server.forge.requests) == before + 1
    with pytest.raises(TrackerRefusedError, match="owner and repository"):
        setting.tracker.fetch("999")
    with pytest.raises(TrackerRefusedError, match="no number"):
        setting.tracker.fetch("../1")


def test_the_token_is_told_to_nobody(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    setting.tracker.create("m-0", "zero", "", ["incident"])
    for fault in ("403", "redirect", "429 long", "no json"):
        setting.server.forge.to_come.append(fault)
        with pytest.raises((TrackerRefusedError, TrackerUnavailableError)) as raised:
            setting.tracker.fetch("1")
        told.append(f"{raised.value!r} {raised.value.details} {raised.getrepr()}")
    assert TOKEN not in "".join(told)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(vars(setting.tracker))


@pytest.mark.parametrize(
    ("specification", "told"),
    [
        ("", "names no tracker"),
        ("github:one", "names no tracker"),
        ("github:o/r@ftp://x", "names no tracker"),
        ("gitea:https://host/o", "names no tracker"),
        ("gitea:https://user:secret@host/o/r", "names no tracker"),
        ("gitea:http://example.org/o/r", "all could read the token"),
        ("jira:X", "names no tracker"),
    ],
)
def test_a_wrong_specification_is_refused(specification: str, told: str, tmp_path: Path) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        with pytest.raises(TrackerRefusedError, match=told):
            tracker_of(specification, client.a, ENVIRONMENT)
        with pytest.raises(TrackerRefusedError, match="GITHUB_TOKEN"):
            tracker_of("github:o/r", client.a, {})


# -- the outbox --------------------------------------------------------------------------------


def state(title: str, is_open: bool = True) -> dict[str, Any]:
    return {"title": title, "body": f"about {title}", "labels": ["incident"], "is_open": is_open}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_fails_everything_is_told_once_and_in_order(
    setting: Setting, seed: int, tmp_path: Path
) -> None:
    source = random.Random(seed)
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: 1)
        expected: dict[int, list[str]] = {}
        for step in range(12):
            incident = source.randrange(1, 4)
            expected.setdefault(incident, []).append(f"said {step}")
            outbox.add(incident, state(f"incident {incident}, {step}"), f"said {step}", None)
            if source.random() < 0.4:
                faults = source.choices([*PASSING, "", "", ""], k=source.randrange(12))
                setting.server.forge.to_come.extend(faults)
                outbox.deliver(setting.tracker)
                setting.server.forge.to_come.clear()
        done = outbox.deliver(setting.tracker)
        assert (done.waiting, done.unavailable, done.refused) == (0, "", {})
        assert outbox.deliver(setting.tracker).sent == 0
    told = {
        int(each["title"].split()[1].rstrip(",")): [
            text.split("\n")[0] for text in each["comments"]
        ]
        for each in setting.issues
    }
    assert told == expected
    assert len(setting.issues) == len(expected)


def test_a_refused_incident_does_not_hold_up_the_others(setting: Setting, tmp_path: Path) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: 1)
        outbox.adopt(1, setting.tracker.name, "77")  # no such issue
        outbox.add(1, state("one"), "", None)
        outbox.add(2, state("two", is_open=False), "over", None)
        done = outbox.deliver(setting.tracker)
    assert (done.sent, done.waiting, list(done.refused)) == (1, 1, [1])
    (issue,) = setting.issues
    assert (issue["title"], issue["state"]) == ("two", "closed")


def test_one_process_delivers_at_a_time(setting: Setting, tmp_path: Path) -> None:
    now = [1_000]
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: now[0])
        outbox.add(1, state("one"), "", None)
        client.a["leases"].insert_one({"_id": "delivery", "holder": 1, "until_us": 5_000})
        done = outbox.deliver(setting.tracker)
        assert (done.is_busy, done.sent, done.waiting) == (True, 0, 1)
        now[0] = 6_000  # whoever had it is dead
        assert outbox.deliver(setting.tracker).sent == 1
    assert len(setting.issues) == 1


# -- the command line --------------------------------------------------------------------------


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, ["incident", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.output


def test_an_incident_is_told_while_the_service_is_there_and_later_when_not(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cbdd.ops.trackers.service.FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setenv("CBDD_TRACKER_TOKEN", TOKEN)
    monkeypatch.setenv("CBDD_TRACKER", setting.server.specification)
    (tmp_path / "error.txt").write_text("cbdd.errors.CorruptDataError: WAL_HOLE: gone\n")
    run("open", "--exception", "error.txt")
    (issue,) = setting.issues
    assert issue["title"] == "Incident 1: SEV-1 WAL_HOLE"
    assert issue["labels"] == ["incident", "SEV-1"]
    setting.server.forge.to_come.extend(["500"] * 40)
    output = run("assign", "1", "ada")
    assert "1 messages wait" in output
    monkeypatch.delenv("CBDD_TRACKER")  # it is remembered, and looking at records sends nothing
    run("show", "1")
    run("list")
    setting.server.forge.to_come.clear()
    assert "1 messages sent, 0 wait" in run("sync")
    assert "| owner | ada |" in issue["body"]
    assert issue["comments"][-1].startswith("Owner: ada.")
    run("status", "1", "all writers are stopped")
    assert issue["comments"][-1].startswith("Status: all writers are stopped")
    run("milestone", "1", "triage-complete", "--text", "a hole")
    assert "triage-complete" in issue["comments"][-1]


def test_an_issue_becomes_an_incident_and_stays_as_it_was_written(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CBDD_TRACKER_TOKEN", TOKEN)
    monkeypatch.setenv("CBDD_TRACKER", setting.server.specification)
    number = setting.tracker.create("by hand", "it lost my data", "cbdd 1.2.3 says WAL_HOLE", [])
    run("open", "--from-issue", number)
    assert "belongs to the open incident 1" in run("open", "--from-issue", number)
    shown = json.loads(run("show", "1", "--json"))
    assert (shown["severity"], shown["context"]["cbdd"]) == ("SEV-1", "1.2.3")
    (issue,) = setting.issues
    assert issue["title"] == "it lost my data"
    assert issue["body"].startswith("cbdd 1.2.3")
    assert issue["labels"] == ["incident", "SEV-1"]
    assert issue["comments"][0].startswith("Opened as SEV-1.")
