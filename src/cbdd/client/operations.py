"""What a client does, counted and timed: counters for programs, slow operations for the log.

Slow operations go to the standard library's logger ``cbdd.slow`` at level INFO, with operation,
collection and time, and never with anything of a filter or a document.

Concurrency: any thread may note an operation.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

SLOW_SECONDS: Final = 0.1
"""From which time on an operation is slow, unless `connect` is told otherwise; as in MongoDB."""

_LOGGER: Final = logging.getLogger("cbdd.slow")
logging.getLogger("cbdd").addHandler(logging.NullHandler())


class OperationLog:
    """Counts and times the operations of one client."""

    def __init__(self, slow_seconds: float = SLOW_SECONDS) -> None:
        """
        :param slow_seconds: operations that take as long are logged and counted as slow.
        """
        self.slow_seconds = slow_seconds
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._seconds = 0.0
        self._slow = 0

    def note(self, operation: str, namespace: object, started: float, failed: bool) -> None:
        """Note an operation that ends now.

        :param namespace: what is written of where it worked; made into text only when needed.
        :param started: what `time.perf_counter` said when it began.
        """
        seconds = time.perf_counter() - started
        with self._lock:
            self._counts[operation] = self._counts.get(operation, 0) + 1
            self._seconds += seconds
            if failed:
                self._failures[operation] = self._failures.get(operation, 0) + 1
            if seconds >= self.slow_seconds:
                self._slow += 1
        if seconds >= self.slow_seconds:
            where = f" on {namespace}" if namespace else ""
            ending = ", failed" if failed else ""
            _LOGGER.info("slow %s%s: %.0f ms%s", operation, where, seconds * 1000, ending)

    def counters(self) -> dict[str, object]:
        """The counts so far."""
        with self._lock:
            return {
                "operations": dict(self._counts),
                "failures": dict(self._failures),
                "slow": self._slow,
                "seconds": self._seconds,
            }
