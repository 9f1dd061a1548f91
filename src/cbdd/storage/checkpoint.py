"""Checkpoints: moving what the log holds into the page file.

    under the writer lock      rotate the log: new segment created and synced, directory synced,
                               seal appended to the old one and synced; the tip is what is written
    beside commits             write changed nodes to free pages, children first, then the
                               directory tree and the freelist; sync; write the other meta slot
                               naming the new segment; sync
    under the writer lock      tell the nodes where they are, publish the generation
    after that                 remove segments that neither meta slot needs

A crash at any point leaves a meta page whose pages and segments all exist. A failure before the
meta page leaves the database as it was, the pages written are still free.

`make_clean` is the same without rotation, for the last process to close and for recovery: it holds
the database alone, writes both slots with the clean flag, then removes the log. `begin_log` of
`rotation` is its counterpart.

Invariants: pages reachable from either slot are never overwritten; segments that either slot
needs are kept; the meta page is synced only after everything it names. Before a checkpoint writes
its first page, no meta page on disk has a generation newer than the published one: one that a
checkpoint wrote and could not publish (its process died, was interrupted or had an error) names
pages that everybody else takes for free, so it is retracted first.
"""

from __future__ import annotations

import threading
from typing import Final

from cbdd.errors import CbddError, DiskFullError, LockedError
from cbdd.storage.archive import may_remove
from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.directory import directory_of, encode_entry, set_directory, tree_key
from cbdd.storage.follow import new_ledger, note_rotation, raise_pin, refresh
from cbdd.storage.free_pages import collect_dropped, usable_freelist
from cbdd.storage.freelist import (
    ENTRY,
    Allocator,
    encode_runs,
    merged_runs,
)
from cbdd.storage.io import FULL_ERRNOS, read_exact, translated, write_all
from cbdd.storage.locks import CHECKPOINT, SLOT_BASE, UNREGISTERED
from cbdd.storage.meta import META_BLOCK_BYTES, Meta, read_copies, write_meta
from cbdd.storage.node import Node
from cbdd.storage.page import FREELIST, run_page_count
from cbdd.storage.page_writer import PageWriter, freelist_run_bytes
from cbdd.storage.rotation import publish_position, rotate, stamp
from cbdd.storage.space import is_log_cramped, note_tight, settle_length, trim_tail
from cbdd.storage.state import DatabaseState, Snapshot
from cbdd.storage.tree import Tree
from cbdd.storage.wal import Position, list_segments, segment_path
from cbdd.storage.writer_lock import lock_writer, unlock_writer

RELIEF_ROUNDS: Final = 4
READER_SECONDS: Final = 5.0


def checkpoint_is_due(state: DatabaseState) -> bool:
    """Whether the log or the unwritten nodes have grown to the point where one should start."""
    if state.is_checkpoint_active:
        return False
    return state.log_bytes > state.options.checkpoint_log_bytes or _memory_is_short(state)


def checkpoint_is_urgent(state: DatabaseState) -> bool:
    """Whether one that is due must not wait for a quiet moment, see `background.py`."""
    return state.log_bytes > 2 * state.options.checkpoint_log_bytes or _memory_is_short(state)


def _memory_is_short(state: DatabaseState) -> bool:
    return state.dirty_bytes() > state.options.cache_size_bytes // 2


def run_checkpoint(state: DatabaseState, wait: bool, is_forced: bool = False) -> bool:
    """Checkpoint; returns False when another one is running (and ``wait`` is not set).

    :param is_forced: even if nothing was committed since the last one.
    :raises DiskFullError: nothing was changed.
    :raises DurabilityError: a sync of the log failed.
    """
    timeout = state.options.lock_timeout_seconds
    me = threading.get_ident()
    if state.checkpoint_thread == me:
        return False
    if not state.checkpoint_mutex.acquire(True, timeout if wait else 0):
        return False
    state.checkpoint_thread = me
    try:
        if wait:
            state.locks.acquire(CHECKPOINT, True, timeout, "")
        elif not state.locks.try_lock(CHECKPOINT, True):
            return False
        try:
            _checkpoint(state, is_forced)
            _renew_meta_copies(state)
        finally:
            if not state.is_forked:
                state.locks.release(CHECKPOINT)
    except OSError as error:
        raise translated(error, "write a checkpoint", state.path) from error
    finally:
        state.checkpoint_thread = 0
        state.checkpoint_mutex.release()
    return True


