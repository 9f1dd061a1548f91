"""What a write transaction changes: the net change of every key, applied as late as possible.

Changes of a tree wait until the commit, which applies them to the newest version, in place where
nobody can see it (see `publishing.py`). Until then a look at one key asks the changes first. A
cursor, a count, or many changes cannot wait: then the transaction makes a private copy of what it
changes, and later changes go there, too.

Invariants: private copies stand on the snapshot, so they are fit to be published only if neither
LSN nor epoch has moved since; a tree that was made by the transaction has a private copy from the
start; a tree that it dropped has none.
"""

from __future__ import annotations

from typing import Final

from cbdd.errors import TransactionTooLargeError, UsageError
from cbdd.storage.btree import PageLedger, Tree, TreeWriter, tree_get, tree_slot
from cbdd.storage.follow import apply_changes, new_ledger
from cbdd.storage.frame import TreeChanges
from cbdd.storage.read_transaction import unknown_tree
from cbdd.storage.state import DatabaseState, Snapshot

MOST_WAITING: Final = 64
"""Changes of one tree. More are cheaper made at once: a copied node then takes several of them."""
NO_EPOCH: Final = -1


class ChangeSet:
    """The changes of one transaction on its snapshot."""

    def __init__(self, state: DatabaseState, snapshot: Snapshot, owner: int, epoch: int) -> None:
        """
        :param owner: token of the private copies.
        :param epoch: of the snapshot.
        """
        self._state = state
        self._snapshot = snapshot
        self._owner = owner
        self._epoch = epoch
        self._bytes = 0
        self._ledger: PageLedger | None = None
        self.changes: dict[int, TreeChanges] = {}
        self.copies: dict[int, TreeWriter] = {}

    def is_current(self) -> bool:
        """Whether the newest version is the snapshot, so that nothing has to be applied again."""
        return self._state.tip.lsn == self._snapshot.lsn and self._state.epoch == self._epoch

    def tree_ids(self) -> list[int]:
        """Ids of all trees, the changes included, ascending."""
        return [n for n in sorted({*self._snapshot.trees, *self.changes}) if self.has_tree(n)]

    def has_tree(self, tree_id: int) -> bool:
        """Whether a tree exists."""
        change = self.changes.get(tree_id)
        if change is not None and (change.is_created or change.is_dropped):
            return change.is_created
        return tree_id in self._snapshot.trees

    def tree(self, tree_id: int) -> Tree:
        """A tree as the transaction sees it."""
        change = self.changes.get(tree_id)
        if change is None:
            return self._base(tree_id)
        return self._copy(tree_id, change).tree()

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        change = self.changes.get(tree_id)
        if change is not None:
            value = change.entries.get(key)
            if value is not None or key in change.entries:
                return value
            copy = self.copies.get(tree_id)
            if copy is not None:
                return copy.get(key)
        return tree_get(self._base(tree_id), key, self._state.pager)

    def put(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        size = self._bytes + len(key) + len(value)
        if size > self._state.options.max_transaction_bytes:
            raise TransactionTooLargeError(
                "TRANSACTION_TOO_LARGE",
                f"the transaction changes more than {self._state.options.max_transaction_bytes} "
                "bytes of keys and values",
                "split it, or raise max_transaction_bytes",
            )
        self._change(tree_id, key, value)
        self._bytes = size

    def delete(self, tree_id: int, key: bytes) -> bool:
        """Remove a key; returns whether it was there."""
        change = self.changes.get(tree_id)
        if change is not None and key in change.entries:
            is_there = change.entries[key] is not None
        else:
            copy = self.copies.get(tree_id)
            tree = self._base(tree_id) if copy is None else copy.tree()
            is_there = tree_slot(tree, key, self._state.pager) is not None
        if is_there:
            self._change(tree_id, key, None)
            self._bytes += len(key)
        return is_there

    def create_tree(self, tree_id: int) -> None:
        """Make an empty tree under an id that was never used before."""
        if self.has_tree(tree_id) or tree_id in self.changes:
            raise UsageError("TREE_EXISTS", f"tree {tree_id} exists", "", {"tree": tree_id})
        change = TreeChanges(tree_id)
        change.is_created = True
        self.changes[tree_id] = change
        self.copies[tree_id] = self._writer(Tree(None, 0, 0))

    def drop_tree(self, tree_id: int) -> None:
        """Remove a tree and everything in it."""
        if not self.has_tree(tree_id):
            raise unknown_tree(tree_id)
        if self.copies.pop(tree_id, None) is not None:
            self._epoch = NO_EPOCH  # the ledger has pages of the copy given up here: apply again
        if tree_id not in self._snapshot.trees:
            del self.changes[tree_id]
            return
        change = TreeChanges(tree_id)
        change.is_dropped = True
        self.changes[tree_id] = change

    def copy_waiting(self) -> None:
        """Make private copies of all trees whose changes still wait."""
        for tree_id in self.changes:
            change = self.changes[tree_id]
            if not change.is_dropped:
                self._copy(tree_id, change)

    def has_waiting(self) -> bool:
        """Whether there are changes of which there are no private copies."""
        return len(self.copies) < len(self.changes)

    def ledger(self) -> PageLedger:
        """What the private copies made unreachable; whoever applies the rest goes on with it."""
        if self._ledger is None:
            self._ledger = new_ledger(self._state)
        return self._ledger

    def versions(self, trees: dict[int, Tree]) -> tuple[dict[int, Tree], PageLedger]:
        """The trees with the private copies among them, and what those made unreachable."""
        ledger = self.ledger()
        trees = dict(trees)
        for tree_id in self.changes:
            if self.changes[tree_id].is_dropped:
                ledger.dropped.append(trees.pop(tree_id))
            else:
                trees[tree_id] = self.copies[tree_id].tree()
        return trees, ledger

    def _base(self, tree_id: int) -> Tree:
        tree = self._snapshot.trees.get(tree_id)
        if tree is not None and self.changes:
            change = self.changes.get(tree_id)
            if change is not None and change.is_dropped:
                tree = None
        if tree is None:
            raise unknown_tree(tree_id)
        return tree

    def _change(self, tree_id: int, key: bytes, value: bytes | None) -> None:
        change = self.changes.get(tree_id)
        if change is None or change.is_dropped:
            self._base(tree_id)
            change = TreeChanges(tree_id)
            self.changes[tree_id] = change
        copy = self.copies.get(tree_id)
        if copy is None and len(change.entries) >= MOST_WAITING:
            copy = self._copy(tree_id, change)
        if copy is not None:
            if value is None:
                copy.delete(key)
            else:
                copy.put(key, value)
        change.entries[key] = value

    def _copy(self, tree_id: int, change: TreeChanges) -> TreeWriter:
        """The private copy of a tree that is changed, made now if need be."""
        copy = self.copies.get(tree_id)
        if copy is None:
            copy = self._writer(self._base(tree_id))
            apply_changes(copy, change)
            self.copies[tree_id] = copy
        return copy

    def _writer(self, tree: Tree) -> TreeWriter:
        return TreeWriter(tree, self._owner, self._state.pager, self.ledger())
