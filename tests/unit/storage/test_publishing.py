"""Publishing: in place where nobody can see it, in copies otherwise, and never half."""

from __future__ import annotations

import contextlib
import errno
import random
import threading
from collections.abc import Callable

import pytest

from cbdd.errors import (
    CorruptDataError,
    DiskFaultError,
    DiskFullError,
    DurabilityError,
    LockedError,
    WriteConflictError,
)
from cbdd.storage import ReadTransaction, StorageEngine, StorageOptions
from cbdd.storage.frame import FRAMES_OFFSET
from cbdd.storage.node import Node
from cbdd.storage.publishing import AMPLE_BYTES, MOST_IN_PLACE
from cbdd.storage.space import GROWTH_BYTES, has_room
from cbdd.testing import Fault, MemoryDisk, MemoryIo, SeededRandomness, TickingClock
from tests.unit.storage.conftest import PATH, Bench, content, fill

pytestmark = pytest.mark.transaction_protocol

TREE = 10


def opened(bench: Bench, **options: object) -> StorageEngine:
    return bench.open(durability="off", **options)


def root_of(engine: StorageEngine) -> Node:
    root = engine._state.tip.trees[TREE].root
    assert isinstance(root, Node)
    return root


def test_unseen_nodes_are_changed_in_place(bench: Bench) -> None:
    engine = opened(bench)
    fill(engine, TREE, {b"a": b"1", b"b": b"1"})
    root = root_of(engine)
    fill(engine, TREE, {b"a": b"2"})
    with engine.begin_write("test") as txn:
        assert txn.delete(TREE, b"b")
        txn.commit()
    assert root_of(engine) is root
    assert content(engine, TREE) == {b"a": b"2"}
    assert engine._state.dirty_nodes == 1


def test_what_a_reader_sees_is_copied(bench: Bench) -> None:
    engine = opened(bench)
    fill(engine, TREE, {b"a": b"1"})
    root = root_of(engine)
    with engine.begin_read() as before:
        fill(engine, TREE, {b"a": b"2"})
        assert root_of(engine) is not root
        assert before.get(TREE, b"a") == b"1"
    copied = root_of(engine)
    fill(engine, TREE, {b"a": b"3"})
    assert root_of(engine) is copied


def test_what_an_open_transaction_sees_is_copied(bench: Bench) -> None:
    engine = opened(bench)
    fill(engine, TREE, {b"a": b"1", b"b": b"1"})
    open_one = engine.begin_transaction("open")
    open_one.put(TREE, b"b", b"mine")
    root = root_of(engine)
    fill(engine, TREE, {b"a": b"2"})
    assert root_of(engine) is not root
    assert open_one.get(TREE, b"a") == b"1"
    open_one.commit()
    assert content(engine, TREE) == {b"a": b"2", b"b": b"mine"}


@pytest.mark.parametrize("changes", [1, MOST_IN_PLACE - 4, MOST_IN_PLACE + 1])
def test_few_changes_are_made_in_place(bench: Bench, changes: int) -> None:
    engine = opened(bench)
    fill(engine, TREE, {b"%03d" % i: b"1" for i in range(100)})
    root = root_of(engine)
    with engine.begin_write("test") as txn:
        for i in range(changes):
            txn.put(TREE, b"%03d" % i, b"2")
        txn.commit()
    assert (root_of(engine) is root) == (changes <= MOST_IN_PLACE)
    assert content(engine, TREE) == {b"%03d" % i: b"2" if i < changes else b"1" for i in range(100)}


@pytest.mark.parametrize("value", [b"v" * 100_000, None])
def test_what_belongs_in_runs_is_not_changed_in_place(bench: Bench, value: bytes | None) -> None:
    engine = opened(bench)
    long_key = b"k" * 3000
    fill(engine, TREE, {b"a": b"1", long_key: b"1"})
    root = root_of(engine)
    with engine.begin_write("test") as txn:
        if value is None:
            assert txn.delete(TREE, long_key)
        else:
            txn.put(TREE, b"a", value)
        txn.commit()
    assert root_of(engine) is not root
    assert engine.check().problems == []


@pytest.mark.parametrize("page_size", [4096, 65536])
def test_few_changes_ask_for_little_room(bench: Bench, page_size: int) -> None:
    """Though the levels of trees that were not read yet are not known."""
    engine = opened(bench, page_size_bytes=page_size)
    fill(engine, TREE, {b"%05d" % i: b"v" * 100 for i in range(2000)})
    engine.checkpoint()
    engine.close()
    engine = opened(bench)
    before = len(bench.disk.names[PATH].data)
    fill(engine, TREE, {b"%05d" % (i * 30): b"w" for i in range(MOST_IN_PLACE)})
    assert len(bench.disk.names[PATH].data) - before <= AMPLE_BYTES + GROWTH_BYTES


