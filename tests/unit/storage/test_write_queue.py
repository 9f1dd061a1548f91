"""Durable writes of several threads share a commit, and not what befalls one of them."""

from __future__ import annotations

import errno
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cbdd.build_info import build_kind
from cbdd.errors import CbddError, CorruptDataError, DurabilityError, UsageError
from cbdd.storage import QueuedWrite, StorageEngine, StorageOptions, WriteTransaction
from cbdd.storage.page import reference_page
from cbdd.storage.write_queue import MOST_BYTES, MOST_TOGETHER, WriteQueue
from tests.unit.storage.conftest import content, fill
from tests.unit.storage.test_sync import Slow

pytestmark = pytest.mark.transaction_protocol

TREE = 10
OTHER = 11


class Put(QueuedWrite):
    """Sets one key; refused when the value is `REFUSED`, broken half-way when it is `BROKEN`."""

    def __init__(self, key: bytes, value: bytes = b"1", tree: int = TREE) -> None:
        super().__init__("put")
        self.key = key
        self.value = value
        self.tree = tree
        self.tries = 0

    def apply(self, txn: WriteTransaction, before: QueuedWrite | None) -> None:
        self.tries += 1
        if self.value == REFUSED:
            self.problem = UsageError("REFUSED", self.key.decode())
            return
        txn.put(self.tree, self.key, self.value)
        if self.value == BROKEN:
            raise CorruptDataError("BROKEN", self.key.decode())


REFUSED = b"refused"
BROKEN = b"broken"


