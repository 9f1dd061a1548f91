"""Incident records in a fresh folder, by a clock that the test sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cbdd.ops.incident.record import Context, Signal
from cbdd.ops.incident.store import IncidentStore
from cbdd.storage.io import Clock

START_US = 1_800_000_000_000_000


class SetClock(Clock):
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.at_us = START_US

    def now_us(self) -> int:
        return self.at_us


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def store(tmp_path: Path, clock: SetClock) -> Iterator[IncidentStore]:
    with IncidentStore(str(tmp_path / "incidents.cbdd"), clock=clock) as made:
        yield made


def signal(code: str = "PAGE_CHECKSUM", key: str = "a", **parts: object) -> Signal:
    """A signal of one code."""
    made = Signal("file", code, [key], [[code, ""]] if code else [], **parts)  # type: ignore[arg-type]
    made.context = made.context if made.context.cbdd else Context(cbdd="1.0.0")
    return made
