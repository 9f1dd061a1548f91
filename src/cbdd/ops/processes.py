"""Commands of others, run to their end: limits on output and time, and nothing left running.

A command gets a process group of its own. When it has ended, been stopped or run out of time, the
whole group is killed, so that a server that a test has left behind ends with it, and does not hold
its output open. The group is killed before its leader is waited for: until then its number cannot
belong to anybody else.

Invariants: `run_command` returns only when the command is gone; of its output at most the limit is
kept in memory, the first and the last half of it.

Concurrency: a `Stop` may be shared by threads that each run commands; it ends them all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from cbdd.errors import UsageError

OUTPUT_BYTES: Final = 1 << 20
"""Of the output of a command so much is kept."""

_CHUNK_BYTES: Final = 1 << 16
_PATIENCE_SECONDS: Final = 5.0


class Completed:
    """How a command ended.

    ``exit_code`` is negative where a signal ended it, as in `subprocess`; ``output`` is what it
    wrote to both of its streams, in order.
    """

    def __init__(self, exit_code: int, output: str, seconds: float, is_timed_out: bool) -> None:
        self.exit_code = exit_code
        self.output = output
        self.seconds = seconds
        self.is_timed_out = is_timed_out

    @property
    def is_success(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.is_timed_out

    @property
    def signal_name(self) -> str:
        """The signal that ended it, e.g. ``SIGSEGV``; empty where none did."""
        if self.exit_code >= 0:
            return ""
        try:
            return signal.Signals(-self.exit_code).name
        except ValueError:
            return f"signal {-self.exit_code}"

    @property
    def last_line(self) -> str:
        """The last line of the output that says something."""
        lines = [line.strip() for line in self.output.splitlines()]
        return next((line for line in reversed(lines) if line), "")


class StoppedError(Exception):
    """The command was not run, or not to its end, because everything is to stop."""


class Stop:
    """Ends every command that runs under it, and lets no other begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leaders: set[int] = set()
        self.is_set = False

    def set(self) -> None:
        """Kill what runs; who waits for it gets `StoppedError`."""
        with self._lock:
            self.is_set = True
            for leader in self._leaders:
                _kill_group(leader)

    def _start(self, start: _Start) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.is_set:
                raise StoppedError
            process = start.popen()
            self._leaders.add(process.pid)
            return process

    def _forget(self, leader: int) -> None:
        with self._lock:
            self._leaders.discard(leader)


class _Start:
    """What is needed to start a command."""

    def __init__(
        self, command: Sequence[str], folder: Path | None, environment: Mapping[str, str] | None
    ) -> None:
        self.command = list(command)
        self.folder = folder
        self.environment = environment

    def popen(self) -> subprocess.Popen[bytes]:
        try:
            if not self.command:
                raise ValueError("it is empty")
            return subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # not there, not allowed, a NUL in an argument
            name = self.command[0] if self.command else ""
            raise UsageError(
                "COMMAND_FAILED",
                f"the command {name!r} cannot be started in {self.folder or os.getcwd()}: {error}",
                "check the command and that what it needs is installed",
                {"command": self.command},
            ) from error


class _Tail:
    """The beginning and the end of a stream, read by a thread of its own."""

    def __init__(self, stream: IO[bytes], limit_bytes: int) -> None:
        self._stream = stream
        self._half = max(limit_bytes // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped_bytes = 0
        self._thread = threading.Thread(target=self._read, name="cbdd-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._stream.fileno(), _CHUNK_BYTES):
            room = self._half - len(self._head)
            self._head += chunk[:room]
            self._tail += chunk[room:]
            excess = len(self._tail) - self._half
            if excess > 0:
                del self._tail[:excess]
                self._dropped_bytes += excess

    def text(self) -> str:
        """What was written. A daemon that left the group may hold the stream open: it is left."""
        self._thread.join(_PATIENCE_SECONDS)
        if not self._thread.is_alive():
            self._stream.close()
        left_out = (
            f"\n... {self._dropped_bytes:,} bytes left out ...\n".encode()
            if self._dropped_bytes
            else b""
        )
        return bytes(self._head + left_out + self._tail).decode("utf-8", "replace")


def run_command(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 600.0,
    limit_bytes: int = OUTPUT_BYTES,
    stop: Stop | None = None,
) -> Completed:
    """Run a command to its end, or to the end of its time.

    :param environment: all of its environment; None for that of this process.
    :raises UsageError: ``COMMAND_FAILED``: it cannot be started.
    :raises StoppedError: ``stop`` was set meanwhile.
    """
    stop = stop if stop is not None else Stop()
    process = stop._start(_Start(command, folder, environment))
    started = time.perf_counter()
    late = threading.Event()

    def run_out() -> None:
        late.set()
        _kill_group(process.pid)

    timer = threading.Timer(timeout_seconds, run_out)
    timer.daemon = True
    timer.start()
    assert process.stdout is not None
    tail = _Tail(process.stdout, limit_bytes)
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    finally:
        timer.cancel()
        timer.join()
        _kill_group(process.pid)
        stop._forget(process.pid)
        exit_code = process.wait()
        output = tail.text()
    if stop.is_set:
        raise StoppedError
    return Completed(exit_code, output, time.perf_counter() - started, late.is_set())


def _kill_group(leader: int) -> None:
    """Kill a group whose leader has not been waited for yet."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # all of it has ended; macOS says not permitted
        return
