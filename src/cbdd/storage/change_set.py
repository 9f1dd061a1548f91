"""What a write transaction changes: the net change of every key, applied as late as possible.

Changes of a tree wait until the commit, which applies them to the newest version, in place where
nobody can see it (see `publishing.py`). Until then a look at one key asks the changes first. A
cursor, a count, or many changes cannot wait: then the transaction makes a private copy of what it
changes, and later changes go there, too.

Invariants: private copies stand on the snapshot, so they are fit to be published only if neither
LSN nor epoch has moved since; a private copy has all changes or is given up; a tree that was made
by the transaction has one from the start; a tree that it dropped has none.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import mypyc_attr

from cbdd.errors import TransactionTooLargeError, UsageError
from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.follow import apply_changes, new_ledger
from cbdd.storage.frame import TreeChanges
from cbdd.storage.read_transaction import unknown_tree
from cbdd.storage.state import DatabaseState, Snapshot
from cbdd.storage.tree import Tree, tree_get, tree_lacks, tree_slot

MOST_WAITING: Final = 64
"""Changes of one tree. More are cheaper made at once: a copied node then takes several of them."""
NO_EPOCH: Final = -1


@mypyc_attr(acyclic=True)
class ChangedTree(TreeChanges):
    """The changes of one tree, and the private copy if there is one."""

    def __init__(self, number: int, base: Tree) -> None:
        super().__init__(number)
        self.base = base
        self.copy: TreeWriter | None = None


@mypyc_attr(acyclic=True)
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
        self.changed_bytes = 0
        self._most_bytes = state.options.max_transaction_bytes
        self._ledger: PageLedger | None = None
        self.changes: dict[int, TreeChanges] = {}  # each is a ChangedTree
        self.operations = 0  # calls that changed something: at least as many as there are changes
        self.has_large = False  # whether a value that was set, or any key, belongs in a run
        self.may_be_published = False
        self.is_spent = False  # the snapshot's own nodes were changed: it tells nothing any more

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
        changed = self._changed(tree_id)
        return self._base(tree_id) if changed is None else self._copy(changed).tree()

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        changed = self._changed(tree_id)
        if changed is None:
            return tree_get(self._base(tree_id), key, self._state.pager)
        value = changed.entries.get(key)
        if value is not None or key in changed.entries:
            return value
        if changed.copy is not None:
            return changed.copy.get(key)
        return tree_get(changed.base, key, self._state.pager)

    def put(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._add_bytes(key, value)
        changed = self._changing(tree_id)
        if changed.copy is not None:
            self._change_copy(changed, changed.copy, key, value, False)
        changed.entries[key] = value

    def put_many(self, tree_id: int, entries: dict[bytes, bytes]) -> None:
        """Set the values of many keys, in the order of the keys."""
        for key, value in entries.items():
            self._add_bytes(key, value)
        changed = self._changing(tree_id)
        if changed.copy is None and len(changed.entries) + len(entries) > MOST_WAITING:
            self._copy(changed)
        if changed.copy is not None:
            try:
                changed.copy.put_sorted(sorted(entries), entries)
            except BaseException:
                self._give_up(changed)
                self._forget_unchanged(changed)
                raise
        changed.entries.update(entries)

    def insert(self, tree_id: int, key: bytes, value: bytes) -> bool:
        """Set the value of a key that is not there; returns False, and does nothing, if it is."""
        self._add_bytes(key, value)
        changed = self._changing(tree_id)
        if changed.copy is not None:
            is_new = self._change_copy(changed, changed.copy, key, value, True)
        elif key in changed.entries:
            is_new = changed.entries[key] is None
        else:
            is_new = tree_lacks(changed.base, key, self._state.pager)
        if is_new:
            changed.entries[key] = value
        else:
            self.changed_bytes -= len(key) + len(value)
            self._forget_unchanged(changed)
        return is_new

    def take_back(self, tree_id: int, key: bytes) -> None:
        """Undo an `insert` of this transaction."""
        changed = self._changing(tree_id)
        was_there = tree_slot(changed.base, key, self._state.pager) is not None
        if changed.copy is not None:
            self._change_copy(changed, changed.copy, key, None, False)
        if was_there:
            changed.entries[key] = None  # it was deleted before
        else:
            del changed.entries[key]
        self._forget_unchanged(changed)

    def delete(self, tree_id: int, key: bytes) -> bool:
        """Remove a key; returns whether it was there."""
        changed = self._changed(tree_id)
        if changed is not None and key in changed.entries:
            is_there = changed.entries[key] is not None
        else:
            copy = None if changed is None else changed.copy
            tree = self._base(tree_id) if copy is None else copy.tree()
            is_there = tree_slot(tree, key, self._state.pager) is not None
        if not is_there:
            return False
        changed = self._changing(tree_id)
        if changed.copy is not None:
            self._change_copy(changed, changed.copy, key, None, False)
        changed.entries[key] = None
        self.changed_bytes += len(key)
        self.operations += 1
        if len(key) > self._state.pager.limits.max_key:
            self.has_large = True
        return True

    def _forget_unchanged(self, changed: ChangedTree) -> None:
        if not changed.entries and not changed.is_created:
            if changed.copy is not None:
                self._epoch = NO_EPOCH  # as in `drop_tree`
            del self.changes[changed.tree]

    def create_tree(self, tree_id: int) -> None:
        """Make an empty tree under an id that was never used before."""
        if self.has_tree(tree_id) or tree_id in self.changes:
            raise UsageError("TREE_EXISTS", f"tree {tree_id} exists", "", {"tree": tree_id})
        changed = ChangedTree(tree_id, Tree(None, 0, 0))
        changed.is_created = True
        changed.copy = self._writer(changed.base)
        self.changes[tree_id] = changed

    def drop_tree(self, tree_id: int) -> None:
        """Remove a tree and everything in it."""
        if not self.has_tree(tree_id):
            raise unknown_tree(tree_id)
        changed = self._changed(tree_id)
        if changed is not None and changed.copy is not None:
            self._epoch = NO_EPOCH  # the ledger has pages of the copy given up here: apply again
        base = self._snapshot.trees.get(tree_id)
        if base is None:
            del self.changes[tree_id]
            return
        changed = ChangedTree(tree_id, base)
        changed.is_dropped = True
        self.changes[tree_id] = changed

    def has_waiting(self) -> bool:
        """Whether there are changes of which there are no private copies."""
        for tree_id in self.changes:
            changed = cast("ChangedTree", self.changes[tree_id])
            if changed.copy is None and not changed.is_dropped:
                return True
        return False

    def copy_waiting(self) -> None:
        """Make private copies of all trees whose changes still wait."""
        for tree_id in self.changes:
            changed = cast("ChangedTree", self.changes[tree_id])
            if not changed.is_dropped:
                self._copy(changed)

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
            changed = cast("ChangedTree", self.changes[tree_id])
            if changed.is_dropped:
                ledger.dropped.append(trees.pop(tree_id))
            else:
                assert changed.copy is not None
                trees[tree_id] = changed.copy.tree()
        return trees, ledger

    def _add_bytes(self, key: bytes, value: bytes) -> None:
        size = len(key) + len(value) + self.changed_bytes
        if size > self._most_bytes:
            raise TransactionTooLargeError(
                "TRANSACTION_TOO_LARGE",
                f"the transaction changes more than {self._most_bytes} bytes of keys and values",
                "split it, or raise max_transaction_bytes",
            )
        self.changed_bytes = size
        self.operations += 1
        limits = self._state.pager.limits
        if len(key) > limits.max_key or len(value) > limits.max_value:
            self.has_large = True

    def _changed(self, tree_id: int) -> ChangedTree | None:
        change = self.changes.get(tree_id)
        if change is None:
            return None
        if change.is_dropped:
            raise unknown_tree(tree_id)
        return cast("ChangedTree", change)

    def _changing(self, tree_id: int) -> ChangedTree:
        """The changes of a tree, with a private copy if there are too many to wait."""
        changed = self._changed(tree_id)
        if changed is None:
            changed = ChangedTree(tree_id, self._base(tree_id))
            self.changes[tree_id] = changed
        elif changed.copy is None and len(changed.entries) >= MOST_WAITING:
            self._copy(changed)
        return changed

    def _base(self, tree_id: int) -> Tree:
        tree = self._snapshot.trees.get(tree_id)
        if tree is None:
            raise unknown_tree(tree_id)
        return tree

    def _copy(self, changed: ChangedTree) -> TreeWriter:
        """The private copy of a tree that is changed, made now if need be."""
        if changed.copy is None:
            copy = self._writer(changed.base)
            try:
                apply_changes(copy, changed)
            except BaseException:
                self._give_up(changed)
                raise
            changed.copy = copy
        return changed.copy

    def _change_copy(
        self,
        changed: ChangedTree,
        copy: TreeWriter,
        key: bytes,
        value: bytes | None,
        only_new: bool,
    ) -> bool:
        """Set a key, or delete it when the value is None; returns what the change of the tree does.

        :param copy: the private copy of the tree.
        """
        try:
            if value is None:
                return copy.delete(key)
            return copy.insert(key, value) if only_new else copy.put(key, value)
        except BaseException:
            self._give_up(changed)
            raise

    def _give_up(self, changed: ChangedTree) -> None:
        """Do without a private copy that a change left half-way: the changes before it wait again.

        The ledger has what was done to it, so everything is applied again at the commit.
        """
        changed.copy = None
        self._epoch = NO_EPOCH

    def _writer(self, tree: Tree) -> TreeWriter:
        return TreeWriter(tree, self._owner, self._state.pager, self.ledger())
