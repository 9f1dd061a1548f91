"""Calls that keep the interpreter do what the ordinary ones do, and raise what those raise."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import cbdd
from cbdd.storage import brief_calls
from cbdd.storage.brief_calls import (
    BRIEF,
    MOST_BYTES,
    QUIET_TURNS,
    TURN_CALLS,
    TURN_STATEMENTS,
    WAY_SECONDS,
    BriefCalls,
)

SET_LOCK = getattr(fcntl, "F_OFD_SETLK", 0)


@pytest.fixture(params=["ordinary", "keeping"])
def calls(request: pytest.FixtureRequest) -> BriefCalls:
    made = BriefCalls()
    if request.param == "keeping":
        made.keep()
        assert made.turn == TURN_CALLS
    return made


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, bytes(range(256)) * 8, 0)
    yield fd
    os.close(fd)


def request_of(kind: int, offset: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0)


def test_what_is_read_is_what_is_there(calls: BriefCalls, fd: int) -> None:
    for offset, length in ((0, 96), (5, 1), (0, MOST_BYTES), (2000, 96), (5000, 10)):
        assert calls.pread(fd, length, offset) == os.pread(fd, length, offset)
    os.pwrite(fd, b"far", 5 << 32)
    assert calls.pread(fd, 3, 5 << 32) == b"far"


def test_what_is_written_is_there(calls: BriefCalls, fd: int) -> None:
    for data, offset in ((b"a\0b", 7), (bytes(MOST_BYTES), 100), (b"far", 5 << 32)):
        assert calls.pwrite(fd, data, offset) == len(data)
        assert os.pread(fd, len(data), offset) == data


def test_locks_exclude_as_ever(calls: BriefCalls, fd: int, tmp_path: Path) -> None:
    other = os.open(tmp_path / "file", os.O_RDWR)
    calls.fcntl(fd, SET_LOCK, request_of(fcntl.F_WRLCK, 1 << 62))
    with pytest.raises(OSError) as caught:
        calls.fcntl(other, SET_LOCK, request_of(fcntl.F_WRLCK, 1 << 62))
    assert caught.value.errno in (errno.EAGAIN, errno.EACCES)
    calls.fcntl(fd, SET_LOCK, request_of(fcntl.F_UNLCK, 1 << 62))
    calls.fcntl(other, SET_LOCK, request_of(fcntl.F_WRLCK, 1 << 62))
    os.close(other)


def test_links_are_read(calls: BriefCalls, fd: int, tmp_path: Path) -> None:
    assert calls.readlink(f"/proc/self/fd/{fd}") == str(tmp_path / "file")
    (tmp_path / "file").rename(tmp_path / "größer")
    assert calls.readlink(f"/proc/self/fd/{fd}") == str(tmp_path / "größer")


def test_failures_are_raised(calls: BriefCalls, fd: int, tmp_path: Path) -> None:
    reading = os.open(tmp_path / "file", os.O_RDONLY)
    attempts = [
        (errno.EBADF, lambda: calls.pread(-1, 10, 0)),
        (errno.EINVAL, lambda: calls.pread(fd, 10, -5)),
        (errno.EBADF, lambda: calls.pwrite(reading, b"x", 0)),
        (errno.ENOENT, lambda: calls.readlink("/proc/self/fd/none")),
    ]
    for number, attempt in attempts:
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == number
    os.close(reading)


def test_a_file_begins_to_be_written(calls: BriefCalls, fd: int, tmp_path: Path) -> None:
    assert calls.start_writing(fd, 2048) == 0
    assert calls.start_writing(-1, 2048) == 0  # advice: whatever comes next fails of itself
    assert calls.start_writing(fd, 0) == 0
    assert calls.pread(fd, 4, 0) == bytes(range(4))
    reading, writing = os.pipe()
    assert calls.start_writing(writing, 10) == 0  # where there is no such call, it is not made
    os.close(reading)
    os.close(writing)
    assert calls.start_writing(fd, 2048) == 0


def test_calls_keep_the_interpreter_while_more_than_one_thread_is_at_work(fd: int) -> None:
    calls = BriefCalls()
    for _ in range(3):
        calls.begin()
        calls.pread(fd, 96, 0)
        assert calls.turn == 0
    other = threading.Thread(target=calls.begin)
    other.start()
    other.join()
    for left in range(TURN_CALLS, TURN_CALLS - 10, -1):
        assert calls.turn == left
        calls.pread(fd, 96, 0)
    calls.begin()
    assert calls.turn == TURN_CALLS
    for _ in range(TURN_CALLS):
        calls.begin()
        calls.pread(fd, 96, 0)
    assert calls.turn == 0


def test_threads_in_turns_see_what_each_has_written(tmp_path: Path) -> None:
    """Readers and writers while every call keeps the interpreter, or ends a turn."""
    with cbdd.connect(tmp_path / "a.cbdd", durability="normal") as client:
        table = client["shop"]["things"]
        table.insert_one({"_id": "ready"})
        problems: list[object] = []

        def work(name: int) -> None:
            try:
                for number in range(150):
                    if number % 3 == 0:
                        BRIEF.keep()
                    key = f"{name}-{number}"
                    table.insert_one({"_id": key, "n": number})
                    found = table.find_one({"_id": key})
                    if found != {"_id": key, "n": number}:
                        problems.append(found)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert table.count_documents({}) == 601
        assert client.check().problems == []


class Turns:
    """What would be slept, and what other threads do meanwhile."""

    def __init__(self, calls: BriefCalls) -> None:
        self.calls = calls
        self.pauses: list[float] = []
        self.statements = 0  # of another thread, in the next pause
        self.interrupts = False

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.interrupts:
            raise KeyboardInterrupt
        statements, self.statements = self.statements, 0
        if statements:
            other = threading.Thread(target=lambda: [self.calls.begin() for _ in range(statements)])
            other.start()
            other.join()

    def perf_counter(self) -> float:
        return float(len(self.pauses))


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    made = Turns(BriefCalls())
    monkeypatch.setattr(brief_calls.time, "sleep", made.sleep)
    monkeypatch.setattr(brief_calls.time, "perf_counter", made.perf_counter)
    return made


def test_statements_give_way_after_some_to_one_that_computes(turns: Turns) -> None:
    turns.statements = 1
    turns.sleep(1)  # another thread is there
    turns.statements = TURN_STATEMENTS + 3
    assert turns.calls.give_way() == 4.0  # the pauses counted below
    assert turns.pauses == [1] + [WAY_SECONDS] * 4
    assert turns.calls.turn == TURN_CALLS
    turns.statements = 2 * TURN_STATEMENTS
    turns.sleep(1)  # nobody waits: nobody gives way
    assert turns.pauses[5:] == [1]


def test_one_that_is_alone_does_not_wait(turns: Turns) -> None:
    for _ in range(3):
        turns.calls.begin()
        assert turns.calls.give_way() == 0.0
    turns.statements = 1
    turns.sleep(1)
    for _ in range(QUIET_TURNS):
        assert turns.calls.give_way() == 1.0
    for _ in range(3):
        assert turns.calls.give_way() == 0.0  # the others have had nothing to do for long
    turns.statements = 1
    turns.sleep(1)
    assert turns.calls.give_way() == 1.0
    assert turns.pauses == [0] * 3 + [1] + [WAY_SECONDS] * QUIET_TURNS + [0] * 3 + [1, WAY_SECONDS]


def test_nobody_gives_way_to_one_that_was_interrupted(turns: Turns) -> None:
    turns.statements = 1
    turns.sleep(1)
    turns.interrupts = True
    with pytest.raises(KeyboardInterrupt):
        turns.calls.give_way()
    turns.interrupts = False
    turns.statements = 2 * TURN_STATEMENTS
    turns.sleep(1)
    assert turns.pauses == [1, WAY_SECONDS, 1]


def test_a_forked_child_gives_no_way_to_threads_of_its_parent() -> None:
    BRIEF._waiting_thread = -1
    try:
        child = os.fork()
        if child == 0:
            os._exit(1 if BRIEF._waiting_thread or BRIEF._last_thread or BRIEF.turn else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert BRIEF._waiting_thread == -1
    finally:
        BRIEF._waiting_thread = 0
