"""Keeping up: applying commits to the trees, and taking up another process's generation.

`refresh` is what every reader and writer does first: one read of the shared state tells whether
anything happened elsewhere. New frames are applied to the tip; a moved generation is taken up from
its meta page. Replaying a commit is the same code for following, recovery and a transaction whose
base has moved.

Invariants: frames are applied in LSN order, each once; nothing beyond the published end is read;
the generation in the meta page that is used equals the published one; a generation that this
release must not read, or not write where the handle may, is not taken up.
"""

from __future__ import annotations

from typing import Final, cast

from cbdd.errors import CorruptDataError, LockedError
from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.directory import directory_of, load_trees
from cbdd.storage.frame import COMMIT, FLAG_DURABLE, FRAMES_OFFSET, TreeChanges, decode_commit
from cbdd.storage.io import thread_id
from cbdd.storage.locks import UNREGISTERED
from cbdd.storage.meta import Meta, read_copies, require_readable, require_writable
from cbdd.storage.shm import Published, decode_durable, decode_published, is_poisoned, unreadable
from cbdd.storage.state import DatabaseState, PendingCommit, Snapshot
from cbdd.storage.tree import Tree
from cbdd.storage.wal import LogReader, Position

STATE_READ_ATTEMPTS = 10_000
READS_BESIDE_SYNC: Final = 8
LOOKS_FOR_LOCK: Final = 20


def new_ledger(state: DatabaseState) -> PageLedger:
    """A ledger for changes that start now."""
    ledger = PageLedger()
    ledger.written_below = state.writing_below
    return ledger


def note_rotation(state: DatabaseState) -> None:
    """The log goes on in a new segment: a checkpoint, here or elsewhere, writes what came before.

    The caller holds ``apply_lock``.
    """
    state.writing_below = state.next_owner()


def apply_changes(writer: TreeWriter, change: TreeChanges, back: TreeChanges | None = None) -> None:
    """Set and delete the keys of a change.

    :param back: takes what undoes them; none of the values they replace may be in a run.
    """
    for key, value in change.entries.items():
        if value is None:
            writer.delete(key)
        else:
            writer.put(key, value)
        if back is not None:
            back.entries[key] = cast("bytes | None", writer.replaced)


def replay(
    state: DatabaseState, trees: dict[int, Tree], changes: list[TreeChanges], ledger: PageLedger
) -> dict[int, Tree]:
    """The versions after applying changes to ``trees``, which stay as they are."""
    result = dict(trees)
    owner = state.next_owner()
    for change in changes:
        number = change.tree
        if change.is_dropped and number in result:
            ledger.dropped.append(result.pop(number))
        if change.is_created:
            result[number] = Tree(None, 0, 0)
        if not change.entries:
            continue
        tree = result.get(number)
        if tree is None:
            raise CorruptDataError(
                "WAL_UNKNOWN_TREE",
                f"a commit changes tree {number}, which does not exist",
                "run `cbdd check`; report this",
                {"tree": number},
            )
        writer = TreeWriter(tree, owner, state.pager, ledger)
        apply_changes(writer, change)
        result[number] = writer.tree()
    return result


def advance_tip(
    state: DatabaseState,
    trees: dict[int, Tree],
    position: Position,
    flags: int,
    ledger: PageLedger,
    undo: list[TreeChanges],
) -> None:
    """Make the next commit the tip. The caller holds ``apply_lock``.

    :param undo: of the changes that were made in place, if any were.
    """
    snapshot = Snapshot(position.lsn, state.meta.generation, trees)
    if position.segment == state.tip_position.segment:
        state.log_bytes += position.offset - state.tip_position.offset
    else:
        state.log_bytes += position.offset - FRAMES_OFFSET
    state.tip = snapshot
    state.tip_position = position
    state.pending.append(PendingCommit(position.lsn, flags & FLAG_DURABLE != 0, snapshot, undo))
    absorb(state, ledger)


