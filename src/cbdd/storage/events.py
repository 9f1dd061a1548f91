"""The flight recorder: ``NAME-events``, a bounded file of JSON lines without user data.

It holds opens with the versions that did them, closes, recoveries, checkpoints, damage that was met
and other errors, newest last. When it exceeds its bound the older half goes, but for
the first event of each of the two greater severities: when trouble began outlives what came after.
A line that a crash has torn hides only itself. Failing to write it is never an error: it must not
be the reason why a database cannot be used.
"""

from __future__ import annotations

import json
from typing import Final

from cbdd.codes import SEV_1, SEV_2, severity_of
from cbdd.errors import CbddError
from cbdd.storage.io import Clock, Io, read_exact, translated, write_all

MAX_BYTES: Final = 256 << 10
MAX_DAMAGE_EVENTS: Final = 64  # of one handle


class EventLog:
    """Appends to one flight recorder file; ``is_enabled`` False writes nothing."""

    def __init__(self, io: Io, clock: Clock, path: str, is_enabled: bool) -> None:
        self._io = io
        self._clock = clock
        self._path = path
        self._is_enabled = is_enabled
        self._damage: set[str] = set()

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

    def record_damage(self, error: CbddError, page: int) -> None:
        """Append that a page failed verification, once for each page and code."""
        key = f"{error.code} {page}"
        if key in self._damage or len(self._damage) >= MAX_DAMAGE_EVENTS:
            return
        self._damage.add(key)
        self.record("damage", {"code": error.code, "page": page})

    def _append(self, line: bytes) -> None:
        try:
            fd = self._io.open(self._path, False, False)
        except FileNotFoundError:
            fd = self._io.open(self._path, True, False)
        try:
            size = self._io.size(fd)
            if size and read_exact(self._io, fd, 1, size - 1) != b"\n":
                line = b"\n" + line
            if size + len(line) > MAX_BYTES:
                size = self._drop_older_half(fd, size)
            write_all(self._io, fd, line, size)
        finally:
            self._io.close(fd)

    def _drop_older_half(self, fd: int, size: int) -> int:
        """Make room; returns the length that is left."""
        length = min(size, MAX_BYTES)
        data = read_exact(self._io, fd, length, size - length)
        middle = data.find(b"\n", length // 2) + 1
        if not middle:
            middle = length
        kept = _first_failures(data[:middle]) + data[middle:]
        write_all(self._io, fd, kept, 0)
        self._io.truncate(fd, len(kept))
        return len(kept)


def _first_failures(data: bytes) -> bytes:
    """The lines of the first event of each severity that is a failure, in their order."""
    kept = b""
    missing = [SEV_1, SEV_2]
    for line in data.split(b"\n"):
        if len(line) >= MAX_BYTES // 8:
            continue
        severity = severity_of_event(_event_of(line))
        if severity in missing:
            missing.remove(severity)
            kept += line + b"\n"
    return kept


def severity_of_event(event: dict[str, object]) -> str:
    """The worst severity of an event's code and of the findings in it; empty when it has none."""
    found: list[str] = []
    code = event.get("code")
    if isinstance(code, str):
        found.append(severity_of(code))
    findings = event.get("findings")
    for finding in findings if isinstance(findings, list) else []:
        if isinstance(finding, dict) and isinstance(finding.get("severity"), str):
            found.append(finding["severity"])
    return min(found) if found else ""  # "SEV-1" < "SEV-2" < "SEV-3" < "info"


def read_events(io: Io, path: str) -> list[dict[str, object]]:
    """The events in a flight recorder file, oldest first; lines that do not parse are left out.

    Of a file that is longer than any recorder only the end is read.

    :raises CbddError: it is there and cannot be read.
    """
    try:
        fd = io.open(path, False, True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise translated(error, "read the flight recorder", path) from error
    try:
        size = io.size(fd)
        length = min(size, 2 * MAX_BYTES)
        data = read_exact(io, fd, length, size - length)
    except OSError as error:
        raise translated(error, "read the flight recorder", path) from error
    finally:
        io.close(fd)
    events: list[dict[str, object]] = []
    for line in data.split(b"\n"):
        event = _event_of(line)
        if event:
            events.append(event)
    return events


def _event_of(line: bytes) -> dict[str, object]:
    """The event on a line; empty when it is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
