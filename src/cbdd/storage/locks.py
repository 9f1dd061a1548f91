"""Byte locks on the database file, and the order in which they are taken.

    order  name           held by
    1      open           who is opening or closing, exclusive
    2      attached       every process that has it open, shared; exclusive proves to be alone
    3      checkpoint     the one checkpoint, exclusive
    4      writer         who is committing, exclusive
    5      sync           who is recording what a sync made durable, exclusive, for microseconds
    -      unregistered   readers that cannot register, shared: no page is reused meanwhile
    -      creating       who is making a new file, on that file only, exclusive
    -      slot n         the owner of reader slot n, exclusive, for its lifetime

Invariants: a lock is only requested by a holder of locks with smaller numbers or none; within a
process the mutex of the same name is taken first. Locks live on the database file itself, at
offsets no data reaches, so that no file that may be deleted carries one.

Concurrency: waiting is polling with a growing pause and a deadline, since the kernel's own wait has
none.
"""

from __future__ import annotations

from typing import Final

from cbdd.errors import LockedError
from cbdd.storage.io import Clock, Io

LOCK_BASE: Final = 1 << 62
OPEN: Final = LOCK_BASE
ATTACHED: Final = LOCK_BASE + 1
CHECKPOINT: Final = LOCK_BASE + 2
WRITER: Final = LOCK_BASE + 3
SYNC: Final = LOCK_BASE + 4
UNREGISTERED: Final = LOCK_BASE + 5
CREATING: Final = LOCK_BASE + 6
SLOT_BASE: Final = LOCK_BASE + 16
FIRST_PAUSE_SECONDS: Final = 0.00005
LONGEST_PAUSE_SECONDS: Final = 0.005
NAMES: Final = {
    OPEN: "open",
    ATTACHED: "attached",
    CHECKPOINT: "checkpoint",
    WRITER: "writer",
    SYNC: "sync",
    UNREGISTERED: "unregistered",
}


class FileLocks:
    """The locks of one open database file."""

    def __init__(self, io: Io, fd: int, path: str, clock: Clock) -> None:
        self._io = io
        self._fd = fd
        self._path = path
        self._clock = clock

    def try_lock(self, name: int, exclusive: bool) -> bool:
        """Take a lock if nobody is in the way; converts one that is held."""
        return self._io.lock(self._fd, name, exclusive)

    def acquire(self, name: int, exclusive: bool, timeout_seconds: float, holders: str) -> None:
        """Take a lock, waiting for it.

        :param holders: who may hold it, for the error.
        :raises LockedError: it was not free within ``timeout_seconds``.
        """
        if self._io.lock(self._fd, name, exclusive):
            return
        deadline = self._clock.monotonic() + timeout_seconds
        pause = FIRST_PAUSE_SECONDS
        while not self._io.lock(self._fd, name, exclusive):
            if self._clock.monotonic() >= deadline:
                raise LockedError(
                    "LOCKED",
                    f"the {NAMES.get(name, 'slot')} lock of {self._path} was not free within "
                    f"{timeout_seconds:g} s; held by {holders or 'another process'}",
                    "let the other process finish or stop it, or raise lock_timeout_seconds",
                    {"path": self._path, "lock": NAMES.get(name, "slot"), "holders": holders},
                )
            self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def release(self, name: int) -> None:
        """Release a lock."""
        self._io.unlock(self._fd, name)
