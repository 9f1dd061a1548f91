"""Moving through one version of a tree in key order, forwards and backwards.

A cursor keeps the path from the root to its entry. It belongs to one thread and to the snapshot
it was made from; on a write transaction it is valid until the next change of that tree. Positioning
methods return whether there is an entry; `key` and `value` may be read only after True.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from cbdd.storage.node import Node, NodeSource
from cbdd.storage.packed_leaf import PackedLeaf
from cbdd.storage.search import search_left, search_right
from cbdd.storage.tree import Tree, look_at, value_of


@mypyc_attr(acyclic=True)
class Cursor:
    """A position in one version of a tree."""

    def __init__(self, tree: Tree, source: NodeSource) -> None:
        self._tree = tree
        self._source = source
        self._nodes: list[Node] = []
        self._indexes: list[int] = []
        self._leaf: Node | None = None
        self._packed: PackedLeaf | None = None  # in place of the lists of the leaf
        self._count = 0  # entries of the leaf
        self._i = 0

    @property
    def key(self) -> bytes:
        """Key of the current entry."""
        assert self._leaf is not None, "the cursor is not on an entry"
        if self._packed is not None:
            return self._packed.key(self._i)
        return self._leaf.keys[self._i]

    @property
    def value(self) -> bytes:
        """Value of the current entry."""
        assert self._leaf is not None, "the cursor is not on an entry"
        if self._packed is not None:
            return value_of(self._packed.slot(self._i), self._source)
        return value_of(self._leaf.values[self._i], self._source)

    def first(self) -> bool:
        """Go to the smallest key."""
        node = self._start()
        while node is not None and node.level > 0:
            node = self._down(node, 0)
        return self._settle(node, 0)

    def last(self) -> bool:
        """Go to the greatest key."""
        node = self._start()
        while node is not None and node.level > 0:
            node = self._down(node, len(node.children) - 1)
        return self._settle_last(node)

    def seek(self, key: bytes) -> bool:
        """Go to the first entry whose key is ``key`` or greater."""
        node = self._start()
        while node is not None and node.level > 0:
            node = self._down(node, search_right(node, key))
        if node is None:
            return self._settle(None, 0)
        i = self._enter(node, key)
        if i < self._count:
            self._i = i
            return True
        self._i = self._count - 1
        return self.step()

    def seek_before(self, key: bytes) -> bool:
        """Go to the last entry whose key is smaller than ``key``."""
        node = self._start()
        while node is not None and node.level > 0:
            node = self._down(node, search_right(node, key))
        if node is None:
            return self._settle(None, 0)
        self._i = self._enter(node, key)
        return self.back()

    def seek_position(self, position: int) -> bool:
        """Go to the entry with ``position`` entries before it."""
        node = self._start()
        if node is None or position < 0 or position >= self._tree.count:
            return self._settle(None, 0)
        rest = position
        while node.level > 0:
            i = 0
            while rest >= node.counts[i]:
                rest -= node.counts[i]
                i += 1
            node = self._down(node, i)
        return self._settle(node, rest)

    def step(self) -> bool:
        """Go to the next entry."""
        if self._leaf is None:
            return False
        self._i += 1
        if self._i < self._count:
            return True
        while self._nodes:
            node = self._nodes[len(self._nodes) - 1]
            i = self._indexes[len(self._indexes) - 1] + 1
            self._nodes.pop()
            self._indexes.pop()
            if i < len(node.children):
                node = self._down(node, i)
                while node.level > 0:
                    node = self._down(node, 0)
                return self._settle(node, 0)
        return self._settle(None, 0)

    def back(self) -> bool:
        """Go to the previous entry."""
        if self._leaf is None:
            return False
        self._i -= 1
        if self._i >= 0:
            return True
        while self._nodes:
            node = self._nodes[len(self._nodes) - 1]
            i = self._indexes[len(self._indexes) - 1] - 1
            self._nodes.pop()
            self._indexes.pop()
            if i >= 0:
                node = self._down(node, i)
                while node.level > 0:
                    node = self._down(node, len(node.children) - 1)
                return self._settle_last(node)
        return self._settle(None, 0)

    def _start(self) -> Node | None:
        self._nodes = []
        self._indexes = []
        self._leaf = None
        if self._tree.root is None:
            return None
        return look_at(self._tree.root, self._source)

    def _down(self, node: Node, i: int) -> Node:
        self._nodes.append(node)
        self._indexes.append(i)
        return look_at(node.children[i], self._source)

    def _enter(self, leaf: Node, key: bytes) -> int:
        """Take a leaf; returns the number of its keys that are smaller than ``key``."""
        self._take(leaf)
        packed = self._packed
        if packed is None:
            return search_left(leaf, key)
        return packed.first_from(key)

    def _settle(self, leaf: Node | None, i: int) -> bool:
        if leaf is None:
            self._leaf = None
            return False
        self._take(leaf)
        if i < 0 or i >= self._count:
            self._leaf = None
            return False
        self._i = i
        return True

    def _settle_last(self, leaf: Node | None) -> bool:
        if leaf is None:
            return self._settle(None, 0)
        self._take(leaf)
        self._i = self._count - 1
        if self._i < 0:
            self._leaf = None
        return self._i >= 0

    def _take(self, leaf: Node) -> None:
        packed = leaf.packed
        if packed is not None and self._source.note_look(leaf):
            packed = None
        self._leaf = leaf
        self._packed = packed
        if packed is None:
            self._count = len(leaf.keys)
        else:
            self._count = packed.count
