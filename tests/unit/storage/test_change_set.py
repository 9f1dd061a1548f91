"""Changes of a transaction that met damage on their way: what was changed before stays right."""

from __future__ import annotations

import errno
import random

import pytest

from cbdd.errors import CorruptDataError, DiskFaultError, TransactionTooLargeError
from cbdd.storage import StorageEngine, StorageOptions
from cbdd.storage.change_set import MOST_WAITING
from cbdd.storage.node import Node
from cbdd.testing import MemoryIo, SeededRandomness, TickingClock
from tests.unit.storage.conftest import PATH, Bench, content, fill

pytestmark = pytest.mark.transaction_protocol

TREE = 10
KEYS = [b"%05d" % i for i in range(0, 20_000, 10)]
DURABILITIES = ["full", "off"]


def damaged(bench: Bench, durability: str) -> tuple[StorageEngine, list[bytes], set[bytes]]:
    """A tree of many leaves, one of them damaged: its engine, the damaged keys and all others."""
    engine = bench.open(durability=durability)
    fill(engine, TREE, {key: bytes(40) for key in KEYS})
    engine.close()
    bench.opened.clear()
    engine = bench.open(durability=durability)
    state = engine._state
    root = state.pager.load(root_reference(engine))
    at = len(root.children) // 2
    reference = root.children[at]
    assert isinstance(reference, bytes)
    lost = list(state.pager.load_fresh(reference).keys)
    offset = int.from_bytes(reference[:8], "little") * state.pager.page_size + 200
    state.io.pwrite(state.fd, bytes([state.io.pread(state.fd, 1, offset)[0] ^ 1]), offset)
    return engine, lost, set(KEYS) - set(lost)


def root_reference(engine: StorageEngine) -> bytes:
    root = engine._state.tip.trees[TREE].root
    assert isinstance(root, bytes)
    return root


def readable(engine: StorageEngine, keys: set[bytes]) -> dict[bytes, bytes | None]:
    with engine.begin_read() as txn:
        return {key: txn.get(TREE, key) for key in keys}


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("count", [1, MOST_WAITING + 20])
def test_a_change_that_meets_damage_leaves_the_others(
    bench: Bench, durability: str, count: int
) -> None:
    engine, lost, rest = damaged(bench, durability)
    changed = dict.fromkeys(sorted(rest)[:count], b"new")
    with engine.begin_write("test") as txn:
        for key, value in changed.items():
            txn.put(TREE, key, value)
        txn.get(TREE, KEYS[0])
        for _ in range(2):
            with pytest.raises(CorruptDataError):
                txn.delete(TREE, lost[3])
            with pytest.raises(CorruptDataError):
                txn.insert(TREE, lost[3] + b"!", b"new")
        if count > MOST_WAITING:  # there is a copy, which put meets the damage with
            with pytest.raises(CorruptDataError):
                txn.put(TREE, lost[3], b"new")
        txn.put(TREE, b"zzz", b"last")
        assert txn.get(TREE, b"zzz") == b"last"
        assert {key: txn.get(TREE, key) for key in changed} == changed
        txn.commit()
    expected = {**dict.fromkeys(rest, bytes(40)), **changed, b"zzz": b"last"}
    assert readable(engine, set(expected)) == expected
    pages = [page for page, _count in engine._state.ledger.pages]
    assert len(pages) == len(set(pages))


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_damaged_neighbour_does_not_stop_inserts_and_deletes(
    bench: Bench, durability: str
) -> None:
    """A full leaf looks at its neighbours for room, and a small one for company."""
    engine, lost, rest = damaged(bench, durability)
    source = random.Random(5)
    expected = dict.fromkeys(rest, bytes(40))
    before = [key for key in KEYS if key < lost[0]][-200:]
    for key in before:
        new = key + b"%d" % source.randrange(9)
        with engine.begin_write("test") as txn:
            txn.put(TREE, new, bytes(60))
            txn.commit()
        expected[new] = bytes(60)
    assert readable(engine, set(expected)) == expected
    for key in [key for key in sorted(expected) if before[0] <= key < lost[0]]:
        with engine.begin_write("test") as txn:
            assert txn.delete(TREE, key)
            txn.commit()
        del expected[key]
    assert readable(engine, set(expected)) == expected
    root = engine._state.tip.trees[TREE].root
    assert isinstance(root, Node)
    assert root.entry_count() == len(expected) + len(lost)


class BadSector(MemoryIo):
    """A disk that fails to read one place."""

    bad_offset = -1

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        if offset == self.bad_offset and length > 2048:
            raise OSError(errno.EIO, "bad sector")
        return super().pread(fd, length, offset)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_disk_that_fails_beside_a_change_is_told_and_leaves_nothing(
    bench: Bench, durability: str
) -> None:
    engine = bench.open(durability=durability)
    fill(engine, TREE, {key: bytes(40) for key in KEYS})
    engine.close()
    bench.opened.clear()
    io = BadSector(bench.disk, 1)
    options = StorageOptions(background=False, durability=durability)
    engine = StorageEngine.open(PATH, options, io, TickingClock(), SeededRandomness(1))
    bench.opened.append(engine)
    state = engine._state
    root = state.pager.load(root_reference(engine))
    leaf, beside = (bytes(each) for each in root.children[:2])  # type: ignore[call-overload]
    expected = dict.fromkeys(KEYS, bytes(40))
    keys = list(state.pager.load_fresh(leaf).keys)
    io.bad_offset = int.from_bytes(beside[:8], "little") * state.pager.page_size
    failures = 0
    for key in keys:
        try:
            with engine.begin_write("test") as txn:
                txn.put(TREE, key + b"!", bytes(60))
                txn.commit()
            expected[key + b"!"] = bytes(60)
        except DiskFaultError:
            failures += 1
    assert failures
    io.bad_offset = -1
    assert content(engine, TREE) == expected
    assert engine.check().problems == []