def test_room_that_is_not_needed_is_no_sign_of_a_full_disk(bench: Bench) -> None:
    engine = opened(bench)
    fill(engine, TREE, {b"%05d" % i: b"v" * 100 for i in range(2000)})
    engine.checkpoint()
    bench.disk.capacity = bench.disk.size() + 300_000
    fill(engine, TREE, {b"%05d" % (i * 90): b"w" for i in range(20)})
    assert not engine._state.segments.is_tight
    bench.disk.capacity = None


def test_long_keys_of_copied_nodes_have_room(bench: Bench) -> None:
    """They are written anew with their node, though the change is of a short one."""
    engine = opened(bench)
    fill(engine, TREE, {b"%03d" % i + b"k" * 30_000: b"v" for i in range(150)})
    engine.close()
    engine = opened(bench)
    fill(engine, TREE + 1, {b"a": b"1"})  # there is a log from now on
    state = engine._state
    capacity, bench.disk.capacity = bench.disk.capacity, bench.disk.size()
    with pytest.raises(DiskFullError):
        fill(engine, TREE, {b"001": b"w"})
    with engine.begin_read() as txn:
        assert txn.count(TREE) == 150
    bench.disk.capacity = capacity
    fill(engine, TREE, {b"001": b"w"})
    assert has_room(state, 0, 0, 0, -1)
    engine.checkpoint()
    assert engine.check().problems == []


class Watched(MemoryIo):
    """Tells of every sync before it happens."""

    on_sync: Callable[[], None] | None = None

    def sync(self, fd: int) -> None:
        tell = self.on_sync
        if tell is not None:
            self.on_sync = None
            tell()
            self.on_sync = tell
        super().sync(fd)


def watched(bench: Bench, pid: int = 1) -> tuple[StorageEngine, Watched]:
    io = Watched(bench.disk, pid)
    options = StorageOptions(background=False, lock_timeout_seconds=0.01)
    engine = StorageEngine.open(PATH, options, io, TickingClock(), SeededRandomness(pid))
    bench.opened.append(engine)
    return engine, io


def test_a_commit_in_place_is_not_seen_before_it_is_durable(bench: Bench) -> None:
    """Until its sync has returned, whoever begins to read sees the version before it."""
    engine, io = watched(bench)
    before = {b"%03d" % i: b"x" * 100 for i in range(300)}
    fill(engine, TREE, before)
    root = root_of(engine)
    readers = [engine.begin_read()]
    readers.pop().close()

    def begin_to_read() -> None:
        readers.append(engine.begin_read())
        require_content(readers[-1], before)

    io.on_sync = begin_to_read
    with engine.begin_write("test") as txn:
        txn.put(TREE, b"000", b"changed")
        txn.put(TREE, b"zzz", b"new")
        assert txn.delete(TREE, b"007")
        txn.commit()
    io.on_sync = None
    after = {**before, b"000": b"changed", b"zzz": b"new"}
    del after[b"007"]
    assert root_of(engine) is root
    assert content(engine, TREE) == after
    fill(engine, TREE, {b"000": b"again"})
    assert root_of(engine) is not root, "what the reader shares was changed in place"
    require_content(readers[0], before)
    readers[0].close()