def absorb(state: DatabaseState, ledger: PageLedger) -> None:
    """Add a commit's ledger to that of the generation."""
    state.dirty_nodes += ledger.new_nodes
    state.dirty_large_bytes += ledger.new_bytes
    state.dirty_run_pages += ledger.new_run_pages
    state.ledger.absorb(ledger)
    state.pager.dirty_bytes = state.dirty_bytes()


def take_base(state: DatabaseState, meta: Meta) -> None:
    """Stand on a meta page: its trees, nothing of the log. The caller holds ``apply_lock``."""
    state.meta = meta
    state.directory_tree = directory_of(meta)
    state.base_trees = load_trees(state.directory_tree, state.pager)
    state.tip = Snapshot(meta.checkpoint_lsn, meta.generation, dict(state.base_trees))
    state.visible = state.tip
    state.pending.clear()
    state.durable_lsn = max(state.durable_lsn, meta.checkpoint_lsn)
    state.ledger = PageLedger()
    state.dirty_nodes = 0
    state.dirty_large_bytes = 0
    state.dirty_run_pages = 0
    state.pager.dirty_bytes = 0
    state.log_bytes = 0
    state.epoch += 1
    state.writing_below = 0
    offset = FRAMES_OFFSET if meta.first_segment else 0
    state.tip_position = Position(meta.first_segment, offset, meta.checkpoint_lsn, meta.chain)


def apply_frames(state: DatabaseState, end_segment: int, end_offset: int) -> str:
    """Apply the log from the tip up to an end; returns why it stopped (see `LogReader.stop`).

    The caller holds ``apply_lock``. Parts without their commit are left unapplied: the position
    stays in front of them.
    """
    reader = LogReader(state.segments, state.tip_position, state.read_only)
    parts: list[bytes] = []
    while True:
        frame = reader.next(end_segment, end_offset)
        if frame is None:
            return reader.stop
        state.frames_applied += 1
        if frame.kind != COMMIT:
            parts.append(frame.payload)
            continue
        payload = frame.payload
        if parts:
            parts.append(payload)
            payload = b"".join(parts)
            parts = []
        _operation, changes = decode_commit(payload)
        if reader.position.segment != state.tip_position.segment:
            note_rotation(state)
        ledger = new_ledger(state)
        trees = replay(state, state.tip.trees, changes, ledger)
        advance_tip(state, trees, reader.position, frame.flags, ledger, [])
        state.commits_applied += 1
        state.last_commit_us = frame.time_us


def read_state(state: DatabaseState) -> tuple[bytes, Published, int]:
    """The shared state, read until it is whole."""
    shm = state.shm
    assert shm is not None
    for _ in range(STATE_READ_ATTEMPTS):
        raw = shm.state()
        published = decode_published(raw)
        durable = decode_durable(raw)
        if published is not None and durable >= 0:
            return raw, published, durable
    raise unreadable(shm.path)


def current_durable(state: DatabaseState) -> int:
    """The LSN that is durable by the shared state, which is only decoded if it is news.

    Poison found in it is noted.
    """
    shm = state.shm
    assert shm is not None
    if shm.state() == state.raw_state:
        return state.durable_lsn
    raw, _published, durable = read_state(state)
    if is_poisoned(raw):
        state.is_poisoned = True
    return durable


def refresh(state: DatabaseState) -> None:
    """Catch up with everything published. The caller holds ``apply_lock``.

    :raises CorruptDataError: the log or the meta page contradicts what was published.
    """
    shm = state.shm
    if shm is None:
        return
    raw = shm.state()
    if raw == state.raw_state and not state.is_tainted and not state.is_applying:
        return
    if state.is_applying:  # the last time was interrupted half-way
        state.is_tainted = True
    state.is_applying = True
    while True:
        raw, published, durable = read_state(state)
        if is_poisoned(raw):
            state.is_poisoned = True
        if published.generation != state.meta.generation or state.is_tainted:
            if not adopt(state, published.generation):
                continue
        if published.counter == state.counter or _catch_up(state, published):
            break
    state.raw_state = raw
    state.counter = published.counter
    state.is_tainted = False
    state.durable_lsn = max(state.durable_lsn, durable)
    state.advance_visible()
    state.is_applying = False


