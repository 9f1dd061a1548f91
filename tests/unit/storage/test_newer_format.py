"""Files of later releases: this one reads and writes only what it may, however it meets them.

A later release is this one with meta pages that ask for more: what is in them is kept by every
checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import xxhash

from cbdd.build_info import build_kind
from cbdd.errors import CbddError, NewerFormatError, ReadOnlyError
from cbdd.storage import StorageEngine
from cbdd.storage import engine as engine_module
from cbdd.storage.frame import SEGMENT_HEADER, SEGMENT_HEADER_BYTES, decode_segment_header
from cbdd.storage.meta import FORMAT, Meta, MetaCopy, read_copies
from cbdd.storage.version import VERSION
from cbdd.testing import MemoryIo
from tests.unit.storage.conftest import PATH, Bench, content, fill

TREE = 10
MUST_NOT_WRITE = [("min_writer", FORMAT + 1), ("must_not_write", 4)]
MUST_NOT_READ = [("min_reader", FORMAT + 1), ("must_not_read", 1)]


def upgrade(engine: StorageEngine, field: str, value: int) -> None:
    """Let an engine's next checkpoint ask for more, as a later release would."""
    setattr(engine._state.meta, field, value)
    fill(engine, TREE, {b"upgraded": b"yes"})
    engine.checkpoint()


def metas(bench: Bench) -> list[Meta]:
    io = MemoryIo(bench.disk, 99)
    fd = io.open(PATH, False, True)
    try:
        return [copy.meta for copy in read_copies(io, fd) if copy.meta is not None]
    finally:
        io.close(fd)


@pytest.fixture
def two(bench: Bench) -> tuple[StorageEngine, StorageEngine]:
    """This release and a later one, which both have the file open for writing."""
    ours, later = bench.open(pid=1), bench.open(pid=2)
    fill(ours, TREE, {b"a": b"1"})
    assert content(later, TREE) == {b"a": b"1"}
    return ours, later


@pytest.mark.parametrize(("field", "value"), MUST_NOT_WRITE)
def test_an_open_writer_stops_when_a_later_release_changes_the_format(
    two: tuple[StorageEngine, StorageEngine], bench: Bench, field: str, value: int
) -> None:
    ours, later = two
    upgrade(later, field, value)
    attempts: list[Callable[[], object]] = [
        lambda: fill(ours, TREE, {b"a": b"2"}),
        ours.checkpoint,
        ours.begin_read,
    ]
    for attempt in attempts:
        with pytest.raises(ReadOnlyError) as caught:
            attempt()
        assert caught.value.code == "NEWER_FORMAT_READ_ONLY"
        assert f"install cbdd {VERSION} or later" in caught.value.next_step
    fill(later, TREE, {b"b": b"2"})
    assert content(later, TREE) == {b"a": b"1", b"upgraded": b"yes", b"b": b"2"}


@pytest.mark.parametrize(("field", "value"), [*MUST_NOT_WRITE, *MUST_NOT_READ])
def test_the_last_to_close_leaves_a_newer_file_to_the_release_that_may_write_it(
    two: tuple[StorageEngine, StorageEngine], bench: Bench, field: str, value: int
) -> None:
    ours, later = two
    upgrade(later, field, value)
    fill(later, TREE, {b"late": b"1"})
    later.close()
    before = bench.disk.files()
    ours.close()
    after = bench.disk.files()
    for name in before:
        if name == PATH or "-wal-" in name:
            assert after[name] == before[name], name
    assert max(meta.generation for meta in metas(bench)) == max(
        meta.generation for meta in metas(bench) if getattr(meta, field) == value
    )
    if (field, value) in MUST_NOT_WRITE:
        reader = bench.open(pid=3, read_only=True)
        assert content(reader, TREE)[b"late"] == b"1"


