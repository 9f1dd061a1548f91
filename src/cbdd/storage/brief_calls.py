"""System calls that take a microsecond, made without giving the interpreter away.

Python gives its lock away around every system call. Threads that all use a database would change
places at each of them, which costs more than what they do in between, and beside a thread that
computes each call would wait for the end of that thread's turn, five milliseconds as a rule. So
where more than one thread is at work, such calls ask the C library directly and keep the
interpreter; threads then take turns as they do where they only compute. Where one thread is at work
all calls are the ordinary ones, which cost a little less.

A checkpoint computes for as long as it takes, and its thread would have to ask for every turn: that
takes five milliseconds, too, and compiled code does not hear it. So it and the statements of other
threads take turns: the checkpoint sleeps after some pages, and whoever begins a statement sleeps
when there have been some since. How long the checkpoint had to wait decides how much it does next,
so that it has its share whatever the statements are.

Invariants: only short calls on files that are in memory, as good as always: reads of at most
``MOST_BYTES``, writes of at most ``MOST_WRITTEN``, locks that are not waited for. What fails is
done again in the ordinary way, which raises what is to be raised. No sync is ever made here. Nobody
waits for a turn of another thread: a sleep ends by itself. Nobody sleeps with a lock.

Source: Beazley, "Understanding the Python GIL" (2010), on the convoy effect.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

MOST_BYTES: Final = 2048
MOST_WRITTEN: Final = 8191
"""Bytes of a write, which is to memory where a read may be from disk: less than a page."""
TURN_CALLS: Final = 4096
"""Calls until it is looked again whether one thread is alone: several turns of a thread."""
TURN_STATEMENTS: Final = 16
"""Statements of other threads between two turns of one that computes for long."""
WAY_SECONDS: Final = 0.00005
"""A sleep in which another thread gets its turn."""
_WRITE_RANGE: Final = ctypes.c_uint(2)
_WRITE_ERRNOS: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_NO_CALL_ERRNOS: Final = (errno.ENOSYS, errno.EPERM)
QUIET_TURNS: Final = 64
"""Turns without a statement of another thread after which it is taken to be alone."""


# Bound once: compiled, looking a name up in a module takes as long as some of the calls.
_THREAD: Final[Callable[[], int]] = threading.get_ident
_PREAD: Final[Callable[[int, int, int], bytes]] = os.pread
_PWRITE: Final[Callable[[int, bytes, int], int]] = os.pwrite
_FCNTL: Final[Callable[[int, int, bytes], object]] = fcntl.fcntl
_READLINK: Final[Callable[[str], str]] = os.readlink


class BriefCalls:
    """The calls of all threads of this process."""

    def __init__(self) -> None:
        self.turn = 0  # calls that keep the interpreter, from now on
        self.statements = 0
        self._last_thread = 0
        self._waiting_thread = 0  # one that computes for long and waits for its turn
        self._statements_left = 0  # until it is to get it
        self._statements_seen = -1
        self._quiet_turns = 0
        self._library: Any = None
        self._start_writing: Any = None  # which gives the interpreter away, as one thread may
        self._can_start = sys.platform == "linux" and sys.maxsize > 1 << 32
        self._is_usable = sys.maxsize > 1 << 32  # where file offsets need no calls of their own

    def begin(self) -> None:
        """A statement begins in this thread."""
        me = _THREAD()
        self.statements += 1
        if self._waiting_thread and self._waiting_thread != me:
            self._statements_left -= 1
            if self._statements_left < 0:
                time.sleep(WAY_SECONDS)
        if me != self._last_thread:
            if self._last_thread and self._is_usable:
                self.keep()
            self._last_thread = me

    def give_way(self) -> float:
        """Let the statements of other threads have a turn; returns the seconds it took.

        For a thread that computes for long.
        """
        me = _THREAD()
        if self.statements != self._statements_seen:
            self._statements_seen = self.statements
            self._quiet_turns = 0
        self._quiet_turns += 1
        is_alone = self._last_thread == me or not self._last_thread
        if is_alone or self._quiet_turns > QUIET_TURNS:
            time.sleep(0)  # who else waits for the interpreter need not ask for it
            return 0.0
        if self._is_usable:
            self.keep()
        started = time.perf_counter()
        self._statements_left = TURN_STATEMENTS
        self._waiting_thread = me
        try:
            time.sleep(WAY_SECONDS)
        finally:
            self._waiting_thread = 0
        return time.perf_counter() - started

    def forget_threads(self) -> None:
        """In a child that was forked: the other threads are not there."""
        self.turn = 0
        self._last_thread = 0
        self._waiting_thread = 0

    def keep(self) -> None:
        """Let the next calls keep the interpreter, if the C library can be asked."""
        if self._library is None:
            try:
                library = ctypes.PyDLL(None)
                library.pread.restype = ctypes.c_ssize_t
                library.pwrite.restype = ctypes.c_ssize_t
                library.readlink.restype = ctypes.c_ssize_t
            except (OSError, AttributeError):
                self._is_usable = False
                return
            self._library = library
        self.turn = TURN_CALLS

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """As `os.pread`."""
        if self.turn > 0:
            self.turn -= 1
            target = (ctypes.c_char * length)()
            size = ctypes.c_size_t(length)
            done: int = self._library.pread(fd, target, size, ctypes.c_longlong(offset))
            if done == length:
                data: bytes = target.raw
                return data
        return _PREAD(fd, length, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """As `os.pwrite`."""
        if self.turn > 0:
            self.turn -= 1
            size = ctypes.c_size_t(len(data))
            done: int = self._library.pwrite(fd, data, size, ctypes.c_longlong(offset))
            if done == len(data):
                return done
        return _PWRITE(fd, data, offset)

    def start_writing(self, fd: int, end: int) -> int:
        """Begin to write what is only in memory of a file's first bytes; returns an error number.

        The disk works while the caller goes on, and a sync after it has less to wait for. It is no
        sync: nothing is waited for and nothing is durable. Where it cannot be asked for, 0. Nor is
        it asked for where other threads are at work: a queue that is full makes it wait, which is
        no call to keep the interpreter for, and one that gives it away would make them change
        places once more.

        Source: sync_file_range(2), SYNC_FILE_RANGE_WRITE.
        """
        if not self._can_start or self.turn > 0:
            return 0
        if self._start_writing is None:
            try:
                self._start_writing = ctypes.CDLL(None, use_errno=True).sync_file_range
            except (OSError, AttributeError):
                self._can_start = False
                return 0
        start, size = ctypes.c_longlong(0), ctypes.c_longlong(end)
        if self._start_writing(fd, start, size, _WRITE_RANGE) != -1:
            return 0
        problem = ctypes.get_errno()
        if problem in _NO_CALL_ERRNOS:
            self._can_start = False  # the kernel, or who restricts it, does not know the call
        return problem if problem in _WRITE_ERRNOS else 0

    def fcntl(self, fd: int, command: int, request: bytes) -> None:
        """As `fcntl.fcntl` with a request that is not changed."""
        if self.turn > 0:
            self.turn -= 1
            if self._library.fcntl(fd, command, request) != -1:
                return
        _FCNTL(fd, command, request)

    def readlink(self, path: str) -> str:
        """As `os.readlink`."""
        if self.turn > 0:
            self.turn -= 1
            target = (ctypes.c_char * MOST_BYTES)()
            size = ctypes.c_size_t(MOST_BYTES)
            done: int = self._library.readlink(os.fsencode(path), target, size)
            if 0 <= done < MOST_BYTES:
                return os.fsdecode(target.raw[:done])
        return _READLINK(path)


BRIEF: Final = BriefCalls()
"""The calls of all threads of this process."""
