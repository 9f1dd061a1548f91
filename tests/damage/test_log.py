"""The log lost, cut, foreign, old, torn or with a hole: nothing acknowledged goes unnoticed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cbdd.errors import CorruptDataError
from cbdd.storage.frame import FRAMES_OFFSET
from tests.damage.judge import judge
from tests.damage.layout import frames_of, newest_meta
from tests.damage.specimen import (
    PATH,
    SEED,
    SHM,
    Files,
    State,
    connect,
    disk_of,
    files_of,
    flipped,
    history,
    replaced,
)

pytestmark = [pytest.mark.damage, pytest.mark.wal]
KILLED = ["began", "half", "killed", "rotated"]
OTHER_SEED = 77


def state_of(name: str) -> State:
    state: State = getattr(history(), name)
    return state


def needed(state: State) -> str:
    """Path of the last segment, the one the newest meta page names."""
    return state.segments()[-1]


def end_of(segment: bytes) -> int:
    """Offset behind the last frame."""
    offset, frame = frames_of(segment)[-1]
    return offset + frame.size()


@pytest.mark.parametrize("name", KILLED)
def test_a_deleted_log_is_missed(name: str) -> None:
    state = state_of(name)
    files = {path: data for path, data in state.files.items() if "-wal-" not in path}
    for read_only in (False, True):
        verdict = judge(files, state.documents, name, read_only=read_only)
        assert isinstance(verdict.refusal, CorruptDataError)
        assert verdict.code == "WAL_MISSING"
        assert verdict.details["path"] == needed(state)


def test_a_segment_kept_for_the_older_meta_page_may_be_missing() -> None:
    state = state_of("rotated")
    files = dict(state.files)
    del files[state.segments()[0]]
    assert not judge(files, state.documents, "old segment missing").is_told


@pytest.mark.parametrize("name", KILLED)
def test_a_cut_log_is_refused_wherever_it_is_cut(name: str) -> None:
    state = state_of(name)
    data = state.files[needed(state)]
    places = {0, 1, 103, 104, 2000, FRAMES_OFFSET}
    for offset, frame in frames_of(data):
        places |= {offset, offset + 1, offset + 95, offset + 96, offset + 96 + frame.length - 1}
    for size in sorted(places):
        where = f"{name} cut to {size}"
        verdict = judge({**state.files, needed(state): data[:size]}, state.documents, where)
        assert verdict.code == ("WAL_HEADER_DAMAGED" if size < 104 else "WAL_HOLE"), where
        assert verdict.after[needed(state)] == data[:size], where


@pytest.mark.parametrize("name", KILLED)
def test_a_log_cut_behind_its_last_frame_is_whole(name: str) -> None:
    state = state_of(name)
    data = state.files[needed(state)]
    for size in (end_of(data), end_of(data) + 1, len(data) - 1):
        changed = {**state.files, needed(state): data[:size]}
        assert not judge(changed, state.documents, f"{name} cut to {size}").is_told


@pytest.mark.parametrize("name", KILLED)
def test_a_log_of_another_database_is_set_aside_and_not_applied(name: str) -> None:
    state = state_of(name)
    stranger = getattr(history(OTHER_SEED), name)
    changed = {**state.files, needed(state): stranger.files[needed(stranger)]}
    verdict = judge(changed, state.documents, name)
    assert verdict.code == "WAL_FOREIGN"
    aside = [path for path in verdict.after if ".foreign-" in path]
    assert [verdict.after[path] for path in aside] == [stranger.files[needed(stranger)]]
    assert needed(state) not in verdict.after
    verdict = judge(changed, state.documents, name, read_only=True)
    assert verdict.code == "WAL_FOREIGN"
    assert verdict.after == changed


def test_a_log_of_another_database_beside_a_closed_one_is_set_aside_and_noted() -> None:
    state = state_of("clean")
    stranger = history(OTHER_SEED).killed
    path = f"{PATH}-wal-000009"
    changed = {**state.files, path: stranger.files[needed(stranger)]}
    verdict = judge(changed, state.documents, "foreign beside clean")
    assert verdict.is_whole
    assert verdict.findings == ["WAL_FOREIGN", "WAL_SET_ASIDE"]
    assert stranger.files[needed(stranger)] in verdict.after.values()
    assert path not in verdict.after


def test_a_log_of_an_older_life_of_the_database_is_not_applied() -> None:
    moments = history()
    state = moments.rotated
    changed = {**state.files, needed(state): state.files[state.segments()[0]]}
    verdict = judge(changed, state.documents, "segment 4 as segment 5")
    assert verdict.code == "WAL_FOREIGN"


@pytest.mark.parametrize("older", ["began", "half"])
def test_a_log_of_an_older_time_is_a_hole(older: str) -> None:
    state, before = state_of("killed"), state_of(older)
    segment = before.files[needed(before)]
    verdict = judge({**state.files, needed(state): segment}, state.documents, older)
    assert verdict.code == "WAL_HOLE"
    found = (verdict.details["offset"], verdict.details["lsn"])
    assert found == (end_of(segment), frames_of(segment)[-1][1].lsn + 1)


@pytest.mark.parametrize("name", KILLED)
def test_a_database_file_older_than_its_log_is_refused(name: str) -> None:
    moments, state = history(), state_of(name)
    for older in (moments.early, moments.clean):
        verdict = judge(state.changed(main=older.files[PATH]), state.documents, name)
        assert verdict.code == "WAL_NEWER_THAN_META", name
        assert verdict.details["checkpoint_lsn"] == newest_meta(older.files).checkpoint_lsn


def test_a_database_file_from_before_the_checkpoint_finds_everything_in_the_log() -> None:
    moments = history()
    main = moments.killed.files[PATH]
    verdict = judge(moments.rotated.changed(main=main), moments.rotated.documents, "older file")
    assert not verdict.is_told


@pytest.mark.parametrize("name", KILLED)
@pytest.mark.parametrize(
    "tail",
    [b"x", b"CBFR", b"CBFR" * 400, random.Random(SEED).randbytes(5000)],
    ids=["byte", "magic", "magics", "random"],
)
def test_garbage_behind_the_last_frame_is_cut_and_recorded(name: str, tail: bytes) -> None:
    state = state_of(name)
    data = state.files[needed(state)]
    changed = {**state.files, needed(state): replaced(data, end_of(data), tail)}
    verdict = judge(changed, state.documents, f"{name}, garbage")
    assert verdict.is_whole
    assert verdict.findings == ["WAL_TORN_TAIL"]
    assert verdict.bytes_cut == len(tail)
    assert b"WAL_TORN_TAIL" in verdict.after[f"{PATH}-events"]


@pytest.mark.parametrize("name", KILLED)
def test_a_copy_of_a_frame_behind_the_last_one_is_not_a_frame(name: str) -> None:
    state = state_of(name)
    data = state.files[needed(state)]
    offset, frame = frames_of(data)[-1]
    copy = data[offset : offset + frame.size()]
    changed = {**state.files, needed(state): replaced(data, end_of(data), copy)}
    verdict = judge(changed, state.documents, f"{name}, copied frame")
    assert verdict.is_whole
    assert verdict.findings == ["WAL_TORN_TAIL"]


@pytest.mark.parametrize("name", KILLED)
def test_zeros_behind_the_log_are_its_end(name: str) -> None:
    state = state_of(name)
    data = state.files[needed(state)] + bytes(300_000)
    assert not judge({**state.files, needed(state): data}, state.documents, name).is_told


@pytest.mark.parametrize("name", KILLED)
def test_a_zeroed_frame_is_a_hole_and_the_log_stays_as_it_is(name: str) -> None:
    state = state_of(name)
    data = state.files[needed(state)]
    for offset, frame in frames_of(data):
        changed = replaced(data, offset, bytes(frame.size()))
        where = f"{name}, LSN {frame.lsn}"
        verdict = judge({**state.files, needed(state): changed}, state.documents, where)
        assert verdict.code == "WAL_HOLE", where
        assert (verdict.details["lsn"], verdict.details["offset"]) == (frame.lsn, offset), where
        assert verdict.after[needed(state)] == changed, where
        assert verdict.after[PATH] == state.files[PATH], where


def test_a_zeroed_stretch_between_frames_is_a_hole() -> None:
    state = state_of("killed")
    data = state.files[needed(state)]
    source = random.Random(SEED)
    for _ in range(40):
        at = source.randrange(FRAMES_OFFSET, end_of(data) - 600)
        changed = replaced(data, at, bytes(512))
        verdict = judge({**state.files, needed(state): changed}, state.documents, f"zeros at {at}")
        assert verdict.code == "WAL_HOLE", f"seed {SEED}, zeros at {at}"


# -- holes, salvaged -------------------------------------------------------------------------


def total_reader(files: Files) -> tuple[int, list[str], Files]:
    """Count of orders, findings and files afterwards, of a handle that salvages."""
    disk = disk_of(files)
    client = connect(disk, read_only=True, salvage=True)
    count = len(list(client.shop.orders.find()))
    findings = [f"{finding.severity} {finding.code}" for finding in client.recovery_report.findings]
    client.close()
    return count, findings, files_of(disk)


def test_what_is_before_a_hole_can_be_read_and_the_hole_is_reported() -> None:
    state = state_of("killed")
    data = state.files[needed(state)]
    counts: list[int] = []
    for offset, _frame in frames_of(data):
        files = {**state.files, needed(state): flipped(data, (offset + 100) * 8)}
        assert judge(files, state.documents, f"frame at {offset}", read_only=True).is_told
        count, findings, after = total_reader(files)
        assert findings == ["SEV-1 WAL_HOLE"]
        assert after == files
        counts.append(count)
    orders = len(history().clean.documents["orders"])
    assert counts[0] == orders
    assert counts[1:4] == [orders + 5] * 3
    assert counts == sorted(counts)
    assert counts[-1] == len(state.documents["orders"])  # the last commit is about people


def test_a_hole_is_refused_again_and_again() -> None:
    state = state_of("killed")
    data = state.files[needed(state)]
    files = {**state.files, needed(state): flipped(data, (frames_of(data)[2][0] + 8) * 8)}
    for attempt in range(3):
        verdict = judge(files, state.documents, f"attempt {attempt}")
        assert verdict.code == "WAL_HOLE"
        assert b'"event": "hole"' in verdict.after[f"{PATH}-events"]
        files = verdict.after


# -- tails that nothing proves ---------------------------------------------------------------


def unsynced_state() -> tuple[State, State]:
    """States before and after commits that did not ask to be durable."""
    before = state_of("clean")
    disk = disk_of(before.files)
    client = connect(disk, durability="off")
    states: list[State] = []
    documents: dict[str, list[dict[str, Any]]] = dict(before.documents)
    for number in (900, 901):
        order = {"_id": number, "customer": "eve", "total": 1.5, "tags": ["x"]}
        client.shop.orders.insert_one(order)
        documents = {**documents, "orders": [*documents["orders"], order]}
        states.append(State(files_of(disk), documents))
    client.close()
    return states[0], states[1]


def test_commits_without_durability_survive_a_kill() -> None:
    for state in unsynced_state():
        assert not judge(state.files, state.documents, "off").is_told


def test_a_torn_last_frame_that_nothing_proves_is_cut_and_recorded() -> None:
    before, after = unsynced_state()
    path = needed(after)
    data = after.files[path]
    offset, frame = frames_of(data)[-1]
    for size in range(1, frame.size(), 7):
        torn = data[: offset + size].ljust(len(data), b"\0")
        verdict = judge({**after.files, path: torn}, before.documents, f"torn at {size}")
        if offset + size >= offset + 96 + frame.length:
            continue
        assert verdict.findings == ["WAL_TORN_TAIL"], size
        assert 0 < verdict.bytes_cut <= size, size
        assert verdict.is_whole, size
        assert b"WAL_TORN_TAIL" in verdict.after[f"{PATH}-events"], size


def test_a_bad_frame_that_nothing_proves_takes_whole_frames_with_it_and_says_so() -> None:
    _before, after = unsynced_state()
    path = needed(after)
    data = flipped(after.files[path], (frames_of(after.files[path])[0][0] + 100) * 8)
    disk = disk_of({**after.files, path: data})
    client = connect(disk)
    report = client.recovery_report
    assert [(f.severity, f.code) for f in report.findings] == [("SEV-2", "WAL_TORN_TAIL")]
    assert report.frames_dropped == 1
    assert len(list(client.shop.orders.find())) == len(history().clean.documents["orders"])
    client.close()


def test_the_shared_state_alone_or_the_marks_alone_prove_a_commit() -> None:
    state = state_of("killed")
    path = needed(state)
    last = frames_of(state.files[path])[-1][0]
    damaged = flipped(state.files[path], (last + 100) * 8)
    without_marks = replaced(damaged, 1024, bytes(2048))
    for where, files in (
        ("both", {**state.files, path: damaged}),
        ("shared state", {**state.files, path: without_marks}),
        ("marks", {**state.changed(shm=None), path: damaged}),
    ):
        assert judge(files, state.documents, where).code == "WAL_HOLE", where
    assert SHM in state.files
