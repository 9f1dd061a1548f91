"""Where the log goes on: a new segment for a checkpoint, or the first one after a clean close.

To rotate, a new segment is created and synced, its directory too, then the old one is ended with a
seal that names it and synced. To begin a log, a segment is created and synced, then an unclean meta
page that names it is written and synced to the slot that is not in use.

Invariants: a seal or a meta page names only segments that are durable. Until where the log goes on
is published the handle is tainted: the others go on where it was, and what they commit there has
the numbers that this process would take. On a full disk a segment may
take a piece of the file's tail, but only what no checkpoint that is paid for needs (`space.py`).
"""

from __future__ import annotations

import sys

from cbdd.errors import DurabilityError
from cbdd.storage.follow import raise_pin
from cbdd.storage.frame import FRAMES_OFFSET, SegmentHeader
from cbdd.storage.io import FULL_ERRNOS, translated
from cbdd.storage.meta import LOG_ARCHIVED, Meta, write_meta
from cbdd.storage.shm import Published
from cbdd.storage.space import (
    COMMIT_BYTES,
    give_back,
    log_reserve,
    removable_bytes,
    rotation_bytes,
)
from cbdd.storage.state import DatabaseState
from cbdd.storage.sync import mark_durable, poison, poison_if_hidden
from cbdd.storage.version import VERSION
from cbdd.storage.wal import Position, Segment, list_segments


def rotate(state: DatabaseState) -> None:
    """Seal the segment and go on in a new one. The caller holds the writer lock."""
    log = state.log
    with state.apply_lock:
        log.move_to(state.tip_position)
    old = log.segment
    assert old is not None
    numbers = list_segments(state.io, state.directory, state.name)
    header = SegmentHeader()
    header.uuid = state.meta.uuid
    header.number = max([old.number, *numbers]) + 1
    header.salt = int.from_bytes(state.randomness.token(8), "little")
    header.timeline = state.meta.timeline
    header.previous_segment = old.number
    header.previous_end = log.end
    header.previous_lsn = log.lsn
    header.previous_chain = log.chain
    header.created_us = state.clock.now_us()
    segment = _create_segment(state, header)
    end = log.end
    handled = sys.exc_info()[1]
    try:
        _seal(state, old, segment)
    except BaseException as error:
        if log.is_seal_written:
            poison_if_hidden(state, error, handled)
        raise
    mark_durable(state, old, log.lsn, end)
    with state.apply_lock:
        was_tainted = state.is_tainted
        state.is_tainted = True
        state.tip_position = log.position()
        state.log_bytes = 0
        publish_position(state, state.meta.generation)
        state.is_tainted = was_tainted


def _seal(state: DatabaseState, old: Segment, segment: Segment) -> None:
    """End ``old``; a new segment that is not needed after all is removed again."""
    log = state.log
    try:
        log.seal(segment, state.durable_lsn, state.clock.now_us())
    except DurabilityError:
        poison(state)
        raise
    except OSError as error:
        if log.is_seal_written:
            poison(state)
            raise DurabilityError(
                "SYNC_FAILED",
                f"the sync of {old.path} failed: {error}",
                "close the database in every process and open it again",
                {"path": old.path},
            ) from error
        state.segments.close(segment.number)
        state.segments.remove_file(segment.path)
        raise


def _create_segment(state: DatabaseState, header: SegmentHeader) -> Segment:
    """A new segment; on a full disk in place of a piece of the file's reserve.

    A wide one must leave room for the next rotations, or what the checkpoint removes makes some.
    """
    wide, narrow = log_reserve(state, True) + COMMIT_BYTES, log_reserve(state, False)
    segment = _segment_of(state, header, wide)
    if segment is None:
        kept = rotation_bytes(state) - removable_bytes(state)
        if give_back(state, FRAMES_OFFSET + wide, max(0, kept)):
            segment = _segment_of(state, header, wide)
    if segment is None:
        segment = _segment_of(state, header, narrow)
    if segment is None:
        give_back(state, FRAMES_OFFSET + narrow)
        segment = state.segments.create(header, state.directory, narrow)
    return segment


def _segment_of(state: DatabaseState, header: SegmentHeader, room: int) -> Segment | None:
    """A new segment with room for so many bytes of frames, or None where the disk is full."""
    try:
        return state.segments.create(header, state.directory, room)
    except OSError as error:
        if error.errno not in FULL_ERRNOS:
            raise
        return None


def publish_position(state: DatabaseState, generation: int) -> None:
    """Publish the tip's position and a generation. Writer lock and ``apply_lock`` are held."""
    shm = state.shm
    assert shm is not None
    state.counter += 1
    position = state.tip_position
    shm.publish(
        Published(
            generation,
            position.segment,
            position.offset,
            position.lsn,
            position.chain,
            state.counter,
        )
    )


def begin_log(state: DatabaseState) -> None:
    """Start a log after a clean close. The caller holds the writer lock and is up to date."""
    meta = state.meta.copy()
    numbers = list_segments(state.io, state.directory, state.name)
    header = SegmentHeader()
    header.uuid = meta.uuid
    header.number = max([meta.next_segment - 1, *numbers]) + 1
    header.salt = int.from_bytes(state.randomness.token(8), "little")
    header.timeline = meta.timeline
    header.previous_lsn = meta.checkpoint_lsn
    header.previous_chain = meta.chain
    header.created_us = state.clock.now_us()
    try:
        segment = _create_segment(state, header)
        meta.is_clean = False
        meta.first_segment = header.number
        meta.first_salt = header.salt
        meta.next_segment = header.number + 1
        meta.generation += 1
        meta.slot = 1 - meta.slot
        stamp(state, meta)
        write_meta(state.io, state.fd, meta)
        state.io.sync(state.fd)
        with state.apply_lock:
            was_tainted = state.is_tainted
            state.is_tainted = True
            state.meta = meta
            state.tip_position = Position(
                segment.number, FRAMES_OFFSET, meta.checkpoint_lsn, meta.chain
            )
            raise_pin(state)
            publish_position(state, meta.generation)
            state.is_tainted = was_tainted
    except OSError as error:
        raise translated(error, "start a log", state.path) from error


def stamp(state: DatabaseState, meta: Meta) -> None:
    """Note time and version of the writer, and whether the log is archived."""
    if state.options.archive:
        meta.may_ignore |= LOG_ARCHIVED
    elif state.options.ends_archive:
        meta.may_ignore &= ~LOG_ARCHIVED
    meta.written_us = state.clock.now_us()
    meta.writer_version = VERSION
