"""What a log says, beyond its first damage too: the newest value of every key it changed.

The frames are read in order from the place the trees stand at. Where the chain breaks, recovery of
an open database stops; here reading goes on behind the damage when it is proven that commits were
durable there: each frame is verified by its own checksum, and a commit is taken whole or not at
all. What a commit in between changed is lost, and every document that is not written again behind
the damage may be older than it was.

A frame behind damage that nothing proves to be part of the log is left alone: it may be the rest
of a write that was given up.

Invariants: commits are applied in the order of their LSNs, each once; of a commit in several
frames none is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from cbdd.errors import CorruptDataError
from cbdd.ops.recovery.log_scan import FoundFrame, LogScan, LogSource
from cbdd.ops.recovery.report import LostCommits
from cbdd.storage.frame import (
    COMMIT,
    MAX_PAYLOAD_BYTES,
    PART,
    SEAL,
    Frame,
    TreeChanges,
    decode_commit,
)
from cbdd.storage.meta import Meta

T = TypeVar("T")


class TreeOverlay:
    """What the log does to one tree. A value of None is a key that was deleted.

    ``is_new``: what the tree held before counts for nothing. ``lsns`` has the LSN of the commit
    that wrote each key.
    """

    def __init__(self) -> None:
        self.is_new = False
        self.is_dropped = False
        self.entries: dict[bytes, bytes | None] = {}
        self.lsns: dict[bytes, int] = {}


class LogReplay:
    """The outcome: overlays by tree id, and what became of the commits."""

    def __init__(self) -> None:
        self.trees: dict[int, TreeOverlay] = {}
        self.commits = 0
        self.first_lsn = 0
        """LSN of the state that the log was applied to."""
        self.last_lsn = 0
        self.last_commit_us = 0
        self.lost: list[LostCommits] = []
        self.notes: list[str] = []
        self.stopped_at_limit = False

    def overlay(self, tree: int) -> TreeOverlay:
        """The overlay of a tree, empty at first."""
        return self.trees.setdefault(tree, TreeOverlay())

    def apply(self, changes: list[TreeChanges], lsn: int) -> None:
        """Take up one commit."""
        for change in changes:
            overlay = self.overlay(change.tree)
            if change.is_dropped:
                self.trees[change.tree] = overlay = TreeOverlay()
                overlay.is_new = overlay.is_dropped = True
            if change.is_created:
                overlay.is_new = True
                overlay.is_dropped = False
            overlay.entries.update(change.entries)
            overlay.lsns.update(dict.fromkeys(change.entries, lsn))


def overlaid(
    entries: Iterator[T],
    overlay: TreeOverlay | None,
    key_of: Callable[[T], bytes],
    made: Callable[[bytes, bytes, int], T],
) -> Iterator[T]:
    """Entries in key order with what the log did to their tree.

    :param made: an entry of a key, a value and the LSN that wrote it.
    """
    if overlay is None:
        yield from entries
        return
    if overlay.is_dropped:
        return
    changed = [(key, overlay.entries[key]) for key in sorted(overlay.entries)]
    at = 0
    for entry in entries if not overlay.is_new else iter(()):
        while at < len(changed) and changed[at][0] <= key_of(entry):
            key, value = changed[at]
            if value is not None:
                yield made(key, value, overlay.lsns[key])
            at += 1
        if key_of(entry) not in overlay.entries:
            yield entry
    for key, value in changed[at:]:
        if value is not None:
            yield made(key, value, overlay.lsns[key])


class LogLimits:
    """Where to stop: after an LSN, before the first commit that is later than a time."""

    def __init__(self, to_lsn: int | None = None, to_time_us: int | None = None) -> None:
        self.to_lsn = to_lsn
        self.to_time_us = to_time_us

    def forbids(self, frame: Frame) -> bool:
        """Whether a commit that ends with this frame is beyond the limit."""
        if self.to_lsn is not None and frame.lsn > self.to_lsn:
            return True
        return self.to_time_us is not None and frame.time_us > self.to_time_us


class Commit:
    """One whole commit of a log."""

    def __init__(self, lsn: int, time_us: int, operation: str, changes: list[TreeChanges]) -> None:
        self.lsn = lsn
        self.time_us = time_us
        self.operation = operation
        self.changes = changes

    def by_tree(self) -> dict[int, TreeChanges]:
        """What it does to each tree, in one piece: the log may tell it in several."""
        found: dict[int, TreeChanges] = {}
        for each in self.changes:
            merged = found.setdefault(each.tree, TreeChanges(each.tree))
            if each.is_dropped:
                merged.is_dropped, merged.is_created = True, False
                merged.entries = {}
            merged.is_created = merged.is_created or each.is_created
            merged.entries.update(each.entries)
        return found


def replay_log(
    source: LogSource,
    meta: Meta | None,
    limits: LogLimits,
    each: Callable[[Commit], None] | None = None,
) -> LogReplay:
    """Read the log behind a meta page; without one, all of the log there is.

    :param each: told of every commit before it is applied, in order.
    """
    return _Reader(source, meta, limits, each).run()


class _Reader:
    def __init__(
        self,
        source: LogSource,
        meta: Meta | None,
        limits: LogLimits,
        each: Callable[[Commit], None] | None,
    ) -> None:
        self._each = each
        self._source = source
        self._meta = meta
        self._limits = limits
        self._replay = LogReplay()
        self._scan = LogScan(source, meta)
        self._lsn = meta.checkpoint_lsn if meta else 0
        self._chain: int | None = meta.chain if meta else None
        self._parts: list[bytes] = []
        self._is_skipping = False
        self._proven = 0

    def run(self) -> LogReplay:
        """Read everything once to see what is proven, then again to apply it."""
        numbers = self._scan.numbers()
        found = [frame for number in numbers for frame in self._scan.frames_of(number)]
        self._proven = max(self._lsn, self._scan.proven_lsn())
        if self._meta is None and found:
            first = self._scan.previous_lsns.get(numbers[0])
            self._lsn = first if first is not None else found[0].frame.lsn - 1
        self._replay.first_lsn = self._lsn
        self._note_missing(numbers)
        for each in found:
            if not self._take(each):
                break
        replay = self._replay
        self._lsn -= len(self._parts)
        is_open = bool(replay.lost) and replay.lost[-1].last_lsn is None
        if not replay.stopped_at_limit and self._proven > self._lsn and not is_open:
            replay.lost.append(LostCommits(self._lsn + 1, self._proven))
        replay.last_lsn = self._lsn
        replay.notes += self._scan.notes
        return replay

    def _note_missing(self, numbers: list[int]) -> None:
        meta = self._meta
        if meta is None or meta.is_clean or meta.first_segment in numbers:
            return
        path = self._source.path_of(meta.first_segment)
        self._replay.notes.append(
            f"{path} is missing: what was committed after LSN {meta.checkpoint_lsn} is lost with it"
        )
        self._replay.lost.append(LostCommits(meta.checkpoint_lsn + 1, None))

    # -- applying ----------------------------------------------------------------------------

    def _take(self, found: FoundFrame) -> bool:
        """Apply a frame that comes next; False when the log ends before it."""
        frame = found.frame
        if frame.kind == SEAL:
            return True
        if frame.lsn <= self._lsn:
            return True  # in the trees already, or the rest of a write that was given up
        if frame.kind == COMMIT and self._limits.forbids(frame):
            self._replay.stopped_at_limit = True
            return False
        if self._is_skipping:
            self._skip(frame)
            return True
        if frame.lsn == self._lsn + 1:
            if self._chain is None or frame.chain == self._chain:
                return self._accept(found)
            return False  # what follows is of another history, or was given up
        if frame.lsn > self._proven and frame.durable_lsn <= self._lsn:
            return False
        self._replay.lost.append(LostCommits(self._lsn + 1 - len(self._parts), frame.lsn - 1))
        self._parts = []
        # A commit is in one segment and its parts have 4 MiB each, so one that may have lost some
        # follows more damage than that.
        self._is_skipping = found.damaged_bytes >= MAX_PAYLOAD_BYTES
        if self._is_skipping:
            self._skip(frame)
            return True
        return self._accept(found)

    def _skip(self, frame: Frame) -> None:
        """Leave out what may be the end of a commit whose parts are lost."""
        lost = self._replay.lost
        lost[-1] = LostCommits(lost[-1].first_lsn, frame.lsn)
        self._lsn = frame.lsn
        self._chain = frame.checksum
        self._is_skipping = frame.kind != COMMIT

    def _accept(self, found: FoundFrame) -> bool:
        frame = found.frame
        self._lsn = frame.lsn
        self._chain = frame.checksum
        if frame.kind == PART:
            self._parts.append(frame.payload)
            return True
        payload = b"".join([*self._parts, frame.payload])
        self._parts = []
        try:
            operation, changes = decode_commit(payload)
        except CorruptDataError as error:
            self._replay.notes.append(f"the commit of LSN {frame.lsn} makes no sense: {error}")
            self._replay.lost.append(LostCommits(frame.lsn, frame.lsn))
            return True
        if self._each is not None:
            self._each(Commit(frame.lsn, frame.time_us, operation, changes))
        self._replay.apply(changes, frame.lsn)
        self._replay.commits += 1
        self._replay.last_commit_us = frame.time_us
        return True
