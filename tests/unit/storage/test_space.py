"""The books about room on the disk: never fewer pages than a checkpoint will write."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from cbdd.errors import DiskFullError
from cbdd.storage.engine import StorageEngine
from cbdd.storage.follow import refresh
from cbdd.storage.node import Node, is_large
from cbdd.storage.options import StorageOptions
from cbdd.storage.page import run_page_count
from cbdd.storage.state import DatabaseState
from cbdd.testing import MemoryDisk, MemoryIo, SeededRandomness, TickingClock
from tests.unit.storage.conftest import PATH, fill

pytestmark = pytest.mark.recovery

TREE = 10


class BusyIo(MemoryIo):
    """Others commit while a checkpoint writes its pages."""

    def __init__(self, disk: MemoryDisk, pid: int) -> None:
        super().__init__(disk, pid)
        self.beside: list[Callable[[], None]] = []
        self.pages_to_full = -1

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self.identity(fd) == self.path_identity(PATH):
            if self.beside:
                self.beside.pop()()
            self.pages_to_full -= 1
            if self.pages_to_full == 0:
                raise OSError(errno.ENOSPC, "full")
        return super().pwrite(fd, data, offset)


def opened(disk: MemoryDisk, pid: int) -> tuple[StorageEngine, BusyIo]:
    io = BusyIo(disk, pid)
    options = StorageOptions(background=False, lock_timeout_seconds=0.01)
    return StorageEngine.open(PATH, options, io, TickingClock(), SeededRandomness(pid)), io


def unwritten(state: DatabaseState, newer_than: int = 0) -> tuple[int, int]:
    """Nodes of the tip that are not on disk, and the pages of runs that they need.

    :param newer_than: count those of later owners only.
    """
    tree = state.tip.trees[TREE]
    nodes = runs = 0
    stack: list[object] = [tree.root]
    size = state.pager.page_size
    while stack:
        node = stack.pop()
        if not isinstance(node, Node) or node.ref is not None:
            continue
        stack += node.children
        if node.owner < newer_than:
            continue
        nodes += 1
        limits = state.pager.limits
        large = [key for key in node.keys if len(key) > limits.max_key]
        large += [v for v in node.values if isinstance(v, bytes) and is_large(v, limits)]
        runs += sum(run_page_count(len(value), size) for value in large)
    return nodes, runs


def require_books(state: DatabaseState, what: str) -> None:
    """The books count at least what the tip's tree will cost."""
    nodes, runs = unwritten(state)
    assert state.dirty_nodes >= nodes, what
    assert state.dirty_run_pages >= runs, what


def caught_up(state: DatabaseState) -> None:
    with state.apply_lock:
        refresh(state)


def change(engine: StorageEngine, rng: random.Random) -> None:
    """One commit: some keys put, some with values or names on pages of their own, some removed."""
    with engine.begin_write("change") as txn:
        for _ in range(rng.choice([1, 5, 60])):
            key = b"%05d" % rng.randrange(1500)
            if rng.random() < 0.1:
                key += b"k" * 6000
            if rng.random() < 0.4:
                txn.delete(TREE, key)
            else:
                txn.put(TREE, key, bytes(9000 if rng.random() < 0.1 else rng.randrange(200)))
        txn.commit(rng.choice(["full", "off"]))


@pytest.mark.parametrize("is_other", [False, True], ids=["same process", "another process"])
@pytest.mark.parametrize("seed", range(6))
def test_commits_beside_a_checkpoint_count_what_they_copy(is_other: bool, seed: int) -> None:
    rng = random.Random(seed)
    disk = MemoryDisk()
    engine, io = opened(disk, 1)
    other = opened(disk, 2)[0] if is_other else engine
    states = [engine._state, other._state]
    fill(engine, TREE, {b"%05d" % i: bytes(9000 if i % 50 == 0 else 100) for i in range(1500)})

    def beside() -> None:
        caught_up(other._state)
        written = unwritten(other._state)
        for _ in range(rng.randrange(4)):
            change(rng.choice([engine, other]), rng)
            for state in states:
                caught_up(state)
                copied = unwritten(state, state.writing_below)
                # What is being written needs pages, and so does what was copied of it.
                assert state.dirty_nodes >= written[0] + copied[0], seed
                assert state.dirty_run_pages >= written[1] + copied[1], seed

    for step in range(12):
        for _ in range(rng.randrange(3)):
            change(rng.choice([engine, other]), rng)
        io.beside = [beside] if rng.random() < 0.8 else []
        fails = rng.random() < 0.25
        if fails:
            io.pages_to_full = rng.randrange(1, 4)
        try:
            engine.checkpoint()
        except DiskFullError:
            assert fails
        else:
            assert not fails or io.pages_to_full > 0
        finally:
            io.pages_to_full = -1
            io.beside = []
        for state in states:
            caught_up(state)
            require_books(state, f"seed {seed}, step {step}")
    assert engine.check().is_clean
    other.close()
    engine.close()
