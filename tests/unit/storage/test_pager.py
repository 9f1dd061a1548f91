"""Pages written and read back, the cache's budget, and damage found on read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbdd.errors import CorruptDataError, DiskFaultError
from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.cursor import Cursor
from cbdd.storage.events import EventLog
from cbdd.storage.freelist import Allocator
from cbdd.storage.io import Clock, Io
from cbdd.storage.page import (
    LEAF,
    OVERFLOW,
    Run,
    reference,
    reference_page,
    seal_page,
    with_checksum,
)
from cbdd.storage.page_writer import PageWriter
from cbdd.storage.pager import MAX_PAGE, Pager
from cbdd.storage.tree import Tree, tree_get

SIZE = 4096
TREE = 9


class Failing(Io):
    """A disk whose reads can be made to fail."""

    is_failing = False

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        if self.is_failing:
            raise OSError(5, "Input/output error")
        return super().pread(fd, length, offset)


@pytest.fixture
def io() -> Failing:
    return Failing()


@pytest.fixture
def pager(io: Failing, tmp_path: Path) -> Iterator[Pager]:
    fd = io.open(str(tmp_path / "pages"), True, False)
    yield Pager(io, fd, "/db/pages", SIZE, 5, 1 << 20)
    io.close(fd)


def written(io: Io, pager: Pager, entries: dict[bytes, bytes]) -> tuple[Tree, PageWriter]:
    writer = TreeWriter(Tree(None, 0, 0), 1, pager, PageLedger())
    for key, value in entries.items():
        writer.put(key, value)
    pages = PageWriter(io, pager, Allocator([], 0, 16), 3)
    tree = pages.write_tree(writer.tree(), 9)
    pages.flush()
    return tree, pages


def test_a_tree_reads_back_from_disk(io: Failing, pager: Pager) -> None:
    entries = {b"%05d" % i: bytes([i % 256]) * (i % 300) for i in range(3000)}
    entries[b"big value"] = b"B" * 100_000
    entries[b"big key " + bytes(3000)] = b"K"
    tree, pages = written(io, pager, entries)
    assert isinstance(tree.root, bytes)
    assert tree.large == 2
    assert io.size(pager.fd) == (16 + pages.pages_written) * SIZE
    cursor = Cursor(tree, pager)
    found = {}
    is_valid = cursor.first()
    while is_valid:
        found[cursor.key] = cursor.value
        is_valid = cursor.step()
    assert found == entries


def test_pages_are_read_once_while_the_budget_lasts(io: Failing, pager: Pager) -> None:
    tree, _ = written(io, pager, {b"%05d" % i: b"v" * 50 for i in range(500)})
    for _ in range(3):
        assert tree_get(tree, b"00123", pager) == b"v" * 50
    assert pager.pages_read == 2
    pager.forget_all()
    assert pager.cached_bytes == 0
    assert tree_get(tree, b"00123", pager) == b"v" * 50
    assert pager.pages_read == 4


def test_the_cache_stays_within_its_budget(io: Failing, pager: Pager) -> None:
    tree, _ = written(io, pager, {b"%06d" % i: b"v" * 60 for i in range(30_000)})
    cursor = Cursor(tree, pager)
    is_valid = cursor.first()
    worst = 0
    while is_valid:
        worst = max(worst, pager.cached_bytes)
        is_valid = cursor.step()
    assert 1 << 19 < worst < (1 << 20) + 50_000
    pager.dirty_bytes = 1 << 19
    assert tree_get(tree, b"000000", pager) is not None
    assert tree_get(tree, b"020000", pager) is not None
    assert pager.cached_bytes + pager.dirty_bytes < (1 << 20) + 50_000


def test_settled_nodes_are_the_pages_on_disk(io: Failing, pager: Pager) -> None:
    writer = TreeWriter(Tree(None, 0, 0), 1, pager, PageLedger())
    for i in range(2000):
        writer.put(b"%05d" % i, b"v" * (2000 if i == 7 else 20))
    pages = PageWriter(io, pager, Allocator([], 0, 16), 3)
    tree = pages.write_tree(writer.tree(), 9)
    pages.flush()
    replaced = pages.written[0].node
    freed = pages.settle([replaced, replaced])
    assert freed[0] == (reference_page(pages.written[0].ref), 1)
    assert len(freed) == 2  # its run goes with it
    assert pager.cached_bytes > 0
    assert tree_get(tree, b"00007", pager) == b"v" * 2000
    assert tree_get(tree, b"01999", pager) == b"v" * 20


def test_pages_of_several_writes_are_gathered(io: Failing, pager: Pager) -> None:
    calls: list[int] = []
    original = io.pwrite

    def counted(fd: int, data: bytes, offset: int) -> int:
        calls.append(len(data))
        return original(fd, data, offset)

    io.pwrite = counted  # type: ignore[method-assign]
    written(io, pager, {b"%05d" % i: b"v" * 50 for i in range(5000)})
    assert len(calls) == 1
    assert calls[0] > 50 * SIZE


@pytest.mark.parametrize("at", [8, 100, SIZE - 1])
def test_damage_is_found_on_read_and_named(io: Failing, pager: Pager, at: int) -> None:
    tree, _ = written(io, pager, {b"a": b"1"})
    assert isinstance(tree.root, bytes)
    offset = reference_page(tree.root) * SIZE + at
    byte = io.pread(pager.fd, 1, offset)
    io.pwrite(pager.fd, bytes([byte[0] ^ 4]), offset)
    with pytest.raises(CorruptDataError) as caught:
        tree_get(tree, b"a", pager)
    assert caught.value.code == "PAGE_CHECKSUM"
    assert caught.value.details["path"] == "/db/pages"
    with pytest.raises(CorruptDataError):
        pager.load_fresh(tree.root)


def test_damage_beneath_a_right_checksum_is_in_the_flight_recorder(
    io: Failing, pager: Pager, tmp_path: Path
) -> None:
    """Whoever only looks at a page beside its own passes it over, so nothing else would tell."""
    path = tmp_path / "events"
    events = EventLog(io, Clock(), str(path), True)
    pager = Pager(io, pager.fd, "/db/pages", SIZE, 5, 1 << 20, events)
    malformed = seal_page(LEAF, 60_000, 3, 1, TREE, 0, 0, b"", SIZE)
    malformed, checksum = with_checksum(malformed, 5)
    io.pwrite(pager.fd, malformed, 3 * SIZE)
    for ref, code, page in (
        (reference(3, checksum), "PAGE_MALFORMED", 3),
        (reference(MAX_PAGE + 1, 0), "PAGE_OUT_OF_RANGE", MAX_PAGE + 1),
    ):
        with pytest.raises(CorruptDataError) as caught:
            pager.load(ref)
        assert caught.value.code == code
        assert caught.value.details["path"] == "/db/pages"
        last = json.loads(path.read_text().splitlines()[-1])
        assert (last["event"], last["code"], last["page"]) == ("damage", code, page)


def test_a_damaged_run_is_found(io: Failing, pager: Pager) -> None:
    pages = PageWriter(io, pager, Allocator([], 0, 16), 3)
    run = pages.write_run(b"x" * 9000, OVERFLOW, 9)
    pages.flush()
    assert pager.read_run(run) == b"x" * 9000
    with pytest.raises(CorruptDataError):
        pager.read_run(Run(run.page, run.length, run.checksum + 1))
    io.truncate(pager.fd, (run.page + 1) * SIZE)
    with pytest.raises(CorruptDataError) as caught:
        pager.read_run(run)
    assert caught.value.code == "PAGE_TRUNCATED"


def test_a_disk_that_fails_is_not_damage(io: Failing, pager: Pager) -> None:
    tree, _ = written(io, pager, {b"a": b"1"})
    io.is_failing = True
    with pytest.raises(DiskFaultError) as caught:
        tree_get(tree, b"a", pager)
    assert caught.value.code == "IO_ERROR"
    io.is_failing = False
    assert tree_get(tree, b"a", pager) == b"1"
