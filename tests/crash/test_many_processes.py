"""Several processes on one file, killed anywhere: nobody loses, tears or misses a commit.

Processes take turns at random (a turn is one call of the API; within it the others stand still, but
transactions and snapshots stay open across turns). A process may be killed inside any system call.
The model is a dict and the list of its versions.
"""

from __future__ import annotations

import random

import pytest

from cbdd.errors import WriteConflictError
from cbdd.storage import ReadTransaction, StorageEngine, WriteTransaction
from cbdd.storage.engine import _registry
from cbdd.testing import (
    KilledError,
    MemoryDisk,
    MemoryIo,
    SeededRandomness,
    TickingClock,
)
from cbdd.testing.workload import PATH, small_options

pytestmark = [pytest.mark.crash, pytest.mark.transaction_protocol]
TREE = 1


class Process:
    """One process with the file open, its open snapshots and transactions."""

    def __init__(self, disk: MemoryDisk, pid: int, seed: int) -> None:
        self.pid = pid
        self.io = MemoryIo(disk, pid)
        self.engine = StorageEngine.open(
            PATH, small_options(), self.io, TickingClock(), SeededRandomness(seed)
        )
        self.snapshots: list[tuple[ReadTransaction, dict[bytes, bytes]]] = []
        self.transactions: list[tuple[WriteTransaction, dict[bytes, bytes], dict[bytes, bytes]]]
        self.transactions = []

    def bury(self) -> None:
        """Forget a killed process."""
        self.io.die()
        self.engine._state.is_forked = True  # nothing is released on its behalf
        for key, engine in list(_registry.items()):
            if engine is self.engine:
                del _registry[key]


class World:
    """Processes, the model, and the turns."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.source = random.Random(seed)
        self.disk = MemoryDisk()
        self.model: dict[bytes, bytes] = {}
        self.uncertain: dict[bytes, bytes] | None = None
        self.durabilities = ["full"] if seed % 2 else ["off", "off", "full"]
        self.processes: list[Process] = []
        self.next_pid = 1
        self.conflicts = 0
        self.commits = 0
        self.deaths = 0

    def turn(self) -> None:
        source = self.source
        if not self.processes or (len(self.processes) < 4 and source.random() < 0.05):
            self.spawn()
            return
        process = source.choice(self.processes)
        if source.random() < 0.04:
            process.io.calls_to_live = source.randrange(0, 60)
        try:
            self._act(process)
        except KilledError:
            self.deaths += 1
            self.processes.remove(process)
            process.bury()
            self._settle()
        else:
            process.io.calls_to_live = None

    def spawn(self) -> None:
        process = Process(self.disk, self.next_pid, self.seed + self.next_pid)
        self.next_pid += 1
        self.processes.append(process)

    def _settle(self) -> None:
        """After a death inside a commit, either version may be the one.

        A commit that was published and not yet synced is seen by the next writer, and by readers
        from the next sync on: an empty write waits for that.
        """
        if self.uncertain is None:
            return
        if not self.processes:
            self.spawn()
        with self.processes[0].engine.begin_write("settle") as txn:
            txn.commit()
        found = read_all(self.processes[0])
        assert found in (self.model, self.uncertain), f"seed {self.seed}: torn commit"
        self.model = found
        self.uncertain = None

    def _act(self, process: Process) -> None:
        choice = self.source.random()
        if choice < 0.35:
            self._write(process)
        elif choice < 0.5:
            self._begin(process)
        elif choice < 0.7:
            self._end(process)
        elif choice < 0.85:
            assert read_all(process) == self.model, f"seed {self.seed}: a commit was missed"
        elif choice < 0.9:
            process.snapshots.append((process.engine.begin_read(), dict(self.model)))
        elif choice < 0.94:
            self._end_snapshot(process)
        elif choice < 0.98:
            process.engine.checkpoint()
        else:
            self._close(process)

    def _changes(self) -> dict[bytes, bytes]:
        source = self.source
        return {
            b"k%03d" % source.randrange(120): source.randbytes(source.choice([5, 200, 1500]))
            for _ in range(source.randint(1, 8))
        }

    def _write(self, process: Process) -> None:
        changes = self._changes()
        with process.engine.begin_write("write") as txn:
            for key, value in changes.items():
                assert txn.get(TREE, key) == self.model.get(key), f"seed {self.seed}: stale read"
                txn.put(TREE, key, value)
            self.uncertain = {**self.model, **changes}
            txn.commit(self.source.choice(self.durabilities))
        self._committed()

    def _committed(self) -> None:
        assert self.uncertain is not None
        self.model = self.uncertain
        self.uncertain = None
        self.commits += 1

    def _begin(self, process: Process) -> None:
        txn = process.engine.begin_transaction("optimistic")
        changes = self._changes()
        for key, value in changes.items():
            txn.put(TREE, key, value)
        process.transactions.append((txn, changes, dict(self.model)))

    def _end(self, process: Process) -> None:
        if not process.transactions:
            return
        txn, changes, seen = process.transactions.pop(
            self.source.randrange(len(process.transactions))
        )
        must_conflict = any(seen.get(key) != self.model.get(key) for key in changes)
        self.uncertain = {**self.model, **changes}
        try:
            txn.commit()
        except WriteConflictError:
            self.uncertain = None
            self.conflicts += 1
            assert must_conflict, f"seed {self.seed}: conflict without a cause"
            return
        assert not must_conflict, f"seed {self.seed}: a lost update"
        self._committed()

    def _end_snapshot(self, process: Process) -> None:
        if process.snapshots:
            snapshot, seen = process.snapshots.pop(0)
            assert scan(snapshot) == seen, f"seed {self.seed}: a snapshot changed"
            snapshot.close()

    def _close(self, process: Process) -> None:
        for txn, _changes, _seen in process.transactions:
            txn.abort()
        for snapshot, seen in process.snapshots:
            assert scan(snapshot) == seen, f"seed {self.seed}: a snapshot changed"
            snapshot.close()
        process.transactions = []
        process.snapshots = []
        process.engine.close()
        self.processes.remove(process)


def scan(txn: ReadTransaction) -> dict[bytes, bytes]:
    entries: dict[bytes, bytes] = {}
    cursor = txn.cursor(TREE)
    found = cursor.first()
    while found:
        entries[cursor.key] = cursor.value
        found = cursor.step()
    return entries


def read_all(process: Process) -> dict[bytes, bytes]:
    with process.engine.begin_read() as txn:
        return scan(txn)


@pytest.mark.parametrize("seed", range(1, 17))
def test_processes_never_lose_a_commit(seed: int) -> None:
    world = World(seed)
    for number in range(700):
        world.turn()
        if number % 50 == 49 and world.processes:
            report = world.processes[0].engine.check()
            assert report.is_clean, f"seed {seed}: {report.to_dict()}"
    for process in list(world.processes):
        world._close(process)
    last = Process(world.disk, 999, seed)
    assert last.engine.recovery_report.was_clean or world.deaths
    assert read_all(last) == world.model
    assert last.engine.check().is_clean
    last.engine.close()
    assert world.commits > 100
    print(
        f"seed {seed}: {world.commits} commits, {world.conflicts} conflicts, {world.deaths} deaths"
    )
