"""The tree of trees: where each tree's root is, as of one meta page.

It is a tree like any other (tree id 0) whose pages the meta page names; key: tree id, u64
big-endian; value: root page u64, root checksum u64, entries u64, entries kept in runs u64, all
little-endian; page 0 stands for an empty tree. It is read whole when a generation is taken up.
"""

from __future__ import annotations

import struct
from typing import Final

from cbdd.errors import CorruptDataError
from cbdd.storage.cursor import Cursor
from cbdd.storage.meta import Meta
from cbdd.storage.node import NodeSource
from cbdd.storage.page import REFERENCE, reference
from cbdd.storage.tree import Tree

ENTRY: Final = struct.Struct("<16sQQ")
CATALOG_TREE: Final = 1
SEQUENCE_TREE: Final = 2
SYSTEM_TREES: Final = (CATALOG_TREE, SEQUENCE_TREE)
EMPTY_REFERENCE: Final = bytes(16)


def tree_key(tree: int) -> bytes:
    """Directory key of a tree id."""
    return tree.to_bytes(8, "big")


def encode_entry(tree: Tree) -> bytes:
    """Directory value of a tree whose root is on disk."""
    root = tree.root
    if root is None:
        return ENTRY.pack(EMPTY_REFERENCE, 0, 0)
    assert isinstance(root, bytes), "the root is not on disk"
    return ENTRY.pack(root, tree.count, tree.large)


def directory_of(meta: Meta) -> Tree:
    """The directory tree that a meta page names."""
    if meta.directory_page == 0:
        return Tree(None, 0, 0)
    root = reference(meta.directory_page, meta.directory_checksum)
    return Tree(root, meta.directory_count, 0)


def set_directory(meta: Meta, tree: Tree) -> None:
    """Name a directory tree in a meta page."""
    if tree.root is None:
        meta.directory_page = 0
        meta.directory_checksum = 0
        meta.directory_count = 0
        return
    assert isinstance(tree.root, bytes)
    page, checksum = REFERENCE.unpack(tree.root)
    meta.directory_page = page
    meta.directory_checksum = checksum
    meta.directory_count = tree.count


def load_trees(directory: Tree, source: NodeSource) -> dict[int, Tree]:
    """All trees of a generation; the system trees exist even before anything is in them."""
    trees: dict[int, Tree] = {}
    cursor = Cursor(directory, source)
    found = cursor.first()
    while found:
        value = cursor.value
        if len(cursor.key) != 8 or len(value) != ENTRY.size:
            raise CorruptDataError(
                "DIRECTORY_MALFORMED",
                f"the directory of trees has an entry of {len(value)} bytes",
                "keep the file; run `cbdd recover`, or restore a backup",
                {"page": 0, "key": cursor.key.hex()},
            )
        root, count, large = ENTRY.unpack(value)
        number = int.from_bytes(cursor.key, "big")
        trees[number] = Tree(None if root == EMPTY_REFERENCE else root, count, large)
        found = cursor.step()
    for number in SYSTEM_TREES:
        if number not in trees:
            trees[number] = Tree(None, 0, 0)
    return trees
