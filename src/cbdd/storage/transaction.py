"""Write transactions: a snapshot, changes to it, and the commit that makes them the newest version.

A write transaction reads its own writes and remembers the net change of every key, see
`change_set.py`. At commit, under the writer lock:

    1  catch up with everything published
    2  if anything intervened: compare every changed and guarded key of the snapshot with the tip;
       a difference is a conflict, first committer wins
    3  apply the changes to the tip and append one frame with them to the log
    4  publish the new versions in this process, then the new end of the log to all
    5  release the writer lock; wait for the sync if the commit asked for it

A pessimistic transaction takes the writer lock before its snapshot, so nothing can intervene. An
exception of any kind after the append leaves the handle tainted: the next use takes everything anew
from what was published, so the commit is there as a whole or not at all (see `publishing.py`).

Invariant: comparisons are by key and by value, so it does not matter which process or generation a
version comes from.

Concurrency: a transaction belongs to one thread at a time. Readers never wait for any of this.

Source: Berenson et al., "A Critique of ANSI SQL Isolation Levels" (1995) for snapshot isolation and
first committer wins.
"""

from __future__ import annotations

from cbdd.errors import (
    CbddError,
    DiskFullError,
    DurabilityError,
    ReadOnlyError,
    UsageError,
    WriteConflictError,
)
from cbdd.storage.change_set import ChangeSet
from cbdd.storage.checkpoint import (
    checkpoint_is_due,
    checkpoint_is_urgent,
    relieve_disk,
    run_checkpoint,
)
from cbdd.storage.follow import refresh, release_snapshot
from cbdd.storage.io import translated
from cbdd.storage.options import DURABILITIES, FULL, NORMAL
from cbdd.storage.publishing import publish
from cbdd.storage.read_transaction import ReadTransaction
from cbdd.storage.state import DatabaseState, require_same_file
from cbdd.storage.sync import poison, sync_to
from cbdd.storage.tree import Tree, tree_get
from cbdd.storage.writer_lock import lock_writer, unlock_writer


class Guard:
    """A key whose value must still be what the snapshot saw."""

    def __init__(self, tree: int, key: bytes) -> None:
        self.tree = tree
        self.key = key