class Disk(Slow):
    """Holds syncs back until they may go on, lets them or appends fail, and damages pages."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = 0
        self.full_from = 0
        self.damaged_from = 0

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        data = super().pread(fd, length, offset)
        if self.damaged_from and offset == self.damaged_from:
            return bytes(len(data))
        return data

    def sync(self, fd: int) -> None:
        super().sync(fd)
        if self.is_armed and self.syncs == self.failing:
            raise OSError(errno.EIO, "injected")

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self.full_from and len(data) >= self.full_from:
            raise OSError(errno.ENOSPC, "injected")
        return super().pwrite(fd, data, offset)


class Threads:
    """Threads that write; the first of them holds the lead until `go`."""

    def __init__(self, path: Path) -> None:
        self.disk = Disk()
        self.engine = StorageEngine.open(
            str(path / "a.cbdd"), StorageOptions(background=False), self.disk
        )
        fill(self.engine, TREE, {b"first": b"1"})
        self.errors: dict[bytes, BaseException] = {}
        self.threads: list[threading.Thread] = []
        self.disk.is_armed = True

    def write(self, put: Put) -> None:
        """Write in this thread."""
        try:
            self.engine.write_durably(put)
        except CbddError as error:
            self.errors[put.key] = error

    def start(self, put: Put, waiting: int) -> None:
        """Write in a thread of its own, and return when so many wait."""
        thread = threading.Thread(target=self.write, args=(put,), daemon=True)
        self.threads.append(thread)
        thread.start()
        if waiting == 0:
            assert self.disk.has_begun.wait(60)
        while self.engine._write_queue.waiting < waiting:
            thread.join(0.001)
            assert thread.is_alive()

    def go(self) -> None:
        """Let everything go on to its end."""
        self.disk.may_go.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    @property
    def lsn(self) -> int:
        return self.engine._state.tip.lsn


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[Threads]:
    threads = Threads(tmp_path)
    yield threads
    threads.disk.is_armed = False
    threads.disk.full_from = 0
    threads.engine.close()


def test_a_write_alone_is_one_commit_and_one_sync(threads: Threads) -> None:
    lsn = threads.lsn
    threads.start(Put(b"a"), 0)
    threads.go()
    assert content(threads.engine, TREE) == {b"first": b"1", b"a": b"1"}
    assert (threads.lsn, threads.disk.syncs) == (lsn + 1, 1)
    assert threads.engine._write_queue.leader == 0


def test_writes_that_come_during_a_sync_share_the_next(threads: Threads) -> None:
    lsn = threads.lsn
    puts = [Put(b"%d" % n) for n in range(8)]
    for n, put in enumerate(puts):
        threads.start(put, n)
    assert content(threads.engine, TREE) == {b"first": b"1"}  # none is durable yet
    threads.go()
    assert threads.errors == {}
    assert len(content(threads.engine, TREE)) == 9
    assert (threads.lsn, threads.disk.syncs) == (lsn + 2, 2)
    assert [put.tries for put in puts] == [1] * 8


def test_a_refusal_is_nobody_elses(threads: Threads) -> None:
    for n in range(6):
        threads.start(Put(b"%d" % n, REFUSED if n in (1, 3) else b"1"), n)
    threads.go()
    assert sorted(threads.errors) == [b"1", b"3"]
    for key, error in threads.errors.items():
        assert isinstance(error, UsageError)
        assert error.message == key.decode()
    assert sorted(content(threads.engine, TREE)) == [b"0", b"2", b"4", b"5", b"first"]


def test_one_that_breaks_half_way_breaks_alone(threads: Threads) -> None:
    puts = [Put(b"%d" % n, BROKEN if n == 2 else b"1") for n in range(5)]
    for n, put in enumerate(puts):
        threads.start(put, n)
    threads.go()
    assert list(threads.errors) == [b"2"]
    assert isinstance(threads.errors[b"2"], CorruptDataError)
    assert sorted(content(threads.engine, TREE)) == [b"0", b"1", b"3", b"4", b"first"]
    assert puts[1].tries == 2


def test_room_for_one_is_enough_though_there_is_none_for_all(threads: Threads) -> None:
    for n in range(5):
        threads.start(Put(b"%d" % n, b"v" * 1000), n)
    threads.disk.full_from = 2000
    threads.go()
    assert threads.errors == {}
    assert len(content(threads.engine, TREE)) == 6


def test_a_failed_sync_concerns_all_of_its_commit(threads: Threads) -> None:
    for n in range(5):
        threads.start(Put(b"%d" % n, REFUSED if n == 3 else b"1"), n)
    threads.disk.failing = 2
    threads.go()
    assert sorted(threads.errors) == [b"1", b"2", b"3", b"4"]
    for error in threads.errors.values():
        assert isinstance(error, DurabilityError)
        assert error.code == "SYNC_FAILED"
    assert len({id(error) for error in threads.errors.values()}) == 4
    with pytest.raises(DurabilityError):
        threads.engine.write_durably(Put(b"later"))
    assert sorted(content(threads.engine, TREE)) == [b"0", b"first"]


def test_the_main_thread_only_leads_itself(threads: Threads) -> None:
    """Ctrl-C may come in the middle."""
    lsn = threads.lsn
    threads.start(Put(b"a"), 0)
    follower = threading.Thread(target=follow, args=(threads,))
    follower.start()
    threads.write(Put(b"b"))
    follower.join()
    threads.go()
    assert threads.errors == {}
    assert threads.lsn == lsn + 3
    assert len(content(threads.engine, TREE)) == 4


def follow(threads: Threads) -> None:
    """Queue up behind the main thread, and let the syncs go on."""
    pause = threading.Event()
    while threads.engine._write_queue.waiting < 1:
        pause.wait(0.001)
    threads.start(Put(b"c"), 2)
    threads.disk.may_go.set()


def test_who_waits_for_nobody_helps_itself(threads: Threads) -> None:
    queue = WriteQueue(0.01)
    threads.engine._write_queue = queue
    threads.disk.may_go.set()
    queue.leader = 1 << 60  # a thread that has ended without a word
    threads.write(Put(b"a"))
    assert content(threads.engine, TREE)[b"a"] == b"1"
    assert queue.leader == 0


def test_a_lead_that_was_left_behind_is_taken_up_by_its_thread(threads: Threads) -> None:
    threads.disk.may_go.set()
    threads.engine._write_queue.leader = threading.get_ident()
    threads.write(Put(b"a"))
    assert threads.engine._write_queue.leader == 0


class Interrupted:
    """A gate at which Ctrl-C arrives while it is waited for."""

    def acquire(self, _blocking: bool = True, seconds: float = 0.0) -> bool:
        if seconds:
            raise KeyboardInterrupt
        return True


def test_an_interrupt_takes_a_waiting_write_back(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads.start(Put(b"a"), 0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading, "Lock", Interrupted)
        threads.write(Put(b"b"))
    assert threads.engine._write_queue.waiting == 0
    threads.go()
    assert sorted(content(threads.engine, TREE)) == [b"a", b"first"]


def test_a_write_inside_a_write_of_the_same_thread_is_refused_at_once(threads: Threads) -> None:
    threads.disk.may_go.set()
    with threads.engine.begin_write("outer"):
        threads.write(Put(b"a"))
    error = threads.errors[b"a"]
    assert isinstance(error, UsageError)
    assert error.code == "NESTED_WRITE"


def test_a_commit_takes_no_more_writes_than_it_should(threads: Threads) -> None:
    lsn = threads.lsn
    for n in range(MOST_TOGETHER + 3):
        threads.start(Put(b"%d" % n), n)
    threads.go()
    assert threads.errors == {}
    assert threads.lsn == lsn + 3


def test_a_commit_takes_no_more_bytes_than_it_should(threads: Threads) -> None:
    lsn = threads.lsn
    for n in range(6):
        threads.start(Put(b"%d" % n, b"v" * (MOST_BYTES // 2 + 1)), n)
    threads.go()
    assert threads.errors == {}
    assert threads.lsn == lsn + 4  # one, two, two, one


def test_damage_that_one_meets_in_the_commit_is_nobody_elses(threads: Threads) -> None:
    """Changes are applied then, so that is where pages are read; and nothing was published."""
    disk, engine = threads.disk, threads.engine
    disk.is_armed = False
    fill(engine, OTHER, {b"x": b"1"})
    engine.checkpoint()
    root = engine._state.tip.trees[OTHER].root
    ref = root if isinstance(root, bytes) else root.ref  # type: ignore[attr-defined]
    assert isinstance(ref, bytes)
    disk.damaged_from = reference_page(ref) * engine._state.pager.page_size
    engine._state.pager.forget_all()
    engine._state.tip.trees[OTHER].root = ref
    disk.is_armed = True
    puts = [Put(b"%d" % n, tree=OTHER if n == 2 else TREE) for n in range(5)]
    for n, put in enumerate(puts):
        threads.start(put, n)
    threads.go()
    assert list(threads.errors) == [b"2"]
    assert isinstance(threads.errors[b"2"], CorruptDataError)
    assert sorted(content(engine, TREE)) == [b"0", b"1", b"3", b"4", b"first"]


def test_who_is_refused_waits_for_what_it_was_refused_by(threads: Threads) -> None:
    """Else it would be told of what a power cut can take back."""
    first = threading.Thread(target=fill, args=(threads.engine, TREE, {b"a": b"1"}))
    first.start()
    assert threads.disk.has_begun.wait(60)
    refused = threading.Thread(target=threads.write, args=(Put(b"a", REFUSED),))
    refused.start()
    while not threads.engine._write_queue.leader:
        refused.join(0.001)
    refused.join(0.05)
    assert refused.is_alive()
    assert threads.errors == {}
    threads.go()
    first.join()
    refused.join()
    assert list(threads.errors) == [b"a"]


@pytest.mark.parametrize("is_named", [False, True])
def test_who_is_interrupted_as_it_leaves_takes_nobody_along(
    threads: Threads, is_named: bool
) -> None:
    """Whatever it has done of leaving, the write that waits is run by its own thread."""
    queue = threads.engine._write_queue
    queue.wait_seconds = 0.01
    put = Put(b"a")
    queue.leader = 1 << 60
    threads.disk.may_go.set()
    thread = threading.Thread(target=threads.write, args=(put,))
    thread.start()
    while not put.thread:
        thread.join(0.001)
    queue.leader = put.thread if is_named else 0  # and was interrupted before it woke the thread
    thread.join(60)
    assert content(threads.engine, TREE)[b"a"] == b"1"
    assert queue.leader == 0


def test_a_write_that_was_not_taken_out_yet_is_not_lost() -> None:
    queue = WriteQueue()
    queue.leader = 1 << 60
    put = Put(b"a")
    assert not queue.enter(put)
    taken: list[QueuedWrite] = []
    queue._waiting = Taken(queue._waiting)  # type: ignore[assignment]
    took: list[bool] = []
    thread = threading.Thread(target=lambda: took.append(queue.take_into(taken)))
    thread.start()
    thread.join()
    assert took == [False]  # another leader was faster
    assert taken == []


class Taken(list[QueuedWrite]):
    """Another thread takes the first write out as soon as it was looked at."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        self.clear()
        return found


