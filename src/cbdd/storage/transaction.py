"""Transactions: a snapshot, private copies, and the commit that makes them the newest version.

A write transaction applies each change to its own copies at once (so it reads its own writes) and
remembers the net change of every key. At commit, under the writer lock:

    1  catch up with everything published
    2  if anything intervened: compare every changed and guarded key of the snapshot with the tip;
       a difference is a conflict, first committer wins; else apply the changes to the tip
    3  append one frame with the changes to the log
    4  publish the new versions in this process, then the new end of the log to all
    5  release the writer lock; wait for the sync if the commit asked for it

A pessimistic transaction takes the writer lock before its snapshot, so nothing can intervene. An
exception of any kind between 3 and 4 leaves the handle tainted: the next use takes everything anew
from what was published, so the commit is there as a whole or not at all.

Invariants: private copies are published as they are only if neither LSN nor epoch has moved since
the snapshot; comparisons are by key and by value, so it does not matter which process or generation
a version comes from.

Concurrency: a transaction belongs to one thread at a time. Readers never wait for any of this.

Source: Berenson et al., "A Critique of ANSI SQL Isolation Levels" (1995) for snapshot isolation and
first committer wins.
"""

from __future__ import annotations

from types import TracebackType

from cbdd.errors import (
    CbddError,
    DiskFullError,
    DurabilityError,
    ReadOnlyError,
    TransactionTooLargeError,
    UsageError,
    WriteConflictError,
)
from cbdd.storage.btree import PageLedger, Tree, TreeWriter, tree_get, tree_rank
from cbdd.storage.checkpoint import (
    begin_log,
    checkpoint_is_due,
    relieve_disk,
    run_checkpoint,
)
from cbdd.storage.cursor import Cursor
from cbdd.storage.follow import (
    acquire_snapshot,
    advance_tip,
    new_ledger,
    refresh,
    release_snapshot,
    replay,
)
from cbdd.storage.frame import FLAG_DURABLE, TreeChanges, encode_commit
from cbdd.storage.io import FULL_ERRNOS, disk_full, translated
from cbdd.storage.options import DURABILITIES, FULL, NORMAL
from cbdd.storage.pager import OnePass
from cbdd.storage.shm import PUBLISHED_BYTES, STATE_BYTES, Published
from cbdd.storage.space import log_reserve, make_room
from cbdd.storage.state import DatabaseState, require_same_file
from cbdd.storage.sync import poison, sync_to
from cbdd.storage.writer_lock import lock_writer, unlock_writer


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


class Guard:
    """A key whose value must still be what the snapshot saw."""

    def __init__(self, tree: int, key: bytes) -> None:
        self.tree = tree
        self.key = key


