"""Waiting for a lock: until it is free, or until the time is up and the holder is named."""

from __future__ import annotations

import pytest

from cbdd.errors import LockedError
from cbdd.storage.locks import (
    ATTACHED,
    CHECKPOINT,
    LONGEST_PAUSE_SECONDS,
    NAMES,
    OPEN,
    SLOT_BASE,
    SYNC,
    UNREGISTERED,
    WRITER,
    FileLocks,
)
from cbdd.testing import MemoryDisk, MemoryIo, TickingClock


class Waiting(TickingClock):
    """Counts the pauses; frees a lock after some of them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self.frees_after = 10**9
        self.to_free: tuple[MemoryIo, int] | None = None

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        super().sleep(seconds)
        if len(self.pauses) == self.frees_after and self.to_free is not None:
            self.to_free[0].unlock(self.to_free[1], WRITER)


def two() -> tuple[MemoryIo, int, FileLocks, Waiting]:
    disk = MemoryDisk()
    other = MemoryIo(disk, 2)
    held = other.open("/db/a", True, False)
    io = MemoryIo(disk, 1)
    clock = Waiting()
    return other, held, FileLocks(io, io.open("/db/a", False, False), "/db/a", clock), clock


def test_a_free_lock_is_taken_without_waiting() -> None:
    _other, _held, locks, clock = two()
    locks.acquire(WRITER, True, 0, "")
    assert locks.try_lock(WRITER, True)
    locks.release(WRITER)
    assert clock.pauses == []


def test_a_lock_that_becomes_free_is_taken() -> None:
    other, held, locks, clock = two()
    assert other.lock(held, WRITER, True)
    assert not locks.try_lock(WRITER, False)
    clock.frees_after, clock.to_free = 20, (other, held)
    locks.acquire(WRITER, True, 60, "process 2")
    assert len(clock.pauses) == 20
    assert clock.pauses == sorted(clock.pauses)
    assert max(clock.pauses) == LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize(
    ("name", "holders", "words"),
    [(WRITER, "process 2", "process 2"), (SLOT_BASE + 3, "", "another process")],
)
def test_the_time_is_up(name: int, holders: str, words: str) -> None:
    other, held, locks, _clock = two()
    assert other.lock(held, name, True)
    with pytest.raises(LockedError) as caught:
        locks.acquire(name, True, 0.02, holders)
    assert caught.value.code == "LOCKED"
    assert f"not free within 0.02 s; held by {words}" in str(caught.value)
    assert caught.value.details["lock"] == NAMES.get(name, "slot")


def test_every_lock_has_its_own_byte() -> None:
    locks = [OPEN, ATTACHED, CHECKPOINT, WRITER, SYNC, UNREGISTERED]
    assert sorted(NAMES) == sorted(locks)
    assert len(set(locks)) == len(locks)
    assert max(locks) < SLOT_BASE
    assert locks == sorted(locks)  # the order in which they are taken
