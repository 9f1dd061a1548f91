"""Keeping segments of the log that the database does not need any more.

With the option ``archive`` a segment is copied to that directory, as ``<UUID>-wal-<number>``,
synced and given its name before it is removed beside the database: so from a backup on, every
commit can be found again. What is preallocated behind its last frame is left out, and segments
without frames.

The meta page says whether the log is archived, not where: a file must not name places to write to.
A process that opens such a file without the option leaves segments beside it, for one that has it.

When a segment cannot be copied, it stays where it is and is tried again by the next checkpoint or
close; that is recorded as ``ARCHIVE_FAILED``, because the log takes the more space the longer it
lasts.

Invariants: a segment is removed only when the archive has it, whole and synced. A name in the
archive is that of a whole segment.
"""

from __future__ import annotations

from typing import Final

from cbdd.errors import CbddError, UsageError
from cbdd.storage.frame import (
    FRAME_HEADER_BYTES,
    FRAMES_OFFSET,
    SEGMENT_HEADER_BYTES,
    decode_frame_header,
    decode_segment_header,
)
from cbdd.storage.io import Io, read_exact, translated, write_all
from cbdd.storage.meta import LOG_ARCHIVED
from cbdd.storage.state import DatabaseState
from cbdd.storage.wal import segment_path

ARCHIVE_FAILED: Final = "ARCHIVE_FAILED"
ARCHIVE_PENDING: Final = "ARCHIVE_PENDING"
COPY_BYTES: Final = 1 << 20
MICROSECONDS: Final = 1_000_000


def archived_name(uuid: bytes, number: int) -> str:
    """Name of a segment in an archive."""
    return f"{uuid.hex()}-wal-{number:06d}"


def archived_segments(io: Io, directory: str, uuid: bytes) -> list[int]:
    """Numbers of the segments of a database that an archive has, ascending."""
    prefix = f"{uuid.hex()}-wal-"
    numbers: list[int] = []
    for entry in io.list_directory(directory):
        rest = entry[len(prefix) :]
        if entry.startswith(prefix) and rest.isascii() and rest.isdigit() and len(rest) <= 18:
            numbers.append(int(rest))
    numbers.sort()
    return numbers


def may_remove(state: DatabaseState, number: int) -> bool:
    """Archive a segment if that was asked for; False when it must stay for now."""
    if not state.options.archive:
        if state.options.ends_archive or not state.meta.may_ignore & LOG_ARCHIVED:
            return True
        message = (
            "segments of the log stay beside the database: it is archived, and this process was "
            "not told where"
        )
        state.report.add(ARCHIVE_PENDING, "SEV-3", message)
        return False
    try:
        source = state.io.open(segment_path(state.path, number), False, True)
    except FileNotFoundError:
        return True  # another process was faster
    try:
        _archive(state, number, source)
        _remove_expired(state)
    except OSError as error:
        _note(state, number, translated(error, "archive a segment", state.options.archive))
        return False
    except CbddError as error:
        _note(state, number, error)
        return False
    finally:
        state.io.close(source)
    return True


def _note(state: DatabaseState, number: int, error: Exception) -> None:
    """Report that segments wait, once for each reason however many there are."""
    text = error.message if isinstance(error, CbddError) else str(error)
    message = f"segments of the log stay beside the database: {text}"
    if state.report.add(ARCHIVE_FAILED, "SEV-2", message, {"segment": number}):
        facts: dict[str, object] = {"code": ARCHIVE_FAILED, "segment": number, "error": text}
        state.events.record("archive_failed", facts)


def _archive(state: DatabaseState, number: int, source: int) -> None:
    """Copy an open segment; what is in the archive under its name already is the same or stays."""
    io = state.io
    directory = state.options.archive
    end = _used_end(io, source)
    if end <= FRAMES_OFFSET:
        return
    if io.path_identity(directory) is None:
        io.make_directory(directory)
        io.sync_directory(directory[: directory.rfind("/")] or "/")
    target = f"{directory}/{archived_name(state.meta.uuid, number)}"
    _require_own(io, source, target)
    temporary = f"{target}.{state.randomness.token(4).hex()}"
    copy = io.open(temporary, True, False)
    is_named = False
    try:
        offset = 0
        while offset < end:
            data = read_exact(io, source, min(COPY_BYTES, end - offset), offset)
            write_all(io, copy, data, offset)
            offset += len(data)
        io.sync(copy)
        io.rename(temporary, target)
        is_named = True
        io.sync_directory(directory)
    finally:
        io.close(copy)
        if not is_named:
            io.unlink(temporary)


def _require_own(io: Io, source: int, target: str) -> None:
    """Raise when the archive has a segment of this name from another copy of the database."""
    if io.path_identity(target) is None:
        return
    there = io.open(target, False, True)
    try:
        archived = read_exact(io, there, SEGMENT_HEADER_BYTES, 0)
    finally:
        io.close(there)
    if archived != read_exact(io, source, SEGMENT_HEADER_BYTES, 0):
        raise UsageError(
            ARCHIVE_FAILED,
            f"{target} is of another copy of this database, which has gone its own way",
            "give each copy an archive of its own",
            {"path": target},
        )


def _used_end(io: Io, fd: int) -> int:
    """Where the frames of a segment end; the whole file if something else follows them."""
    size = io.size(fd)
    header = decode_segment_header(read_exact(io, fd, SEGMENT_HEADER_BYTES, 0))
    if header is None:
        return size
    seed = header.seed()
    end = FRAMES_OFFSET
    while end < size:
        head = read_exact(io, fd, FRAME_HEADER_BYTES, end)
        frame = decode_frame_header(head, 0, seed, end)
        if frame is None:
            break
        end += frame.size()
    offset = end
    while offset < size:
        data = read_exact(io, fd, min(COPY_BYTES, size - offset), offset)
        if any(data):
            return size
        offset += len(data)
    return min(end, size)


def _remove_expired(state: DatabaseState) -> None:
    """Remove segments whose commits are all older than the retention: the next one began before."""
    seconds = state.options.archive_retention_seconds
    if not seconds:
        return
    io = state.io
    directory = state.options.archive
    oldest = state.clock.now_us() - int(seconds * MICROSECONDS)
    numbers = archived_segments(io, directory, state.meta.uuid)
    for i in range(len(numbers) - 1):
        following = f"{directory}/{archived_name(state.meta.uuid, numbers[i + 1])}"
        fd = io.open(following, False, True)
        try:
            header = decode_segment_header(read_exact(io, fd, SEGMENT_HEADER_BYTES, 0))
        finally:
            io.close(fd)
        if header is None or header.created_us >= oldest:
            return
        io.unlink(f"{directory}/{archived_name(state.meta.uuid, numbers[i])}")
