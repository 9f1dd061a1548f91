"""The check: silent about what is sound, and it names each kind of unsoundness."""

from __future__ import annotations

import pytest

from cbdd.storage import StorageEngine
from cbdd.storage.check import MAX_PROBLEMS, CheckReport
from cbdd.storage.node import Node
from cbdd.storage.page import Run, reference_page
from cbdd.storage.tree import Tree, resolve
from cbdd.testing import MemoryIo
from tests.unit.storage.conftest import PATH, Bench, content, fill

TREE = 10


def filled(bench: Bench) -> StorageEngine:
    engine = bench.open()
    entries = {b"%05d" % i: b"value" * 10 for i in range(3000)}
    entries[b"big"] = bytes(30_000)
    fill(engine, TREE, entries)
    engine.checkpoint()
    return engine


def root_of(engine: StorageEngine) -> Node:
    return resolve(engine._state.tip.trees[TREE].root, engine._state.pager)


def codes(engine: StorageEngine) -> set[str]:
    report = engine.check()
    assert not report.is_clean
    assert {problem.tree for problem in report.problems} <= {0, TREE}
    return {problem.code for problem in report.problems}


def test_a_sound_database_is_clean_before_and_after_checkpoints(bench: Bench) -> None:
    engine = bench.open()
    assert engine.check().is_clean
    fill(engine, TREE, {b"%05d" % i: b"v" * 50 for i in range(3000)})
    report = engine.check()
    assert (report.is_clean, report.entries, report.pages) == (True, 3000, 0)
    engine.checkpoint()
    fill(engine, TREE, {b"00000": b"changed"})
    report = engine.check()
    assert (report.is_clean, report.entries, report.lsn) == (True, 3000, 2)
    assert report.pages > 20
    engine.checkpoint()
    assert engine.check().free_pages > 0
    assert engine.check().to_dict()["problems"] == []


def test_what_others_commit_meanwhile_is_no_damage(bench: Bench) -> None:
    here = filled(bench)
    fill(here, TREE, {b"00000": b"changed"})
    here.checkpoint()
    there = bench.open(pid=2)
    io = here._state.io
    assert isinstance(io, MemoryIo)
    reads, is_busy = 0, False

    def pread(fd: int, length: int, offset: int) -> bytes:
        nonlocal reads, is_busy
        reads += not is_busy
        if reads % 7 == 0 and not is_busy:
            is_busy = True
            fill(there, TREE, {b"%05d" % (reads % 3000): b"%d" % reads})
            there.checkpoint()
            here.begin_read().close()  # as a thread of this process may do
            is_busy = False
        return MemoryIo.pread(io, fd, length, offset)

    io.pread = pread  # type: ignore[method-assign]
    assert here.check().to_dict()["problems"] == []
    del io.pread
    assert reads > 40


def test_a_damaged_page_is_found_though_it_is_cached(bench: Bench) -> None:
    engine = filled(bench)
    child = root_of(engine).children[1]
    assert isinstance(child, bytes)
    page = reference_page(child)
    bench.disk.names[PATH].data[page * 8192 + 500] ^= 1
    report = engine.check()
    assert [(p.code, p.page, p.tree) for p in report.problems] == [("PAGE_CHECKSUM", page, TREE)]


@pytest.mark.parametrize("what", ["leaf", "root", "run", "freelist"])
def test_a_damaged_copy_of_a_checksum_is_found_though_the_page_is_right(
    bench: Bench, what: str
) -> None:
    engine = filled(bench)
    fill(engine, TREE, {b"00000": b"changed"})
    engine.checkpoint()
    state = engine._state
    root = root_of(engine)
    assert root.ref is not None
    leaf, last = root.children[1], resolve(root.children[-1], state.pager)
    assert isinstance(leaf, bytes)
    (run,) = [value for value in last.values if isinstance(value, Run)]
    page = {
        "leaf": reference_page(leaf),
        "root": reference_page(root.ref),
        "run": run.page,
        "freelist": state.meta.freelist_page,
    }[what]
    bench.disk.names[PATH].data[page * 8192 + 3] ^= 1
    report = engine.check()
    assert [(p.code, p.page) for p in report.problems] == [("PAGE_CHECKSUM_FIELD", page)]
    assert len(content(engine, TREE)) == 3001


def test_wrong_counts_order_and_sizes_in_memory(bench: Bench) -> None:
    engine = filled(bench)
    root = root_of(engine)
    root.counts[0] += 1
    assert codes(engine) == {"COUNT_WRONG"}
    root.counts[0] -= 1
    leaf = resolve(root.children[0], engine._state.pager)
    leaf.keys[0], leaf.keys[1] = leaf.keys[1], leaf.keys[0]
    assert codes(engine) == {"ORDER_WRONG"}
    leaf.keys[0], leaf.keys[1] = leaf.keys[1], leaf.keys[0]
    leaf.used += 1
    assert codes(engine) == {"SIZE_WRONG"}
    leaf.used -= 1
    separator = root.keys[0]
    root.keys[0] = leaf.keys[-1]
    assert "ORDER_WRONG" in codes(engine)
    root.keys[0] = separator
    assert engine.check().is_clean


def test_a_wrong_total_is_found(bench: Bench) -> None:
    engine = filled(bench)
    trees = engine._state.base_trees
    tree = trees[TREE]
    trees[TREE] = Tree(tree.root, tree.count + 1, tree.large)
    assert codes(engine) == {"COUNT_WRONG"}
    trees[TREE] = Tree(None, 5, 0)
    assert "COUNT_WRONG" in codes(engine)
    trees[TREE] = tree


@pytest.mark.parametrize(
    ("change", "expected"),
    [("shared", "PAGE_SHARED"), ("leaked", "PAGE_LEAKED"), ("beyond", "PAGE_OUT_OF_RANGE")],
)
def test_every_page_has_one_owner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: str, expected: str
) -> None:
    engine = filled(bench)
    fill(engine, TREE, {b"00000": b"changed"})
    engine.checkpoint()
    state = engine._state
    if change == "leaked":
        state.meta.page_count += 1
        assert codes(engine) == {"PAGE_LEAKED"}
        state.meta.page_count -= 1
        return
    trees = dict(state.base_trees)
    if change == "shared":
        state.base_trees[11] = trees[TREE]
    else:
        state.meta.page_count -= 1
    report = engine.check()
    assert expected in {problem.code for problem in report.problems}
    state.base_trees.pop(11, None)
    state.meta.page_count += 1 if change == "beyond" else 0


def test_a_list_of_problems_has_an_end() -> None:
    report = CheckReport()
    for _ in range(MAX_PROBLEMS + 5):
        report.add("X", "x", 1, 2)
    assert len(report.problems) == MAX_PROBLEMS
    assert report.problems[0].to_dict() == {
        "code": "X",
        "severity": "SEV-1",
        "message": "x",
        "page": 1,
        "tree": 2,
        "entries": 0,
        "namespace": "",
        "index": "",
    }
