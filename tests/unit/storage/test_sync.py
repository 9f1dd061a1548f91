"""Group commit: who syncs, what a sync covers, and what a failed one means."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from cbdd.errors import DurabilityError
from cbdd.storage import Io, StorageEngine, StorageOptions
from cbdd.storage.sync import sync_to
from cbdd.testing import Fault
from tests.unit.storage.conftest import Bench, content, fill

pytestmark = pytest.mark.transaction_protocol

TREE = 10


def test_what_is_durable_already_is_not_synced_again(bench: Bench) -> None:
    engine = bench.open()
    lsn = fill(engine, TREE, {b"a": b"1"})
    bench.disk.fault = Fault(1, errno.EIO, True, ("sync",))
    sync_to(engine._state, lsn)
    bench.disk.fault = None
    assert engine.statistics()["durable_lsn"] == lsn


def test_one_sync_covers_every_commit_before_it(bench: Bench) -> None:
    engine = bench.open(durability="off")
    for number in range(5):
        lsn = fill(engine, TREE, {b"a": b"%d" % number})
    assert engine.statistics()["durable_lsn"] == 0
    sync_to(engine._state, 1)
    assert engine.statistics()["durable_lsn"] == lsn == 5


def test_another_processs_sync_counts(bench: Bench) -> None:
    here = bench.open(pid=1, durability="off")
    there = bench.open(pid=2, durability="off")
    lsn = fill(here, TREE, {b"a": b"1"})
    assert content(there, TREE) == {b"a": b"1"}
    sync_to(there._state, lsn)
    bench.disk.fault = Fault(1, errno.EIO, True, ("sync",))
    sync_to(here._state, lsn)
    bench.disk.fault = None


def test_a_failed_sync_poisons_every_process(bench: Bench) -> None:
    here = bench.open(pid=1)
    there = bench.open(pid=2)
    fill(here, TREE, {b"a": b"1"})
    bench.disk.fault = Fault(1, errno.EIO, False, ("sync",))
    with pytest.raises(DurabilityError) as caught:
        fill(here, TREE, {b"a": b"2"})
    assert caught.value.code == "SYNC_FAILED"
    for engine in (here, there):
        with pytest.raises(DurabilityError):
            fill(engine, TREE, {b"a": b"3"})
        assert content(engine, TREE) == {b"a": b"1"}
    here.close()
    there.close()
    assert content(bench.open(), TREE)[b"a"] in (b"1", b"2")


def test_a_commit_that_was_not_published_is_never_called_durable(bench: Bench) -> None:
    """The next one gets its LSN, and would not be synced."""
    engine = bench.open(durability="off")
    waiting = fill(engine, TREE, {b"a": b"1"})
    state = engine._state
    with engine.begin_write("test") as txn:
        txn.put(TREE, b"b", b"2")
        bench.disk.fault = Fault(2, errno.EIO, False, ("pwrite",))  # after the frame: its end
        with pytest.raises(DurabilityError):
            txn.commit("full")
    bench.disk.fault = None
    sync_to(state, waiting)  # another thread, for a commit before it
    assert state.durable_lsn == waiting
    with engine.begin_write("test") as txn:
        txn.put(TREE, b"c", b"3")
        assert txn.commit("full") == waiting + 1
    with pytest.raises(DurabilityError, match="was not published"):
        sync_to(state, waiting + 2)
    assert content(engine, TREE) == {b"a": b"1", b"c": b"3"}
    bench.opened = []
    bench.disk = bench.disk.power_cut()
    assert content(bench.open(), TREE) == {b"a": b"1", b"c": b"3"}


class Slow(Io):
    """Holds the first sync of the log until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_armed = False
        self.has_begun = threading.Event()
        self.may_go = threading.Event()
        self.syncs = 0

    def sync(self, fd: int) -> None:
        if self.is_armed:
            self.syncs += 1
            self.has_begun.set()
            assert self.may_go.wait(60)
        super().sync(fd)


def test_threads_that_wait_share_the_next_sync(tmp_path: object) -> None:
    disk = Slow()
    options = StorageOptions(background=False)
    engine = StorageEngine.open(f"{tmp_path}/a.cbdd", options, disk)
    fill(engine, TREE, {b"a": b"1"})
    disk.is_armed = True
    threads = [
        threading.Thread(target=fill, args=(engine, TREE, {b"%d" % n: b"1"})) for n in range(8)
    ]
    threads[0].start()
    assert disk.has_begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    while engine._state.tip.lsn < 9:  # all have appended and wait
        threads[0].join(0.001)
    assert content(engine, TREE) == {b"a": b"1"}  # none is durable yet, so none is seen
    disk.may_go.set()
    for thread in threads:
        thread.join()
    disk.is_armed = False
    assert disk.syncs == 2
    assert len(content(engine, TREE)) == 9
    engine.close()


class ImpatientCondition(threading.Condition):
    """Every wait is over at once, as if its time were out; the third lets the slow sync end."""

    def __init__(self, end: threading.Event) -> None:
        super().__init__(threading.RLock())
        self.end = end
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        if self.waits < 3:
            return False
        self.end.set()
        return super().wait(None)


class SlowDisk(Io):
    """The first sync it is armed for ends when it is told to; syncs are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.is_armed = False
        self.began = threading.Event()
        self.end = threading.Event()
        self.running = 0
        self.most = 0

    def sync(self, fd: int) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        if self.is_armed and not self.began.is_set():
            self.began.set()
            self.end.wait(30)
        super().sync(fd)
        self.running -= 1


def test_nobody_syncs_beside_a_sync_that_takes_long(tmp_path: Path) -> None:
    """It may be failing, and the kernel tells of an error only once."""
    disk = SlowDisk()
    engine = StorageEngine.open(str(tmp_path / "a.cbdd"), StorageOptions(background=False), io=disk)
    fill(engine, TREE, {b"a": b"1"})
    state = engine._state
    condition = ImpatientCondition(disk.end)
    state.sync_mutex = condition._lock  # type: ignore[attr-defined]
    state.sync_condition = condition
    disk.most, disk.is_armed = 0, True
    first = threading.Thread(target=fill, args=(engine, TREE, {b"b": b"2"}), daemon=True)
    first.start()
    assert disk.began.wait(30)
    fill(engine, TREE, {b"c": b"3"})
    first.join(30)
    assert condition.waits >= 3
    assert disk.most == 1
    engine.close()
