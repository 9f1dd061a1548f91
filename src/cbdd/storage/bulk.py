"""Writing a whole database file in one go, from entries in key order.

Every page is written once and full, leaves first, each branch when its children are: for a file
that is compacted or restored. Nothing is overwritten, so the pages stand in the order of the trees.

    header region   zeros until everything else is durable
    pages           tree after tree; runs before the leaf that names them
    directory       the tree of trees, last
    meta pages      both slots, clean, naming the same root

Invariants: those of `btree.py`, so keys must come in ascending order and no branch but the root has
a single child; until the meta pages are durable the file is no database.
"""

from __future__ import annotations

from typing import Final

from cbdd.errors import UsageError
from cbdd.storage.directory import encode_entry, set_directory, tree_key
from cbdd.storage.io import Io, write_all
from cbdd.storage.meta import HEADER_REGION_BYTES, META_BLOCK_BYTES, SLOT_OFFSETS, Meta
from cbdd.storage.node import BRANCH_SLOT_BYTES, Limits, Node, encode_node
from cbdd.storage.page import (
    LEAF_SLOT_BYTES,
    OVERFLOW,
    Run,
    reference,
    run_page_count,
    seal_page,
    with_checksum,
)
from cbdd.storage.splitting import shortest_separator
from cbdd.storage.tree import Tree

GATHER_BYTES: Final = 1 << 20
DIRECTORY_TREE: Final = 0


class BulkFile:
    """A database file being written. The caller opens and closes the descriptor."""

    def __init__(self, io: Io, fd: int, meta: Meta) -> None:
        """
        :param meta: what the meta pages will say of UUID, page size, LSN, times and versions;
            trees, page count and generation are filled in.
        """
        self._io = io
        self._fd = fd
        self._meta = meta
        self._seed = int.from_bytes(meta.uuid[:8], "little")
        self.limits = Limits(meta.page_size, meta.min_writer)
        self.generation = meta.generation
        self._next_page = HEADER_REGION_BYTES // meta.page_size
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._gathered_offset = HEADER_REGION_BYTES
        self._trees: dict[int, Tree] = {}

    @property
    def page_count(self) -> int:
        """Pages written so far, the header region included."""
        return self._next_page

    def begin_tree(self, number: int) -> BulkTree:
        """A new tree; the one before must be finished."""
        return BulkTree(self, number)

    def end_tree(self, number: int, tree: Tree) -> None:
        """Note a finished tree."""
        self._trees[number] = tree

    def finish(self) -> None:
        """Write directory and meta pages; the file is a database, and durable, when it returns."""
        directory = BulkTree(self, DIRECTORY_TREE)
        for number in sorted(self._trees):
            directory.add(tree_key(number), encode_entry(self._trees[number]))
        root = directory.root()
        self._flush()
        meta = self._meta
        set_directory(meta, root)
        meta.page_count = self._next_page
        meta.freelist_page = 0
        meta.freelist_length = 0
        meta.freelist_checksum = 0
        meta.first_segment = 0
        meta.first_salt = 0
        meta.is_clean = True
        self._io.sync(self._fd)
        for slot in range(2):
            meta.slot = slot
            block = meta.encode().ljust(META_BLOCK_BYTES, b"\0")
            for offset in SLOT_OFFSETS[slot]:
                write_all(self._io, self._fd, block, offset)
            meta.generation += 1
        self._io.sync(self._fd)

    def write_node(self, node: Node, tree: int, refs: list[bytes]) -> bytes:
        """Write a node; returns its reference."""
        key_runs: list[Run] = []
        for key in node.keys:
            if len(key) > self.limits.max_key:
                key_runs.append(self.write_run(key, tree))
        page = self._next_page
        image = encode_node(node, page, self.generation, tree, self.limits, refs, key_runs)
        image, checksum = with_checksum(image, self._seed)
        self._put(image, 1)
        return reference(page, checksum)

    def write_run(self, data: bytes, tree: int) -> Run:
        """Write bytes to pages of their own."""
        first = self._next_page
        size = self.limits.page_size
        count = run_page_count(len(data), size)
        image = seal_page(OVERFLOW, count, first, self.generation, tree, 0, 0, data, count * size)
        image, checksum = with_checksum(image, self._seed)
        self._put(image, count)
        return Run(first, len(data), checksum)

    def _put(self, image: bytes, count: int) -> None:
        self._gathered.append(image)
        self._gathered_bytes += len(image)
        self._next_page += count
        if self._gathered_bytes >= GATHER_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._gathered:
            write_all(self._io, self._fd, b"".join(self._gathered), self._gathered_offset)
            self._gathered_offset += self._gathered_bytes
            self._gathered = []
            self._gathered_bytes = 0


