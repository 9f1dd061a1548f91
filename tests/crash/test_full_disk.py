"""A full disk: an ordinary commit is refused whole, and everything that helps still works."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cbdd.errors import DiskFullError
from cbdd.storage import StorageEngine
from cbdd.storage.engine import _registry
from cbdd.testing import (
    MemoryDisk,
    MemoryIo,
    SeededRandomness,
    TickingClock,
)
from cbdd.testing.databases import connect_on
from cbdd.testing.workload import PATH, contents_of, small_options

pytestmark = [pytest.mark.crash, pytest.mark.recovery]
TREE = 7
SIZES = [400_000, 500_000, 700_000, 1_000_000, 2_500_000]


class Tenant:
    """A database on a small disk, and the model of what it holds."""

    def __init__(self, capacity: int, seed: int, **options: object) -> None:
        self.disk = MemoryDisk()
        self.disk.capacity = capacity
        self.source = random.Random(seed)
        self.options = {"reserve_bytes": 192 << 10, "checkpoint_log_bytes": 1 << 16, **options}
        self.options.setdefault("durability", "off" if seed % 2 else "full")  # in place, in copies
        self.model: dict[bytes, bytes] = {}
        self.engine = self.open(1)

    def open(self, pid: int) -> StorageEngine:
        return StorageEngine.open(
            PATH,
            small_options(**self.options),
            MemoryIo(self.disk, pid),
            TickingClock(),
            SeededRandomness(pid),
        )

    def put(self, number: int, length: int) -> None:
        key, value = b"%08d" % number, self.source.randbytes(length)
        with self.engine.begin_write("put") as txn:
            if not txn.has_tree(TREE):
                txn.create_tree(TREE)
            txn.put(TREE, key, value)
            txn.commit()
        self.model[key] = value

    def delete(self, keys: list[bytes]) -> None:
        """Delete, in smaller transactions when a large one has no room for what it copies."""
        size = len(keys)
        done = 0
        while done < len(keys):
            piece = keys[done : done + size]
            try:
                with self.engine.begin_write("delete") as txn:
                    for key in piece:
                        assert txn.delete(TREE, key)
                    txn.commit()
            except DiskFullError:
                assert size > 1, "not even one entry can be deleted"
                size //= 2
                continue
            done += len(piece)
            for key in piece:
                del self.model[key]

    def fill(self, first: int = 0) -> int:
        """Put until nothing more fits; returns the number that was refused."""
        for number in range(first, first + 100_000):
            try:
                self.put(number, self.source.choice([20, 300, 300, 3000]))
            except DiskFullError:
                return number
        raise AssertionError("the disk never got full")

    def crash(self) -> None:
        io = self.engine._state.io
        assert isinstance(io, MemoryIo)
        io.die()
        self.engine._state.is_forked = True
        for key, value in list(_registry.items()):
            if value is self.engine:
                del _registry[key]

    def verify(self) -> None:
        found = contents_of(self.engine)
        assert found.get(TREE, {}) == self.model
        report = self.engine.check()
        assert report.is_clean, report.findings


@pytest.mark.parametrize("capacity", SIZES)
@pytest.mark.parametrize("seed", range(1, 4))
def test_on_a_full_disk_all_that_helps_works(capacity: int, seed: int) -> None:
    tenant = Tenant(capacity, seed)
    last = tenant.fill()
    assert tenant.model
    tenant.verify()
    tenant.engine.checkpoint()
    tenant.verify()
    for round_number in range(4):
        keys = sorted(tenant.model)
        tenant.delete(tenant.source.sample(keys, max(1, len(keys) // 3)))
        tenant.engine.checkpoint()
        tenant.verify()
        last = tenant.fill(last + 1)
        assert tenant.model, f"seed {seed}, round {round_number}"
        tenant.verify()
    tenant.delete(sorted(tenant.model))
    tenant.engine.close()
    tenant.engine = tenant.open(2)
    tenant.verify()
    tenant.fill(last + 1)
    assert tenant.model
    tenant.engine.close()


@pytest.mark.parametrize("capacity", SIZES)
@pytest.mark.parametrize("seed", range(1, 4))
def test_a_database_closes_and_opens_on_a_full_disk(capacity: int, seed: int) -> None:
    tenant = Tenant(capacity, seed)
    tenant.fill()
    tenant.engine.close()
    tenant.engine = tenant.open(2)
    tenant.verify()
    tenant.delete(sorted(tenant.model)[::2])
    tenant.engine.close()
    tenant.engine = tenant.open(3)
    tenant.verify()
    tenant.engine.close()


@pytest.mark.parametrize("capacity", SIZES)
@pytest.mark.parametrize("seed", range(1, 4))
def test_recovery_works_on_a_full_disk(capacity: int, seed: int) -> None:
    tenant = Tenant(capacity, seed)
    tenant.fill()
    tenant.crash()
    tenant.engine = tenant.open(2)
    tenant.verify()
    tenant.delete(sorted(tenant.model)[::2])
    tenant.crash()
    tenant.engine = tenant.open(3)
    tenant.verify()
    tenant.engine.close()


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("seed", range(1, 9))
def test_others_may_fill_the_disk(seed: int, is_open: bool) -> None:
    tenant = Tenant(1 << 40, seed)
    for number in range(tenant.source.randrange(1, 200)):
        tenant.put(number, tenant.source.choice([20, 300, 3000]))
    if not is_open:
        tenant.engine.close()
    tenant.disk.capacity = tenant.disk.size()
    if not is_open:
        tenant.engine = tenant.open(2)
    tenant.verify()
    tenant.delete(sorted(tenant.model)[::2])
    tenant.verify()
    tenant.engine.checkpoint()
    tenant.delete(sorted(tenant.model)[::2])
    tenant.crash()
    tenant.engine = tenant.open(3)
    tenant.verify()
    tenant.engine.close()
    tenant.disk.capacity = None
    tenant.engine = tenant.open(4)
    tenant.put(10_000, 100)
    tenant.verify()
    tenant.engine.close()


@pytest.mark.parametrize(("size", "seed"), [(600, 0), (600, 3), (900, 0), (1500, 1), (1800, 1)])
@pytest.mark.parametrize("page_size", [4096, 16384])
def test_all_can_be_deleted_where_others_filled_the_disk(
    page_size: int, size: int, seed: int
) -> None:
    """Also when the tail is used up and what is free lies scattered in the file."""
    source = random.Random(seed * 1000 + size)
    reserve = 48 * min(page_size, 8192)
    options: dict[str, Any] = {"page_size_bytes": page_size, "reserve_bytes": reserve}
    options |= {"checkpoint_log_bytes": 32 << 20, "log_allocation_bytes": 1 << 20}
    disk = MemoryDisk()

    def document(number: int) -> dict[str, Any]:
        pad = "x" * source.choice([20, 200, 3000])
        return {"_id": number, "a": source.randrange(1000), "b": source.random(), "pad": pad}

    with connect_on(MemoryIo(disk, 1), 1, **options) as client:
        things = client.shop.things
        things.create_index("a")
        things.create_index("b", unique=True)
        things.create_index([("a", 1), ("b", -1)])
        things.insert_many([document(number) for number in range(size)])
    disk.capacity = disk.size()
    with connect_on(MemoryIo(disk, 2), 2, **options) as client:
        things = client.shop.things
        for number in source.sample(range(size), 30):
            assert things.delete_one({"_id": number}).deleted_count == 1
        for bound in [500] if seed % 2 == 0 else [100, 200, 500, 700, 900]:
            things.delete_many({"a": {"$lt": bound}})
        client.checkpoint()
        things.delete_many({})
        for number in range(size // 4):
            things.insert_one(document(number))
        things.delete_many({})
    with connect_on(MemoryIo(disk, 3), 3, **options) as client:
        assert client.check().is_clean
        assert client.shop.things.count_documents({}) == 0


@pytest.mark.parametrize("page_size", [4096, 16384])
@pytest.mark.parametrize("size", [600, 900, 1500])
@pytest.mark.parametrize("seed", range(2))
def test_what_closing_frees_may_be_taken_by_others(page_size: int, size: int, seed: int) -> None:
    """The reserve is filled from it first: the next to open needs it to delete."""
    source = random.Random(seed * 1000 + size)
    options: dict[str, Any] = {"page_size_bytes": page_size, "checkpoint_log_bytes": 32 << 20}
    options |= {"reserve_bytes": 48 * min(page_size, 8192), "log_allocation_bytes": 1 << 20}
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk, 1), 1, **options) as client:
        things = client.shop.things
        for keys in ("a", [("a", 1), ("b", -1)]):
            things.create_index(keys)
        things.create_index("b", unique=True)
        documents = [
            {"_id": i, "a": source.randrange(1000), "b": source.random(), "pad": "x" * length}
            for i, length in enumerate(source.choices([20, 200, 3000], k=size))
        ]
        things.insert_many(documents)
    disk.capacity = disk.size()
    gone = source.sample(range(size), size // 3)
    with connect_on(MemoryIo(disk, 2), 2, **options) as client:
        for number in gone:
            client.shop.things.delete_one({"_id": number})
    disk.capacity = disk.size()
    with connect_on(MemoryIo(disk, 3), 3, **options) as client:
        things = client.shop.things
        for number in sorted(set(range(size)) - set(gone))[:3]:
            assert things.delete_one({"_id": number}).deleted_count == 1
    with connect_on(MemoryIo(disk, 4), 4, **options) as client:
        assert client.shop.things.count_documents({}) == size - size // 3 - 3
        assert client.check().is_clean


@pytest.mark.parametrize("seed", [12, 16, 60, 123, 129, 160, 234])
def test_what_was_accepted_can_be_checkpointed(seed: int) -> None:
    """With keys that need pages of their own, and nothing left in the tail."""
    options = {"checkpoint_log_bytes": 32 << 20, "log_allocation_bytes": 8192}
    tenant = Tenant(1 << 40, seed, durability="off", **options)
    source = random.Random(seed)
    keys: list[bytes] = []

    def put(count: int) -> None:
        added: dict[bytes, bytes] = {}
        with tenant.engine.begin_write("put") as txn:
            if not txn.has_tree(TREE):
                txn.create_tree(TREE)
            for _ in range(count):
                key = b"%08d" % source.randrange(10**8)
                key += source.randbytes(9000) if source.random() < 0.2 else b""
                added[key] = source.randbytes(source.choice([5, 300, 3000]))
                txn.put(TREE, key, added[key])
            txn.commit()
        tenant.model.update(added)
        keys.extend(added)

    for _ in range(10):
        put(20)
    tenant.disk.capacity = tenant.disk.size() + source.choice([0, 300_000])
    for _ in range(120):
        try:
            if source.random() < 0.3:
                put(source.choice([1, 5]))
            else:
                chosen = source.sample(keys, min(len(keys), source.choice([1, 1, 3, 10])))
                with tenant.engine.begin_write("delete") as txn:
                    for key in chosen:
                        assert txn.delete(TREE, key)
                    txn.commit()
                for key in chosen:
                    keys.remove(key)
                    del tenant.model[key]
        except DiskFullError:
            pass
        if source.random() < 0.1:
            tenant.engine.checkpoint()
    tenant.verify()
    tenant.delete(sorted(tenant.model))
    tenant.verify()
    tenant.engine.close()


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_transaction_larger_than_the_disk_is_refused_whole(seed: int) -> None:
    tenant = Tenant(700_000, seed)
    tenant.put(1, 100)
    with pytest.raises(DiskFullError):
        tenant.put(2, 900_000)
    tenant.verify()
    tenant.put(2, 1000)
    tenant.verify()
    tenant.engine.close()


def test_without_a_reserve_the_file_ends_with_its_last_page() -> None:
    tenant = Tenant(1 << 40, 1, reserve_bytes=0)
    for number in range(50):
        tenant.put(number, 300)
    tenant.engine.close()
    count = tenant.engine._state.meta.page_count
    assert len(tenant.disk.names[PATH].data) == count * 4096
