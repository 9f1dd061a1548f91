"""A simulated disk and engines on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cbdd.storage import StorageEngine, StorageOptions
from cbdd.testing import MemoryDisk, MemoryIo, SeededRandomness, TickingClock

PATH = "/db/a.cbdd"


class Bench:
    """One simulated disk with any number of processes on it."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.opened: list[StorageEngine] = []

    def open(self, pid: int = 1, **options: object) -> StorageEngine:
        chosen: dict[str, object] = {"background": False, "lock_timeout_seconds": 0.01}
        chosen.update(options)
        engine = StorageEngine.open(
            PATH,
            StorageOptions(**chosen),  # type: ignore[arg-type]
            MemoryIo(self.disk, pid),
            TickingClock(),
            SeededRandomness(pid),
        )
        self.opened.append(engine)
        return engine

    def names(self) -> list[str]:
        return sorted(name.removeprefix("/db/") for name in self.disk.names)

    def crash(self) -> None:
        """Every process dies; the disk keeps what programs could see."""
        self.disk = self.disk.image()
        self.opened = []


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for engine in bench.opened:
        engine.close()


def fill(engine: StorageEngine, tree: int, entries: dict[bytes, bytes]) -> int:
    """Commit entries to a tree, made if need be; returns the LSN."""
    with engine.begin_write("fill") as txn:
        if not txn.has_tree(tree):
            txn.create_tree(tree)
        for key, value in entries.items():
            txn.put(tree, key, value)
        return txn.commit()


def content(engine: StorageEngine, tree: int) -> dict[bytes, bytes]:
    """Everything in a tree."""
    found: dict[bytes, bytes] = {}
    with engine.begin_read() as txn:
        cursor = txn.cursor(tree)
        is_valid = cursor.first()
        while is_valid:
            found[cursor.key] = cursor.value
            is_valid = cursor.step()
    return found
