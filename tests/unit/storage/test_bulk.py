"""Files written in one go check clean, hold what was given, and work like any other."""

from __future__ import annotations

import random

import pytest

from cbdd.errors import UsageError
from cbdd.storage import StorageEngine, StorageOptions
from cbdd.storage.bulk import BulkFile
from cbdd.storage.meta import Meta
from cbdd.testing import SeededRandomness, TickingClock
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo

PATH = "/db/bulk.cbdd"
Entries = dict[bytes, bytes]


def written(trees: dict[int, Entries], page_size: int = 4096) -> MemoryDisk:
    disk = MemoryDisk()
    io = MemoryIo(disk)
    fd = io.open(PATH, True, False)
    meta = Meta()
    meta.page_size = page_size
    meta.uuid = bytes(range(16))
    meta.generation = 7
    meta.checkpoint_lsn = 99
    file = BulkFile(io, fd, meta)
    for number, entries in trees.items():
        tree = file.begin_tree(number)
        for key in sorted(entries):
            tree.add(key, entries[key])
        tree.finish()
    file.finish()
    io.close(fd)
    return disk


def opened(disk: MemoryDisk) -> StorageEngine:
    options = StorageOptions(background=False, must_exist=True, flight_recorder=False)
    return StorageEngine.open(PATH, options, MemoryIo(disk), TickingClock(), SeededRandomness(1))


def content(engine: StorageEngine, number: int) -> Entries:
    found: Entries = {}
    with engine.begin_read() as txn:
        cursor = txn.cursor(number)
        more = cursor.first()
        while more:
            found[cursor.key] = cursor.value
            more = cursor.step()
    return found


def made(source: random.Random, count: int, key_bytes: int, value_bytes: int) -> Entries:
    prefix = source.randbytes(source.choice([0, 0, 5]))
    return {
        prefix + source.randbytes(source.randint(1, key_bytes)): source.randbytes(
            source.randint(0, value_bytes)
        )
        for _ in range(count)
    }


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40, 1500])
@pytest.mark.parametrize(
    ("key_bytes", "value_bytes"), [(4, 3), (30, 100), (512, 20), (900, 3000), (8, 9000)]
)
def test_a_file_checks_clean_and_holds_what_it_was_given(
    count: int, key_bytes: int, value_bytes: int
) -> None:
    source = random.Random(count * 1000 + key_bytes)
    trees = {
        16: made(source, count, key_bytes, value_bytes),
        17: {},
        300: made(source, 5, 10, 10),
    }
    engine = opened(written(trees))
    report = engine.check()
    assert [problem.message for problem in report.problems] == []
    assert report.lsn == 99
    for number, entries in trees.items():
        assert content(engine, number) == entries
        with engine.begin_read() as txn:
            assert txn.count(number) == len(entries)
    engine.close()


@pytest.mark.parametrize("key_bytes", [8, 480])
def test_every_number_of_pages_on_a_level_makes_a_right_tree(key_bytes: int) -> None:
    for count in range(1, 130):
        entries = {n.to_bytes(2, "big").ljust(key_bytes, b"k"): b"v" * 990 for n in range(count)}
        engine = opened(written({16: entries}))
        assert engine.check().is_clean, f"{count} entries"
        assert content(engine, 16) == entries
        engine.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_file_is_worked_on_like_any_other(seed: int) -> None:
    source = random.Random(seed)
    model = made(source, 800, source.choice([6, 600]), 200)
    disk = written({16: model}, source.choice([4096, 16384]))
    engine = opened(disk)
    for _ in range(30):
        with engine.begin_write("test") as txn:
            for _ in range(40):
                if source.random() < 0.6 and model:
                    key = source.choice(list(model))
                    txn.delete(16, key)
                    del model[key]
                else:
                    key, value = source.randbytes(source.randint(1, 700)), source.randbytes(50)
                    txn.put(16, key, value)
                    model[key] = value
            txn.commit()
        if source.random() < 0.3:
            engine.checkpoint()
    assert content(engine, 16) == model
    engine.close()
    engine = opened(disk)
    assert engine.recovery_report.was_clean
    assert engine.check().is_clean
    assert content(engine, 16) == model
    engine.close()


def test_keys_must_ascend() -> None:
    io = MemoryIo(MemoryDisk())
    tree = BulkFile(io, io.open(PATH, True, False), Meta()).begin_tree(16)
    tree.add(b"b", b"")
    for key in (b"b", b"a"):
        with pytest.raises(UsageError):
            tree.add(key, b"")


def test_pages_are_full() -> None:
    entries = {n.to_bytes(8, "big"): b"v" * 90 for n in range(20_000)}
    engine = opened(written({16: entries}))
    pages = engine.check().pages
    assert pages * 4096 < 1.1 * 20_000 * (90 + 8 + 4)
    engine.close()
