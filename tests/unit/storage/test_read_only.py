"""Readers that write nothing, and follow writers that come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cbdd.errors import CbddError, CorruptDataError, DiskFullError, LockedError
from cbdd.storage import ReadTransaction, StorageEngine, StorageOptions
from cbdd.storage.locks import UNREGISTERED
from cbdd.testing import KilledError, MemoryIo, TickingClock
from tests.unit.storage.conftest import PATH, Bench, content, fill

TREE = 10


def test_it_changes_nothing_on_disk(bench: Bench) -> None:
    engine = bench.open(pid=1)
    fill(engine, TREE, {b"a": b"1"})
    bench.crash()  # an unclean file with its log
    operations = bench.disk.operations
    reader = bench.open(pid=2, read_only=True)
    assert content(reader, TREE) == {b"a": b"1"}
    assert reader.check().is_clean
    assert reader.statistics()["lsn"] == 1
    reader.close()
    assert bench.disk.operations == operations


def test_it_follows_writers_that_come_and_go(bench: Bench) -> None:
    writer = bench.open(pid=1)
    fill(writer, TREE, {b"a": b"1"})
    writer.close()
    reader = bench.open(pid=2, read_only=True)
    assert content(reader, TREE) == {b"a": b"1"}
    for number in range(3):
        writer = bench.open(pid=1)
        fill(writer, TREE, {b"a": b"%d" % number})
        assert content(reader, TREE)[b"a"] == b"%d" % number
        writer.checkpoint()
        fill(writer, TREE, {b"b": b"%d" % number})
        assert content(reader, TREE)[b"b"] == b"%d" % number
        writer.close()
        assert content(reader, TREE) == {b"a": b"%d" % number, b"b": b"%d" % number}
    reader.close()


def test_a_writer_that_came_and_went_between_two_reads_is_seen(bench: Bench) -> None:
    fill(bench.open(pid=1), TREE, {b"a": b"0"})
    bench.opened.pop().close()
    reader = bench.open(pid=2, read_only=True)
    assert content(reader, TREE) == {b"a": b"0"}
    for number in (b"1", b"2", b"3"):
        fill(bench.open(pid=1), TREE, {b"a": number})
        bench.opened.pop().close()
        assert content(reader, TREE) == {b"a": number}
    reader.close()


def test_a_writers_crash_is_read_without_repair(bench: Bench) -> None:
    writer = bench.open(pid=1)
    fill(writer, TREE, {b"a": b"1"})
    reader = bench.open(pid=2, read_only=True)
    assert content(reader, TREE) == {b"a": b"1"}
    fill(writer, TREE, {b"a": b"2"})
    writer._state.io.die()  # type: ignore[attr-defined]
    bench.opened.remove(writer)
    assert content(reader, TREE) == {b"a": b"2"}


def test_recovery_waits_for_no_reader_but_reuses_no_page(bench: Bench) -> None:
    writer = bench.open(pid=1)
    fill(writer, TREE, {b"%04d" % i: b"old" for i in range(1000)})
    writer.checkpoint()
    reader = bench.open(pid=2, read_only=True)
    snapshot = reader.begin_read()
    for number in range(5):
        fill(writer, TREE, {b"%04d" % i: b"%d" % number for i in range(1000)})
        writer.checkpoint()
    reader._state.pager.forget_all()
    assert snapshot.get(TREE, b"0500") == b"old"
    snapshot.close()


def test_a_reader_without_a_snapshot_keeps_no_page(bench: Bench) -> None:
    writer = bench.open(pid=1, reserve_bytes=0)
    fill(writer, TREE, {b"%04d" % i: b"old" for i in range(1000)})
    writer.checkpoint()
    reader = bench.open(pid=2, read_only=True)
    sizes = []
    for number in range(30):
        entries = {b"%04d" % i: b"%d" % number for i in range(1000)}
        with reader.begin_read() as first, reader.begin_read() as second:
            assert first.get(TREE, b"0500") == second.get(TREE, b"0500")
        fill(writer, TREE, entries)
        writer.checkpoint()
        sizes.append(writer.statistics()["page_count"])
        assert content(reader, TREE) == entries
    assert len(set(sizes[10:])) == 1, sizes
    snapshot = reader.begin_read()
    reader.begin_read().close()
    for number in range(5):
        fill(writer, TREE, {b"%04d" % i: b"%d" % number for i in range(1000)})
        writer.checkpoint()
    reader._state.pager.forget_all()
    assert snapshot.get(TREE, b"0500") == b"29"
    snapshot.close()


def test_an_opener_that_does_not_finish_is_an_error_with_a_deadline(bench: Bench) -> None:
    from cbdd.storage.locks import OPEN

    writer = bench.open(pid=1)
    assert writer._state.locks.try_lock(OPEN, True)
    with pytest.raises(LockedError, match="opening or closing"):
        bench.open(pid=2, read_only=True)
    writer._state.locks.release(OPEN)


def test_read_only_files_on_the_real_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    engine = StorageEngine.open(str(path), StorageOptions(background=False))
    fill(engine, TREE, {b"a": b"1"})
    engine.close()
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        reader = StorageEngine.open(str(path), StorageOptions(read_only=True))
        assert content(reader, TREE) == {b"a": b"1"}
        reader.close()
        if os.geteuid():  # root may write anything
            with pytest.raises(CbddError) as caught:
                StorageEngine.open(str(path), StorageOptions(background=False))
            assert caught.value.code == "READ_ONLY"
    finally:
        tmp_path.chmod(0o700)


def test_writers_of_another_machine_are_not_followed(bench: Bench) -> None:
    writer = bench.open(pid=1)
    fill(writer, TREE, {b"a": b"1"})
    writer.close()
    reader = bench.open(pid=2, read_only=True)
    elsewhere = MemoryIo(bench.disk, 3)
    elsewhere.host = b"another machine!"
    other = StorageEngine.open(PATH, StorageOptions(background=False), elsewhere)
    fill(other, TREE, {b"a": b"2"})
    for _ in range(2):
        with pytest.raises(LockedError, match="OTHER_MACHINE"):
            content(reader, TREE)
    other.close()
    assert content(reader, TREE) == {b"a": b"2"}
    reader.close()


def full_disk_with_a_pinned_reader(bench: Bench) -> tuple[StorageEngine, ReadTransaction]:
    """A writer that died with a log whose pages fit only into those that a snapshot keeps."""
    writer = bench.open(pid=1, reserve_bytes=0, page_size_bytes=4096)
    for number in range(3):  # leaves free pages behind
        fill(writer, TREE, {b"%04d" % i: b"%d" % number * 50 for i in range(1000)})
        writer.checkpoint()
    reader = bench.open(pid=2, read_only=True)
    snapshot = reader.begin_read()
    fill(writer, TREE, {b"%04d" % i: b"new" * 16 for i in range(1000)})
    writer._state.io.die()  # type: ignore[attr-defined]
    bench.opened.remove(writer)
    bench.disk.capacity = bench.disk.size() + (64 << 10)
    return reader, snapshot


def test_a_reader_that_keeps_pages_on_a_full_disk_is_named(bench: Bench) -> None:
    reader, snapshot = full_disk_with_a_pinned_reader(bench)
    with pytest.raises(DiskFullError, match="kept by a reader"):
        bench.open(pid=3, reserve_bytes=0)
    assert snapshot.get(TREE, b"0500") == b"2" * 50
    snapshot.close()
    fill(bench.open(pid=3, reserve_bytes=0), TREE, {b"0500": b"newest"})
    assert content(reader, TREE)[b"0500"] == b"newest"


def test_recovery_on_a_full_disk_waits_for_a_reader(bench: Bench) -> None:
    reader, snapshot = full_disk_with_a_pinned_reader(bench)

    class Patient(MemoryIo):
        def lock(self, fd: int, offset: int, exclusive: bool) -> bool:
            done = super().lock(fd, offset, exclusive)
            if offset == UNREGISTERED and exclusive and not done:
                self.refused += 1
                if self.refused == 4:
                    snapshot.close()
            return done

        refused = 0

    io = Patient(bench.disk, 3)
    options = StorageOptions(background=False, reserve_bytes=0)
    engine = StorageEngine.open(PATH, options, io, TickingClock())
    assert io.refused >= 4
    assert content(engine, TREE)[b"0500"] == b"new" * 16
    assert content(reader, TREE)[b"0500"] == b"new" * 16
    engine.close()


def test_an_idle_reader_holds_no_space(bench: Bench) -> None:
    """What the last writer removes must be free for whoever opens next, on a full disk too."""
    writer = bench.open(pid=1)
    reader = bench.open(pid=2, read_only=True)
    for number in range(3):
        fill(writer, TREE, {b"a": b"%d" % number})
        assert content(reader, TREE) == {b"a": b"%d" % number}
        writer.checkpoint()
    writer.close()
    bench.opened.remove(writer)
    io = reader._state.io
    assert isinstance(io, MemoryIo)
    held = [inode for inode in io.fds.values() if inode not in bench.disk.names.values()]
    assert [len(inode.data) for inode in held] == [0]  # the shared state, to notice the end
    assert content(reader, TREE) == {b"a": b"2"}


@pytest.mark.parametrize("is_opening", [False, True], ids=["closing", "opening"])
def test_a_reader_sees_everything_wherever_the_last_writer_was_killed(
    bench: Bench, is_opening: bool
) -> None:
    """It may still follow a shared state whose log and generation are gone."""
    number = 0
    while True:
        entries = {b"%04d" % i: b"%d" % number for i in range(300)}
        writer = bench.open(pid=10 + 2 * number)
        fill(writer, TREE, {b"0000": b"before"})
        reader = bench.open(pid=2, read_only=True)
        assert content(reader, TREE)[b"0000"] == b"before"
        fill(writer, TREE, entries)  # the reader does not look
        io = writer._state.io
        assert isinstance(io, MemoryIo)
        if is_opening:
            io.die()
            io = MemoryIo(bench.disk, 11 + 2 * number)
        io.calls_to_live = number
        is_done = False
        try:
            if is_opening:
                options = StorageOptions(background=False, lock_timeout_seconds=0.01)
                StorageEngine.open(PATH, options, io, TickingClock())
            else:
                writer.close()
            is_done = True
        except KilledError:
            pass
        io.calls_to_live = None
        io.die()
        bench.opened.remove(writer)
        assert content(reader, TREE) == entries, number
        reader.close()
        bench.opened.remove(reader)
        if is_done:
            break
        number += 1
    assert number > 30


def test_damage_behind_a_dead_writer_is_reported_each_time(bench: Bench) -> None:
    writer = bench.open(pid=1)
    fill(writer, TREE, {b"a": b"1"})
    reader = bench.open(pid=2, read_only=True)
    assert content(reader, TREE) == {b"a": b"1"}
    end = writer._state.tip_position.offset
    fill(writer, TREE, {b"a": b"2"})
    fill(writer, TREE, {b"a": b"3"})
    writer._state.io.die()  # type: ignore[attr-defined]
    bench.opened.remove(writer)
    log = next(name for name in bench.disk.names if "-wal-" in name)
    bench.disk.names[log].data[end + 30] ^= 1
    for _ in range(3):
        with pytest.raises(CorruptDataError, match="WAL"):
            reader.begin_read()
