"""Meta pages: which copy counts, and which files are refused how."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbdd.errors import CbddError, CorruptDataError, NewerFormatError, NotADatabaseError
from cbdd.storage.io import Io
from cbdd.storage.meta import (
    FORMAT,
    SLOT_OFFSETS,
    Meta,
    MetaCopy,
    choose,
    decode_meta,
    read_copies,
    require_writable,
    write_meta,
)

NUMBERS = [
    "min_reader",
    "min_writer",
    "page_size",
    "generation",
    "page_count",
    "checkpoint_lsn",
    "directory_page",
    "directory_checksum",
    "directory_count",
    "freelist_page",
    "freelist_length",
    "freelist_checksum",
    "first_segment",
    "first_salt",
    "next_segment",
    "timeline",
    "written_us",
    "created_us",
    "may_ignore",
    "must_not_write",
    "must_not_read",
    "chain",
]


def meta_of(generation: int, slot: int) -> Meta:
    meta = Meta()
    meta.generation = generation
    meta.slot = slot
    return meta


def test_encoding_round_trips_every_field() -> None:
    meta = Meta()
    for number, name in enumerate(NUMBERS):
        setattr(meta, name, number + 1)
    meta.is_clean = False
    meta.uuid = bytes(range(16))
    meta.writer_version = "1.2.3"
    meta.chain = 2**64 - 1
    again = decode_meta(meta.encode(), 1)
    assert [getattr(again, name) for name in NUMBERS[:-1]] == list(range(1, len(NUMBERS)))
    assert again.encode() == meta.encode()
    assert (again.slot, again.chain, again.is_clean, again.writer_version) == (
        1,
        2**64 - 1,
        False,
        "1.2.3",
    )
    assert meta.copy().encode() == meta.encode()


def test_the_newest_valid_copy_counts(tmp_path: Path) -> None:
    io = Io()
    fd = io.open(str(tmp_path / "a"), True, False)
    io.truncate(fd, 65536)
    with pytest.raises(NotADatabaseError):
        choose(read_copies(io, fd), "a")
    write_meta(io, fd, meta_of(4, 0))
    write_meta(io, fd, meta_of(5, 1))
    assert choose(read_copies(io, fd), "a").generation == 5
    io.pwrite(fd, b"x", SLOT_OFFSETS[1][0] + 100)
    assert choose(read_copies(io, fd), "a").generation == 5
    io.pwrite(fd, b"x", SLOT_OFFSETS[1][1] + 100)
    assert choose(read_copies(io, fd), "a").generation == 4
    assert [copy.status for copy in read_copies(io, fd)] == ["valid", "valid"] + ["checksum"] * 2
    io.pwrite(fd, b"x", SLOT_OFFSETS[0][0] + 100)
    io.pwrite(fd, b"SQLite", SLOT_OFFSETS[0][1])
    with pytest.raises(CorruptDataError) as caught:
        choose(read_copies(io, fd), "a")
    assert caught.value.code == "META_DAMAGED"
    io.truncate(fd, 100)
    assert {copy.status for copy in read_copies(io, fd)} == {"short"}
    io.close(fd)


def refused(change: tuple[str, int]) -> CbddError:
    meta = meta_of(1, 0)
    meta.writer_version = "9.9"
    setattr(meta, *change)
    with pytest.raises(CbddError) as caught:
        choose([MetaCopy(0, 0, "valid", meta)], "a")
    return caught.value


def test_a_file_from_the_future_names_the_release_that_reads_it() -> None:
    for change in (("min_reader", FORMAT + 1), ("must_not_read", 1)):
        error = refused(change)
        assert isinstance(error, NewerFormatError)
        assert error.next_step == "install cbdd 9.9 or later"


@pytest.mark.parametrize("size", [0, 512, 131072])
def test_an_impossible_page_size_is_damage(size: int) -> None:
    assert refused(("page_size", size)).code == "META_MALFORMED"


@pytest.mark.parametrize("change", [("min_writer", FORMAT + 1), ("must_not_write", 1)])
def test_a_file_that_may_only_be_read(change: tuple[str, int]) -> None:
    meta = meta_of(1, 0)
    setattr(meta, *change)
    assert choose([MetaCopy(0, 0, "valid", meta)], "a") is meta
    with pytest.raises(CbddError) as caught:
        require_writable(meta, "a")
    assert caught.value.code == "NEWER_FORMAT_READ_ONLY"
