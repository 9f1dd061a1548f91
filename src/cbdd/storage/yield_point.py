"""The place where long loops let Python in: signals (Ctrl-C), other threads and time limits.

Compiled code runs without ever looking at signals or giving the interpreter lock away. A call of an
interpreted function does both, so this module must stay out of compilation; it costs about 50 ns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

YIELD_INTERVAL: Final = 128
"""How many documents or keys a loop may handle between two calls; a power of two."""


class _Limits(threading.local):
    """The time limit of each thread: what to call at every yield point."""

    check: Callable[[], None] | None = None


_LIMITS: Final = _Limits()


def yield_point() -> None:
    """Let pending signals and other threads run; may raise KeyboardInterrupt.

    Within `time_limit` it raises what the limit raises.
    """
    check = _LIMITS.check
    if check is not None:
        check()


@contextmanager
def time_limit(check: Callable[[], None] | None) -> Iterator[None]:
    """Call `check` at every yield point of this thread; it raises when the time is over."""
    before = _LIMITS.check
    _LIMITS.check = check
    try:
        yield
    finally:
        _LIMITS.check = before
