"""Reading: a snapshot of everything committed before it was taken.

Invariants: what a snapshot reaches stays as it is, in memory and on disk, until it is let go.

Concurrency: a transaction belongs to one thread at a time. Readers never wait for writers.
"""

from __future__ import annotations

from types import TracebackType

from cbdd.errors import UsageError
from cbdd.storage.cursor import Cursor
from cbdd.storage.follow import acquire_snapshot, release_snapshot
from cbdd.storage.pager import OnePass
from cbdd.storage.state import DatabaseState
from cbdd.storage.tree import Tree, tree_get, tree_last_key, tree_rank


class ReadTransaction:
    """A snapshot: everything committed before it began, nothing after. Close it when done."""

    _is_open: bool = False

    def __init__(self, state: DatabaseState, of_tip: bool = False) -> None:
        self._state = state
        self._pager = state.pager
        self._key = state.next_owner()
        self._is_open = True
        self._snapshot = acquire_snapshot(state, of_tip, self._key)

    @property
    def lsn(self) -> int:
        """LSN of the newest commit in the snapshot."""
        return self._snapshot.lsn

    @property
    def is_open(self) -> bool:
        """Whether the transaction can still be used."""
        return self._is_open

    def tree_ids(self) -> list[int]:
        """Ids of all trees, ascending."""
        return sorted(self._snapshot.trees)

    def has_tree(self, tree_id: int) -> bool:
        """Whether a tree exists."""
        return tree_id in self._snapshot.trees

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return tree_get(self._tree(tree_id), key, self._pager)

    def last_key(self, tree_id: int) -> bytes | None:
        """The greatest key of a tree, or None."""
        return tree_last_key(self._tree(tree_id), self._pager)

    def version(self, tree_id: int) -> Tree | None:
        """The version of a tree that is read, to tell that nothing in it has changed.

        None where there is no such tree, or the transaction has changes of its own to it.
        """
        return self._snapshot.trees.get(tree_id)

    def cursor(self, tree_id: int) -> Cursor:
        """A cursor over a tree, not positioned yet."""
        return Cursor(self._tree(tree_id), self._pager)

    def scan(self, tree_id: int) -> Cursor:
        """A cursor for reading a whole tree once: pages it reads are not kept in memory."""
        return Cursor(self._tree(tree_id), OnePass(self._pager))

    def count(self, tree_id: int) -> int:
        """Number of entries in a tree."""
        return self._tree(tree_id).count

    def count_range(self, tree_id: int, low: bytes | None, high: bytes | None) -> int:
        """Number of entries with ``low <= key < high``; None is no bound. O(log n)."""
        tree = self._tree(tree_id)
        upper = tree.count if high is None else tree_rank(tree, high, self._pager)
        lower = 0 if low is None else tree_rank(tree, low, self._pager)
        return max(0, upper - lower)

    def close(self) -> None:
        """Let go of the snapshot; calling it again does nothing."""
        if self._is_open:
            release_snapshot(self._state, self._key)
            self._is_open = False

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> ReadTransaction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tree(self, tree_id: int) -> Tree:
        self._require_open()
        tree = self._snapshot.trees.get(tree_id)
        if tree is None:
            raise unknown_tree(tree_id)
        return tree

    def _require_open(self) -> None:
        if not self._is_open:
            raise UsageError("TRANSACTION_ENDED", "the transaction has ended", "begin another")
        if self._state.is_closed or self._state.is_forked:
            self._state.require_usable()


def unknown_tree(tree_id: int) -> UsageError:
    """The error for a tree that does not exist in a snapshot."""
    return UsageError("UNKNOWN_TREE", f"tree {tree_id} does not exist", "", {"tree": tree_id})