def test_a_refusal_leaves_no_cycle(threads: Threads) -> None:
    threads.disk.may_go.set()
    gc.collect()
    gc.disable()
    try:
        put = Put(b"a", REFUSED)
        alive = weakref.ref(put) if build_kind() == "interpreted" else None
        with pytest.raises(UsageError):
            threads.engine.write_durably(put)
        del put
        assert alive is None or alive() is None
    finally:
        gc.enable()


def test_who_was_let_go_meanwhile_is_not_named_as_leader() -> None:
    """Another leader takes the first write between the look at it and its naming."""
    queue = WriteQueue()
    queue.leader = 1 << 60
    put = Put(b"a")
    assert not queue.enter(put)
    queue.leader = threading.get_ident()
    queue._waiting = Taken(queue._waiting)  # type: ignore[assignment]
    queue.leave()
    assert queue.leader == 0


def test_a_write_that_came_too_late_for_who_leaves_leads_itself() -> None:
    queue = WriteQueue()
    queue.leader = 1 << 60
    queue._waiting = Leaving(queue)  # type: ignore[assignment]
    assert queue.enter(Put(b"a"))
    assert queue.leader == threading.get_ident()


class Leaving(list[QueuedWrite]):
    """The leader leaves just before a write is appended."""

    def __init__(self, queue: WriteQueue) -> None:
        super().__init__()
        self.queue = queue

    def append(self, write: QueuedWrite) -> None:
        self.queue.leader = 0
        super().append(write)
