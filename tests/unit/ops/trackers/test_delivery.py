"""Messages are told once and in order, whatever ends a process, and whoever delivers beside it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

import cbdd
from cbdd.ops.trackers import Outbox, tracker_of
from cbdd.ops.trackers import outbox as outbox_module
from cbdd.ops.trackers.outbox import LEASE_US
from tests.unit.ops.trackers.setting import PASSING, Setting


class _KilledError(BaseException):
    """The process ends here."""


def _state(title: str, is_open: bool = True) -> dict[str, Any]:
    return {"title": title, "body": "about it", "labels": ["incident"], "is_open": is_open}


def _killed_after(done: Callable[..., Any]) -> Callable[..., Any]:
    def do(*arguments: Any) -> None:
        done(*arguments)
        raise _KilledError

    return do


def _comments(setting: Setting) -> list[str]:
    return [text.split("\n")[0] for each in setting.issues for text in each["comments"]]


@pytest.mark.parametrize("step", ["create", "comment", "update"])
def test_a_kill_between_sending_and_remembering_makes_nothing_twice(
    setting: Setting, step: str, tmp_path: Path
) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: 1)
        outbox.add(1, _state("one", is_open=step != "update"), "said", None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setting.tracker, step, _killed_after(getattr(setting.tracker, step)))
            with pytest.raises(_KilledError):
                outbox.deliver(setting.tracker)
        assert outbox.waiting() == 1
        assert outbox.deliver(setting.tracker).waiting == 0
    assert len(setting.issues) == 1
    assert _comments(setting) == ["said"]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_fails_and_whenever_it_is_killed_everything_is_told_once_and_in_order(
    setting: Setting, seed: int, tmp_path: Path
) -> None:
    source = random.Random(seed)
    forge = setting.server.forge
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: 1)
        expected: dict[str, list[str]] = {}
        newest: dict[str, str] = {}
        for step in range(14):
            number = source.randrange(1, 4)
            newest[f"incident {number}"] = f"state {step}"
            expected.setdefault(f"incident {number}", []).append(f"said {step}")
            outbox.add(number, _state(f"incident {number}: state {step}"), f"said {step}", None)
            if source.random() < 0.5:
                continue
            forge.to_come.extend(source.choices([*PASSING, "", "", ""], k=source.randrange(9)))
            forge.away_after_fault = source.random() < 0.5
            step_to_kill = source.choice(["create", "update", "comment", "fetch"])
            with pytest.MonkeyPatch.context() as patch, contextlib.suppress(_KilledError):
                done = getattr(setting.tracker, step_to_kill)
                patch.setattr(setting.tracker, step_to_kill, _killed_after(done))
                outbox.deliver(setting.tracker)
            forge.come_back()
        done = outbox.deliver(setting.tracker)
        assert (done.waiting, done.unavailable, done.refused) == (0, "", {})
    told = {
        each["title"].partition(":")[0]: [text.split("\n")[0] for text in each["comments"]]
        for each in setting.issues
    }
    assert len(setting.issues) == len(expected)
    assert told == expected
    assert {each["title"] for each in setting.issues} == {
        f"{incident}: {state}" for incident, state in newest.items()
    }


def test_an_issue_made_by_a_process_that_died_is_brought_up_to_date(
    setting: Setting, tmp_path: Path
) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: 1)
        outbox.add(1, _state("first"), "", None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setting.tracker, "create", _killed_after(setting.tracker.create))
            with pytest.raises(_KilledError):
                outbox.deliver(setting.tracker)
        outbox.add(1, _state("second"), "", None)
        outbox.deliver(setting.tracker)
        assert outbox.waiting() == 0
    assert [each["title"] for each in setting.issues] == ["second"]


@pytest.mark.parametrize("what", ["issue", "comment"])
@pytest.mark.parametrize("fault", ["drop after", "500 after"])
def test_a_lost_answer_before_the_service_goes_away_makes_nothing_twice(
    setting: Setting, what: str, fault: str, tmp_path: Path
) -> None:
    setting.tracker.create("before", "before", "", ["incident"])  # its label is there
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: 1)
        if what == "comment":
            outbox.add(1, _state("one"), "", None)
            outbox.deliver(setting.tracker)
        outbox.add(1, _state("one"), "said", None)
        setting.server.forge.failing = "POST"
        setting.server.forge.to_come.append(fault)
        setting.server.forge.away_after_fault = True
        assert outbox.deliver(setting.tracker).unavailable
        setting.server.forge.come_back()
        assert outbox.deliver(setting.tracker).waiting == 0
    assert [each["title"] for each in setting.issues] == ["before", "one"]
    assert _comments(setting) == ["said"]


def test_messages_of_several_processes_in_one_second_are_told_in_their_order(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = [f"6566{number:020x}" for number in (9, 5, 7, 1)]  # no order between processes
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: 1)
        with monkeypatch.context() as patch:
            patch.setattr(outbox_module, "ObjectId", lambda: ObjectId(identities.pop(0)))
            for number in range(4):
                outbox.add(1, _state(f"state {number}", number < 3), f"said {number}", None)
        outbox.deliver(setting.tracker)
    assert _comments(setting) == ["said 0", "said 1", "said 2", "said 3"]
    (issue,) = setting.issues
    assert (issue["title"], issue["state"]) == ("state 3", "closed"), "the newest"


def test_a_process_that_delivers_for_long_keeps_others_out(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0]
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: now[0])
        for number in range(1, 5):
            outbox.add(number, _state(f"incident {number}"), "said", None)
        create = setting.tracker.create
        was_busy: list[bool] = []

        def slow(*arguments: Any) -> str:
            now[0] += LEASE_US * 2 // 3
            was_busy.append(Outbox(client.a, lambda: now[0]).deliver(setting.tracker).is_busy)
            return create(*arguments)

        monkeypatch.setattr(setting.tracker, "create", slow)
        assert outbox.deliver(setting.tracker).waiting == 0
    assert was_busy == [True] * 4
    assert len(setting.issues) == 4


def test_a_process_whose_lease_was_taken_stops_and_says_so(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0]
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        outbox = Outbox(client.a, lambda: now[0])
        for number in (1, 2):
            outbox.add(number, _state(f"incident {number}"), "said", None)
        create = setting.tracker.create

        def stalled(*arguments: Any) -> str:
            monkeypatch.undo()
            now[0] += LEASE_US + 1
            assert Outbox(client.a, lambda: now[0]).deliver(setting.tracker).waiting == 0
            return create(*arguments)

        monkeypatch.setattr(setting.tracker, "create", stalled)
        done = outbox.deliver(setting.tracker)
    assert (done.is_busy, done.sent, done.waiting) == (True, 0, 0)
    assert len(setting.issues) == 2
    assert _comments(setting) == ["said", "said"]


def test_repositories_of_one_name_on_two_servers_are_two_trackers(tmp_path: Path) -> None:
    specifications = (
        "github:o/r",
        "github:o/r@https://one.example/api/v3",
        "gitea:https://one.example/o/r",
        "gitea:https://two.example/o/r",
        "gitea:https://two.example/git/o/r",
    )
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        names = {
            tracker_of(each, client.a, {"CBDD_TRACKER_TOKEN": "x"}).name for each in specifications
        }
        same = tracker_of(
            "github:o/r@https://ONE.example/api/v3/", client.a, {"CBDD_TRACKER_TOKEN": "x"}
        )
    assert len(names) == len(specifications)
    assert same.name in names
