"""Packed leaves answer what the lists of the decoded node answer."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbdd.errors import CorruptDataError
from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.cursor import Cursor
from cbdd.storage.freelist import Allocator
from cbdd.storage.io import Io
from cbdd.storage.node import Limits, Node, NodeSource, decode_node, encode_node, measured
from cbdd.storage.packed_leaf import ENTRIES_OF_A_LOOK, LOOKS_BEFORE, PackedLeaf, pack_leaf
from cbdd.storage.page import HEADER_BYTES, Run
from cbdd.storage.page_writer import PageWriter
from cbdd.storage.pager import OnePass, Pager
from cbdd.storage.search import search_left
from cbdd.storage.tree import Tree, tree_get, tree_lacks, tree_rank

SIZES = [4096, 8192, 65536]
SOURCE = NodeSource(Limits(4096))


def leaf_page(keys: list[bytes], values: list[object], size: int) -> bytes:
    limits = Limits(size)
    node = Node(0, 1)
    node.keys = keys
    node.values = values
    node.used = measured(node, limits)
    refs = [each.encode() for each in values if isinstance(each, Run)]
    return encode_node(node, 7, 3, 9, limits, refs, [])


def random_leaf(source: random.Random, size: int) -> tuple[list[bytes], list[object]]:
    prefix = source.randbytes(source.choice([0, 0, 1, 9]))
    longest = source.choice([1, 2, 8, 20])
    chosen = {prefix + source.randbytes(source.randrange(longest + 1)) for _ in range(300)}
    keys: list[bytes] = []
    values: list[object] = []
    room = size - HEADER_BYTES - len(prefix)
    for key in sorted(chosen):
        is_run = source.random() < 0.05
        value = source.randbytes(source.choice([0, 1, 8, 200]))
        room -= 4 + len(key) + (24 if is_run else len(value))
        if room < 0:
            break
        keys.append(key)
        values.append(Run(source.randrange(99), 5000, source.getrandbits(64)) if is_run else value)
    return keys, values


def plain(value: object) -> object:
    return value.encode() if isinstance(value, Run) else value


@pytest.mark.parametrize("seed", range(60))
def test_it_answers_as_the_lists_do(seed: int) -> None:
    source = random.Random(seed)
    size = SIZES[seed % len(SIZES)]
    keys, values = random_leaf(source, size)
    page = leaf_page(keys, values, size)
    packed = pack_leaf(page)
    assert packed is not None
    assert packed.page_number() == 7
    assert packed.count == len(keys)
    assert [packed.key(i) for i in range(len(keys))] == keys
    assert [plain(packed.slot(i)) for i in range(len(keys))] == [plain(each) for each in values]
    near = [key + b"\0" for key in keys] + [key[:-1] for key in keys] + [b"", b"\xff" * 30]
    for key in [*keys, *near, *(source.randbytes(3) for _ in range(50))]:
        at = bisect_left(keys, key)
        assert packed.first_from(key) == at, key
        assert packed.find(key) == (at if at < len(keys) and keys[at] == key else -1), key


@pytest.mark.parametrize("seed", range(40))
def test_what_makes_no_sense_is_left_to_who_refuses_it(seed: int) -> None:
    source = random.Random(seed)
    keys, values = random_leaf(source, 4096)
    page = bytearray(leaf_page(keys, values, 4096))
    at = source.choice([8, *range(12, 16), *range(36, 44), *range(72, 72 + 4 * len(keys))])
    page[at] ^= 1 << source.randrange(8)
    try:
        decoded = decode_node(bytes(page), 7, SOURCE, SOURCE.limits)
    except (CorruptDataError, AssertionError):  # the source has no runs to take a key from
        assert pack_leaf(bytes(page)) is None
        return
    packed = pack_leaf(bytes(page))
    assert packed is not None
    assert [packed.key(i) for i in range(packed.count)] == decoded.keys


def test_neither_branches_nor_long_keys_nor_pieces_are_packed() -> None:
    branch = Node(1, 1)
    branch.keys = [b"m"]
    branch.children = [b"0" * 16, b"1" * 16]
    branch.counts = [1, 1]
    limits = Limits(4096)
    assert pack_leaf(encode_node(branch, 7, 3, 9, limits, [b"0" * 16, b"1" * 16], [])) is None
    long = Node(0, 1)
    long.keys = [b"k" * 2000]
    long.values = [b"v"]
    assert pack_leaf(encode_node(long, 7, 3, 9, limits, [], [Run(1, 2000, 5)])) is None
    assert pack_leaf(b"") is None
    assert pack_leaf(leaf_page([b"a"], [b"v"], 4096)[:60]) is None


# -- in trees ----------------------------------------------------------------------------------


@pytest.fixture
def pager(tmp_path: Path) -> Iterator[Pager]:
    io = Io()
    fd = io.open(str(tmp_path / "pages"), True, False)
    yield Pager(io, fd, "/db/pages", 4096, 5, 1 << 20)
    io.close(fd)


def written(pager: Pager, entries: dict[bytes, bytes]) -> Tree:
    writer = TreeWriter(Tree(None, 0, 0), 1, pager, PageLedger())
    for key, value in entries.items():
        writer.put(key, value)
    pages = PageWriter(Io(), pager, Allocator([], 0, 16), 3)
    tree = pages.write_tree(writer.tree(), 9)
    pages.flush()
    pager.forget_all()
    return tree


def packed_leaves(pager: Pager) -> list[PackedLeaf]:
    return [node.packed for node in pager._nodes.values() if node.packed is not None]


def memory(pager: Pager) -> int:
    return sum(node.memory_bytes() for node in pager._nodes.values())


ENTRIES = {b"%05d" % (3 * i): b"value %d" % i for i in range(2000)}


def test_leaves_that_are_looked_at_get_lists_when_it_pays(pager: Pager) -> None:
    tree = written(pager, ENTRIES)
    assert tree_get(tree, b"00300", pager) == b"value 100"
    (leaf,) = packed_leaves(pager)
    assert pager.cached_bytes == memory(pager)
    for _ in range(LOOKS_BEFORE + leaf.count // ENTRIES_OF_A_LOOK - 2):
        assert tree_get(tree, b"00301", pager) is None
    assert packed_leaves(pager) == [leaf]
    assert tree_get(tree, b"00303", pager) == b"value 101"
    assert packed_leaves(pager) == []
    assert tree_get(tree, b"00306", pager) == b"value 102"
    assert tree_get(tree, b"00307", pager) is None
    assert pager.pages_read == 2
    assert pager.cached_bytes == memory(pager)


def test_who_needs_lists_gets_them(pager: Pager) -> None:
    tree = written(pager, ENTRIES)
    assert not tree_lacks(tree, b"00300", pager)
    (leaf,) = packed_leaves(pager)
    ref = next(ref for ref, node in pager._nodes.items() if node.packed is leaf)
    keys = [leaf.key(i) for i in range(leaf.count)]
    assert OnePass(pager).load(ref).keys == keys
    assert pager.look(ref).packed is leaf
    assert OnePass(pager).look(ref).packed is leaf
    borrowed = pager.borrow(ref)
    assert (borrowed.keys, borrowed.ref) == (keys, ref)
    assert packed_leaves(pager) == [leaf]
    node = pager.load(ref)
    assert (node.keys, node.packed) == (keys, None)
    assert pager.look(ref) is pager.cached(ref) is pager.borrow(ref) is node
    assert pager.cached_bytes == memory(pager)


def test_one_that_was_let_go_is_not_counted(pager: Pager) -> None:
    tree = written(pager, ENTRIES)
    tree_get(tree, b"00300", pager)
    node = next(node for node in pager._nodes.values() if node.packed is not None)
    pager.forget_all()
    tree_get(tree, b"00300", pager)  # read again: another object under the same reference
    while not pager.note_look(node):
        pass
    assert node.keys
    assert len(packed_leaves(pager)) == 1
    assert pager.cached_bytes == memory(pager)


def test_who_reads_once_keeps_nothing(pager: Pager) -> None:
    tree = written(pager, ENTRIES)
    cursor = Cursor(tree, OnePass(pager))
    is_there = cursor.first()
    found = {}
    while is_there:
        found[cursor.key] = cursor.value
        is_there = cursor.step()
    assert found == ENTRIES
    assert pager._nodes == {}


def test_a_leaf_that_is_to_be_changed_is_not_kept(pager: Pager) -> None:
    tree = written(pager, ENTRIES)
    writer = TreeWriter(tree, 2, pager, PageLedger())
    writer.put(b"00300", b"new")
    assert [node.level for node in pager._nodes.values()] == [1]
    assert tree_get(writer.tree(), b"00300", pager) == b"new"
    assert tree_get(tree, b"00300", pager) == b"value 100"
    assert pager.cached_bytes == memory(pager)


def test_branches_on_the_way_to_a_change_are_kept_like_others(pager: Pager) -> None:
    tree = written(pager, {key: value * 8 for key, value in ENTRIES.items()})
    assert isinstance(tree.root, bytes)
    branch = pager.borrow(tree.root)
    assert (branch.level, branch.is_hot) == (1, False)
    assert branch.heads is not None
    assert pager.borrow(tree.root) is branch
    assert branch.is_hot
    assert pager.pages_read == 1
    assert pager.cached_bytes == memory(pager)


def test_small_packed_leaves_keep_to_the_budget(pager: Pager) -> None:
    tree = written(pager, {b"%06d" % i: b"v" * 60 for i in range(30_000)})
    source = random.Random(1)
    for _ in range(3000):
        key = b"%06d" % source.randrange(30_000)
        assert tree_get(tree, key, pager) == b"v" * 60
        assert pager.cached_bytes < (1 << 20) + 50_000
    assert pager.cached_bytes == memory(pager)
    assert packed_leaves(pager)


@pytest.mark.parametrize("seed", range(20))
def test_all_ways_to_look_agree(pager: Pager, seed: int) -> None:
    source = random.Random(seed)
    count = source.choice([1, 40, 3000])
    entries = {
        source.randbytes(source.choice([2, 3, 8])): source.randbytes(source.choice([0, 9, 3000]))
        for _ in range(count)
    }
    if seed % 4 == 0:
        entries[b"k" * 2000] = b"long"
    tree = written(pager, entries)
    keys = sorted(entries)
    for _ in range(400):
        key = source.choice(keys) if source.random() < 0.7 else source.randbytes(3)
        at = bisect_left(keys, key)
        assert tree_get(tree, key, pager) == entries.get(key)
        assert tree_lacks(tree, key, pager) == (key not in entries)
        assert tree_rank(tree, key, pager) == at
        cursor = Cursor(tree, OnePass(pager) if source.random() < 0.2 else pager)
        place = source.randrange(4)
        if place == 0:
            is_there = cursor.seek(key)
        elif place == 1:
            at -= 1
            is_there = cursor.seek_before(key)
        elif place == 2:
            at = source.randrange(-1, len(keys) + 1)
            is_there = cursor.seek_position(at)
        else:
            at = source.choice([0, len(keys) - 1])
            is_there = cursor.last() if at else cursor.first()
        step = source.choice([1, -1])
        for _ in range(source.choice([0, 1, 5, 300])):
            assert is_there == (0 <= at < len(keys))
            if not is_there:
                break
            assert cursor.key == keys[at]
            assert cursor.value == entries[keys[at]]
            is_there = cursor.step() if step == 1 else cursor.back()
            at += step
    for node in list(pager._nodes.values()):
        if node.level == 0 and node.packed is None:
            assert search_left(node, node.keys[0]) == 0
    assert pager.cached_bytes == memory(pager)
