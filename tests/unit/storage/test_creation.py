"""A new database appears whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from cbdd.errors import CbddError
from cbdd.storage.creation import create_database, remove_leftovers
from cbdd.storage.meta import choose, read_copies
from cbdd.storage.options import StorageOptions
from cbdd.testing import (
    Fault,
    MemoryDisk,
    MemoryIo,
    SeededRandomness,
    TickingClock,
)
from tests.unit.storage.conftest import PATH, Bench, fill

OPTIONS = StorageOptions(page_size_bytes=16384)


def create(io: MemoryIo, seed: int = 1) -> bool:
    return create_database(io, TickingClock(), SeededRandomness(seed), PATH, "/db", OPTIONS)


def test_a_new_file_is_an_empty_clean_database() -> None:
    disk = MemoryDisk()
    io = MemoryIo(disk)
    assert create(io)
    assert list(disk.names) == [PATH]
    assert list(disk.power_cut().names) == [PATH]
    assert len(disk.power_cut().names[PATH].data) == 65536
    copies = read_copies(io, io.open(PATH, False, True))
    assert [copy.status for copy in copies] == ["valid"] * 4
    meta = choose(copies, PATH)
    assert (meta.generation, meta.is_clean, meta.page_size, meta.page_count) == (2, True, 16384, 4)
    assert meta.uuid != bytes(16)


def test_who_is_second_leaves_the_first_ones_file() -> None:
    disk = MemoryDisk()
    io = MemoryIo(disk)
    assert create(io, 1)
    before = bytes(disk.names[PATH].data)
    assert not create(io, 2)
    assert list(disk.names) == [PATH]
    assert bytes(disk.names[PATH].data) == before


@pytest.mark.parametrize("kind", ["open", "pwrite", "sync", "link"])
def test_a_failure_leaves_nothing(kind: str) -> None:
    disk = MemoryDisk()
    io = MemoryIo(disk)
    disk.fault = Fault(1, errno.ENOSPC, False, (kind,))
    with pytest.raises(OSError, match="ENOSPC"):
        create(io)
    assert disk.names == {}


def test_only_our_own_leftovers_are_removed() -> None:
    disk = MemoryDisk()
    io = MemoryIo(disk)
    assert create(io)
    io.link(PATH, f"{PATH}-new-0011")  # a crash between link and unlink
    io.open(f"{PATH}-new-0022", True, False)  # a crash before anything was written
    theirs = io.open(f"{PATH}-new-notes.txt", True, False)
    io.pwrite(theirs, b"my notes", 0)
    io.open("/db/other.cbdd-new-0033", True, False)
    remove_leftovers(io, PATH, "/db", "a.cbdd")
    assert sorted(disk.names) == [PATH, f"{PATH}-new-notes.txt", "/db/other.cbdd-new-0033"]


class Interfering(MemoryIo):
    """Has another process do something just before or after one of our calls."""

    def __init__(self, disk: MemoryDisk, method: str, act: Callable[[], None], after: bool) -> None:
        super().__init__(disk)
        self.method = method
        self.act: Callable[[], None] | None = act
        self.after = after

    def _meanwhile(self, method: str, after: bool) -> None:
        act = self.act
        if method == self.method and after == self.after and act is not None:
            self.act = None
            act()

    def link(self, source: str, target: str) -> None:
        self._meanwhile("link", False)
        super().link(source, target)
        self._meanwhile("link", True)

    def lock(self, fd: int, offset: int, exclusive: bool) -> bool:
        self._meanwhile("lock", False)
        return super().lock(fd, offset, exclusive)

    def list_directory(self, path: str) -> list[str]:
        names = super().list_directory(path)
        self._meanwhile("list_directory", True)
        return names


def remove(disk: MemoryDisk) -> None:
    remove_leftovers(MemoryIo(disk, 2), PATH, "/db", "a.cbdd")


def test_an_opener_between_link_and_unlink_is_in_nobodys_way() -> None:
    disk = MemoryDisk()
    assert create(Interfering(disk, "link", lambda: remove(disk), True))
    assert list(disk.names) == [PATH]


def test_a_leftover_that_vanishes_while_it_is_looked_at() -> None:
    disk = MemoryDisk()
    assert create(MemoryIo(disk))
    disk.names[f"{PATH}-new-0011"] = disk.names[PATH]

    def vanish() -> None:
        del disk.names[f"{PATH}-new-0011"]

    remove_leftovers(Interfering(disk, "list_directory", vanish, True), PATH, "/db", "a.cbdd")
    assert list(disk.names) == [PATH]


def test_a_file_that_is_being_made_is_no_leftover() -> None:
    disk = MemoryDisk()
    assert create(Interfering(disk, "link", lambda: remove(disk), False))
    assert list(disk.names) == [PATH]


def test_a_file_taken_for_a_leftover_is_made_again() -> None:
    disk = MemoryDisk()
    assert create(Interfering(disk, "lock", lambda: remove(disk), False))
    assert list(disk.names) == [PATH]


def test_what_a_dead_creator_left_goes_with_the_next_creation(bench: Bench) -> None:
    io = MemoryIo(bench.disk)
    io.open(f"{PATH}-new-0022", True, False)
    bench.open()
    assert f"{PATH}-new-0022" not in bench.disk.names


def test_what_a_dead_creator_left_goes_with_the_next_recovery(bench: Bench) -> None:
    fill(bench.open(), 9, {b"a": b"1"})
    MemoryIo(bench.disk).open(f"{PATH}-new-0022", True, False)
    bench.crash()
    bench.open()
    assert f"{PATH}-new-0022" not in bench.disk.names


def test_a_directory_that_is_gone_is_an_error() -> None:
    disk = MemoryDisk()
    disk.fault = Fault(1, errno.ENOENT, True, ("link",))
    with pytest.raises(FileNotFoundError, match="vanish"):
        create(MemoryIo(disk))
    assert disk.names == {}


def test_opening_after_a_crash_between_link_and_unlink(bench: Bench) -> None:
    io = MemoryIo(bench.disk)
    assert create(io)
    io.link(PATH, f"{PATH}-new-0011")
    bench.open()
    assert f"{PATH}-new-0011" not in bench.disk.names


def test_a_second_name_that_is_not_ours_is_refused(bench: Bench) -> None:
    io = MemoryIo(bench.disk)
    assert create(io)
    io.link(PATH, "/db/copy.cbdd")
    with pytest.raises(CbddError) as caught:
        bench.open()
    assert caught.value.code == "HARD_LINKED"
