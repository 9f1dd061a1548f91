"""Failing, slow and full disks do what they say."""

from __future__ import annotations

import errno

import pytest

from cbdd.errors import CbddError, DiskFullError
from cbdd.storage.io import read_exact, write_all
from cbdd.testing import FaultyIo, FullDisk, MemoryDisk, MemoryIo, SlowIo, TickingClock


def test_the_chosen_call_fails_once_or_for_ever() -> None:
    io = FaultyIo(MemoryIo(MemoryDisk()), "EIO", 2)
    fd = io.open("/db/a", True, False)
    with pytest.raises(OSError, match="EIO") as raised:
        io.pwrite(fd, b"x", 0)
    assert raised.value.errno == errno.EIO
    assert io.fired == "pwrite"
    io.pwrite(fd, b"x", 0)
    io = FaultyIo(MemoryIo(MemoryDisk()), "ENOSPC", 2, True, ("pwrite",))
    fd = io.open("/db/a", True, False)
    io.pwrite(fd, b"x", 0)
    for _ in range(3):
        with pytest.raises(OSError, match="ENOSPC"):
            io.pwrite(fd, b"x", 0)
    assert io.size(fd) == 1


def test_short_reads_and_writes_take_half() -> None:
    io = FaultyIo(MemoryIo(MemoryDisk()), "short write", 2, True, ("pwrite", "pread"))
    fd = io.open("/db/a", True, False)
    assert io.pwrite(fd, b"abcd", 0) == 4
    assert io.pwrite(fd, b"abcd", 0) == 2
    write_all(io, fd, b"0123456789", 0)
    io.kind = "short read"
    assert io.pread(fd, 10, 0) == b"01234"
    assert read_exact(io, fd, 10, 0) == b"0123456789"


def test_a_slow_disk_takes_its_time_on_its_clock() -> None:
    clock = TickingClock()
    io = SlowIo(MemoryIo(MemoryDisk()), clock, 2.0)
    before = clock.monotonic()
    io.open("/db/a", True, False)
    assert clock.monotonic() - before >= 2.0


def test_a_full_disk_refuses_growth_and_nothing_else() -> None:
    disk = FullDisk()
    with disk.connect() as client:
        client.a.b.insert_many([{"_id": n, "x": "y" * 100} for n in range(50)])
        disk.fill()
        with pytest.raises(DiskFullError):
            for _ in range(100):
                client.a.b.insert_many([{"x": "y" * 1000} for _ in range(20)])
        assert client.a.b.find_one({"_id": 7}) is not None
        assert client.a.b.delete_many({"_id": {"$lt": 40}}).deleted_count == 40
        client.checkpoint()
        assert client.check().is_clean
        disk.free()
        client.a.b.insert_one({"_id": "new"})
    with disk.connect() as client:
        assert client.a.b.find_one({"_id": "new"}) is not None


def test_an_unknown_fault_is_a_mistake() -> None:
    io = FaultyIo(MemoryIo(MemoryDisk()), "EWHAT", 1)
    with pytest.raises(AttributeError):
        io.open("/db/a", True, False)
    assert issubclass(DiskFullError, CbddError)