def _catch_up(state: DatabaseState, published: Published) -> bool:
    """Apply frames to the published end; False when a checkpoint overtook us meanwhile."""
    stop = "limit"
    if published.lsn != state.tip_position.lsn:
        stop = apply_frames(state, published.segment, published.end)
    if state.tip_position.lsn == published.lsn and state.tip_position.chain == published.chain:
        # Not only after frames: a rotation moves the end to the next segment without one, and
        # whoever appends must not do so behind the seal.
        if state.tip_position.segment != published.segment:
            state.log_bytes = 0
            note_rotation(state)
        state.tip_position = Position(
            published.segment, published.end, published.lsn, published.chain
        )
        return True
    _raw, again, _durable = read_state(state)
    if again.generation != published.generation:
        return False
    raise CorruptDataError(
        "WAL_FRAME_DAMAGED",
        f"the log of {state.path} ends ({stop}) at LSN {state.tip_position.lsn}, segment "
        f"{state.tip_position.segment}, offset {state.tip_position.offset}; published is LSN "
        f"{published.lsn}",
        "stop writing, keep every file, run `cbdd check`",
        {
            "path": state.path,
            "lsn": state.tip_position.lsn + 1,
            "segment": state.tip_position.segment,
            "offset": state.tip_position.offset,
            "expected": published.lsn,
        },
    )


def adopt(state: DatabaseState, generation: int) -> bool:
    """Take up a generation from its meta page; False when it has been overtaken already.

    :raises NewerFormatError: a later release has changed the format to one that cannot be read.
    :raises ReadOnlyError: it has changed it to one that this handle, open for writing, must not
        write.
    """
    for copy in read_copies(state.io, state.fd):
        if copy.meta is not None and copy.meta.generation == generation:
            _require_known_format(state, copy.meta)
            pinned = state.pinned_generation
            if pinned == 0 and state.slot >= 0:
                set_pin(state, generation)
            take_base(state, copy.meta)
            state.counter = -1
            raise_pin(state)
            return True
    _raw, published, _durable = read_state(state)
    if published.generation != generation:
        return False
    raise CorruptDataError(
        "META_GENERATION_MISSING",
        f"{state.path} has no meta page of generation {generation}, which is in use",
        "stop writing, keep every file, run `cbdd check`",
        {"path": state.path, "generation": generation},
    )


def _require_known_format(state: DatabaseState, meta: Meta) -> None:
    """A later release may have changed the format since this handle was opened."""
    require_readable(meta, state.path)
    if not state.read_only:
        require_writable(meta, state.path)


# -- pins ------------------------------------------------------------------------------------


def set_pin(state: DatabaseState, generation: int) -> None:
    """Write this process's pinned generation; 0 pins nothing."""
    if state.slot < 0 or state.shm is None or state.pinned_generation == generation:
        return
    state.shm.write_slot(
        state.slot, state.io.process_id(), state.slot_started_us, generation, state.clock.now_us()
    )
    state.pinned_generation = generation


def raise_pin(state: DatabaseState) -> None:
    """Pin no older generation than is still needed."""
    if state.pinned_generation:
        needed = state.meta.generation
        for generation in list(state.pins.values()):
            needed = min(needed, generation)
        try:
            set_pin(state, needed)
        except OSError:
            return  # an older pin keeps more pages than needed, never fewer


def _let_sync_end(state: DatabaseState) -> None:
    """Give way, every few statements, to a thread that may be back from its sync.

    It wants the interpreter then, which readers that never wait would keep for their whole turn.
    """
    if state.snapshots_taken % READS_BESIDE_SYNC == 0 and state.sync_leader != thread_id():
        state.clock.give_way()


def _look_for_lock(state: DatabaseState) -> None:
    """Wait until ``apply_lock`` seems to be free, or for a millisecond.

    It is held for microseconds, unless its holder has lost its turn. Threads that queued for it
    then would go on to hand it to each other, with a change of threads for every statement.
    """
    for _ in range(LOOKS_FOR_LOCK):
        if not state.is_locked:
            return
        state.clock.give_way()


