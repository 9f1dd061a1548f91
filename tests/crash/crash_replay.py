"""Runs a workload on a simulated disk and judges every state a crash could leave.

After each call that changes the disk, three kinds of crash are tried: the process dies (all writes
are there), the power goes (only what was synced), and torn power cuts in which a random part of the
unsynced writes made it. The oracle: after reopening, the contents are exactly those after some
commit, no older than the last one acknowledged, no newer than the last one begun, and the structure
is sound. Commits of durability ``normal`` need only survive the death of the process.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from cbdd.storage import StorageEngine
from cbdd.testing import (
    CrashListener,
    MemoryDisk,
    MemoryIo,
    SeededRandomness,
    TickingClock,
)
from cbdd.testing.workload import PATH, Contents, contents_of, small_options

TREE = 1
SEQUENCE_KEY = b"\0sequence"


def open_engine(disk: MemoryDisk, seed: int, pid: int = 1, **changes: object) -> StorageEngine:
    return StorageEngine.open(
        PATH,
        small_options(**changes),
        MemoryIo(disk, pid),
        TickingClock(),
        SeededRandomness(seed),
    )


class History:
    """What a workload has done: the contents after each commit, and which were acknowledged."""

    def __init__(self) -> None:
        self.states: list[Contents] = [{1: {}, 2: {}}]
        self.acknowledged = 0
        self.durable = 0

    def begin(self, contents: Contents) -> None:
        self.states.append(contents)

    def acknowledge(self, is_durable: bool) -> None:
        self.acknowledged = len(self.states) - 1
        if is_durable:
            self.durable = self.acknowledged


class CrashJudge(CrashListener):
    """Opens and judges crash states while a workload runs."""

    def __init__(self, history: History, seed: int, torn_per_call: int, every: int = 1) -> None:
        self.history = history
        self.seed = seed
        self.source = random.Random(seed)
        self.torn_per_call = torn_per_call
        self.every = every
        self.calls = 0
        self.states = 0
        self.is_created = False
        self.depth = 0

    def on_change(self, disk: MemoryDisk) -> None:
        self.calls += 1
        if self.calls % self.every:
            return
        self.judge(disk.image(), self.history.acknowledged, "process death")
        self.judge(disk.power_cut(), self.history.durable, "power cut")
        for _ in range(self.torn_per_call):
            self.judge(disk.torn(self.source), self.history.durable, "torn power cut")

    def judge(self, disk: MemoryDisk, at_least: int, kind: str) -> None:
        """Reopen a crash state; every assertion names what is needed to see it again."""
        self.states += 1
        where = f"seed {self.seed}, call {self.calls}, {kind}"
        engine = open_engine(disk, self.seed)
        try:
            found = contents_of(engine)
            sequence = int(found[TREE].get(SEQUENCE_KEY, b"0"))
            newest = len(self.history.states) - 1
            assert at_least <= sequence <= newest, (
                f"{where}: found commit {sequence}, expected {at_least} to {newest}"
            )
            assert found == self.history.states[sequence], f"{where}: contents of {sequence} differ"
            if self.states % 5 == 0:
                report = engine.check()
                assert report.is_clean, f"{where}: {report.to_dict()}"
            if self.states % 11 == 0:
                self._go_on(engine, found, where)
        finally:
            engine.close()
        if self.states % 11 == 0:
            again = open_engine(disk, self.seed)
            assert again.recovery_report.was_clean, where
            assert again.check().is_clean, where
            again.close()

    def _go_on(self, engine: StorageEngine, found: Contents, where: str) -> None:
        """What has been recovered can be written to."""
        with engine.begin_write("after crash") as txn:
            txn.put(TREE, b"after", b"crash" * 100)
            txn.commit()
        found[TREE][b"after"] = b"crash" * 100
        assert contents_of(engine) == found, f"{where}: a write after recovery went wrong"


class Workload:
    """Random commits with every kind of change; deterministic by seed."""

    def __init__(self, engine: StorageEngine, history: History, seed: int) -> None:
        self.engine = engine
        self.history = history
        self.source = random.Random(seed)
        self.model: Contents = {1: {}, 2: {}}
        self.next_tree = 10
        self.sequence = 0

    def step(self, durability: str = "full") -> None:
        """One commit."""
        source = self.source
        self.sequence += 1
        with self.engine.begin_write(f"step {self.sequence}") as txn:
            txn.put(TREE, SEQUENCE_KEY, str(self.sequence).encode())
            self.model[TREE][SEQUENCE_KEY] = str(self.sequence).encode()
            for _ in range(source.randint(1, 6)):
                self._change(txn.put, txn.delete)
            choice = source.random()
            if choice < 0.08:
                tree = self.next_tree
                self.next_tree += 1
                txn.create_tree(tree)
                self.model[tree] = {}
            elif choice < 0.12 and len(self.model) > 3:
                tree = max(self.model)
                txn.drop_tree(tree)
                del self.model[tree]
            self.history.begin({n: dict(entries) for n, entries in self.model.items()})
            txn.commit(durability)
        self.history.acknowledge(durability == "full")

    def _change(
        self, put: Callable[[int, bytes, bytes], None], delete: Callable[[int, bytes], bool]
    ) -> None:
        source = self.source
        tree = source.choice(sorted(self.model))
        entries = self.model[tree]
        if entries and source.random() < 0.3:
            key = source.choice(sorted(entries))
            if key != SEQUENCE_KEY:
                delete(tree, key)
                del entries[key]
                return
        key = b"key%04d" % source.randrange(300)
        if source.random() < 0.02:
            key = key * 120
        value = source.randbytes(source.choice([3, 30, 200, 200, 700, 1500, 6000]))
        put(tree, key, value)
        entries[key] = value
