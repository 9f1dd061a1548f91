"""The engine against a dict: any sequence of calls, crashes and reopens gives the same answers."""

from __future__ import annotations

import bisect
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cbdd.errors import WriteConflictError
from cbdd.storage import ReadTransaction, StorageEngine, WriteTransaction
from cbdd.storage.engine import _registry
from cbdd.testing import MemoryDisk, MemoryIo
from tests.crash.crash_replay import open_engine

pytestmark = [pytest.mark.property, pytest.mark.transaction_protocol]
TREE = 1
KEYS = st.one_of(
    st.integers(0, 60).map(lambda n: b"key%03d" % n),
    st.binary(max_size=6),
    st.integers(0, 3).map(lambda n: b"long%d" % n * 300),
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.integers(100, 9000).map(lambda n: b"v" * n),
)
CHANGES = st.lists(st.tuples(KEYS, st.one_of(st.none(), VALUES)), min_size=1, max_size=25)


def entries_of(txn: ReadTransaction) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    cursor = txn.cursor(TREE)
    there = cursor.first()
    while there:
        found.append((cursor.key, cursor.value))
        there = cursor.step()
    return found


class EngineMachine(RuleBasedStateMachine):
    """One engine on a simulated disk, a dict, open snapshots and open transactions."""

    engine: StorageEngine
    disk: MemoryDisk

    @initialize(seed=st.integers(0, 1 << 30), page_size=st.sampled_from([4096, 8192, 65536]))
    def start(self, seed: int, page_size: int) -> None:
        self.seed = seed
        self.page_size = page_size
        self.disk = MemoryDisk()
        self.model: dict[bytes, bytes] = {}
        self.since_durable: list[dict[bytes, bytes]] = [{}]
        self.snapshots: list[tuple[ReadTransaction, dict[bytes, bytes]]] = []
        self.open: list[tuple[WriteTransaction, dict[bytes, bytes], dict[bytes, bytes]]] = []
        self.reopen()

    def reopen(self) -> None:
        self.engine = open_engine(
            self.disk, self.seed, page_size_bytes=self.page_size, checkpoint_log_bytes=40_000
        )

    @rule(changes=CHANGES, durability=st.sampled_from(["full", "full", "normal"]))
    def write(self, changes: list[tuple[bytes, bytes | None]], durability: str) -> None:
        with self.engine.begin_write("write") as txn:
            for key, value in changes:
                if value is None:
                    assert txn.delete(TREE, key) == (key in self.model)
                    self.model.pop(key, None)
                else:
                    txn.put(TREE, key, value)
                    self.model[key] = value
                assert txn.get(TREE, key) == value
            assert txn.count(TREE) == len(self.model)
            txn.commit(durability)
        self.committed(durability == "full")

    @rule(count=st.integers(50, 400), start=st.integers(0, 1000))
    def append(self, count: int, start: int) -> None:
        with self.engine.begin_write("append") as txn:
            for number in range(start, start + count):
                key = b"n" + number.to_bytes(4, "big")
                txn.put(TREE, key, b"x" * (number % 97))
                self.model[key] = b"x" * (number % 97)
            txn.commit()
        self.committed(True)

    @rule(step=st.integers(1, 5))
    def thin_out(self, step: int) -> None:
        with self.engine.begin_write("thin out") as txn:
            for key in sorted(self.model)[::step]:
                assert txn.delete(TREE, key)
                del self.model[key]
            txn.commit()
        self.committed(True)

    @rule(changes=CHANGES)
    def abort(self, changes: list[tuple[bytes, bytes | None]]) -> None:
        with self.engine.begin_write("abort") as txn:
            for key, value in changes:
                if value is None:
                    txn.delete(TREE, key)
                else:
                    txn.put(TREE, key, value)

    @rule(changes=CHANGES)
    def begin(self, changes: list[tuple[bytes, bytes | None]]) -> None:
        txn = self.engine.begin_transaction("optimistic")
        seen = dict(entries_of(txn))
        wanted: dict[bytes, bytes] = {}
        for key, value in changes:
            if value is not None:
                txn.put(TREE, key, value)
                wanted[key] = value
        self.open.append((txn, wanted, seen))

    @precondition(lambda self: self.open)
    @rule(choice=st.integers(0, 100))
    def end(self, choice: int) -> None:
        txn, wanted, seen = self.open.pop(choice % len(self.open))
        conflicts = any(seen.get(key) != self.model.get(key) for key in wanted)
        try:
            txn.commit()
        except WriteConflictError:
            assert conflicts
            return
        assert not conflicts
        self.model.update(wanted)
        self.committed(True)

    @rule()
    def snapshot(self) -> None:
        self.snapshots.append((self.engine.begin_read(), dict(self.model)))

    @precondition(lambda self: self.snapshots)
    @rule()
    def compare_snapshot(self) -> None:
        txn, seen = self.snapshots.pop(0)
        assert entries_of(txn) == sorted(seen.items())
        txn.close()

    @rule()
    def checkpoint(self) -> None:
        self.engine.checkpoint()
        self.committed(True)

    @rule()
    def close_and_reopen(self) -> None:
        self.let_go()
        self.engine.close()
        self.reopen()
        assert self.engine.recovery_report.was_clean
        self.committed(True)

    @rule()
    def die_and_reopen(self) -> None:
        self.forget_engine()
        self.disk = self.disk.image()
        self.reopen()
        self.committed(True)

    @rule()
    def lose_power_and_reopen(self) -> None:
        self.forget_engine()
        self.disk = self.disk.power_cut()
        self.reopen()
        with self.engine.begin_read() as txn:
            found = dict(entries_of(txn))
        assert found in self.since_durable
        self.model = found
        self.committed(True)

    def committed(self, is_durable: bool) -> None:
        """Note a version; a power cut leaves the last durable one or a later one."""
        if is_durable:
            self.since_durable = []
        self.since_durable.append(dict(self.model))

    @rule(key=KEYS)
    def seek(self, key: bytes) -> None:
        keys = sorted(self.model)
        at = bisect.bisect_left(keys, key)
        with self.engine.begin_read() as txn:
            cursor = txn.cursor(TREE)
            assert cursor.seek(key) == (at < len(keys))
            if at < len(keys):
                assert cursor.key == keys[at]
                assert cursor.back() == (at > 0)
            assert cursor.seek_before(key) == (at > 0)
            if at:
                assert cursor.key == keys[at - 1]
                assert cursor.step() == (at < len(keys))
            assert txn.count_range(TREE, key, None) == len(keys) - at
            assert txn.count_range(TREE, None, key) == at
            for position in (0, at, len(keys) - 1):
                there = cursor.seek_position(position)
                assert there == (0 <= position < len(keys))
                if there:
                    assert cursor.key == keys[position]

    @rule()
    def walk_backwards(self) -> None:
        found: list[bytes] = []
        with self.engine.begin_read() as txn:
            cursor = txn.cursor(TREE)
            there = cursor.last()
            while there:
                found.append(cursor.key)
                there = cursor.back()
        assert found == sorted(self.model, reverse=True)

    @invariant()
    def same_contents_and_sound_structure(self) -> None:
        if not hasattr(self, "engine"):
            return
        with self.engine.begin_read() as txn:
            assert entries_of(txn) == sorted(self.model.items())
        if random.Random(len(self.model)).random() < 0.3:
            report = self.engine.check()
            assert report.is_clean, report.to_dict()

    def let_go(self) -> None:
        for txn, _wanted, _seen in self.open:
            txn.abort()
        for snapshot, _seen in self.snapshots:
            snapshot.close()
        self.open = []
        self.snapshots = []

    def forget_engine(self) -> None:
        self.open = []
        self.snapshots = []
        io = self.engine._state.io
        assert isinstance(io, MemoryIo)
        io.die()
        self.engine._state.is_forked = True  # nothing is released on its behalf
        for key, engine in list(_registry.items()):
            if engine is self.engine:
                del _registry[key]

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.let_go()
            self.engine.close()


EngineMachine.TestCase.settings = settings(
    max_examples=max(30, (settings.default or settings()).max_examples * 3 // 10),
    stateful_step_count=40,
)
TestEngineAgainstDict = EngineMachine.TestCase
