"""How two files differ, collection by collection, without reading what they share.

A reference names a page by its number and the checksum of its contents, which cover everything
below it. So two trees that descend from one another share every subtree whose reference is equal,
and only the leaves that are not shared are read. Files that do not descend from one another share
nothing and are read whole; the answer is the same.

Source: Merkle, "A Digital Signature Based on a Conventional Encryption Function" (1987).
"""

from __future__ import annotations

from typing import Any

from cbdd.catalog.entry import CollectionEntry
from cbdd.client.client import Client
from cbdd.storage import ReadTransaction
from cbdd.storage.node import Node, NodeSource
from cbdd.storage.tree import Tree, resolve, value_of


class TreeDifference:
    """Entries of two versions of a tree that are not the same."""

    def __init__(self) -> None:
        self.added: dict[bytes, bytes] = {}
        self.removed: dict[bytes, bytes] = {}
        self.changed: dict[bytes, tuple[bytes, bytes]] = {}
        self.pages_read = 0

    @property
    def is_empty(self) -> bool:
        """Whether the trees hold the same."""
        return not (self.added or self.removed or self.changed)


def compare_trees(
    before: Tree, before_source: NodeSource, after: Tree, after_source: NodeSource
) -> TreeDifference:
    """What to do to one tree to get the other; shared subtrees are not read."""
    found = TreeDifference()
    old = _Frontier(before, before_source)
    new = _Frontier(after, after_source)
    while True:
        shared = old.refs() & new.refs()
        old.leave_out(shared)
        new.leave_out(shared)
        level = max(old.level(), new.level())
        if level <= 0:
            break
        old.expand(level)
        new.expand(level)
    entries = new.entries()
    for key, value in old.entries().items():
        other = entries.pop(key, None)
        if other is None:
            found.removed[key] = value
        elif other != value:
            found.changed[key] = (value, other)
    found.added = entries
    found.pages_read = old.pages_read + new.pages_read
    return found


class _Frontier:
    """Nodes of one tree between what was compared and what is still to be."""

    def __init__(self, tree: Tree, source: NodeSource) -> None:
        self._source = source
        self._children: list[object] = [] if tree.root is None else [tree.root]
        self.pages_read = 0
        self._nodes: dict[bytes, Node] = {}

    def refs(self) -> set[bytes]:
        """References of the nodes that are on disk."""
        return {ref for ref in map(_ref_of, self._children) if ref is not None}

    def leave_out(self, shared: set[bytes]) -> None:
        """Drop what both trees have."""
        self._children = [each for each in self._children if _ref_of(each) not in shared]

    def level(self) -> int:
        """The highest level of a node, -1 when none is left."""
        return max((self._load(each).level for each in self._children), default=-1)

    def expand(self, level: int) -> None:
        """Put the children of the nodes of a level in their place."""
        below: list[object] = []
        for each in self._children:
            node = self._load(each)
            if node.level == level:
                below += node.children
            else:
                below.append(each)
        self._children = below

    def entries(self) -> dict[bytes, bytes]:
        """The entries of what is left, all of them leaves."""
        found: dict[bytes, bytes] = {}
        for each in self._children:
            node = self._load(each)
            for key, value in zip(node.keys, node.values, strict=True):
                found[key] = value_of(value, self._source)
        return found

    def _load(self, child: object) -> Node:
        if isinstance(child, Node):
            return child
        assert isinstance(child, bytes)
        node = self._nodes.get(child)
        if node is None:
            node = self._nodes[child] = resolve(child, self._source)
            self.pages_read += 1
        return node


def _ref_of(child: object) -> bytes | None:
    return child.ref if isinstance(child, Node) else child if isinstance(child, bytes) else None


class CollectionDifference:
    """What differs in one collection; ``state`` is added, removed or changed."""

    def __init__(self, namespace: str, state: str) -> None:
        self.namespace = namespace
        self.state = state
        self.documents = TreeDifference()
        self.definition_differs = False
        self.count = 0
        """Documents of a collection that only one of the files has."""

    def to_dict(self) -> dict[str, Any]:
        """The difference for JSON, without values."""
        return {
            "collection": self.namespace,
            "state": self.state,
            "definition_differs": self.definition_differs,
            "added": len(self.documents.added) if self.state != "added" else self.count,
            "removed": len(self.documents.removed) if self.state != "removed" else self.count,
            "changed": len(self.documents.changed),
        }


class FileDifference:
    """What differs between two files; ``pages_read`` of how many tells what was shared."""

    def __init__(self) -> None:
        self.collections: list[CollectionDifference] = []
        self.pages_read = 0

    @property
    def is_empty(self) -> bool:
        """Whether the files hold the same collections and documents."""
        return not self.collections


def compare_files(before: Client[Any], after: Client[Any]) -> FileDifference:
    """Compare two open files: documents, options and indexes of every collection."""
    found = FileDifference()
    with before._store.begin_read() as old_txn, after._store.begin_read() as new_txn:
        old = _collections(before, old_txn)
        new = _collections(after, new_txn)
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                only = CollectionDifference(old[key].namespace, "removed")
                only.count = old_txn.count(old[key].record_tree)
            elif key not in old:
                only = CollectionDifference(new[key].namespace, "added")
                only.count = new_txn.count(new[key].record_tree)
            else:
                both = CollectionDifference(new[key].namespace, "changed")
                both.definition_differs = _definition(old[key]) != _definition(new[key])
                both.documents = compare_trees(
                    old_txn._tree(old[key].record_tree),
                    before._store.engine._state.pager,
                    new_txn._tree(new[key].record_tree),
                    after._store.engine._state.pager,
                )
                found.pages_read += both.documents.pages_read
                if both.documents.is_empty and not both.definition_differs:
                    continue
                only = both
            found.collections.append(only)
    return found


def _collections(client: Client[Any], txn: ReadTransaction) -> dict[bytes, CollectionEntry]:
    catalog = client._store.catalog
    return {
        entry.key: entry
        for database in catalog.list_databases(txn)
        for entry in catalog.list_collections(txn, database)
    }


def _definition(entry: CollectionEntry) -> object:
    """What a collection is, apart from where its trees are."""
    indexes = [{**each.to_document(), "tree": 0, "multikey": False} for each in entry.indexes]
    return entry.options, sorted(indexes, key=lambda each: str(each["name"]))
