"""The list of free pages where it is damaged: made anew from what is reachable, or left empty."""

from __future__ import annotations

from cbdd.storage import StorageEngine
from cbdd.storage.node import Node
from cbdd.storage.page import reference_page
from cbdd.storage.tree import Tree
from cbdd.testing import MemoryIo
from tests.unit.storage.conftest import PATH, Bench, content, fill

TREE, OTHER = 10, 11
ROWS = {b"%04d" % number: bytes(200) for number in range(400)}


def make(bench: Bench) -> tuple[int, int, int]:
    """A closed file with free pages; where its list is, a leaf's page, and the page size."""
    engine = bench.open()
    fill(engine, TREE, ROWS)
    fill(engine, OTHER, {b"large": bytes(100_000)})
    engine.checkpoint()
    for _ in range(3):
        fill(engine, TREE, {key: bytes(100) for key in ROWS})
        engine.checkpoint()
    engine.close()
    engine = bench.open()
    meta = engine._state.meta
    assert meta.freelist_page
    leaf = first_leaf(engine, engine._state.base_trees[TREE])
    engine.close()
    return meta.freelist_page, leaf, meta.page_size


def first_leaf(engine: StorageEngine, tree: Tree) -> int:
    """The page of the first leaf of a tree."""
    reference = tree.root
    while True:
        assert isinstance(reference, bytes)
        node: Node = engine._state.pager.load(reference)
        if node.level == 0:
            return reference_page(reference)
        reference = node.children[0]


def overwrite(bench: Bench, page: int, page_size: int) -> None:
    io = MemoryIo(bench.disk, 50)
    fd = io.open(PATH, False, False)
    io.pwrite(fd, b"damage", page * page_size + 100)
    io.close(fd)


def codes(engine: StorageEngine) -> list[str]:
    return [finding.code for finding in engine.recovery_report.findings]


def test_a_damaged_list_of_free_pages_is_made_anew_from_what_is_reachable(bench: Bench) -> None:
    list_page, _leaf, page_size = make(bench)
    overwrite(bench, list_page, page_size)
    engine = bench.open()
    assert engine.statistics()["free_pages"] == -1
    fill(engine, TREE, {b"new": b"1"})
    engine.checkpoint()
    assert codes(engine) == ["FREELIST_REBUILT"]
    assert content(engine, TREE) == {**dict.fromkeys(ROWS, bytes(100)), b"new": b"1"}
    assert content(engine, OTHER) == {b"large": bytes(100_000)}
    assert engine.check().is_clean
    assert int(str(engine.statistics()["free_pages"])) > 0
    before = engine._state.meta.page_count
    for number in range(4):
        fill(engine, TREE, {b"%d" % number: bytes(3000)})
        engine.checkpoint()
    assert engine.check().is_clean
    assert engine._state.meta.page_count <= before + 4, "what is free is not used"


def test_nothing_is_taken_to_be_free_where_a_tree_cannot_be_read(bench: Bench) -> None:
    list_page, leaf, page_size = make(bench)
    overwrite(bench, list_page, page_size)
    root_damaged = bench.open()
    root = root_damaged._state.base_trees[TREE].root
    assert isinstance(root, bytes)
    assert reference_page(root) != leaf
    root_damaged.close()
    overwrite(bench, reference_page(root), page_size)
    engine = bench.open()
    pages = engine._state.meta.page_count
    fill(engine, OTHER, {b"new": b"1"})
    engine.checkpoint()
    assert codes(engine)[0] == "FREELIST_REBUILT"
    assert "0 pages are free" in engine.recovery_report.findings[0].message
    assert engine._state.meta.page_count > pages
    assert content(engine, OTHER) == {b"large": bytes(100_000), b"new": b"1"}
