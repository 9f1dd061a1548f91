"""What a client does, counted and timed: counters for programs, slow operations for the log.

Slow operations go to the standard library's logger ``cbdd.slow`` at level INFO, with operation,
collection and time, and never with anything of a filter or a document.

Concurrency: any thread may note an operation.
"""

from __future__ import annotations

import itertools
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
        self.queries: itertools.count[int] = itertools.count()
        """What `counter` returns for them."""
        self._counts: dict[str, itertools.count[int]] = {"query": self.queries}
        self._failures: dict[str, int] = {}
        self._slow = 0

    def counter(self, operation: str) -> itertools.count[int]:
        """Return the counter of an operation, to be stepped in place of a call of `note`."""
        return self._counts.setdefault(operation, itertools.count())

    def note(self, operation: str, namespace: object, started: float, failed: bool) -> None:
        """Note an operation that ends now.

        :param namespace: what is written of where it worked; made into text only when needed.
        :param started: what `time.perf_counter` said when it began.
        """
        try:
            next(self._counts[operation])  # one step, so no lock
        except KeyError:
            next(self.counter(operation))
        seconds = time.perf_counter() - started
        if failed or seconds >= self.slow_seconds:
            self._note_rare(operation, namespace, seconds, failed)

    def _note_rare(self, operation: str, namespace: object, seconds: float, failed: bool) -> None:
        is_slow = seconds >= self.slow_seconds
        with self._lock:
            if failed:
                self._failures[operation] = self._failures.get(operation, 0) + 1
            if is_slow:
                self._slow += 1
        if is_slow:
            where = f" on {namespace}" if namespace else ""
            ending = ", failed" if failed else ""
            _LOGGER.info("slow %s%s: %.0f ms%s", operation, where, seconds * 1000, ending)

    def counters(self) -> dict[str, object]:
        """The counts so far."""
        with self._lock:
            return {
                "operations": {
                    name: _value(each) for name, each in list(self._counts.items()) if _value(each)
                },
                "failures": dict(self._failures),
                "slow": self._slow,
            }


def _value(counter: itertools.count[int]) -> int:
    """How often a counter was stepped, read without stepping it."""
    return int(repr(counter)[len("count(") : -1])