@pytest.mark.parametrize("durability", DURABILITIES)
def test_the_last_readable_leaf_can_be_emptied_beside_a_damaged_one(
    bench: Bench, durability: str
) -> None:
    """Its parent goes with it, and what is left is a root that cannot be read."""
    engine = bench.open(durability=durability, page_size_bytes=4096)
    fill(engine, TREE, {b"k%d" % i: bytes(1900) for i in range(3)})
    engine.close()
    bench.opened.clear()
    engine = bench.open(durability=durability, page_size_bytes=4096)
    state = engine._state
    root = state.pager.load(root_reference(engine))
    assert [type(child) for child in root.children] == [bytes, bytes]
    offset = int.from_bytes(bytes(root.children[1])[:8], "little") * 4096 + 200  # type: ignore[call-overload]
    state.io.pwrite(state.fd, b"\xff", offset)
    for key in (b"k0", b"k1"):
        with engine.begin_write("test") as txn:
            assert txn.delete(TREE, key)
            txn.commit()
    with engine.begin_read() as reader:
        assert reader.count(TREE) == 1
        with pytest.raises(CorruptDataError):
            reader.get(TREE, b"k2")


def test_a_copy_that_could_not_be_finished_is_made_again(bench: Bench) -> None:
    """A cursor wants a copy with all changes, one of which falls into the damaged leaf."""
    engine, lost, rest = damaged(bench, "full")
    key = min(rest)
    with engine.begin_write("test") as txn:
        txn.put(TREE, key, b"new")
        txn.put(TREE, lost[3], b"new")
        for _ in range(2):
            with pytest.raises(CorruptDataError):
                txn.count(TREE)
        assert txn.get(TREE, key) == b"new"
    assert readable(engine, {key}) == {key: bytes(40)}
    with engine.begin_write("test") as txn:
        txn.put(TREE, key, b"new")
        with pytest.raises(CorruptDataError):
            txn.delete(TREE, lost[3])
        txn.commit()
    assert readable(engine, {key}) == {key: b"new"}
    assert len(content_before(engine, lost[0])) == sum(each < lost[0] for each in rest)


def content_before(engine: StorageEngine, end: bytes) -> list[bytes]:
    found: list[bytes] = []
    with engine.begin_read() as txn:
        cursor = txn.cursor(TREE)
        is_valid = cursor.first()
        while is_valid and cursor.key < end:
            found.append(cursor.key)
            try:
                is_valid = cursor.step()
            except CorruptDataError:
                break
    return found


@pytest.mark.parametrize("count", [1, MOST_WAITING, MOST_WAITING + 1, 1000])
@pytest.mark.parametrize("before", [0, 1, MOST_WAITING])
def test_many_are_put_as_each_would_be(bench: Bench, count: int, before: int) -> None:
    engine = bench.open(durability="off")
    fill(engine, TREE, dict.fromkeys(KEYS[::3], b"old"))
    model = dict.fromkeys(KEYS[::3], b"old")
    entries = dict.fromkeys(random.Random(count).sample(KEYS, count), b"new")
    with engine.begin_write("test") as txn:
        for key in KEYS[:before]:
            txn.put(TREE, key, b"before")
            model[key] = b"before"
        txn.put_many(TREE, entries)
        model.update(entries)
        assert {key: txn.get(TREE, key) for key in entries} == entries
        assert txn.count(TREE) == len(model)
        txn.commit()
    assert content(engine, TREE) == model
    engine.close()
    bench.opened.clear()
    engine = bench.open()
    assert content(engine, TREE) == model
    assert engine.check().is_clean


def test_many_that_are_too_large_together_change_nothing(bench: Bench) -> None:
    engine = bench.open(durability="off", max_transaction_bytes=10_000)
    fill(engine, TREE, {b"a": b"1"})
    with engine.begin_write("test") as txn:
        with pytest.raises(TransactionTooLargeError):
            txn.put_many(TREE, {key: bytes(40) for key in KEYS})
        assert not txn.has_changes


def test_many_that_meet_damage_leave_what_was_before(bench: Bench) -> None:
    engine, lost, rest = damaged(bench, "off")
    key = min(rest)
    with engine.begin_write("test") as txn:
        with pytest.raises(CorruptDataError):
            txn.put_many(TREE, dict.fromkeys(KEYS, b"new"))
        assert not txn.has_changes
        txn.put(TREE, key, b"new")
        with pytest.raises(CorruptDataError):
            txn.put_many(TREE, dict.fromkeys(KEYS, b"newer"))
        assert txn.get(TREE, key) == b"new"
        txn.commit()
    assert readable(engine, rest) == {each: b"new" if each == key else bytes(40) for each in rest}
    assert lost


def test_everything_is_there_where_nothing_is_damaged(bench: Bench) -> None:
    engine = bench.open(durability="off")
    fill(engine, TREE, {b"a": b"1"})
    with engine.begin_write("test") as txn:
        assert txn.insert(TREE, b"b", b"2")
        txn.take_back(TREE, b"b")
        txn.put(TREE, b"c", b"3")
        txn.commit()
    assert content(engine, TREE) == {b"a": b"1", b"c": b"3"}
