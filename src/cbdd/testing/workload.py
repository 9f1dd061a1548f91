"""Workloads as data: a list of operations made from a seed, run on a disk, held against a model.

An operation is a tuple of plain values, so a list of them can be printed, shrunk and run again:

    ("commit", process, durability, changes)   one transaction of a process
    ("checkpoint", process)                    write the log into the file
    ("close", process)                         it closes the file, and opens it when next used
    ("kill", process)                          it dies; the kernel closes what it had open

    changes: ("put", tree, key, length, seed)  a value of so many bytes, made from the seed
             ("delete", tree, key)             ("create", tree)             ("drop", tree)

Changes that do not fit the model (a key that is not there, a tree that is) are left out when they
are run, so that any sublist of a workload is a workload.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from cbdd.storage import StorageEngine, StorageOptions
from cbdd.storage.engine import _registry
from cbdd.storage.io import Io
from cbdd.testing.deterministic import SeededRandomness, TickingClock
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo
from cbdd.testing.recording import Recording, RecordingIo

PATH: Final = "/db/app.cbdd"
TREES: Final = (1, 2)
VALUE_BYTES: Final = (3, 30, 200, 200, 700, 1500, 6000)

Operation = tuple[Any, ...]
Contents = dict[int, dict[bytes, bytes]]


def small_options(**changes: object) -> StorageOptions:
    """Options with which little data makes many checkpoints and rotations."""
    values: dict[str, object] = {
        "page_size_bytes": 4096,
        "cache_size_bytes": 1 << 20,
        "checkpoint_log_bytes": 6000,
        "background": False,
        "flight_recorder": False,
        "lock_timeout_seconds": 1.0,
        "log_allocation_bytes": 8192,
        "reserve_bytes": 32 << 10,
    }
    values.update(changes)
    return StorageOptions(**values)  # type: ignore[arg-type]


def open_engine(io: Io, seed: int, **options: object) -> StorageEngine:
    """An engine on `PATH` with a clock and dice of its own."""
    return StorageEngine.open(
        PATH, small_options(**options), io, TickingClock(), SeededRandomness(seed)
    )


def contents_of(engine: StorageEngine) -> Contents:
    """Every entry of every tree, read by cursor."""
    result: Contents = {}
    with engine.begin_read() as txn:
        for tree in txn.tree_ids():
            entries: dict[bytes, bytes] = {}
            cursor = txn.cursor(tree)
            found = cursor.first()
            while found:
                entries[cursor.key] = cursor.value
                found = cursor.step()
            assert len(entries) == txn.count(tree), f"tree {tree} counts wrong"
            result[tree] = entries
    return result


def forget(engine: StorageEngine) -> None:
    """Give an engine up as a killed process does: nothing is released, nothing written."""
    engine._state.is_forked = True
    for key, value in list(_registry.items()):
        if value is engine:
            del _registry[key]


def empty_contents() -> Contents:
    """What a new database holds."""
    return {tree: {} for tree in TREES}


def value_of(length: int, seed: int) -> bytes:
    """The value of a put."""
    return random.Random(seed).randbytes(length)


def make_operations(seed: int, steps: int, processes: int = 1) -> list[Operation]:
    """A workload of so many operations."""
    source = random.Random(seed)
    operations: list[Operation] = []
    next_tree = 10
    keys = [b"key%04d" % n for n in range(60)] + [b"long" * 400, b"key" * 300]
    for _ in range(steps):
        process = source.randrange(processes)
        choice = source.random()
        if choice < 0.06:
            operations.append(("checkpoint", process))
        elif choice < 0.08:
            operations.append(("close", process))
        elif choice < 0.10 and processes > 1:
            operations.append(("kill", process))
        else:
            changes: list[Operation] = []
            trees = [*TREES, *range(max(10, next_tree - 3), next_tree)]
            for _ in range(source.randint(1, 6)):
                tree, key = source.choice(trees), source.choice(keys)
                if source.random() < 0.3:
                    changes.append(("delete", tree, key))
                else:
                    length = source.choice(VALUE_BYTES)
                    changes.append(("put", tree, key, length, source.randrange(1 << 30)))
            if source.random() < 0.08:
                changes.append(("create", next_tree))
                next_tree += 1
            elif source.random() < 0.05 and next_tree > 10:
                changes.append(("drop", source.randrange(10, next_tree)))
            durability = source.choice(["full", "full", "normal", "off"])
            operations.append(("commit", process, durability, tuple(changes)))
    return operations


class Run:
    """A workload being run on a disk in memory, recorded, with the model of what it did.

    ``states`` holds the contents after each commit, the empty database first; commit ``n`` made
    ``states[n]``.
    """

    def __init__(
        self,
        seed: int,
        disk: MemoryDisk | None = None,
        wrap: Callable[[Io], Io] | None = None,
    ) -> None:
        """
        :param wrap: puts an `Io` of one's own around the recorded one of each opening.
        """
        self.seed = seed
        self.disk = disk or MemoryDisk()
        self.recording = Recording()
        self.states: list[Contents] = [empty_contents()]
        self.acknowledged = 0
        self.durable = 0
        self._wrap = wrap
        self._open: dict[int, StorageEngine] = {}
        self._opened = 0

    def run(self, operations: list[Operation]) -> None:
        """Run the operations and close what is open."""
        for operation in operations:
            self.step(operation)
        self.finish()

    def step(self, operation: Operation) -> None:
        """Run one operation."""
        kind, process = operation[0], operation[1]
        if kind == "commit":
            self._commit(process, operation[2], operation[3])
        elif process in self._open:
            if kind == "checkpoint":
                self._open[process].checkpoint()
                self.durable = self.acknowledged
                self.recording.acknowledge(self.acknowledged)
            elif kind == "close":
                self._open.pop(process).close()
            else:
                self.kill(process)

    def finish(self) -> None:
        """Close every process."""
        for process in list(self._open):
            self._open.pop(process).close()
        self.recording.acknowledge(self.acknowledged)

    def kill(self, process: int) -> None:
        """The process dies between two calls."""
        engine = self._open.pop(process)
        forget(engine)
        io = engine._state.io
        while not isinstance(io, MemoryIo) and hasattr(io, "inner"):
            io = io.inner
        if isinstance(io, MemoryIo):
            io.die()

    def abandon(self) -> None:
        """Everything that is open dies."""
        for process in list(self._open):
            self.kill(process)

    def continue_from(self, other: Run) -> None:
        """Take over the history of the run that wrote this run's disk."""
        self.states = list(other.states)
        self.acknowledged = other.acknowledged
        self.durable = other.durable

    def engine(self, process: int) -> StorageEngine:
        """The open file of a process, opened if need be."""
        engine = self._open.get(process)
        if engine is None:
            self._opened += 1
            io: Io = RecordingIo(MemoryIo(self.disk, process + 1), self.recording)
            if self._wrap is not None:
                io = self._wrap(io)
            engine = open_engine(io, self.seed * 1000 + self._opened)
            self._open[process] = engine
        return engine

    def _commit(self, process: int, durability: str, changes: tuple[Operation, ...]) -> None:
        engine = self.engine(process)
        model = {tree: dict(entries) for tree, entries in self.states[-1].items()}
        with engine.begin_write("commit") as txn:
            for change in changes:
                kind, tree = change[0], change[1]
                if kind == "create" and tree not in model:
                    txn.create_tree(tree)
                    model[tree] = {}
                elif kind == "drop" and tree in model and tree not in TREES:
                    txn.drop_tree(tree)
                    del model[tree]
                elif kind == "put" and tree in model:
                    value = value_of(change[3], change[4])
                    txn.put(tree, change[2], value)
                    model[tree][change[2]] = value
                elif kind == "delete" and model.get(tree, {}).pop(change[2], None) is not None:
                    txn.delete(tree, change[2])
            if not txn.has_changes:
                return
            self.states.append(model)
            number = len(self.states) - 1
            self.recording.begin(number)
            txn.commit(durability)
        self.acknowledged = number
        if durability == "full":
            self.durable = number
        self.recording.acknowledge(number, durability == "full")
