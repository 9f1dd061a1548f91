"""Opening, sharing, joining, closing and forking."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cbdd.errors import CbddError, ClosedError, LockedError, NotADatabaseError
from cbdd.storage import StorageEngine, StorageOptions
from tests.unit.storage.conftest import PATH, Bench, content, fill

TREE = 10
QUIET = StorageOptions(background=False)


def test_a_file_opened_twice_is_one_engine(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")
    first = StorageEngine.open(path, QUIET)
    (tmp_path / "link").symlink_to(path)
    second = StorageEngine.open(str(tmp_path / "link"), QUIET)
    assert second is first
    assert first.path == str(Path(path).resolve())
    first.close()
    fill(second, TREE, {b"a": b"1"})
    second.close()
    assert second.is_closed
    with pytest.raises(ClosedError):
        second.begin_read()
    second.close()
    third = StorageEngine.open(path, QUIET)
    assert third is not first
    assert content(third, TREE) == {b"a": b"1"}
    third.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello\n" * 20_000)
    short = tmp_path / "short"
    short.write_text("hello")
    empty = tmp_path / "empty"
    empty.touch()
    options = StorageOptions(background=False, must_exist=True)
    found = {}
    for path in (text, short, empty, tmp_path, tmp_path / "missing"):
        for chosen in (options, StorageOptions(read_only=True)):
            with pytest.raises(NotADatabaseError) as caught:
                StorageEngine.open(str(path), chosen)
            found[path.name] = caught.value.code
    assert found == {
        "text": "NOT_A_DATABASE",
        "short": "NOT_A_DATABASE",
        "empty": "EMPTY_FILE",
        tmp_path.name: "NOT_A_FILE",
        "missing": "NOT_FOUND",
    }
    assert text.read_text() == "hello\n" * 20_000
    with pytest.raises(NotADatabaseError) as error:
        StorageEngine.open(str(tmp_path / "no" / "such" / "directory"), QUIET)
    assert error.value.code == "NOT_FOUND"
    assert "no/such/directory" in str(error.value)


def test_processes_that_join_see_each_other(bench: Bench) -> None:
    first = bench.open(pid=1)
    fill(first, TREE, {b"a": b"1"})
    second = bench.open(pid=2)
    assert content(second, TREE) == {b"a": b"1"}
    fill(second, TREE, {b"b": b"2"})
    assert content(first, TREE) == {b"a": b"1", b"b": b"2"}
    pids = [process["pid"] for process in first.statistics()["processes"]]  # type: ignore[attr-defined]
    assert pids == [1, 2]
    first.close()
    fill(second, TREE, {b"c": b"3"})
    assert len(second.statistics()["processes"]) == 1  # type: ignore[arg-type]
    second.close()
    assert bench.names() == ["a.cbdd", "a.cbdd-events"]


def test_a_dead_process_leaves_nothing_behind(bench: Bench) -> None:
    survivor = bench.open(pid=1)
    victim = bench.open(pid=2)
    fill(victim, TREE, {b"a": b"1"})
    writing = victim.begin_write("never finished")
    writing.put(TREE, b"b", b"2")
    victim._state.io.die()  # type: ignore[attr-defined]
    bench.opened.remove(victim)
    fill(survivor, TREE, {b"c": b"3"})
    survivor.checkpoint()
    assert content(survivor, TREE) == {b"a": b"1", b"c": b"3"}
    survivor.close()
    assert bench.names() == ["a.cbdd", "a.cbdd-events"]
    writing._state.is_forked = True  # what is left of it must touch nothing


def test_there_are_only_so_many_slots(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from cbdd.storage.locks import SLOT_BASE
    from cbdd.storage.shm import SLOT_COUNT

    first = bench.open(pid=1)
    io = first._state.io
    fd = io.open(PATH, False, False)
    for slot in range(1, SLOT_COUNT):
        assert io.lock(fd, SLOT_BASE + slot, True)
    with pytest.raises(LockedError) as caught:
        bench.open(pid=2)
    assert caught.value.code == "TOO_MANY_PROCESSES"
    io.close(fd)
    bench.open(pid=2)


def test_a_lost_shared_state_stops_new_processes_only(bench: Bench) -> None:
    first = bench.open(pid=1)
    fill(first, TREE, {b"a": b"1"})
    kept = bench.disk.names.pop(f"{PATH}-shm")
    with pytest.raises(LockedError) as caught:
        bench.open(pid=2)
    assert caught.value.code == "SHM_MISSING"
    fill(first, TREE, {b"b": b"2"})
    bench.disk.names[f"{PATH}-shm"] = kept
    assert len(content(bench.open(pid=2), TREE)) == 2


def test_a_forked_child_cannot_use_it_and_does_no_harm(tmp_path: Path) -> None:
    engine = StorageEngine.open(str(tmp_path / "a.cbdd"), QUIET)
    fill(engine, TREE, {b"a": b"1"})
    child = os.fork()
    if child == 0:
        try:
            engine.begin_read()
        except CbddError as error:
            code = 0 if error.code == "FORKED" else 2
            engine.close()
            try:
                again = StorageEngine.open(engine.path, QUIET)
                fill(again, TREE, {b"child": b"1"})
                again.close()
            except BaseException:
                code = 3
            os._exit(code)
        os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    fill(engine, TREE, {b"b": b"2"})
    assert sorted(content(engine, TREE)) == [b"a", b"b", b"child"]
    engine.close()


def test_a_failing_close_in_a_forked_child_stops_at_itself(bench: Bench, tmp_path: Path) -> None:
    broken = bench.open(pid=1)
    engine = StorageEngine.open(str(tmp_path / "a.cbdd"), QUIET)
    fill(engine, TREE, {b"a": b"1"})
    broken._state.io.is_dead = True  # type: ignore[attr-defined]
    child = os.fork()
    if child == 0:
        try:
            engine.begin_read()
        except CbddError:
            again = StorageEngine.open(engine.path, QUIET)
            os._exit(0 if content(again, TREE) == {b"a": b"1"} else 2)
        os._exit(1)
    _pid, status = os.waitpid(child, 0)
    broken._state.io.is_dead = False  # type: ignore[attr-defined]
    assert os.waitstatus_to_exitcode(status) == 0
    engine.close()


def test_only_one_of_two_creators_creates(bench: Bench) -> None:
    first = bench.open(pid=1)
    second = bench.open(pid=2)
    assert first.statistics()["uuid"] == second.statistics()["uuid"]


def test_options_of_the_first_opener_count(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")
    first = StorageEngine.open(path, StorageOptions(background=False, page_size_bytes=16384))
    second = StorageEngine.open(path, QUIET)
    assert second.options.page_size_bytes == 16384
    second.close()
    first.close()


def test_failures_to_open_are_recorded(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    engine.close()
    used = engine._state.meta.page_count * 8192
    del bench.disk.names[PATH].data[used - 1 :]
    with pytest.raises(CbddError):
        bench.open()
    events = bench.disk.names[f"{PATH}-events"].data
    assert b'"event": "open_failed"' in events
    assert b'"code": "FILE_TRUNCATED"' in events
