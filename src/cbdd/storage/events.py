"""The flight recorder: ``NAME-events``, a bounded file of JSON lines without user data.

It holds opens, closes, recoveries, checkpoints that failed and errors, newest last. When it exceeds
its bound the older half goes. Failing to write it is never an error: it must not be the reason why
a database cannot be used.
"""

from __future__ import annotations

import json
from typing import Final

from cbdd.storage.io import Clock, Io, read_exact, write_all

MAX_BYTES: Final = 256 << 10


class EventLog:
    """Appends to one flight recorder file; ``is_enabled`` False writes nothing."""

    def __init__(self, io: Io, clock: Clock, path: str, is_enabled: bool) -> None:
        self._io = io
        self._clock = clock
        self._path = path
        self._is_enabled = is_enabled

    def record(self, event: str, facts: dict[str, object]) -> None:
        """Append one event."""
        if not self._is_enabled:
            return
        line: dict[str, object] = {"time_us": self._clock.now_us(), "event": event}
        line["pid"] = self._io.process_id()
        line.update(facts)
        try:
            self._append((json.dumps(line, default=str) + "\n").encode())
        except OSError:
            return  # by design: see the module docstring

    def _append(self, line: bytes) -> None:
        try:
            fd = self._io.open(self._path, False, False)
        except FileNotFoundError:
            fd = self._io.open(self._path, True, False)
        try:
            size = self._io.size(fd)
            if size + len(line) > MAX_BYTES:
                tail = read_exact(self._io, fd, size // 2, size - size // 2)
                tail = tail[tail.find(b"\n") + 1 :]
                self._io.truncate(fd, 0)
                write_all(self._io, fd, tail, 0)
                size = len(tail)
            write_all(self._io, fd, line, size)
        finally:
            self._io.close(fd)


def read_events(io: Io, path: str) -> list[dict[str, object]]:
    """The events in a flight recorder file, oldest first; lines that do not parse are left out."""
    try:
        fd = io.open(path, False, True)
    except OSError:
        return []
    try:
        data = read_exact(io, fd, io.size(fd), 0)
    finally:
        io.close(fd)
    events: list[dict[str, object]] = []
    for line in data.split(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events
