"""The state of one open database in this process, shared by the modules of the protocol.

Snapshots. A `Snapshot` is a set of tree versions at one LSN. ``tip`` has every commit this process
knows of; ``visible`` is what new readers see: it follows the tip, but stops before the first
commit that asked to be durable and is not yet. Commits between the two wait in ``pending``. So
nobody reads what a power cut can take back from an acknowledged writer; commits of durability
``normal`` and ``off`` are visible as soon as they are appended, unless one that asked to be durable
and is not yet precedes them: then they sync that one before they return. A commit may have changed
nodes of ``visible`` in place; then it is the first that waits and has what undoes its changes, and
`follow.visible_snapshot` makes the version before it anew for whoever begins to read meanwhile.

Generations and epochs. ``meta`` is the meta page all versions of this process stand on. Another
process's checkpoint moves the generation: then the trees are taken anew from the meta page and the
log behind it is applied again. ``epoch`` counts everything that makes the private copies of a
transaction unfit to be published as they are: a checkpoint's begin and end, and a generation move.

Concurrency: ``apply_lock`` guards tip, visible, pending, meta, pins and ledger and is never held
across a sync; only a pin is let go without it, in one step. ``writer_mutex`` pairs with the writer
lock, ``checkpoint_mutex`` with the checkpoint lock, ``sync_condition`` guards ``durable_lsn`` and
the election of the thread that syncs for all. ``is_tainted`` is set while a commit is neither
wholly in nor wholly out; whoever finds it set takes everything anew from disk.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable

from mypy_extensions import mypyc_attr

from cbdd.errors import ClosedError, DurabilityError, ForkedError, ReplacedFileError
from cbdd.storage.btree import PageLedger
from cbdd.storage.events import EventLog
from cbdd.storage.frame import TreeChanges
from cbdd.storage.io import Clock, Io, Randomness
from cbdd.storage.locks import FileLocks
from cbdd.storage.meta import Meta
from cbdd.storage.options import StorageOptions
from cbdd.storage.pager import Pager
from cbdd.storage.report import RecoveryReport
from cbdd.storage.shm import SharedState
from cbdd.storage.tree import Tree
from cbdd.storage.wal import Position, SegmentSet, WriteAheadLog


@mypyc_attr(acyclic=True)
class Snapshot:
    """Tree versions at one LSN; immutable."""

    def __init__(self, lsn: int, generation: int, trees: dict[int, Tree]) -> None:
        self.lsn = lsn
        self.generation = generation
        self.trees = trees


@mypyc_attr(acyclic=True)
class PendingCommit:
    """A commit that is in the tip and not yet visible."""

    def __init__(
        self, lsn: int, must_be_durable: bool, snapshot: Snapshot, undo: list[TreeChanges]
    ) -> None:
        """
        :param undo: what leads back to the visible version, where nodes of that were changed in
            place.
        """
        self.lsn = lsn
        self.must_be_durable = must_be_durable
        self.snapshot = snapshot
        self.undo = undo


class DatabaseState:
    """Everything the protocol modules share. Owned by one `StorageEngine`."""

    def __init__(
        self,
        io: Io,
        clock: Clock,
        randomness: Randomness,
        options: StorageOptions,
        path: str,
        fd: int,
        meta: Meta,
        pager: Pager,
        segments: SegmentSet,
        locks: FileLocks,
        events: EventLog,
    ) -> None:
        self.io = io
        self.clock = clock
        self.randomness = randomness
        self.options = options
        self.path = path
        cut = path.rfind("/")
        self.directory = path[:cut] if cut > 0 else "/"
        self.name = path[cut + 1 :]
        self.fd = fd
        self.place = ""  # what `Io.place` said when the path named the open file
        self.meta = meta
        self.pager = pager
        self.segments = segments
        self.log = WriteAheadLog(segments)
        self.locks = locks
        self.events = events
        self.shm: SharedState | None = None
        self.read_only = options.read_only
        self.report = RecoveryReport()

        empty = Snapshot(0, 0, {})
        self.base_trees: dict[int, Tree] = {}
        self.directory_tree = Tree(None, 0, 0)
        self.tip = empty
        self.visible = empty
        self.pending: deque[PendingCommit] = deque()
        self.tip_position = Position(0, 0, 0, 0)
        self.ledger = PageLedger()
        self.dirty_nodes = 0
        self.dirty_large_bytes = 0
        self.dirty_run_pages = 0
        self.can_allocate = True
        self.room_generation = -1  # whose books the next three are, see space.py
        self.room_pages = 0
        self.room_uncut = 0
        self.room_reusable = 0
        self.relieved_lsn = -1
        self.log_bytes = 0
        self.epoch = 0
        self.is_checkpoint_active = False
        self.writing_below = 0  # nodes of older owners: a checkpoint may be writing them
        self._next_owner: Callable[[], int] = itertools.count(1).__next__
        self.raw_state = b""
        self.raw_meta = b""  # of readers that write nothing
        self.counter = 0
        self.frames_applied = 0
        self.commits_applied = 0
        self.last_commit_us = 0

        self.slot = -1
        self.slot_started_us = 0
        self.pinned_generation = 0
        self.pins: dict[int, int] = {}

        self._start_protocol()

    def _start_protocol(self) -> None:
        """What commits, syncs and checkpoints of this process note, and their mutexes."""
        self.durable_lsn = 0
        self.normal_lsn = 0
        self.is_poisoned = False
        self.is_tainted = False
        self.is_closed = False
        self.is_forked = False
        self.is_applying = False
        self.sync_leader = 0  # threads, for leftovers.py
        self.sync_lock_thread = 0
        self.checkpoint_thread = 0
        self.live_tokens: set[int] = set()
        self.writer_thread = 0
        self.writer_token = 0

        self.apply_lock = threading.RLock()
        self.writer_mutex = threading.RLock()
        self.checkpoint_mutex = threading.RLock()
        self.sync_mutex = threading.RLock()
        self.sync_condition = threading.Condition(self.sync_mutex)
        self.sync_waiting = 0  # threads on the condition; an interrupt may leave it too high
        self.wake = threading.Event()
        self.background_error = ""
        self.is_background_idle = False
        self.is_checkpoint_put_off = False  # by the background thread, which looks by itself
        self.snapshots_taken = 0
        self.is_locked = False  # ``apply_lock``, by a statement; may be wrong, so only a hint

    def require_usable(self) -> None:
        """Raise unless the handle may be used in this process."""
        if self.is_forked:
            raise ForkedError(
                "FORKED",
                f"{self.path} was opened before a fork and is used in the child process",
                "open the database again in the child",
                {"path": self.path},
            )
        if self.is_closed:
            raise ClosedError(
                "CLOSED", f"{self.path} is closed", "open it again", {"path": self.path}
            )

    def require_unpoisoned(self) -> None:
        """Raise when a sync has failed since the database was opened."""
        if self.is_poisoned:
            raise poisoned(self.path)

    def next_owner(self) -> int:
        """A token that no node carries yet."""
        return self._next_owner()  # one step, so no lock

    def dirty_bytes(self) -> int:
        """Memory taken by nodes that are not on disk, estimated."""
        per_node = self.pager.page_size + self.pager.page_size // 2
        return max(0, self.dirty_nodes) * per_node + self.dirty_large_bytes

    def advance_visible(self) -> None:
        """Show the commits that may be shown. The caller holds ``apply_lock``."""
        while self.pending:
            head = self.pending[0]
            if head.must_be_durable and head.lsn > self.durable_lsn:
                return
            self.visible = head.snapshot
            self.pending.popleft()


def require_same_file(state: DatabaseState) -> None:
    """Raise when the path no longer names the open file: writes would go to a dead inode."""
    place = state.io.place(state.fd)
    if place and place == state.place:
        return
    named = state.io.path_identity(state.path)
    opened = state.io.identity(state.fd)
    if named is None or named[0] != opened[0] or named[1] != opened[1]:
        what = "was removed or renamed" if named is None else "was replaced by another file"
        raise ReplacedFileError(
            "FILE_REPLACED",
            f"{state.path} {what} while it was open",
            "put it back, or close the database and open the right file",
            {"path": state.path},
        )
    state.place = place


def poisoned(path: str) -> DurabilityError:
    """The error for a handle whose sync has failed."""
    return DurabilityError(
        "SYNC_FAILED",
        f"a sync of {path} or its log failed; the outcome of commits that were not "
        "acknowledged is unknown",
        "close the database in every process and open it again: that reads the disk anew",
        {"path": path},
    )
