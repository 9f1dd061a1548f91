"""Making a transaction's changes the newest version: room, trees, log, the other processes.

The caller holds the writer lock and has caught up. Then either

    copied     the changes are applied to copies of the nodes they touch; room for those is made;
               the frame is appended
    in place   room is made for more than the changes can need; the frame is appended; nodes that
               no checkpoint has written are changed as they are, others are copied

and the new version is published in this process and to all others. In place costs no copies, and
is done for few changes when the newest version is seen by nobody: no snapshot is pinned in this
process (but the transaction's own), no commit waits for its sync, and no checkpoint writes the
nodes in question. ``apply_lock`` is held from the look at the pins until the commit is published,
so nobody can begin to read in between. Until a commit that must be durable is, new readers see the
version before it: what undoes its changes is kept as long (see `follow.visible_snapshot`).

When it must be durable, the disk begins with the frame as soon as that is appended, and works while
the trees are changed and the rest is done.

Invariants: whatever happens before the frame is appended leaves nothing of the commit, and what
fails while nodes are changed in place takes the frame back. From the append until it is published
the handle is tainted: should anything be raised in between, the next use takes everything anew from
disk, where the published end of the log decides.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import mypyc_attr

from cbdd.errors import CbddError
from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.change_set import ChangedTree, ChangeSet
from cbdd.storage.follow import advance_tip, apply_changes, new_ledger, refresh, replay, unpin
from cbdd.storage.frame import FLAG_DURABLE, TreeChanges, encode_commit
from cbdd.storage.io import FULL_ERRNOS, disk_full, translated
from cbdd.storage.options import FULL, NORMAL
from cbdd.storage.page import Run
from cbdd.storage.rotation import begin_log
from cbdd.storage.shm import PUBLISHED_BYTES, STATE_BYTES, Published
from cbdd.storage.space import has_room, log_reserve, make_room
from cbdd.storage.state import DatabaseState
from cbdd.storage.sync import start_sync, sync_away
from cbdd.storage.tree import Tree, resolve, tree_slot
from cbdd.storage.wal import Position

MOST_IN_PLACE: Final = 64
"""Changes of a commit. For more, room for the most they can need would be much too much."""
PAGES_OF_A_CHANGE: Final = 16
"""More than one can need, in trees of more levels than those of any file have."""
AMPLE_BYTES: Final = 2 << 20
"""Room that is made for them in any case; more only if it is an eighth of the file."""


@mypyc_attr(acyclic=True)
class Commit:
    """A commit on its way."""

    def __init__(
        self, state: DatabaseState, changes: ChangeSet, operation: str, durability: str, key: int
    ) -> None:
        """
        :param key: of the transaction's own snapshot.
        """
        self.state = state
        self.changes = changes
        self.flags = FLAG_DURABLE if durability == FULL else 0
        self.is_normal = durability == NORMAL
        self.key = key
        self.payload = encode_commit(operation, changes.changes)
        self.own_generation = state.pins.get(key, 0)
        self.was_tainted = False  # by others: then it stays

    def run(self) -> int:
        """Append, publish and let go of the transaction's snapshot; returns the LSN.

        :raises DiskFullError: nothing was changed.
        """
        state = self.state
        changes = self.changes
        with state.apply_lock:
            state.is_locked = True
            try:
                if state.is_tainted:  # since the transaction began: a checkpoint was given up
                    refresh(state)
                if changes.is_current():
                    return self._publish_changes()
            finally:
                state.is_locked = False
        ledger = new_ledger(state)
        trees = replay(state, state.tip.trees, list(changes.changes.values()), ledger)
        with state.apply_lock:
            state.is_locked = True
            try:
                return self._publish_copied(trees, ledger)
            finally:
                state.is_locked = False

    def _publish_changes(self) -> int:
        state = self.state
        changes = self.changes
        if self._is_unseen() and changes.has_waiting() and self._has_ample_room():
            if not self.flags & FLAG_DURABLE or not _replaces_runs(state, changes):
                return self._publish_in_place()
        changes.copy_waiting()
        trees, ledger = changes.versions(state.tip.trees)
        return self._publish_copied(trees, ledger)

    def _is_unseen(self) -> bool:
        """Whether nobody but the transaction itself can see the newest version, now or later."""
        state = self.state
        pinned = len(state.pins)
        return (
            not state.is_tainted
            and state.visible is state.tip
            and not state.pending
            and (pinned == 0 or (pinned == 1 and self.key in state.pins))
        )

    def _publish_copied(self, trees: dict[int, Tree], ledger: PageLedger) -> int:
        state = self.state
        state.log.move_to(state.tip_position)
        self._make_room(ledger)
        self.was_tainted = state.is_tainted
        state.is_tainted = True
        try:
            self._append()
        except OSError as error:
            state.is_tainted = self.was_tainted
            raise translated(error, "append to the log", state.path) from error
        return self._publish(trees, ledger, [])

    def _publish_in_place(self) -> int:
        state = self.state
        undo: list[TreeChanges] = []
        noted = undo if self.flags & FLAG_DURABLE else None
        foreseen = self.changes.ledger().new_run_pages
        start = state.log.position()
        state.is_tainted = True
        try:
            try:
                self._append()
            except OSError as error:
                state.is_tainted = False  # nothing was appended, and nothing changed
                raise translated(error, "append to the log", state.path) from error
            self.changes.is_spent = True
            trees, ledger = _apply_in_place(state, self.changes, noted)
            if ledger.new_run_pages > foreseen:
                # Of nodes with long keys, which had to be copied. The next use takes everything
                # anew; there will be copies then, as the disk is known to be full.
                nodes, freed = ledger.new_nodes, len(ledger.pages)
                own = self.own_generation
                if not make_room(state, nodes, ledger.new_run_pages, freed, True, own):
                    raise disk_full("keep room for a checkpoint of the commit", state.path)
        except BaseException as error:
            self._take_back(start, error)
            raise
        return self._publish(trees, ledger, undo)

    def _append(self) -> None:
        state = self.state
        log = state.log
        try:
            log.append(self.payload, self.flags, state.durable_lsn, state.clock.now_us())
        except CbddError:
            state.is_poisoned = True
            raise
        if self.flags & FLAG_DURABLE and not state.is_checkpoint_active:
            assert log.segment is not None
            start_sync(state, log.segment, log.end)

    def _take_back(self, start: Position, problem: BaseException) -> None:
        state = self.state
        if state.log.end == start.offset or state.is_poisoned:
            return  # nothing was appended, or nobody knows what is there
        try:
            state.log.take_back(start, problem)
        except BaseException:
            state.is_poisoned = True
            raise
        assert state.log.segment is not None
        sync_away(state, state.log.segment)

    def _publish(self, trees: dict[int, Tree], ledger: PageLedger, undo: list[TreeChanges]) -> int:
        state = self.state
        shm = state.shm
        assert shm is not None
        advance_tip(state, trees, state.log.position(), self.flags, ledger, undo)
        state.counter += 1
        position = state.tip_position
        self.changes.may_be_published = True
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
        state.is_tainted = self.was_tainted
        state.advance_visible()
        if self.is_normal:
            state.normal_lsn = position.lsn
        unpin(state, self.key)
        return position.lsn

    # -- room ------------------------------------------------------------------------------

    def _has_ample_room(self) -> bool:
        """Whether there is room for more than the changes can need, so that it may be unknown."""
        state = self.state
        if state.segments.is_tight:
            return False
        changes = self.changes
        copied = changes.ledger()
        state.log.move_to(state.tip_position)
        few = changes.operations <= MOST_IN_PLACE and not changes.has_large
        pages = changes.operations * PAGES_OF_A_CHANGE
        if not few or not has_room(
            state,
            pages + copied.new_nodes,
            copied.new_run_pages,
            pages + len(copied.pages),
            self.own_generation,
        ):
            pages = self._most_pages()
            if pages < 0 or not make_room(
                state,
                pages + copied.new_nodes,
                copied.new_run_pages,
                pages + len(copied.pages),
                True,
                self.own_generation,
                False,
            ):
                return False
        try:
            state.log.reserve(len(self.payload), log_reserve(state, True))
        except OSError as error:
            if error.errno not in FULL_ERRNOS:
                raise translated(error, "append to the log", state.path) from error
            return False
        return True

    def _most_pages(self) -> int:
        """Pages that the changes can need at most; -1 where that is too much, or unknown."""
        state = self.state
        limits = state.pager.limits
        pages = 0
        waiting = 0
        for tree_id in self.changes.changes:
            change = self.changes.changes[tree_id]
            if cast("ChangedTree", change).copy is not None or change.is_dropped:
                continue  # what it needs is known, or nothing
            waiting += len(change.entries)
            if waiting > MOST_IN_PLACE:
                return -1
            for key, value in change.entries.items():
                if len(key) > limits.max_key:
                    return -1
                if value is not None and len(value) > limits.max_value:
                    return -1
            pages += _pages_of_tree(state, state.tip.trees.get(tree_id), len(change.entries))
        most = max(AMPLE_BYTES // state.pager.page_size, state.meta.page_count // 8)
        return pages if pages <= most else -1

    def _make_room(self, ledger: PageLedger) -> None:
        """Have room for the commit in the log and for its pages in the file.

        :raises DiskFullError: there is none; nothing was changed.
        """
        state = self.state
        own = self.own_generation
        freed = len(ledger.pages)
        try:
            keeps_reserve = True
            if not make_room(state, ledger.new_nodes, ledger.new_run_pages, freed, True, own):
                keeps_reserve = False
                if not self._is_relief() or not make_room(
                    state, ledger.new_nodes, ledger.new_run_pages, freed, False, own
                ):
                    raise disk_full("keep room for a checkpoint of the commit", state.path)
            try:
                state.log.reserve(len(self.payload), log_reserve(state, keeps_reserve))
            except OSError as error:
                if error.errno not in FULL_ERRNOS or not self._is_relief():
                    raise
                state.log.reserve(len(self.payload), log_reserve(state, False))
        except OSError as error:
            raise translated(error, "append to the log", state.path) from error

    def _is_relief(self) -> bool:
        """Whether the transaction removes at least as many entries as it sets."""
        added = 0
        removed = 0
        for change in self.changes.changes.values():
            if change.is_dropped:
                removed += 1
            for value in change.entries.values():
                if value is None:
                    removed += 1
                else:
                    added += 1
        return removed > 0 and added <= removed


def publish(
    state: DatabaseState, changes: ChangeSet, operation: str, durability: str, key: int
) -> int:
    """Append the changes of a transaction and publish them; returns the LSN.

    Its snapshot is let go with that.

    The writer lock is held and the tip is current.

    :param key: of the transaction's own snapshot.
    :raises DiskFullError: nothing was changed.
    """
    state.require_unpoisoned()
    if state.tip_position.segment == 0:
        begin_log(state)
    return Commit(state, changes, operation, durability, key).run()


def _pages_of_tree(state: DatabaseState, tree: Tree | None, changes: int) -> int:
    """Pages that changes of a tree can need: copies and splits on their paths, two neighbours."""
    if tree is None or tree.root is None:
        return changes + 1
    root = resolve(tree.root, state.pager)
    pages = 4 * changes
    for level in range(1, root.level + 1):
        touched = changes
        if level == root.level:
            touched = 1
        elif level == root.level - 1:
            touched = min(changes, len(root.children))
        pages += touched + changes
    return pages + 1


def _replaces_runs(state: DatabaseState, changes: ChangeSet) -> bool:
    """Whether some value that is to be replaced or removed in place is kept in a run.

    Such a value cannot be put back without being read.
    """
    for tree_id in changes.changes:
        change = changes.changes[tree_id]
        if change.is_dropped or cast("ChangedTree", change).copy is not None:
            continue
        tree = state.tip.trees[tree_id]
        if tree.large:
            for key in change.entries:
                if isinstance(tree_slot(tree, key, state.pager), Run):
                    return True
    return False


def _apply_in_place(
    state: DatabaseState, changes: ChangeSet, undo: list[TreeChanges] | None
) -> tuple[dict[int, Tree], PageLedger]:
    """Change the newest version itself; the caller knows that nobody sees it.

    :param undo: takes what leads back, if that is needed.
    """
    trees = state.tip.trees
    if undo is not None or state.is_checkpoint_active:  # a checkpoint goes by the same mapping
        trees = dict(trees)
    ledger = changes.ledger()
    owner = state.next_owner()
    in_place_from = max(1, state.writing_below)
    for tree_id in changes.changes:
        change = changes.changes[tree_id]
        copy = cast("ChangedTree", change).copy
        if change.is_dropped:
            ledger.dropped.append(trees.pop(tree_id))
        elif copy is not None:
            trees[tree_id] = copy.tree()
        else:
            writer = TreeWriter(trees[tree_id], owner, state.pager, ledger, in_place_from)
            back: TreeChanges | None = None
            if undo is not None:
                back = TreeChanges(tree_id)
                undo.append(back)
            apply_changes(writer, change, back)
            trees[tree_id] = writer.tree()
    return trees, ledger
