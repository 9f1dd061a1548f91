"""Nobody reads what a power cut can take back, and what asked to be synced is."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from cbdd.storage import Io, QueuedWrite, StorageEngine, StorageOptions, WriteTransaction
from cbdd.storage.background import BackgroundThread
from cbdd.testing import (
    KilledError,
    MemoryDisk,
    MemoryIo,
    SeededRandomness,
    TickingClock,
)

pytestmark = [pytest.mark.crash, pytest.mark.transaction_protocol]

TREE = 1


class WatchedDisk(Io):
    """Reads the database whenever a sync begins and notes which keys a new snapshot shows."""

    def __init__(self) -> None:
        super().__init__()
        self.engine: StorageEngine | None = None
        self.seen: list[list[bytes]] = []

    def sync(self, fd: int) -> None:
        engine, self.engine = self.engine, None
        if engine is not None:
            self.seen.append(keys(engine))
        super().sync(fd)


class DyingIo(MemoryIo):
    """A process that can be told to die in its next sync."""

    dies_in_sync = False

    def sync(self, fd: int) -> None:
        if self.dies_in_sync:
            self.die()
            raise KilledError
        super().sync(fd)


def open_process(disk: MemoryDisk, pid: int) -> tuple[StorageEngine, DyingIo]:
    io = DyingIo(disk, pid)
    options = StorageOptions(background=False, flight_recorder=False)
    return StorageEngine.open("/db/a.cbdd", options, io, TickingClock(), SeededRandomness(pid)), io


def keys(engine: StorageEngine) -> list[bytes]:
    with engine.begin_read() as txn:
        if not txn.has_tree(TREE):
            return []
        cursor = txn.cursor(TREE)
        found = []
        is_valid = cursor.first()
        while is_valid:
            found.append(cursor.key)
            is_valid = cursor.step()
        return found


def put(engine: StorageEngine, key: bytes, durability: str) -> None:
    with engine.begin_write("put") as txn:
        if not txn.has_tree(TREE):
            txn.create_tree(TREE)
        txn.put(TREE, key, b"value")
        txn.commit(durability)


def test_a_full_commit_is_seen_when_it_is_durable(tmp_path: Path) -> None:
    disk = WatchedDisk()
    engine = StorageEngine.open(str(tmp_path / "a.cbdd"), StorageOptions(background=False), io=disk)
    put(engine, b"a", "full")
    disk.engine = engine
    put(engine, b"b", "full")
    assert disk.seen == [[b"a"]]
    assert keys(engine) == [b"a", b"b"]
    put(engine, b"c", "normal")
    assert keys(engine) == [b"a", b"b", b"c"]
    disk.engine = engine
    put(engine, b"d", "full")
    assert disk.seen == [[b"a"], [b"a", b"b", b"c"]]
    engine.close()


def test_a_normal_commit_is_synced_soon_whatever_the_default_is(tmp_path: Path) -> None:
    options = StorageOptions(background=False, durability="off")
    engine = StorageEngine.open(str(tmp_path / "a.cbdd"), options)
    thread = BackgroundThread(engine._state)
    put(engine, b"a", "off")
    thread.step()
    assert engine.statistics()["durable_lsn"] == 0
    put(engine, b"b", "normal")
    thread.step()
    assert engine.statistics()["durable_lsn"] == engine.statistics()["lsn"] == 2
    engine.close()


def test_a_normal_commit_is_seen_when_it_returns_whatever_precedes_it() -> None:
    """Also behind a durable commit of a process that died before its sync."""
    disk = MemoryDisk()
    first, io = open_process(disk, 1)
    second, _io = open_process(disk, 2)
    put(first, b"a", "full")
    io.dies_in_sync = True
    with pytest.raises(KilledError):
        put(first, b"b", "full")
    first._state.is_forked = True  # nothing is released on behalf of the dead
    put(second, b"c", "normal")
    assert keys(second) == [b"a", b"b", b"c"]
    second.close()


def test_a_normal_commit_syncs_nothing_when_nothing_waits(tmp_path: Path) -> None:
    disk = WatchedDisk()
    engine = StorageEngine.open(str(tmp_path / "a.cbdd"), StorageOptions(background=False), io=disk)
    put(engine, b"a", "full")
    disk.engine = engine
    put(engine, b"b", "normal")
    assert disk.seen == []
    engine.close()


class Put(QueuedWrite):
    """A key of its own."""

    def __init__(self, key: bytes) -> None:
        super().__init__("put")
        self.key = key

    def apply(self, txn: WriteTransaction, before: QueuedWrite | None) -> None:
        txn.put(TREE, self.key, b"value")


class CutIo(MemoryIo):
    """Notes at each sync what threads have been told, and what a power cut leaves."""

    def __init__(self, disk: MemoryDisk, pid: int) -> None:
        super().__init__(disk, pid)
        self.told: list[bytes] = []
        self.cuts: list[tuple[list[bytes], MemoryDisk]] = []
        self.source = random.Random(1)
        self.pause = threading.Event()

    def sync(self, fd: int) -> None:
        self.pause.wait(0.0005)  # others run meanwhile, as during any sync
        self.cuts.append((list(self.told), self.disk.power_cut()))
        self.cuts.append((list(self.told), self.disk.torn(self.source)))
        super().sync(fd)
        self.cuts.append((list(self.told), self.disk.power_cut()))


def test_what_threads_were_told_is_in_outlives_a_power_cut() -> None:
    io = CutIo(MemoryDisk(), 1)
    options = StorageOptions(background=False, flight_recorder=False)
    engine = StorageEngine.open("/db/a.cbdd", options, io, TickingClock(), SeededRandomness(1))
    put(engine, b"first", "full")

    def write(number: int) -> None:
        for step in range(20):
            key = b"%d/%d" % (number, step)
            engine.write_durably(Put(key))
            io.told.append(key)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(io.told) == 100
    assert len(keys(engine)) == 101
    cuts = io.cuts[6:]
    engine.close()
    for told, disk in cuts:
        again, _io = open_process(disk, 2)
        assert set(told) <= set(keys(again))
        again.close()
