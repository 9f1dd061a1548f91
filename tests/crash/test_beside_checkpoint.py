"""Commits, snapshots and transactions beside a checkpoint, in its own process and in another.

While a checkpoint writes pages, the simulated disk hands control back: what another thread or
process would do at that moment is done there.
"""

from __future__ import annotations

import random

import pytest

from cbdd.errors import WriteConflictError
from cbdd.storage import ReadTransaction, StorageEngine, WriteTransaction
from cbdd.testing import CrashListener, MemoryDisk
from cbdd.testing.workload import contents_of
from tests.crash.crash_replay import TREE, open_engine

pytestmark = [pytest.mark.crash, pytest.mark.transaction_protocol]


class Busy(CrashListener):
    """Acts in the middle of checkpoints."""

    def __init__(self, engines: list[StorageEngine], seed: int) -> None:
        self.engines = engines
        self.seed = seed
        self.source = random.Random(seed)
        self.model: dict[bytes, bytes] = {}
        self.snapshots: list[tuple[ReadTransaction, dict[bytes, bytes]]] = []
        self.transactions: list[tuple[WriteTransaction, bytes, bytes | None]] = []
        self.is_inside = False
        self.actions = 0
        self.crashes = 0
        self.durability = "full" if seed % 2 else "off"  # of most: these may be made in place

    def on_change(self, disk: MemoryDisk) -> None:
        state = self.engines[0]._state
        if not state.is_checkpoint_active or state.writer_thread or self.is_inside:
            return
        choice = self.source.random()
        if choice < 0.45:
            return
        self.is_inside = True
        try:
            if choice < 0.55:
                self.crash(disk)
            else:
                self.act(self.source.choice(self.engines))
        finally:
            self.is_inside = False

    def act(self, engine: StorageEngine) -> None:
        self.actions += 1
        choice = self.source.random()
        if choice < 0.6:
            self.commit(engine)
        elif choice < 0.75:
            self.snapshots.append((engine.begin_read(), dict(self.model)))
        elif choice < 0.9:
            self.begin(engine)
        else:
            self.end()

    def crash(self, disk: MemoryDisk) -> None:
        """Everything has been acknowledged: it is there after a crash at this moment."""
        images = [disk.image()] if self.durability == "off" else [disk.image(), disk.power_cut()]
        for crashed in images:
            engine = open_engine(crashed, self.seed)
            assert contents_of(engine)[TREE] == self.model, f"seed {self.seed}: a lost commit"
            assert engine.check().is_clean, f"seed {self.seed}"
            engine.close()
            self.crashes += 1

    def commit(self, engine: StorageEngine) -> None:
        with engine.begin_write("beside") as txn:
            for _ in range(self.source.randint(1, 5)):
                key = b"k%03d" % self.source.randrange(400)
                if self.source.random() < 0.3:
                    txn.delete(TREE, key)
                    self.model.pop(key, None)
                else:
                    value = self.source.randbytes(self.source.choice([10, 300, 900, 3000]))
                    txn.put(TREE, key, value)
                    self.model[key] = value
            txn.commit(self.durability)

    def begin(self, engine: StorageEngine) -> None:
        key = b"k%03d" % self.source.randrange(400)
        txn = engine.begin_transaction("spanning")
        txn.put(TREE, key, b"spanning")
        self.transactions.append((txn, key, self.model.get(key)))

    def end(self) -> None:
        if not self.transactions:
            return
        txn, key, seen = self.transactions.pop(0)
        try:
            txn.commit()
        except WriteConflictError:
            assert seen != self.model.get(key), f"seed {self.seed}: conflict without a cause"
            return
        assert seen == self.model.get(key), f"seed {self.seed}: a lost update"
        self.model[key] = b"spanning"

    def end_snapshot(self) -> None:
        if self.snapshots:
            txn, seen = self.snapshots.pop(0)
            cursor = txn.cursor(TREE)
            found: dict[bytes, bytes] = {}
            there = cursor.first()
            while there:
                found[cursor.key] = cursor.value
                there = cursor.step()
            assert found == seen, f"seed {self.seed}: a snapshot changed"
            txn.close()


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("seed", range(1, 6))
def test_work_beside_checkpoints_leaves_everything_sound(seed: int, processes: int) -> None:
    disk = MemoryDisk()
    options: dict[str, object] = {"checkpoint_log_bytes": 1 << 30}
    engines = [open_engine(disk, seed + pid, pid, **options) for pid in range(1, processes + 1)]
    busy = Busy(engines, seed)
    disk.listener = busy
    for _ in range(25):
        for _ in range(15):
            busy.commit(engines[0])
        busy.begin(engines[0])
        engines[0].checkpoint()
        busy.end()
        if busy.source.random() < 0.5:
            busy.end_snapshot()
        for engine in engines:
            report = engine.check()
            assert report.is_clean, f"seed {seed}: {report.to_dict()}"
            assert contents_of(engine)[TREE] == busy.model, f"seed {seed}"
    assert busy.actions > 50
    assert busy.crashes > 10
    disk.listener = None
    while busy.transactions:
        busy.end()
    while busy.snapshots:
        busy.end_snapshot()
    crashed = open_engine(disk.image(), seed)
    assert contents_of(crashed)[TREE] == busy.model
    assert crashed.check().is_clean
    crashed.close()
    for engine in engines:
        engine.close()
    last = open_engine(disk, seed)
    assert last.recovery_report.was_clean
    assert contents_of(last)[TREE] == busy.model
    assert last.check().is_clean
    last.close()
