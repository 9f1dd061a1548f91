"""Shared state and flight recorder missing, foreign or garbage: nothing depends on them."""

from __future__ import annotations

import random

import pytest

from tests.damage.judge import judge
from tests.damage.specimen import EVENTS, PATH, SEED, SHM, State, history

pytestmark = [pytest.mark.damage, pytest.mark.recovery]
STATES = ["clean", "began", "killed", "rotated"]
GARBAGE = random.Random(SEED).randbytes(30_000)
CONTENTS = {
    "missing": None,
    "empty": b"",
    "zeros": bytes(20_480),
    "garbage": GARBAGE,
    "short": b"CBDDSHM1",
    "lines": b"not json\n{}\n[1]\n\xff\xfe\n",
}


def state_of(name: str, seed: int = SEED) -> State:
    state: State = getattr(history(seed), name)
    return state


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("sidecar", ["shm", "events"])
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_sidecar_is_not_needed(name: str, sidecar: str, content: str, read_only: bool) -> None:
    state = state_of(name)
    changed = state.changed(**{sidecar: CONTENTS[content]})
    verdict = judge(changed, state.documents, f"{name}, {content}", read_only=read_only)
    assert not verdict.is_told
    if read_only:
        assert verdict.after == changed


@pytest.mark.parametrize("name", STATES)
def test_the_shared_state_of_another_database_is_ignored(name: str) -> None:
    state, stranger = state_of(name), state_of("rotated", 77)
    verdict = judge(state.changed(shm=stranger.files[SHM]), state.documents, name)
    assert not verdict.is_told


@pytest.mark.parametrize("name", ["began", "half"])
def test_a_shared_state_of_a_later_time_shows_that_the_log_is_old(name: str) -> None:
    state = state_of(name)
    verdict = judge(state.changed(shm=state_of("killed").files[SHM]), state.documents, name)
    assert verdict.code == "WAL_HOLE"


def test_a_shared_state_of_an_older_time_proves_less_and_costs_nothing() -> None:
    state = state_of("killed")
    verdict = judge(state.changed(shm=state_of("began").files[SHM]), state.documents, "old shm")
    assert not verdict.is_told


def test_events_go_on_behind_a_line_that_is_garbage() -> None:
    state = state_of("killed")
    verdict = judge(state.changed(events=b"\xff garbage \n"), state.documents, "events")
    lines = verdict.after[EVENTS].split(b"\n")
    assert lines[0] == b"\xff garbage "
    assert b'"event": "recovery"' in lines[1]
    assert b'"event": "open"' in lines[2]


@pytest.mark.parametrize("name", STATES)
def test_leftovers_of_a_crash_during_creation_do_no_harm(name: str) -> None:
    state = state_of(name)
    files = {**state.files, f"{PATH}-new-0123456789ab": state.files[PATH][:65536]}
    assert not judge(files, state.documents, name).is_told
