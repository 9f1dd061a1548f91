"""Recovery: from a meta page and a log to the newest state that was acknowledged.

Run by the process that opens the file alone. First the segments are synced and their cached pages
dropped, so that what is read next is what the disk holds. Then valid frames are applied in order.
Where they stop, the rules are:

    zeros, end of file       the end of the log
    bad, nothing proves it   an unsynced crash tail: cut, and reported
    bad, but proven durable  a hole: acknowledged data is damaged. Refused; nothing is truncated
    seal without successor   a hole
    meta unclean, no log     a hole

Proof that an LSN was durable comes from the marks in the segments' heads, from the shared state
file, from the durable LSN of any valid frame found after the bad one, and from a later segment that
has frames. Last, everything is written to the page file and the log removed (`make_clean`), so
nobody ever appends to a segment that a crash has left.

Invariants: recovery is idempotent, and a crash during it changes nothing that the next attempt
depends on. A file that is not ours is set aside under another name, never applied, never deleted.
"""

from __future__ import annotations

from typing import Final

from cbdd.errors import CorruptDataError
from cbdd.storage.checkpoint import make_clean
from cbdd.storage.follow import apply_frames, take_base
from cbdd.storage.frame import (
    FRAME_HEADER_BYTES,
    FRAME_MAGIC_BYTES,
    FRAMES_OFFSET,
    MAX_PAYLOAD_BYTES,
    Frame,
    decode_frame_header,
    payload_is_valid,
)
from cbdd.storage.io import read_exact
from cbdd.storage.meta import Meta, MetaCopy
from cbdd.storage.shm import claimed_durable
from cbdd.storage.state import DatabaseState
from cbdd.storage.wal import (
    LogReader,
    Position,
    Segment,
    list_segments,
    segment_path,
)

SCAN_BYTES: Final = 4 << 20
VERIFY_TIMES: Final = 4  # how often the size of a tail may be read to verify payloads in it
MALFORMED: Final = "malformed"
RECOVER_STEP: Final = (
    "keep every file; run `cbdd recover`, or open with mode='salvage' to read what is before it"
)


def recover(state: DatabaseState, copies: list[MetaCopy]) -> None:
    """Bring the trees up to date with the log; without ``read_only``, leave no log behind.

    :raises CorruptDataError: acknowledged data is damaged or missing.
    """
    started = state.clock.monotonic()
    report = state.report
    _report_copies(state, copies)
    meta = state.meta
    take_base(state, meta)
    if meta.is_clean:
        _judge_leftovers(state)
    else:
        report.was_clean = False
        _prepare_segments(state)
        _redo(state)
    state.durable_lsn = state.tip.lsn
    state.advance_visible()
    report.last_lsn = state.tip.lsn
    report.frames_redone = state.frames_applied
    report.commits_redone = state.commits_applied
    report.last_commit_us = state.last_commit_us
    if not state.read_only and (not meta.is_clean or _has_segments(state)):
        make_clean(state)
    report.duration_seconds = state.clock.monotonic() - started
    if not report.was_clean or report.findings:
        state.events.record("recovery", report.to_dict())


def _report_copies(state: DatabaseState, copies: list[MetaCopy]) -> None:
    for copy in copies:
        if copy.status != "valid":
            state.report.add(
                "META_COPY_DAMAGED",
                "SEV-3",
                f"the meta page copy at offset {copy.offset} is damaged ({copy.status}); "
                "another one was used",
                {"offset": copy.offset},
            )


def _has_segments(state: DatabaseState) -> bool:
    return bool(list_segments(state.io, state.directory, state.name))


# -- a clean meta page -----------------------------------------------------------------------


def _judge_leftovers(state: DatabaseState) -> None:
    """Segments beside a clean meta page: harmless leftovers, foreign ones, or a lost meta page."""
    for number in list_segments(state.io, state.directory, state.name):
        segment = state.segments.get(number, True)
        if segment is None:
            if state.segments.problem == "foreign":
                _set_aside(state, number)
            continue
        last = _last_lsn(state, segment)
        state.segments.close(number)
        if last > state.meta.checkpoint_lsn or (
            number >= state.meta.next_segment and last > segment.header.previous_lsn
        ):
            error = CorruptDataError(
                "WAL_NEWER_THAN_META",
                f"{state.path} was closed cleanly at LSN {state.meta.checkpoint_lsn}, but "
                f"{segment_path(state.path, number)} goes on to LSN {last}: the database file is "
                "an older copy, or its newest meta page is lost",
                "keep both files; put back the database file the log belongs to, or move the log "
                "away to go on from the older state",
                {
                    "path": state.path,
                    "segment": number,
                    "lsn": last,
                    "checkpoint_lsn": state.meta.checkpoint_lsn,
                },
            )
            if not state.options.salvage:
                raise error
            note(state, error)


def _last_lsn(state: DatabaseState, segment: Segment) -> int:
    """The LSN of the last frame that follows from a segment's start."""
    header = segment.header
    start = Position(segment.number, FRAMES_OFFSET, header.previous_lsn, header.previous_chain)
    reader = LogReader(state.segments, start, True)
    while reader.next(0, 0) is not None:
        pass
    return reader.position.lsn