def test_what_was_changed_in_place_is_undone_for_readers_when_its_sync_fails(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1", b"b": b"1"})
    bench.disk.fault = Fault(1, errno.EIO, False, ("sync",))
    with pytest.raises(DurabilityError):
        fill(engine, TREE, {b"a": b"2", b"c": b"2"})
    for _ in range(2):
        assert content(engine, TREE) == {b"a": b"1", b"b": b"1"}


@pytest.mark.parametrize("durability", ["full", "off"])
def test_a_snapshot_whose_nodes_were_changed_is_compared_with_no_more(
    bench: Bench, durability: str
) -> None:
    """The append finds no room, others commit the same change while room is made."""
    engine, io = watched(bench)
    other = bench.open(pid=2)
    fill(engine, TREE, {b"n": b"5", **{b"%04d" % i: bytes(100) for i in range(300)}})
    engine.checkpoint()
    fill(engine, TREE, {b"n": b"5"})
    committed: list[int] = []

    def meanwhile() -> None:
        if not committed:
            with contextlib.suppress(LockedError), other.begin_write("other") as txn:
                txn.put(TREE, b"n", b"6")
                committed.append(txn.commit())

    txn = engine.begin_transaction("increment")
    assert txn.get(TREE, b"n") == b"5"
    txn.put(TREE, b"n", b"6")
    io.on_sync = meanwhile
    bench.disk.fault = Fault(1, errno.ENOSPC, False, ("pwrite",))
    with pytest.raises((DiskFullError, WriteConflictError)):
        txn.commit(durability)
    io.on_sync = None
    assert committed
    for each in (engine, other):
        assert content(each, TREE)[b"n"] == b"6"
        assert each.check().problems == []


@pytest.mark.parametrize("sync", range(1, 8))
def test_a_checkpoint_given_up_beside_a_transaction_leaves_nothing_behind(
    bench: Bench, sync: int
) -> None:
    """It waits in vain for the writer lock, which a transaction takes at one of its syncs."""
    engine, io = watched(bench)
    model = {b"%05d" % i: bytes(100) for i in range(300)}
    fill(engine, TREE, model)
    engine.checkpoint()
    engine.checkpoint()
    for i in range(0, 300, 7):
        fill(engine, TREE, {b"%05d" % i: bytes(99)})
        model[b"%05d" % i] = bytes(99)
    has_begun, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.suppress(LockedError), engine.begin_write("hold") as txn:
            txn.put(TREE, b"held", b"1")
            has_begun.set()
            may_go.wait(60)
            txn.commit()
            model[b"held"] = b"1"
        has_begun.set()

    holder = threading.Thread(target=hold)
    left = [sync]

    def at_a_sync() -> None:
        left[0] -= 1
        if left[0] == 0:
            holder.start()
            assert has_begun.wait(60)

    io.on_sync = at_a_sync
    with contextlib.suppress(LockedError):
        engine.checkpoint()
    io.on_sync = None
    may_go.set()
    if holder.ident is not None:
        holder.join()
    for i in range(0, 300, 11):
        fill(engine, TREE, {b"%05d" % i: bytes(98)})
        model[b"%05d" % i] = bytes(98)
    engine.checkpoint()
    engine.checkpoint()
    assert engine.check().problems == []
    assert content(engine, TREE) == model


def test_a_value_kept_in_a_run_is_replaced_in_a_copy(bench: Bench) -> None:
    engine, io = watched(bench)
    fill(engine, TREE, {b"a": bytes(9000), b"b": b"1"})
    engine.checkpoint()
    fill(engine, TREE, {b"b": b"2"})
    root = root_of(engine)
    seen: list[dict[bytes, bytes]] = []
    io.on_sync = lambda: seen.append(content(engine, TREE))
    fill(engine, TREE, {b"a": b"small"})
    assert root_of(engine) is not root
    assert seen == [{b"a": bytes(9000), b"b": b"2"}]


def test_what_a_checkpoint_writes_is_copied(bench: Bench) -> None:
    engine = opened(bench)
    state = engine._state
    fill(engine, TREE, {b"a": b"1"})
    root = root_of(engine)
    state.writing_below = state.next_owner()
    fill(engine, TREE, {b"a": b"2"})
    assert root_of(engine) is not root
    assert root.values == [b"1"]


@pytest.mark.parametrize("is_pinned", [False, True])
def test_a_failed_append_leaves_nothing(bench: Bench, is_pinned: bool) -> None:
    engine = opened(bench)
    other = opened(bench, pid=2)
    fill(engine, TREE, {b"%03d" % i: b"x" * 100 for i in range(300)})
    before = content(engine, TREE)
    reader = engine.begin_read() if is_pinned else None
    bench.disk.fault = Fault(1, errno.EIO, False, ("pwrite",))
    with pytest.raises(DiskFaultError):
        fill(engine, TREE, {b"000": b"changed", b"zzz": b"new"})
    for each in (engine, other):
        assert content(each, TREE) == before
    if reader is not None:
        assert reader.get(TREE, b"000") == b"x" * 100
        reader.close()
    fill(engine, TREE, {b"zzz": b"new"})
    bench.crash()
    assert content(opened(bench), TREE) == {**before, b"zzz": b"new"}


@pytest.mark.parametrize("durability", ["full", "off"])
@pytest.mark.parametrize("problem", ["", "write", "sync"])
def test_damage_met_on_the_way_leaves_nothing(bench: Bench, durability: str, problem: str) -> None:
    """Neither here nor, when every process dies then, in the log."""
    engine = bench.open(durability=durability)
    with engine.begin_write("fill") as txn:
        for tree in (TREE, TREE + 1):
            txn.create_tree(tree)
            txn.put(tree, b"a", b"1")
        txn.commit()
    engine.close()
    bench.opened.clear()
    engine = bench.open(durability=durability)
    fill(engine, TREE + 2, {b"a": b"1"})  # so that there is a log
    state = engine._state
    root = state.tip.trees[TREE + 1].root
    assert isinstance(root, bytes)
    page = int.from_bytes(root[:8], "little")
    io, fd = state.io, state.fd
    offset = page * state.pager.page_size + 200
    io.pwrite(fd, bytes([io.pread(fd, 1, offset)[0] ^ 1]), offset)
    expected = DurabilityError if problem else CorruptDataError
    with pytest.raises(expected) as caught, engine.begin_write("test") as txn:
        txn.put(TREE, b"a", b"2")
        txn.put(TREE + 1, b"a", b"2")
        if problem == "write":  # the first is the frame
            bench.disk.fault = Fault(2, errno.EIO, True, ("pwrite", "truncate"))
        elif problem == "sync":
            bench.disk.fault = Fault(1, errno.EIO, False, ("sync",))
        txn.commit()
    bench.disk.fault = None
    assert content(engine, TREE) == {b"a": b"1"}
    if not problem:
        image = Bench()
        image.disk = bench.disk.image()
        again = image.open(read_only=True, salvage=True)
        assert content(again, TREE) == {b"a": b"1"}
        again.close()
        log = next(name for name in bench.disk.names if "-wal-" in name)
        inode = bench.disk.names[log]
        assert inode.durable == inode.data, "the frame might be on disk, and the zeros not"
        fill(engine, TREE, {b"a": b"3"})
        assert content(engine, TREE) == {b"a": b"3"}
    else:
        assert caught.value.code == ("APPEND_UNKNOWN" if problem == "write" else "SYNC_FAILED")
        with pytest.raises(DurabilityError):
            fill(engine, TREE, {b"a": b"3"})


def test_changes_are_applied_at_once_where_they_cannot_wait(bench: Bench) -> None:
    """A cursor in the middle of a transaction, trees made and dropped, many changes."""
    engine = opened(bench)
    fill(engine, TREE, {b"a": b"1"})
    fill(engine, TREE + 1, {b"x": b"1"})
    with engine.begin_write("test") as txn:
        txn.put(TREE, b"b", b"2")
        assert txn.count(TREE) == 2
        txn.put(TREE, b"c", b"3")
        cursor = txn.cursor(TREE)
        assert cursor.last() and cursor.key == b"c"
        txn.drop_tree(TREE + 1)
        txn.create_tree(TREE + 2)
        for i in range(200):
            txn.put(TREE + 2, b"%03d" % i, b"y")
        assert txn.delete(TREE + 2, b"000") and not txn.delete(TREE + 2, b"000")
        assert txn.tree_ids() == [1, 2, TREE, TREE + 2]
        txn.commit()
    assert content(engine, TREE) == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert len(content(engine, TREE + 2)) == 199


@pytest.mark.parametrize("entries", [1, 16, 60, 3000])
def test_no_more_room_is_kept_than_a_commit_may_need(bench: Bench, entries: int) -> None:
    """One tree with many changes, made at once, beside one with a single change that waits."""
    engine = opened(bench)
    fill(engine, TREE, {})
    fill(engine, TREE + 1, {b"a": b"1"})
    state = engine._state
    with engine.begin_write("test") as txn:
        for i in range(entries):
            txn.put(TREE, b"%08d" % i, bytes(100))
        txn.put(TREE + 1, b"a", b"2")
        txn.commit()
    used = state.meta.page_count + state.dirty_nodes
    reserve = state.options.reserve_bytes // state.pager.page_size
    pages = state.io.size(state.fd) // state.pager.page_size
    assert pages - used < reserve + 300, "more than two and a half mebibytes"


@pytest.mark.parametrize("seed", range(8))
def test_readers_keep_what_they_saw_whatever_is_written(bench: Bench, seed: int) -> None:
    """Random commits of all kinds beside readers that come and go, also during syncs."""
    rng = random.Random(seed)
    pairs = [watched(bench), watched(bench, pid=2)]
    engines = [engine for engine, _io in pairs]
    model: dict[bytes, bytes] = {}
    fill(engines[0], TREE, {})
    readers: list[tuple[ReadTransaction, dict[bytes, bytes]]] = []

    def during_a_sync() -> None:
        choice = rng.random()
        if choice < 0.3:
            readers.append((rng.choice(engines).begin_read(), dict(model)))
        elif choice < 0.5:
            assert content(rng.choice(engines), TREE) == model

    for _engine, io in pairs:
        io.on_sync = during_a_sync
    for _ in range(150):
        engine = rng.choice(engines)
        choice = rng.random()
        if choice < 0.15:
            readers.append((engine.begin_read(), dict(model)))
        elif choice < 0.4 and readers:
            reader, seen = readers.pop(rng.randrange(len(readers)))
            with reader:
                require_content(reader, seen)
        elif choice < 0.45:
            engine.checkpoint()
        else:
            change(engine, rng, model)
    for _engine, io in pairs:
        io.on_sync = None
    for reader, seen in readers:
        with reader:
            require_content(reader, seen)
    for engine in engines:
        assert content(engine, TREE) == model
        assert engine.check().problems == []
    bench.crash()
    assert content(opened(bench), TREE) == model


def change(engine: StorageEngine, rng: random.Random, model: dict[bytes, bytes]) -> None:
    begin = rng.choice([engine.begin_write, engine.begin_transaction])
    changed = dict(model)
    with begin("change") as txn:
        for _ in range(rng.choice([1, 1, 3, 100])):
            key = b"%04d" % rng.randrange(600)
            if rng.random() < 0.4:
                assert txn.delete(TREE, key) == (changed.pop(key, None) is not None)
                continue
            value = bytes(rng.choice([3, 150, 5000]))
            choice = rng.random()
            if choice < 0.5:
                txn.put(TREE, key, value)
                changed[key] = value
            elif choice < 0.8:
                assert txn.insert(TREE, key, value) == (key not in changed)
                changed.setdefault(key, value)
            elif txn.insert(TREE, key, value):
                txn.take_back(TREE, key)
            assert txn.get(TREE, key) == changed.get(key)
        if rng.random() < 0.1:
            return  # aborted
        txn.commit(rng.choice(["off", "normal", "full"]))
    model.clear()
    model.update(changed)


def require_content(reader: ReadTransaction, expected: dict[bytes, bytes]) -> None:
    assert reader.count(TREE) == len(expected)
    cursor = reader.cursor(TREE)
    for key in sorted(expected):
        assert cursor.seek(key) and (cursor.key, cursor.value) == (key, expected[key])


class TracedIo(MemoryIo):
    """Notes what is done to the log."""

    def __init__(self, disk: MemoryDisk, pid: int) -> None:
        super().__init__(disk, pid)
        self.calls: list[tuple[str, int]] = []

    def _is_log(self, fd: int) -> bool:
        return any(
            "-wal-" in name and inode is self.fds[fd] for name, inode in self.disk.names.items()
        )

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self._is_log(fd) and offset >= FRAMES_OFFSET:
            self.calls.append(("write", offset + len(data)))
        return super().pwrite(fd, data, offset)

    def start_writing(self, fd: int, end: int) -> None:
        self.calls.append(("start", end))
        super().start_writing(fd, end)

    def sync(self, fd: int) -> None:
        if self._is_log(fd):
            self.calls.append(("sync", 0))
        super().sync(fd)


@pytest.mark.parametrize("is_pinned", [False, True], ids=["in place", "copied"])
@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_the_disk_begins_with_a_frame_that_is_to_be_synced(
    bench: Bench, durability: str, is_pinned: bool
) -> None:
    io = TracedIo(bench.disk, 1)
    options = StorageOptions(background=False, durability=durability)
    engine = StorageEngine.open(PATH, options, io, TickingClock(), SeededRandomness(1))
    bench.opened.append(engine)
    fill(engine, TREE, {b"a": b"1"})
    reader = engine.begin_read() if is_pinned else None
    io.calls.clear()
    fill(engine, TREE, {b"a": b"2"})
    end = engine._state.tip_position.offset
    frame = [call for call in io.calls if call[1] <= end]
    assert frame[0] == ("write", end)
    assert frame[1:] == ([("start", end), ("sync", 0)] if durability == "full" else [])
    if reader is not None:
        reader.close()


def test_who_cannot_begin_to_write_may_have_lost_what_nobody_has_synced(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    bench.disk.fault = Fault(1, errno.EIO, False, ("start_writing",))
    with pytest.raises(DurabilityError) as caught:
        fill(engine, TREE, {b"a": b"2"})
    assert caught.value.code == "SYNC_FAILED"
    assert content(engine, TREE) == {b"a": b"1"}
    with pytest.raises(DurabilityError):
        fill(engine, TREE, {b"a": b"3"})