@pytest.mark.parametrize(("field", "value"), MUST_NOT_READ)
@pytest.mark.parametrize("read_only", [False, True])
def test_an_open_reader_stops_when_a_later_release_changes_the_format(
    bench: Bench, read_only: bool, field: str, value: int
) -> None:
    later = bench.open(pid=2)
    fill(later, TREE, {b"a": b"1"})
    ours = bench.open(pid=1, read_only=read_only)
    assert content(ours, TREE) == {b"a": b"1"}
    upgrade(later, field, value)
    with pytest.raises(NewerFormatError) as caught:
        content(ours, TREE)
    assert caught.value.code == "NEWER_FORMAT"
    assert f"install cbdd {VERSION} or later" in caught.value.next_step


@pytest.mark.parametrize(("field", "value"), MUST_NOT_WRITE)
def test_a_reader_goes_on_with_a_file_that_it_must_not_write(
    bench: Bench, field: str, value: int
) -> None:
    later = bench.open(pid=2)
    fill(later, TREE, {b"a": b"1"})
    ours = bench.open(pid=1, read_only=True)
    upgrade(later, field, value)
    assert content(ours, TREE) == {b"a": b"1", b"upgraded": b"yes"}


@pytest.mark.parametrize(("field", "value"), MUST_NOT_WRITE)
def test_reading_a_file_that_must_not_be_written_says_so(
    bench: Bench, field: str, value: int
) -> None:
    later = bench.open(pid=2)
    upgrade(later, field, value)
    ours = bench.open(pid=1, read_only=True)
    [finding] = ours.recovery_report.findings
    assert finding.code == "NEWER_FORMAT_READ_ONLY"
    assert f"CBDD {VERSION}" in finding.message
    assert not later.recovery_report.findings


@pytest.mark.skipif(
    build_kind() == "compiled", reason="puts a function into a module, which compiled code ignores"
)
def test_a_file_that_is_changed_while_it_is_being_opened_is_not_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = bench.open(pid=2)
    fill(later, TREE, {b"a": b"1"})
    later.close()
    first = True

    def read_then_change(io: MemoryIo, fd: int) -> list[MetaCopy]:
        nonlocal first
        copies = read_copies(io, fd)
        if first:
            first = False
            again = bench.open(pid=3)
            upgrade(again, "min_writer", FORMAT + 1)
            again.close()
        return copies

    monkeypatch.setattr(engine_module, "read_copies", read_then_change)
    with pytest.raises(ReadOnlyError) as caught:
        bench.open(pid=1)
    assert caught.value.code == "NEWER_FORMAT_READ_ONLY"


@pytest.mark.parametrize(("field", "value"), [*MUST_NOT_WRITE, *MUST_NOT_READ])
def test_a_flag_is_told_as_a_feature_and_a_number_as_a_format(
    bench: Bench, field: str, value: int
) -> None:
    upgrade(bench.open(pid=2), field, value)
    with pytest.raises(CbddError) as caught:
        bench.open(pid=1)
    expected = f"format {value}" if field.startswith("min_") else f"flags {value:#x}"
    assert expected in caught.value.message
    assert caught.value.details["writer_version"] == VERSION


def test_a_log_of_a_later_format_is_not_taken_for_a_damaged_one(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"a": b"1"})
    bench.crash()
    [name] = [name for name in bench.names() if "-wal-" in name]
    io = MemoryIo(bench.disk, 9)
    fd = io.open(f"/db/{name}", False, False)
    data = io.pread(fd, SEGMENT_HEADER_BYTES, 0)
    fields = list(SEGMENT_HEADER.unpack(data[: SEGMENT_HEADER.size]))
    fields[1] += 1
    body = SEGMENT_HEADER.pack(*fields)
    newer = body + xxhash.xxh3_64_intdigest(body).to_bytes(8, "little")
    assert decode_segment_header(newer) is not None
    io.pwrite(fd, newer, 0)
    io.close(fd)
    for read_only in (False, True):
        with pytest.raises(NewerFormatError) as caught:
            bench.open(pid=1, read_only=read_only)
        assert caught.value.code == "NEWER_FORMAT"
        assert name in caught.value.message