def _set_aside(state: DatabaseState, number: int) -> None:
    """Rename a segment of another database out of the way."""
    source = segment_path(state.path, number)
    state.report.add("WAL_FOREIGN", "SEV-2", f"{source} belongs to another database")
    if state.read_only:
        return
    token = state.randomness.token(4).hex()
    target = f"{source}.foreign-{token}"
    state.io.rename(source, target)
    state.io.sync_directory(state.directory)
    state.report.add("WAL_SET_ASIDE", "SEV-2", f"it was renamed to {target}")


# -- an unclean meta page --------------------------------------------------------------------


def _prepare_segments(state: DatabaseState) -> None:
    """Make what we are about to read durable, and make sure we read the disk."""
    state.io.drop_cache(state.fd)
    for number in list_segments(state.io, state.directory, state.name):
        if number < state.meta.first_segment:
            continue
        segment = state.segments.get(number, state.read_only)
        if segment is None:
            continue
        if not state.read_only:
            state.io.sync(segment.fd)
        state.io.drop_cache(segment.fd)


def _redo(state: DatabaseState) -> None:
    meta = state.meta
    try:
        first = _first_segment(state, meta)
    except CorruptDataError as error:
        if not state.options.salvage:
            raise
        note(state, error)
        return
    stop = _apply(state)
    # A segment whose seal was damaged may still be continued exactly by the next one.
    while stop in ("bad", "zero") and _continues_without_seal(state):
        stop = _apply(state)
    if stop == MALFORMED:
        return
    position = state.tip_position
    proven = _proven_lsn(state, first.number)
    tail = _judge_tail(state, position)
    proven = max(proven, tail.durable_lsn)
    state.report.durable_lsn_proven = proven
    state.report.segments_read = position.segment - first.number + 1
    if proven > position.lsn or stop in ("missing", "foreign", "header"):
        _hole(state, position, proven, stop)
        return
    state.report.bytes_cut = tail.bytes
    state.report.frames_dropped = tail.frames
    if tail.bytes:
        whole = f", with {tail.frames} whole frames among them" if tail.frames else ""
        state.report.add(
            "WAL_TORN_TAIL",
            "SEV-2" if tail.frames else "info",
            f"{tail.bytes} bytes after LSN {position.lsn} were cut from segment "
            f"{position.segment}{whole}; none of it was acknowledged as durable",
            {"segment": position.segment, "offset": position.offset, "lsn": position.lsn},
        )


def _apply(state: DatabaseState) -> str:
    """Apply the log; with ``salvage``, up to a commit that makes no sense."""
    try:
        return apply_frames(state, 0, 0)
    except CorruptDataError as error:
        if not state.options.salvage:
            raise
        note(state, error)
        return MALFORMED


def note(state: DatabaseState, error: CorruptDataError) -> None:
    """Report what would be raised if reading what is left had not been asked for."""
    details = dict(error.details)
    details.pop("path", None)
    state.report.add(error.code, "SEV-1", error.message, details)


def _first_segment(state: DatabaseState, meta: Meta) -> Segment:
    segment = state.segments.get(meta.first_segment, state.read_only)
    path = segment_path(state.path, meta.first_segment)
    details: dict[str, object] = {"path": path, "segment": meta.first_segment}
    if segment is None and state.segments.problem == "missing":
        raise CorruptDataError(
            "WAL_MISSING",
            f"{state.path} was not closed cleanly and its log {path} is missing: commits after "
            f"LSN {meta.checkpoint_lsn} are lost with it",
            "put the log back beside the database file; where it is gone, run `cbdd recover`",
            details,
        )
    if segment is None and state.segments.problem == "header":
        raise CorruptDataError(
            "WAL_HEADER_DAMAGED",
            f"the header of {path} is damaged",
            RECOVER_STEP,
            details,
        )
    if segment is None or segment.header.salt != meta.first_salt:
        state.segments.close(meta.first_segment)
        if not state.read_only:
            _set_aside(state, meta.first_segment)
        raise CorruptDataError(
            "WAL_FOREIGN",
            f"{path} belongs to another database or to another life of this one; it was "
            "not applied",
            "put the right log back beside the database file; where it is gone, run `cbdd recover`",
            details,
        )
    if segment.header.previous_lsn != meta.checkpoint_lsn:
        raise CorruptDataError(
            "WAL_CHAIN",
            f"{path} continues LSN {segment.header.previous_lsn}, the database is at "
            f"{meta.checkpoint_lsn}",
            RECOVER_STEP,
            details,
        )
    return segment


def _continues_without_seal(state: DatabaseState) -> bool:
    """Enter the next segment when it has frames and continues exactly where this one stops."""
    position = state.tip_position
    for number in list_segments(state.io, state.directory, state.name):
        if number <= position.segment:
            continue
        segment = state.segments.get(number, state.read_only)
        if segment is None or segment.header.previous_segment != position.segment:
            continue
        reader = LogReader(state.segments, position, state.read_only)
        if not reader.enter(number, None):
            continue
        entered = reader.position
        if reader.next(0, 0) is None:
            continue
        state.tip_position = entered
        state.report.add(
            "WAL_SEAL_DAMAGED",
            "SEV-3",
            f"the seal of segment {position.segment} is damaged; segment {number} continues it, "
            "nothing is lost",
        )
        return True
    return False


