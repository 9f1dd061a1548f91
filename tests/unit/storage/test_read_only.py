"""Readers that write nothing, and follow writers that come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cbdd.errors import CbddError, LockedError
from cbdd.storage import StorageEngine, StorageOptions
from cbdd.testing import MemoryIo
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