class BulkLevel:
    """One level of branches: the node being filled, and the full one before it, not yet written."""

    def __init__(self) -> None:
        self.current: Node | None = None
        self.separator = b""  # between the full node and the current one
        self.full: Node | None = None
        self.full_separator = b""  # in front of the full node


class BulkTree:
    """One tree, from entries in ascending key order."""

    def __init__(self, file: BulkFile, number: int) -> None:
        self._file = file
        self._number = number
        self._limits = file.limits
        self._leaf = Node(0, 0)
        self._refs: list[bytes] = []
        self._last_key = b""
        self._separator = b""  # in front of the leaf being filled
        self._levels: list[BulkLevel] = []
        self._count = 0
        self._large = 0

    def add(self, key: bytes, value: bytes) -> None:
        """Append an entry.

        :raises UsageError: its key is not greater than the one before.
        """
        limits = self._limits
        if self._count and key <= self._last_key:
            raise UsageError(
                "KEY_ORDER", f"tree {self._number}: a key does not follow the one before"
            )
        if len(value) > limits.max_value or len(key) > limits.max_key:
            self._large += 1
        size = LEAF_SLOT_BYTES + limits.key_bytes(key) + limits.value_bytes(value)
        leaf = self._leaf
        if leaf.keys and leaf.used + size > limits.capacity:
            self._close_leaf()
            self._separator = shortest_separator(self._last_key, key)
            leaf = self._leaf
        stored: object = value
        if len(value) > limits.max_value:
            run = self._file.write_run(value, self._number)
            stored = run
            self._refs.append(run.encode())
        leaf.keys.append(key)
        leaf.values.append(stored)
        leaf.used += size
        self._last_key = key
        self._count += 1

    def finish(self) -> None:
        """Write what is left, and note the tree in the file."""
        self._file.end_tree(self._number, self.root())

    def root(self) -> Tree:
        """Write what is left; returns the tree."""
        if not self._count:
            return Tree(None, 0, 0)
        self._close_leaf()
        level = 0
        while True:
            at = self._levels[level]
            only = at.current
            assert only is not None
            if at.full is None and len(only.children) == 1:
                # The top: a level of a single child is none.
                return Tree(only.children[0], self._count, self._large)
            self._close_level(level)
            level += 1

    def _close_leaf(self) -> None:
        leaf = self._leaf
        ref = self._file.write_node(leaf, self._number, self._refs)
        count = len(leaf.keys)
        self._leaf = Node(0, 0)
        self._refs = []
        self._add_child(0, ref, count, self._separator)

    def _add_child(self, level: int, ref: bytes, count: int, separator: bytes) -> None:
        """Append a child to the branch that is being filled on a level."""
        if level == len(self._levels):
            self._levels.append(BulkLevel())
        at = self._levels[level]
        node = at.current
        size = BRANCH_SLOT_BYTES
        if node is not None:
            size += self._limits.key_bytes(separator)
            if len(node.children) > 1 and node.used + size > self._limits.capacity:
                self._write_full(level)
                at.full = node
                at.full_separator = at.separator
                node = None
                size = BRANCH_SLOT_BYTES
        if node is None:
            node = Node(level + 1, 0)
            at.current = node
            at.separator = separator
        else:
            node.keys.append(separator)
        node.children.append(ref)
        node.counts.append(count)
        node.used += size

    def _close_level(self, level: int) -> None:
        """Write the last two branches of a level, neither with a single child."""
        at = self._levels[level]
        last = at.current
        full = at.full
        assert last is not None
        if full is not None and len(last.children) == 1:
            child = full.children.pop()
            count = full.counts.pop()
            moved = full.keys.pop()
            full.used -= BRANCH_SLOT_BYTES + self._limits.key_bytes(moved)
            last.keys.insert(0, at.separator)
            last.children.insert(0, child)
            last.counts.insert(0, count)
            last.used += BRANCH_SLOT_BYTES + self._limits.key_bytes(at.separator)
            at.separator = moved
        self._write_full(level)
        at.full = None
        at.current = None
        self._write_branch(level, last, at.separator)

    def _write_full(self, level: int) -> None:
        at = self._levels[level]
        full = at.full
        if full is not None:
            at.full = None
            self._write_branch(level, full, at.full_separator)

    def _write_branch(self, level: int, node: Node, separator: bytes) -> None:
        refs: list[bytes] = []
        for child in node.children:
            assert isinstance(child, bytes)
            refs.append(child)
        ref = self._file.write_node(node, self._number, refs)
        self._add_child(level + 1, ref, node.entry_count(), separator)
