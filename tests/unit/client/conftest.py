"""A fresh client for each test; every file is checked when its test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cbdd
from cbdd.storage import Clock


class ManualClock(Clock):
    """A clock that stands still until someone sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


OPTIONS: dict[str, Any] = {"durability": "off", "background": False, "flight_recorder": False}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "shop.cbdd")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def client(path: str, clock: ManualClock) -> Iterator[cbdd.Client[dict[str, Any]]]:
    client: cbdd.Client[dict[str, Any]] = cbdd.Client(path, clock=clock, **OPTIONS)
    yield client
    if not client._store.is_closed:
        problems = [problem.message for problem in client.check().problems]
        client.close()
        assert problems == []


@pytest.fixture
def shop(client: cbdd.Client[dict[str, Any]]) -> cbdd.Database[dict[str, Any]]:
    return client.shop


@pytest.fixture
def orders(shop: cbdd.Database[dict[str, Any]]) -> cbdd.Collection[dict[str, Any]]:
    return shop.orders
