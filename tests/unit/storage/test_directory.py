"""The tree of trees: what is put into it comes out again."""

from __future__ import annotations

from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.directory import (
    CATALOG_TREE,
    SEQUENCE_TREE,
    directory_of,
    encode_entry,
    load_trees,
    set_directory,
    tree_key,
)
from cbdd.storage.meta import Meta
from cbdd.storage.node import Limits, NodeSource
from cbdd.storage.page import reference
from cbdd.storage.tree import Tree

SOURCE = NodeSource(Limits(4096))


def test_trees_read_back() -> None:
    writer = TreeWriter(Tree(None, 0, 0), 1, SOURCE, PageLedger())
    writer.put(tree_key(300), encode_entry(Tree(reference(9, 2**64 - 1), 7, 2)))
    writer.put(tree_key(CATALOG_TREE), encode_entry(Tree(None, 0, 0)))
    trees = load_trees(writer.tree(), SOURCE)
    assert sorted(trees) == [CATALOG_TREE, SEQUENCE_TREE, 300]
    assert (trees[300].root, trees[300].count, trees[300].large) == (
        reference(9, 2**64 - 1),
        7,
        2,
    )
    assert trees[CATALOG_TREE].root is None
    assert trees[SEQUENCE_TREE].root is None


def test_ids_order_as_numbers() -> None:
    keys = [tree_key(n) for n in (1, 255, 256, 70000)]
    assert keys == sorted(keys)


def test_a_meta_page_names_the_directory() -> None:
    meta = Meta()
    assert directory_of(meta).root is None
    set_directory(meta, Tree(reference(12, 13), 14, 0))
    assert (meta.directory_page, meta.directory_checksum, meta.directory_count) == (12, 13, 14)
    tree = directory_of(meta)
    assert (tree.root, tree.count) == (reference(12, 13), 14)
    set_directory(meta, Tree(None, 0, 0))
    assert (meta.directory_page, meta.directory_checksum, meta.directory_count) == (0, 0, 0)
