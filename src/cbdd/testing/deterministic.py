"""A clock and dice that give the same in every run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from cbdd.storage.io import Clock, Randomness


class TickingClock(Clock):
    """Time that moves a millisecond a look and never waits."""

    def __init__(self) -> None:
        self._ticks: Iterator[int] = itertools.count(1_700_000_000_000_000, 1000)

    def now_us(self) -> int:
        return next(self._ticks)

    def monotonic(self) -> float:
        return next(self._ticks) / 1e6

    def sleep(self, seconds: float) -> None:
        for _ in range(int(seconds * 1000)):
            next(self._ticks)


class SeededRandomness(Randomness):
    """Identities from a seed."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def token(self, length: int) -> bytes:
        return self._source.randbytes(length)