def relieve_disk(state: DatabaseState) -> bool:
    """Free what checkpoints can free; returns whether there was anything to free.

    What one checkpoint frees can be used after the next: until then the older meta page needs it.
    Two more move what they freed at the end of the file, or in the log, to where the log goes on.
    One that is under way is waited for. The caller does not hold the writer lock.
    """
    if state.tip.lsn == state.relieved_lsn or state.meta.is_clean:
        return False
    state.relieved_lsn = state.tip.lsn
    note_tight(state)
    rounds = 0
    try:
        while rounds < 2 or (rounds < RELIEF_ROUNDS and is_log_cramped(state)):
            if not run_checkpoint(state, True, True):
                break
            rounds += 1
    except CbddError as error:
        state.events.record("relief_failed", {"code": error.code, "error": str(error)})
    return rounds >= 2


class Attempt:
    """A checkpoint under way: what it writes and what it will free."""

    def __init__(
        self, snapshot: Snapshot, position: Position, ledger: PageLedger, epoch: int
    ) -> None:
        self.snapshot = snapshot
        self.position = position
        self.ledger = ledger
        self.epoch = epoch
        self.dirty_nodes = 0
        self.dirty_large_bytes = 0
        self.dirty_run_pages = 0
        self.is_durable = False


def _checkpoint(state: DatabaseState, is_forced: bool) -> None:
    attempts: list[Attempt] = []
    try:
        token = lock_writer(state)
        try:
            _begin_attempt(state, attempts, is_forced)
        finally:
            unlock_writer(state, token)
        if not attempts:
            return
        attempt = attempts[0]
        meta, writer, trees = _write_generation(
            state, attempt.snapshot, attempt.ledger, attempt.position, False
        )
        attempt.is_durable = True
        token = lock_writer(state)
        try:
            if is_forced:
                trim_tail(state)
            _publish_generation(state, meta, writer, trees, attempt)
        finally:
            unlock_writer(state, token)
    except BaseException as error:
        for attempt in attempts:
            _abandon(state, attempt, not isinstance(error, (CbddError, OSError)))
        raise
    remove_old_segments(state)
    facts: dict[str, object] = {"generation": meta.generation, "lsn": meta.checkpoint_lsn}
    facts["pages"] = writer.pages_written
    state.events.record("checkpoint", facts)


def _renew_meta_copies(state: DatabaseState) -> None:
    """Write a damaged copy of a meta page anew from its twin.

    The caller holds the checkpoint lock. The twin is not touched, so a torn write leaves what was
    there before.
    """
    copies = read_copies(state.io, state.fd)
    for copy in copies:
        for twin in copies:
            if copy.meta is None and twin.meta is not None and twin.slot == copy.slot:
                block = read_exact(state.io, state.fd, META_BLOCK_BYTES, twin.offset)
                write_all(state.io, state.fd, block, copy.offset)
                state.io.sync(state.fd)
                facts: dict[str, object] = {"code": "META_COPY_DAMAGED", "offset": copy.offset}
                state.events.record("meta_copy_renewed", facts)


def _begin_attempt(state: DatabaseState, attempts: list[Attempt], is_forced: bool) -> None:
    """Rotate the log and take the tip; adds nothing to ``attempts`` when there is no work."""
    with state.apply_lock:
        state.require_usable()
        refresh(state)
    state.require_unpoisoned()
    if state.tip_position.segment == 0:
        return  # closed cleanly and not written to since
    if state.tip.lsn == state.meta.checkpoint_lsn and not is_forced:
        return
    if not is_forced:
        state.segments.is_tight = False
    rotate(state)
    with state.apply_lock:
        state.epoch += 1
        attempt = Attempt(state.tip, state.tip_position, state.ledger, state.epoch)
        attempt.dirty_nodes = state.dirty_nodes
        attempt.dirty_large_bytes = state.dirty_large_bytes
        attempt.dirty_run_pages = state.dirty_run_pages
        attempts.append(attempt)
        state.ledger = PageLedger()
        state.is_checkpoint_active = True
        note_rotation(state)