def _peek(state: DatabaseState) -> bytes:
    """The raw shared state, read without ``apply_lock``; empty where there is none to be read.

    Threads that read would otherwise find the lock taken by one that waits for the interpreter,
    and from then on hand it to each other, for every statement.
    """
    shm = state.shm
    if shm is None:
        return b""
    try:
        return shm.state()
    except (OSError, LockedError):
        return b""  # closed meanwhile, or what it is will be told by who reads it under the lock


def acquire_snapshot(state: DatabaseState, of_tip: bool, key: int) -> Snapshot:
    """Catch up and pin the newest snapshot, visible or tip.

    :param of_tip: for who has the writer lock, and has told of the statement before it took it.
    :param key: from `DatabaseState.next_owner`; `release_snapshot` takes it, pinned or not.
    """
    state.require_usable()
    if not of_tip:
        state.io.begin_statement()
        if state.sync_leader:
            _let_sync_end(state)
    raw = _peek(state)
    _look_for_lock(state)
    with state.apply_lock:
        state.is_locked = True
        try:
            state.require_usable()  # nobody has closed it meanwhile
            if not raw or raw != state.raw_state or state.is_tainted or state.is_applying:
                refresh(state)
            if state.pinned_generation == 0 and state.slot >= 0:
                # Register first, then look again: a checkpoint that did not see the pin may have
                # moved the generation in between.
                set_pin(state, state.meta.generation)
                state.raw_state = b""
                refresh(state)
                state.wake.set()
            state.snapshots_taken += 1
            snapshot = state.tip if of_tip else visible_snapshot(state)
            state.pins[key] = snapshot.generation
            return snapshot
        finally:
            state.is_locked = False


def visible_snapshot(state: DatabaseState) -> Snapshot:
    """What new readers see. The caller holds ``apply_lock``.

    Where the first commit that waits for its sync has changed nodes of that version in place, the
    version is made anew, in copies, by undoing the changes.
    """
    if not state.pending or not state.pending[0].undo:
        return state.visible
    commit = state.pending[0]
    before = state.visible
    trees = dict(before.trees)
    owner = state.next_owner()
    for change in commit.undo:
        # No checkpoint writes this version, so nothing has to be accounted for.
        changed = commit.snapshot.trees[change.tree]
        writer = TreeWriter(changed, owner, state.pager, PageLedger())
        apply_changes(writer, change)
        trees[change.tree] = writer.tree()
    state.visible = Snapshot(before.lsn, before.generation, trees)
    commit.undo = []
    return state.visible


def let_go(state: DatabaseState) -> None:
    """Let pages be reused when a reader that cannot register has no snapshot any more."""
    if state.read_only and not state.pins and not state.is_closed and not state.is_forked:
        try:
            state.locks.release(UNREGISTERED)
        except OSError:
            return  # a lock that stays keeps more pages than needed, never fewer


def release_snapshot(state: DatabaseState, key: int) -> None:
    """Let go of a pinned snapshot; again and again if need be."""
    if not state.read_only and state.pinned_generation >= state.meta.generation:
        # One step, so without the lock. Should the generation move meanwhile, the process keeps
        # more pages than needed until the next release.
        state.pins.pop(key, None)
        return
    with state.apply_lock:
        unpin(state, key)


def unpin(state: DatabaseState, key: int) -> None:
    """The same, for who holds ``apply_lock``."""
    state.pins.pop(key, None)
    if state.read_only:
        let_go(state)
    if state.pinned_generation and state.pinned_generation < state.meta.generation:
        if not state.is_closed and not state.is_forked:
            raise_pin(state)


def release_idle_pin(state: DatabaseState) -> None:
    """Pin nothing while no snapshot is in use; the next reader registers again."""
    with state.apply_lock:
        if not state.pins and state.pinned_generation and not state.is_closed:
            set_pin(state, 0)