def _proven_lsn(state: DatabaseState, first: int) -> int:
    """The highest LSN that marks, the shared state or later segments prove to have been durable."""
    proven = state.meta.checkpoint_lsn
    for number in list_segments(state.io, state.directory, state.name):
        if number < first:
            continue
        segment = state.segments.get(number, state.read_only)
        if segment is None:
            continue
        proven = max(proven, state.segments.proven_lsn(segment))
        if _has_frames(state, segment):
            proven = max(proven, segment.header.previous_lsn)
    return max(proven, claimed_durable(state.io, f"{state.path}-shm", state.meta.uuid))


def _has_frames(state: DatabaseState, segment: Segment) -> bool:
    data = read_exact(state.io, segment.fd, FRAME_HEADER_BYTES, FRAMES_OFFSET)
    return decode_frame_header(data, 0, segment.seed, FRAMES_OFFSET) is not None


class Tail:
    """What lies after the last frame that was applied."""

    def __init__(self) -> None:
        self.bytes = 0
        self.frames = 0
        self.durable_lsn = 0


def _judge_tail(state: DatabaseState, position: Position) -> Tail:
    """Look at every byte after the last good frame of its segment."""
    tail = Tail()
    segment = state.segments.get(position.segment, state.read_only)
    if segment is None:
        return tail
    size = state.io.size(segment.fd)
    offset = position.offset
    skip_to = 0
    budget = VERIFY_TIMES * (size - offset) + MAX_PAYLOAD_BYTES
    while offset < size:
        data = read_exact(state.io, segment.fd, min(SCAN_BYTES, size - offset), offset)
        if not data:
            break
        used = len(data.rstrip(b"\0"))
        if used:
            tail.bytes = offset + used - position.offset
        at = data.find(FRAME_MAGIC_BYTES)
        while at >= 0:
            here = offset + at
            if here % 8 == 0 and here >= skip_to:
                frame, is_whole = _frame_at(state, segment, here, budget > 0)
                if frame is not None:
                    budget -= frame.size()
                    if is_whole:
                        skip_to = here + frame.size()
                    if is_whole and frame.lsn > position.lsn:
                        tail.frames += 1
                        tail.durable_lsn = max(tail.durable_lsn, frame.durable_lsn)
            at = data.find(FRAME_MAGIC_BYTES, at + 4)
        offset += len(data)
    return tail


def _frame_at(
    state: DatabaseState, segment: Segment, offset: int, verifies: bool
) -> tuple[Frame | None, bool]:
    """The frame whose header is here, and whether it is whole.

    Without ``verifies`` the payload is not looked at and taken to be right: in a tail made to be
    slow, which no crash leaves, more counts as proof rather than less.
    """
    head = read_exact(state.io, segment.fd, FRAME_HEADER_BYTES, offset)
    frame = decode_frame_header(head, 0, segment.seed, offset)
    if frame is None or not verifies:
        return frame, frame is not None
    data = read_exact(state.io, segment.fd, FRAME_HEADER_BYTES + frame.length, offset)
    return frame, payload_is_valid(data, 0, frame, segment.seed, offset)


def _hole(state: DatabaseState, position: Position, proven: int, stop: str) -> None:
    """Refuse, unless what is before the hole was asked for."""
    where = f"segment {position.segment}, offset {position.offset}"
    if stop in ("missing", "foreign", "header"):
        code = "WAL_SEGMENT_MISSING" if stop == "missing" else "WAL_SEGMENT_FOREIGN"
        message = (
            f"the log of {state.path} is sealed after LSN {position.lsn} ({where}), but the "
            f"segment that continues it is {stop}"
        )
    else:
        code = "WAL_HOLE"
        message = (
            f"the log of {state.path} is damaged at LSN {position.lsn + 1} ({where}): commits up "
            f"to LSN {proven} were acknowledged as durable"
        )
    details: dict[str, object] = {
        "path": state.path,
        "segment": position.segment,
        "offset": position.offset,
        "lsn": position.lsn + 1,
        "expected": proven,
        "found": position.lsn,
        "severity": "SEV-1",
    }
    error = CorruptDataError(code, message, RECOVER_STEP, details)
    note(state, error)
    state.events.record("hole", {"code": code, **details})
    if not state.options.salvage:
        raise error


def require_length(state: DatabaseState) -> None:
    """Raise `CorruptDataError`, or note it, when the file is shorter than its meta page says."""
    size = state.io.size(state.fd)
    expected = state.meta.page_count * state.meta.page_size
    if size < expected:
        error = CorruptDataError(
            "FILE_TRUNCATED",
            f"{state.path} has {size} bytes, its meta page says {expected}",
            "keep the file; run `cbdd recover`, or restore a backup",
            {"path": state.path, "found": size, "expected": expected},
        )
        if not state.options.salvage:
            raise error
        note(state, error)