def _abandon(state: DatabaseState, attempt: Attempt, is_interrupted: bool) -> None:
    """Go on as if the checkpoint had not begun; what it was to free is freed by the next.

    When its meta page may be on disk, or the trees were taken anew meanwhile, or it was interrupted
    anywhere, the books of this process may not match and everything is taken anew from disk.
    """
    with state.apply_lock:
        state.is_checkpoint_active = False
        if is_interrupted or attempt.is_durable or state.epoch != attempt.epoch:
            state.is_tainted = True
            state.epoch += 1
            return
        ledger = attempt.ledger
        state.dirty_nodes -= len(state.ledger.superseded)  # they are not written after all
        ledger.absorb(state.ledger)
        ledger.superseded = []
        state.ledger = ledger
        state.writing_below = 0
        state.epoch += 1


# -- writing a generation --------------------------------------------------------------------


def _write_generation(
    state: DatabaseState, snapshot: Snapshot, ledger: PageLedger, position: Position, clean: bool
) -> tuple[Meta, PageWriter, dict[int, Tree]]:
    """Write a snapshot's pages and a meta page for them; returns when both are durable.

    :param position: where the log goes on after the snapshot.
    """
    retract_unpublished(state)
    meta = state.meta.copy()
    meta.generation += 1
    meta.slot = 1 - meta.slot
    runs = usable_freelist(state)
    allocator = Allocator(runs, reusable_generation(state), meta.page_count)
    writer = PageWriter(state.io, state.pager, allocator, meta.generation)
    directory_ledger = new_ledger(state)
    trees: dict[int, Tree] = {}
    directory = _write_trees(state, snapshot, writer, directory_ledger, trees)
    freed = ledger.pages + directory_ledger.pages
    for tree in ledger.dropped:
        collect_dropped(state, tree, freed)
    if meta.freelist_length:
        size = run_page_count(meta.freelist_length, state.pager.page_size)
        freed.append((meta.freelist_page, size))
    set_directory(meta, directory)
    _write_freelist(state, meta, allocator, writer, freed)
    writer.flush()
    meta.page_count = allocator.page_count
    _extend_to(state, meta.page_count)
    meta.checkpoint_lsn = snapshot.lsn
    meta.is_clean = clean
    meta.chain = position.chain
    meta.first_segment = 0
    meta.first_salt = 0
    if not clean:
        segment = state.segments.get(position.segment, False)
        assert segment is not None, "the segment that was rotated to"
        meta.first_segment = segment.number
        meta.first_salt = segment.header.salt
    numbers = list_segments(state.io, state.directory, state.name)
    meta.next_segment = max([meta.next_segment - 1, *numbers]) + 1
    stamp(state, meta)
    state.io.sync(state.fd)
    write_meta(state.io, state.fd, meta)
    state.io.sync(state.fd)
    return meta, writer, trees


def retract_unpublished(state: DatabaseState) -> None:
    """Put the published meta page in the place of a newer one that was never published.

    The caller holds the checkpoint lock, or the database alone, and is up to date.
    """
    for copy in read_copies(state.io, state.fd):
        if copy.meta is not None and copy.meta.generation > state.meta.generation:
            meta = state.meta.copy()
            meta.slot = copy.slot
            write_meta(state.io, state.fd, meta)
            state.io.sync(state.fd)
            return  # the other slot has the published one