class WriteTransaction(ReadTransaction):
    """A snapshot with private changes on top, to be committed or aborted."""

    _token: int = 0  # of the writer lock; 0: optimistic
    is_checkpoint_due: bool = False
    """Whether the commit has made a checkpoint due that it was not to run."""

    def __init__(self, state: DatabaseState, operation: str, exclusive: bool) -> None:
        # Not `_state`, which is the base's to set: compiled, it would not let go of what is there.
        self._locked_state = state
        if exclusive:
            self._token = lock_writer(state)
            state.live_tokens.add(self._token)
        try:
            epoch = state.epoch  # one that is out of date costs applying the changes again
            super().__init__(state, exclusive)
            self._set = ChangeSet(state, self._snapshot, self._key, epoch)
        except BaseException:
            self._end()
            raise
        self.operation = operation
        self._guards: list[Guard] = []

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._set.changes)

    @property
    def changed_bytes(self) -> int:
        """Bytes of keys and values that were set."""
        return self._set.changed_bytes

    @property
    def may_be_published(self) -> bool:
        """Whether a commit that failed may be there nevertheless."""
        return self._set.may_be_published

    @property
    def is_exclusive(self) -> bool:
        """Whether the transaction holds the writer lock, so that it cannot conflict."""
        return self._token != 0

    def tree_ids(self) -> list[int]:
        """Ids of all trees, this transaction's changes included, ascending."""
        return self._set.tree_ids()

    def has_tree(self, tree_id: int) -> bool:
        """Whether a tree exists."""
        return self._set.has_tree(tree_id)

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        self._require_open()
        return self._set.get(tree_id, key)

    def version(self, tree_id: int) -> Tree | None:
        """As in `ReadTransaction`."""
        return None if tree_id in self._set.changes else self._snapshot.trees.get(tree_id)

    def put(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set the value of a key.

        :raises TransactionTooLargeError: the changes exceed ``max_transaction_bytes``.
        """
        self._require_open()
        self._set.put(tree_id, key, value)

    def put_many(self, tree_id: int, entries: dict[bytes, bytes]) -> None:
        """Set the values of many keys, in the order of the keys.

        :raises TransactionTooLargeError: as `put`.
        """
        self._require_open()
        self._set.put_many(tree_id, entries)

    def insert(self, tree_id: int, key: bytes, value: bytes) -> bool:
        """Set the value of a key that is not there; returns False, and does nothing, if it is.

        :raises TransactionTooLargeError: as `put`.
        """
        self._require_open()
        return self._set.insert(tree_id, key, value)

    def take_back(self, tree_id: int, key: bytes) -> None:
        """Undo an `insert` of this transaction."""
        self._require_open()
        self._set.take_back(tree_id, key)

    def delete(self, tree_id: int, key: bytes) -> bool:
        """Remove a key; returns whether it was there."""
        self._require_open()
        return self._set.delete(tree_id, key)

    def create_tree(self, tree_id: int) -> None:
        """Make an empty tree under an id that was never used before."""
        self._require_open()
        self._set.create_tree(tree_id)

    def drop_tree(self, tree_id: int) -> None:
        """Remove a tree and everything in it."""
        self._require_open()
        self._set.drop_tree(tree_id)

    def guard(self, tree_id: int, key: bytes) -> None:
        """Conflict at commit if this key's value has changed since the snapshot."""
        self._require_open()
        if not self._token:
            self._guards.append(Guard(tree_id, key))

    def commit(self, durability: str | None = None, runs_checkpoint: bool = True) -> int:
        """Commit and return the LSN; without changes, the LSN of the snapshot.

        :param durability: ``full``, ``normal`` or ``off`` for this commit; default: the option.
        :param runs_checkpoint: whether one that becomes due is run; else ``is_checkpoint_due`` says
            so.
        :raises WriteConflictError: another transaction changed the same data first.
        :raises DiskFullError: nothing was changed; the handle stays usable.
        :raises DurabilityError: the outcome is unknown.
        """
        self._require_open()
        state = self._state
        wanted = durability or state.options.durability
        if wanted not in DURABILITIES:
            raise UsageError("OPTION", f"durability is {wanted!r}", "use full, normal or off")
        lsn = self._snapshot.lsn
        is_due = False
        try:
            if self._set.changes:
                lsn = self._commit_with_relief(wanted)
                self._is_open = False
                is_due = checkpoint_is_due(state)
        except OSError as error:
            if state.is_tainted:
                raise unknown_outcome(state, error) from error
            raise translated(error, "commit", state.path) from error
        finally:
            self._end()
        if wanted == FULL:
            _sync_commit(state, lsn)
        else:
            if self._set.changes:
                _sync_predecessors(state, lsn)
            elif wanted == NORMAL:
                with state.apply_lock:
                    state.normal_lsn = max(state.normal_lsn, lsn)
            if wanted == NORMAL and state.is_background_idle:
                state.wake.set()
        if is_due and runs_checkpoint:
            run_due_checkpoint(state)
        self.is_checkpoint_due = is_due and not runs_checkpoint
        return lsn

    def abort(self) -> None:
        """Give the changes up; calling it again does nothing."""
        if self._is_open or self._token:
            self._end()

    def close(self) -> None:
        """The same as `abort`."""
        self.abort()

    def __enter__(self) -> WriteTransaction:
        return self

    # -- inside ----------------------------------------------------------------------------

    def _end(self) -> None:
        """End exactly once; an interrupt in between leaves the rest to `__del__`."""
        state = self._locked_state
        try:
            if self._is_open:
                release_snapshot(state, self._key)
                self._is_open = False
        finally:
            if self._token:
                _unlock_after(state, self._token)
                state.live_tokens.discard(self._token)
                self._token = 0

    def __del__(self) -> None:
        if (self._is_open or self._token) and not self._locked_state.is_forked:
            self._end()

    def _tree(self, tree_id: int) -> Tree:
        self._require_open()
        return self._set.tree(tree_id)

    def _commit_with_relief(self, durability: str) -> int:
        """Commit; when the disk is full, let checkpoints free what they can and try once more.

        A pessimistic transaction has kept no guards, so it goes on only if nothing intervened
        while it did not hold the writer lock.
        """
        state = self._state
        if not self._token:
            try:
                return self._commit_changes(durability)
            except DiskFullError:
                if not relieve_disk(state) or self._set.is_spent:
                    raise
            return self._commit_changes(durability)
        try:
            return publish(state, self._set, self.operation, durability, self._key)
        except DiskFullError as error:
            unlock_writer(state, self._token)
            state.live_tokens.discard(self._token)
            self._token = 0
            if not relieve_disk(state):
                raise
            full = error
        self._token = lock_writer(state)
        state.live_tokens.add(self._token)
        with state.apply_lock:
            state.require_usable()
            refresh(state)
        if state.tip.lsn != self._snapshot.lsn:
            raise full
        return publish(state, self._set, self.operation, durability, self._key)

    def _commit_changes(self, durability: str) -> int:
        state = self._state
        token = lock_writer(state)
        try:
            with state.apply_lock:
                state.require_usable()
                refresh(state)
            if state.tip.lsn != self._snapshot.lsn:
                self._validate()
            return publish(state, self._set, self.operation, durability, self._key)
        finally:
            unlock_writer(state, token)

    def _validate(self) -> None:
        """Raise `WriteConflictError` if a commit since the snapshot touched the same keys."""
        for tree_id in self._set.changes:
            change = self._set.changes[tree_id]
            before = self._snapshot.trees.get(tree_id)
            now = self._state.tip.trees.get(tree_id)
            if change.is_created:
                if now is not None:
                    self._conflict(f"tree {tree_id} was created")
                continue
            if now is None or before is None:
                self._conflict(f"tree {tree_id} was dropped")
                continue
            if now is before:
                continue
            for key in change.entries:
                if tree_get(before, key, self._pager) != tree_get(now, key, self._pager):
                    self._conflict(f"a key of tree {tree_id} was changed")
        for guard in self._guards:
            seen = self._snapshot.trees.get(guard.tree)
            current = self._state.tip.trees.get(guard.tree)
            if seen is current:
                continue
            if seen is None or current is None:
                self._conflict(f"tree {guard.tree} appeared or was dropped")
                continue
            if tree_get(seen, guard.key, self._pager) != tree_get(current, guard.key, self._pager):
                self._conflict(f"a guarded key of tree {guard.tree} was changed")

    def _conflict(self, what: str) -> None:
        """Raise, but only when what we lost to is durable: a retry will then see it."""
        sync_to(self._state, self._state.tip.lsn)
        raise WriteConflictError(
            f"write conflict in {self.operation}: {what} by another transaction; run it again"
        )


def _sync_commit(state: DatabaseState, lsn: int) -> None:
    try:
        sync_to(state, lsn)
    except OSError as error:
        raise unknown_outcome(state, error) from error


def _sync_predecessors(state: DatabaseState, lsn: int) -> None:
    """Sync the commits that asked for it and keep this one from being seen.

    A commit that has returned must be visible, and it is only after all commits before it.
    """
    if state.visible.lsn >= lsn:
        return
    needed = 0
    with state.apply_lock:
        for pending in state.pending:
            if pending.lsn < lsn and pending.must_be_durable:
                needed = pending.lsn
    if needed > state.durable_lsn:
        _sync_commit(state, needed)


def _unlock_after(state: DatabaseState, token: int) -> None:
    """Release the writer lock at the end of a transaction, whatever its outcome was."""
    try:
        unlock_writer(state, token)
    except OSError as error:
        poison(state)  # the lock is stuck until this process closes the file
        raise translated(error, "release the writer lock", state.path) from error


def unknown_outcome(state: DatabaseState, error: OSError) -> DurabilityError:
    """The error for a commit that was appended and could not be published or recorded."""
    return DurabilityError(
        "COMMIT_UNKNOWN",
        f"a commit to {state.path} was appended, but could not be published ({error}): whether it "
        "survives is unknown",
        "read the data again to see; check the disk",
        {"path": state.path},
    )


def begin_write(state: DatabaseState, operation: str, exclusive: bool) -> WriteTransaction:
    """Begin a write transaction, pessimistic (``exclusive``) or optimistic."""
    state.require_usable()
    if state.read_only:
        raise ReadOnlyError(
            "READ_ONLY",
            f"{state.path} is open for reading",
            "open it without read_only",
            {"path": state.path},
        )
    state.require_unpoisoned()
    relieve_memory(state)
    if exclusive:
        state.io.begin_statement()  # which may sleep, so not with the lock
    txn = WriteTransaction(state, operation, exclusive)
    try:
        state.require_unpoisoned()
        require_same_file(state)
    except BaseException:
        txn.abort()
        raise
    return txn


def relieve_memory(state: DatabaseState) -> None:
    """Checkpoint before a write when unwritten nodes take most of the budget."""
    if state.dirty_bytes() > state.options.cache_size_bytes * 3 // 4 and not state.is_poisoned:
        run_checkpoint(state, False)


def run_due_checkpoint(state: DatabaseState) -> None:
    """Checkpoint now, or wake the thread that does.

    The commit that made it due has succeeded, so a failure is noted and not raised: the log keeps
    everything, the next commit tries again, and `statistics` and the flight recorder tell.
    """
    if state.options.background:
        if not state.is_checkpoint_put_off or checkpoint_is_urgent(state):
            state.wake.set()
        return
    try:
        run_checkpoint(state, False)
    except CbddError as error:
        state.background_error = str(error)
        state.events.record("background_error", {"code": error.code, "error": str(error)})