class WriteTransaction(ReadTransaction):
    """A snapshot with private changes on top, to be committed or aborted."""

    _token: int = 0  # of the writer lock; 0: optimistic

    def __init__(self, state: DatabaseState, operation: str, exclusive: bool) -> None:
        self._state = state
        if exclusive:
            self._token = lock_writer(state)
            state.live_tokens.add(self._token)
        self._writers: dict[int, TreeWriter] = {}
        try:
            with state.apply_lock:
                super().__init__(state, exclusive)
                self._epoch = state.epoch
        except BaseException:
            self._end()
            raise
        self.operation = operation
        self._owner = self._key
        self._ledger: PageLedger = new_ledger(state)
        self._changes: dict[int, TreeChanges] = {}
        self._guards: list[Guard] = []
        self._bytes = 0
        self._has_created_or_dropped = False

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._changes)

    @property
    def is_exclusive(self) -> bool:
        """Whether the transaction holds the writer lock, so that it cannot conflict."""
        return self._token != 0

    def tree_ids(self) -> list[int]:
        """Ids of all trees, this transaction's changes included, ascending."""
        return [n for n in sorted({*self._snapshot.trees, *self._changes}) if self.has_tree(n)]

    def has_tree(self, tree_id: int) -> bool:
        """Whether a tree exists."""
        change = self._changes.get(tree_id)
        if change is not None and (change.is_created or change.is_dropped):
            return change.is_created
        return tree_id in self._snapshot.trees

    def put(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set the value of a key.

        :raises TransactionTooLargeError: the changes exceed ``max_transaction_bytes``.
        """
        writer = self._writer(tree_id)
        size = self._bytes + len(key) + len(value)
        if size > self._state.options.max_transaction_bytes:
            raise TransactionTooLargeError(
                "TRANSACTION_TOO_LARGE",
                f"the transaction changes more than {self._state.options.max_transaction_bytes} "
                "bytes of keys and values",
                "split it, or raise max_transaction_bytes",
            )
        self._bytes = size
        writer.put(key, value)
        self._changes[tree_id].entries[key] = value

    def delete(self, tree_id: int, key: bytes) -> bool:
        """Remove a key; returns whether it was there."""
        writer = self._writer(tree_id)
        if not writer.delete(key):
            change = self._changes[tree_id]
            if not change.entries and not change.is_created:  # nothing to commit for this tree
                del self._changes[tree_id]
                del self._writers[tree_id]
            return False
        self._bytes += len(key)
        self._changes[tree_id].entries[key] = None
        return True

    def create_tree(self, tree_id: int) -> None:
        """Make an empty tree under an id that was never used before."""
        self._require_open()
        if self.has_tree(tree_id) or tree_id in self._changes:
            raise UsageError("TREE_EXISTS", f"tree {tree_id} exists", "", {"tree": tree_id})
        change = TreeChanges(tree_id)
        change.is_created = True
        self._changes[tree_id] = change
        self._writers[tree_id] = TreeWriter(
            Tree(None, 0, 0), self._owner, self._pager, self._ledger
        )
        self._has_created_or_dropped = True

    def drop_tree(self, tree_id: int) -> None:
        """Remove a tree and everything in it."""
        self._require_open()
        if not self.has_tree(tree_id):
            raise unknown_tree(tree_id)
        if self._writers.pop(tree_id, None) is not None:
            self._epoch = -1  # the ledger has pages of the copies given up here: apply again
        tree = self._snapshot.trees.get(tree_id)
        if tree is None:
            del self._changes[tree_id]
            return
        change = TreeChanges(tree_id)
        change.is_dropped = True
        self._changes[tree_id] = change
        self._has_created_or_dropped = True

    def guard(self, tree_id: int, key: bytes) -> None:
        """Conflict at commit if this key's value has changed since the snapshot."""
        self._require_open()
        if not self._token:
            self._guards.append(Guard(tree_id, key))

    def commit(self, durability: str | None = None) -> int:
        """Commit and return the LSN; without changes, the LSN of the snapshot.

        :param durability: ``full``, ``normal`` or ``off`` for this commit; default: the option.
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
            if self._changes:
                lsn = self._commit_with_relief(FLAG_DURABLE if wanted == FULL else 0)
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
            if self._changes:
                _sync_predecessors(state, lsn)
            if wanted == NORMAL:
                with state.apply_lock:
                    state.normal_lsn = max(state.normal_lsn, lsn)
                if state.is_background_idle:
                    state.wake.set()
        if is_due:
            run_due_checkpoint(state)
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
        self._writers = {}
        try:
            if self._is_open:
                release_snapshot(self._state, self._key)
                self._is_open = False
        finally:
            if self._token:
                _unlock_after(self._state, self._token)
                self._state.live_tokens.discard(self._token)
                self._token = 0

    def __del__(self) -> None:
        if (self._is_open or self._token) and not self._state.is_forked:
            self._end()

    def _tree(self, tree_id: int) -> Tree:
        self._require_open()
        writer = self._writers.get(tree_id)
        if writer is not None:
            return writer.tree()
        tree = self._snapshot.trees.get(tree_id)
        change = self._changes.get(tree_id)
        if tree is None or (change is not None and change.is_dropped):
            raise unknown_tree(tree_id)
        return tree

    def _writer(self, tree_id: int) -> TreeWriter:
        writer = self._writers.get(tree_id)
        if writer is None:
            tree = self._tree(tree_id)
            writer = TreeWriter(tree, self._owner, self._pager, self._ledger)
            self._writers[tree_id] = writer
            self._changes[tree_id] = TreeChanges(tree_id)
        elif not self._is_open:
            self._require_open()
        return writer

    def _commit_with_relief(self, flags: int) -> int:
        """Commit; when the disk is full, let checkpoints free what they can and try once more.

        A pessimistic transaction has kept no guards, so it goes on only if nothing intervened
        while it did not hold the writer lock.
        """
        state = self._state
        if not self._token:
            try:
                return self._commit_changes(flags)
            except DiskFullError:
                if not relieve_disk(state):
                    raise
            return self._commit_changes(flags)
        try:
            return self._publish(flags)
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
        return self._publish(flags)

    def _commit_changes(self, flags: int) -> int:
        state = self._state
        token = lock_writer(state)
        try:
            with state.apply_lock:
                state.require_usable()
                refresh(state)
            if state.tip.lsn != self._snapshot.lsn:
                self._validate()
            return self._publish(flags)
        finally:
            unlock_writer(state, token)

    def _validate(self) -> None:
        """Raise `WriteConflictError` if a commit since the snapshot touched the same keys."""
        for tree_id in self._changes:
            change = self._changes[tree_id]
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

    def _publish(self, flags: int) -> int:
        """Append and publish. The writer lock is held and the tip is current."""
        state = self._state
        state.require_unpoisoned()
        shm = state.shm
        assert shm is not None
        if state.tip_position.segment == 0:
            begin_log(state)
        payload = encode_commit(self.operation, self._changes)
        trees, ledger = self._versions()
        with state.apply_lock:
            state.log.move_to(state.tip_position)
            self._make_room(ledger, len(payload))
            state.is_tainted = True
            try:
                state.log.append(payload, flags, state.durable_lsn, state.clock.now_us())
            except OSError as error:
                state.is_tainted = False
                raise translated(error, "append to the log", state.path) from error
            except CbddError:
                state.is_poisoned = True
                raise
            advance_tip(state, trees, state.log.position(), flags, ledger)
            state.counter += 1
            position = state.tip_position
            written = shm.publish(
                Published(
                    state.meta.generation,
                    position.segment,
                    position.offset,
                    position.lsn,
                    position.chain,
                    state.counter,
                )
            )
            # Nobody else has published meanwhile: what is there now has been taken in already.
            if len(state.raw_state) == STATE_BYTES:
                state.raw_state = written + state.raw_state[PUBLISHED_BYTES:]
            state.is_tainted = False
            state.advance_visible()
            return position.lsn

    def _make_room(self, ledger: PageLedger, payload_length: int) -> None:
        """Have room for the commit in the log and for its pages in the file.

        :raises DiskFullError: there is none; nothing was changed.
        """
        state = self._state
        try:
            keeps_reserve = True
            own = self._snapshot.generation
            if not make_room(state, ledger, True, own):
                keeps_reserve = False
                if not self._is_relief() or not make_room(state, ledger, False, own):
                    raise disk_full("keep room for a checkpoint of the commit", state.path)
            try:
                state.log.reserve(payload_length, log_reserve(state, keeps_reserve))
            except OSError as error:
                if error.errno not in FULL_ERRNOS or not self._is_relief():
                    raise
                state.log.reserve(payload_length, log_reserve(state, False))
        except OSError as error:
            raise translated(error, "append to the log", state.path) from error

    def _is_relief(self) -> bool:
        """Whether the transaction removes at least as many entries as it sets."""
        added = 0
        removed = 0
        for change in self._changes.values():
            if change.is_dropped:
                removed += 1
            for value in change.entries.values():
                if value is None:
                    removed += 1
                else:
                    added += 1
        return removed > 0 and added <= removed

    def _versions(self) -> tuple[dict[int, Tree], PageLedger]:
        """The trees to publish: the private copies, or the changes applied to a moved tip."""
        state = self._state
        if state.tip.lsn != self._snapshot.lsn or state.epoch != self._epoch:
            ledger = new_ledger(state)
            return replay(state, state.tip.trees, list(self._changes.values()), ledger), ledger
        trees = dict(state.tip.trees)
        for tree_id in self._changes:
            change = self._changes[tree_id]
            if change.is_dropped:
                self._ledger.dropped.append(trees.pop(tree_id))
            else:
                trees[tree_id] = self._writers[tree_id].tree()
        return trees, self._ledger


def _sync_commit(state: DatabaseState, lsn: int) -> None:
    try:
        sync_to(state, lsn)
    except OSError as error:
        raise unknown_outcome(state, error) from error


def _sync_predecessors(state: DatabaseState, lsn: int) -> None:
    """Sync the commits that asked for it and keep this one from being seen.

    A commit that has returned must be visible, and it is only after all commits before it.
    """
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
        state.wake.set()
        return
    try:
        run_checkpoint(state, False)
    except CbddError as error:
        state.background_error = str(error)
        state.events.record("background_error", {"code": error.code, "error": str(error)})