def _write_trees(
    state: DatabaseState,
    snapshot: Snapshot,
    writer: PageWriter,
    ledger: PageLedger,
    trees: dict[int, Tree],
) -> Tree:
    """Write every changed tree, then the directory tree; returns the latter, on disk.

    :param trees: receives every tree as it is on disk.
    """
    owner = state.next_owner()
    directory = TreeWriter(state.directory_tree, owner, state.pager, ledger)
    for number in sorted(snapshot.trees):
        tree = snapshot.trees[number]
        written = writer.write_tree(tree, number)
        trees[number] = written
        old = state.base_trees.get(number)
        if old is None or old.root != written.root or old.count != written.count:
            directory.put(tree_key(number), encode_entry(written))
    for number in state.base_trees:
        if number not in snapshot.trees:
            directory.delete(tree_key(number))
    return writer.write_tree(directory.tree(), 0)


def _write_freelist(
    state: DatabaseState,
    meta: Meta,
    allocator: Allocator,
    writer: PageWriter,
    freed: list[tuple[int, int]],
) -> None:
    """Write the list of free pages as it is once ``meta`` is durable."""
    allocator.trim()
    added = merged_runs(freed, meta.generation)
    entries = len(added) + len(allocator.left())
    if not entries:
        meta.freelist_page = 0
        meta.freelist_length = 0
        meta.freelist_checksum = 0
        return
    length = freelist_run_bytes(entries, ENTRY.size, state.pager.page_size)
    first = allocator.pages(run_page_count(length, state.pager.page_size))
    data = encode_runs(allocator.left() + added).ljust(length, b"\0")
    run = writer.write_run_at(first, data, FREELIST, 0)
    meta.freelist_page = run.page
    meta.freelist_length = run.length
    meta.freelist_checksum = run.checksum


def _extend_to(state: DatabaseState, page_count: int) -> None:
    """Make the file as long as the meta page will say, so that a shorter one is truncated."""
    size = page_count * state.pager.page_size
    if state.io.size(state.fd) < size:
        state.io.truncate(state.fd, size)


def reusable_generation(state: DatabaseState) -> int:
    """Pages freed by this generation or an older one are needed by nobody; -1: reuse nothing."""
    limit = state.meta.generation
    for copy in read_copies(state.io, state.fd):
        if copy.meta is not None:
            limit = min(limit, copy.meta.generation)
    if not state.locks.try_lock(UNREGISTERED, True):
        return -1
    state.locks.release(UNREGISTERED)
    with state.apply_lock:
        for generation in list(state.pins.values()):
            limit = min(limit, generation)
    shm = state.shm
    if shm is None:
        return limit
    for slot in shm.slots():
        pinned = slot.pinned_generation
        if slot.number == state.slot or not pinned or pinned >= limit:
            continue
        if state.locks.try_lock(SLOT_BASE + slot.number, True):  # its owner is dead
            shm.write_slot(slot.number, 0, 0, 0, 0)
            state.locks.release(SLOT_BASE + slot.number)
        else:
            limit = pinned
    return limit


# -- after the meta page is durable ----------------------------------------------------------


def _publish_generation(
    state: DatabaseState,
    meta: Meta,
    writer: PageWriter,
    trees: dict[int, Tree],
    attempt: Attempt,
) -> None:
    """Stand on the new generation and tell the other processes. The writer lock is held."""
    with state.apply_lock:
        refresh(state)
        state.is_tainted = True
        if state.epoch != attempt.epoch:
            # The trees were taken anew meanwhile: take them again, from the new generation.
            state.is_checkpoint_active = False
            publish_position(state, meta.generation)
            return
        superseded = state.ledger.superseded
        state.ledger.superseded = []
        for node in superseded:
            if not writer.has_written(node):  # committed between snapshot and rotation
                state.dirty_nodes -= 1
        state.ledger.pages.extend(writer.settle(superseded))
        state.meta = meta
        state.directory_tree = directory_of(meta)
        state.base_trees = trees
        _restamp(state, meta.generation)
        state.is_checkpoint_active = False
        state.writing_below = 0
        state.epoch += 1
        state.dirty_nodes = max(0, state.dirty_nodes - attempt.dirty_nodes)
        left = state.dirty_large_bytes - attempt.dirty_large_bytes
        state.dirty_large_bytes = max(0, left)
        state.dirty_run_pages = max(0, state.dirty_run_pages - attempt.dirty_run_pages)
        state.pager.dirty_bytes = state.dirty_bytes()
        raise_pin(state)
        publish_position(state, meta.generation)
        state.is_tainted = False


