"""One version of a tree, and looking keys up in it.

A `Tree` is immutable, and so is what it reaches: readers take no lock. `btree.py` makes the next
version.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from cbdd.storage.node import Node, NodeSource
from cbdd.storage.page import Run
from cbdd.storage.search import search_edge, search_left, search_place, search_right


@mypyc_attr(acyclic=True)
class Tree:
    """One version of one tree. ``root`` is a `Node`, a page reference, or None when empty."""

    def __init__(self, root: object, count: int, large: int) -> None:
        self.root = root
        self.count = count
        self.large = large  # entries whose key or value is kept in a run


def resolve(child: object, source: NodeSource) -> Node:
    """The node behind a child or root."""
    if isinstance(child, Node):
        return child
    assert isinstance(child, bytes)
    return source.load(child)


def look_at(child: object, source: NodeSource) -> Node:
    """The node behind a child or root, which may be a packed leaf."""
    if isinstance(child, Node):
        return child
    assert isinstance(child, bytes)
    return source.look(child)


def borrow(child: object, source: NodeSource) -> Node:
    """The node behind a child or root, for who makes a copy of it at once."""
    if isinstance(child, Node):
        return child
    assert isinstance(child, bytes)
    return source.borrow(child)


def value_of(value: object, source: NodeSource) -> bytes:
    """The bytes of a leaf's value, fetched when they are kept in a run."""
    if isinstance(value, bytes):
        return value
    assert isinstance(value, Run)
    return source.read_run(value)


def tree_get(tree: Tree, key: bytes, source: NodeSource) -> bytes | None:
    """The value of a key, or None."""
    slot = tree_slot(tree, key, source)
    return None if slot is None else value_of(slot, source)


def tree_slot(tree: Tree, key: bytes, source: NodeSource) -> object | None:
    """The value of a key as its leaf has it, `bytes` or `Run`, or None."""
    if tree.root is None:
        return None
    node = look_at(tree.root, source)
    while node.level > 0:
        node = look_at(node.children[search_right(node, key)], source)
    packed = node.packed
    if packed is not None and not source.note_look(node):
        place = packed.find(key)
        return packed.slot(place) if place >= 0 else None
    i = search_place(node, key)
    return node.values[i] if i >= 0 else None


def tree_lacks(tree: Tree, key: bytes, source: NodeSource) -> bool:
    """Whether a key that is likely to be new, and greater than all others, is not there."""
    if tree.root is None:
        return True
    node = look_at(tree.root, source)
    while node.level > 0:
        node = look_at(node.children[search_edge(node, key)], source)
    packed = node.packed
    if packed is not None and not source.note_look(node):
        return packed.find(key) < 0
    return search_place(node, key) < 0


def tree_last_key(tree: Tree, source: NodeSource) -> bytes | None:
    """The greatest key, or None."""
    if tree.root is None:
        return None
    node = resolve(tree.root, source)
    while node.level > 0:
        node = resolve(node.children[len(node.children) - 1], source)
    return node.keys[len(node.keys) - 1]


def tree_rank(tree: Tree, key: bytes, source: NodeSource) -> int:
    """Number of entries with a smaller key."""
    if tree.root is None:
        return 0
    node = look_at(tree.root, source)
    rank = 0
    while node.level > 0:
        i = search_right(node, key)
        for j in range(i):
            rank += node.counts[j]
        node = look_at(node.children[i], source)
    packed = node.packed
    if packed is not None and not source.note_look(node):
        place: int = packed.first_from(key)
        return rank + place
    return rank + search_left(node, key)
