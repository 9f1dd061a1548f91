"""System calls that take a microsecond, made without giving the interpreter away when it is wanted.

Python gives its lock away around every system call. When another thread wants it, it is back only
after that thread's turn, mostly five milliseconds: for a call that takes one microsecond. So a
statement of seven such calls would take thirty-five milliseconds beside a thread that computes, and
threads that all use a database would change places at every call.

A call that took much longer than it can is taken as a sign of that. The next calls keep the
interpreter, by asking the C library directly, until the turn is over; then one gives it away again,
which tells whether it is still wanted. Where nobody wants it all calls are the ordinary ones.

Invariants: only calls of at most ``MOST_BYTES`` on files that are in memory, as good as always: the
shared state, the end of the log, locks that are not waited for. What fails is done again in the
ordinary way, which raises what is to be raised. No sync is ever made here.

Source: Beazley, "Understanding the Python GIL" (2010), on the convoy effect.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from time import perf_counter
from typing import Any, Final

MOST_BYTES: Final = 2048
LONG_SECONDS: Final = 0.00005
TURN_CALLS: Final = 64
"""Nine inserts or sixty-four reads: what is lost by changing places is shared by as many."""


class BriefCalls:
    """The calls of all threads of this process; a turn is whoever's has the interpreter."""

    def __init__(self) -> None:
        self.turn = 0  # calls that keep the interpreter, from now on
        self._library: Any = None
        self._is_usable = sys.maxsize > 1 << 32  # where file offsets need no calls of their own

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
        started = perf_counter()
        data = os.pread(fd, length, offset)
        self._note(perf_counter() - started)
        return data

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """As `os.pwrite`."""
        if self.turn > 0:
            self.turn -= 1
            size = ctypes.c_size_t(len(data))
            done: int = self._library.pwrite(fd, data, size, ctypes.c_longlong(offset))
            if done == len(data):
                return done
        started = perf_counter()
        done = os.pwrite(fd, data, offset)
        self._note(perf_counter() - started)
        return done

    def fcntl(self, fd: int, command: int, request: bytes) -> None:
        """As `fcntl.fcntl` with a request that is not changed."""
        if self.turn > 0:
            self.turn -= 1
            if self._library.fcntl(fd, command, request) != -1:
                return
        started = perf_counter()
        fcntl.fcntl(fd, command, request)
        self._note(perf_counter() - started)

    def readlink(self, path: str) -> str:
        """As `os.readlink`."""
        if self.turn > 0:
            self.turn -= 1
            target = (ctypes.c_char * MOST_BYTES)()
            size = ctypes.c_size_t(MOST_BYTES)
            done: int = self._library.readlink(os.fsencode(path), target, size)
            if 0 <= done < MOST_BYTES:
                return os.fsdecode(target.raw[:done])
        started = perf_counter()
        place = os.readlink(path)
        self._note(perf_counter() - started)
        return place

    def _note(self, seconds: float) -> None:
        if seconds > LONG_SECONDS and self._is_usable:
            if self._library is None:
                try:
                    self._library = ctypes.PyDLL(None)
                    self._library.pread.restype = ctypes.c_ssize_t
                    self._library.pwrite.restype = ctypes.c_ssize_t
                    self._library.readlink.restype = ctypes.c_ssize_t
                except (OSError, AttributeError):
                    self._is_usable = False
                    return
            self.turn = TURN_CALLS


BRIEF: Final = BriefCalls()