def _restamp(state: DatabaseState, generation: int) -> None:
    """Let tip, visible and pending snapshots stand on the new generation."""
    for commit in state.pending:
        commit.snapshot = _on_generation(commit.snapshot, generation)
    state.visible = _on_generation(state.visible, generation)
    last = len(state.pending) - 1
    state.tip = state.pending[last].snapshot if last >= 0 else state.visible


def _on_generation(snapshot: Snapshot, generation: int) -> Snapshot:
    trees = {n: on_disk(snapshot.trees[n]) for n in snapshot.trees}
    return Snapshot(snapshot.lsn, generation, trees)


def on_disk(tree: Tree) -> Tree:
    """The version with its root as a reference when the root is on disk."""
    root = tree.root
    if isinstance(root, Node) and root.ref is not None:
        return Tree(root.ref, tree.count, tree.large)
    return tree


def remove_old_segments(state: DatabaseState) -> None:
    """Remove the segments that neither meta slot needs."""
    keep = state.meta.next_segment
    for copy in read_copies(state.io, state.fd):
        meta = copy.meta
        if meta is not None:
            keep = min(keep, meta.next_segment if meta.is_clean else meta.first_segment)
    for number in list_segments(state.io, state.directory, state.name):
        if number < keep and may_remove(state, number):
            state.segments.close(number)
            state.segments.remove_file(segment_path(state.path, number))


def make_clean(state: DatabaseState) -> None:
    """Write everything to the page file and remove the log. The caller is alone.

    Where the disk is full because a reader that cannot register keeps free pages from being used,
    it waits some seconds for its snapshot to end.

    :raises OSError: the database is as it was, its log still needed.
    :raises DiskFullError: so it is, and a reader is the reason.
    """
    try:
        _make_clean(state)
        return
    except OSError as error:
        if error.errno not in FULL_ERRNOS or state.locks.try_lock(UNREGISTERED, True):
            state.locks.release(UNREGISTERED)
            raise
        full = error
    try:
        patience = min(state.options.lock_timeout_seconds, READER_SECONDS)
        state.locks.acquire(UNREGISTERED, True, patience, "a reader")
    except LockedError:
        raise DiskFullError(
            "DISK_FULL",
            f"no space left to move the log into {state.path}: free pages in it are kept by a "
            "reader (read_only) that has a snapshot; nothing was changed",
            "let the reader finish, or free space, then try again",
            {"path": state.path, "action": "move the log into the file"},
        ) from full
    try:
        _make_clean(state)  # the lock keeps readers away until it knows what it can use
    finally:
        state.locks.release(UNREGISTERED)


def _make_clean(state: DatabaseState) -> None:
    with state.apply_lock:
        snapshot = state.tip
        ledger = state.ledger
        meta, writer, trees = _write_generation(state, snapshot, ledger, state.tip_position, True)
        writer.settle([])
        state.meta = meta
        state.directory_tree = directory_of(meta)
        state.base_trees = trees
        second = meta.copy()
        second.generation += 1
        second.slot = 1 - second.slot
        write_meta(state.io, state.fd, second)
        state.io.sync(state.fd)
        state.meta = second
        state.ledger = PageLedger()
        state.dirty_nodes = 0
        state.dirty_large_bytes = 0
        state.dirty_run_pages = 0
        state.pager.dirty_bytes = 0
        state.log_bytes = 0
        state.epoch += 1
        state.tip = Snapshot(snapshot.lsn, second.generation, dict(state.base_trees))
        state.visible = state.tip
        state.pending.clear()
        state.tip_position = Position(0, 0, meta.checkpoint_lsn, meta.chain)
        state.log.move_to(state.tip_position)
    state.segments.close_all()
    for number in list_segments(state.io, state.directory, state.name):
        if number < meta.next_segment and may_remove(state, number):
            state.segments.remove_file(segment_path(state.path, number))
    settle_length(state)  # now that the log's room is there to be taken
    state.io.sync_directory(state.directory)
