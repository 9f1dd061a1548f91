"""The write-ahead log: reading a chain of segments, and appending to the last one.

Bytes beyond the published end belong to the holder of the writer lock: readers stop there, and the
next writer overwrites them. A failed append is cut off again before the lock is released.

A rotation seals: the next segment is created and synced, the directory is synced, then the seal
frame that names it is appended to the old segment and that is synced, and only then is the new
segment written to. So a seal whose successor is missing, or a successor with frames whose
predecessor ends early, is damage and never a crash. The frame after the seal continues the LSNs and
the chain as if the seal were not there.

Space is reserved by the megabyte, and zeros are written to it some way ahead of the end: a file
system notes which parts of reserved space have been written, so a sync of a first write there is
one of metadata, too, and takes twice as long.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.errors import DurabilityError, NewerFormatError
from cbdd.storage.frame import (
    COMMIT,
    FRAME_HEADER_BYTES,
    FRAMES_OFFSET,
    MARK,
    MARK_OFFSETS,
    MAX_PAYLOAD_BYTES,
    PART,
    SEAL,
    SEAL_PAYLOAD,
    SEGMENT_HEADER_BYTES,
    Frame,
    SegmentHeader,
    decode_frame_header,
    decode_mark,
    decode_segment_header,
    encode_frame,
    encode_mark,
    payload_is_valid,
    require_known_log,
)
from cbdd.storage.io import FULL_ERRNOS, UNSUPPORTED_ERRNOS, Io, read_exact, write_all

READ_CHUNK_BYTES: Final = 1 << 20
NO_LIMIT: Final = 1 << 62
ZEROS: Final = bytes(1 << 17)
"""Written ahead at a time; a commit as large as that has nothing written ahead of it."""


def segment_path(base: str, number: int) -> str:
    """Path of a segment."""
    return f"{base}-wal-{number:06d}"


def list_segments(io: Io, directory: str, name: str) -> list[int]:
    """Numbers of the segments that lie beside the database, ascending."""
    prefix = f"{name}-wal-"
    numbers: list[int] = []
    for entry in io.list_directory(directory):
        rest = entry[len(prefix) :]
        if entry.startswith(prefix) and rest.isascii() and rest.isdigit() and len(rest) <= 18:
            number = int(rest)
            if entry == f"{prefix}{number:06d}":
                numbers.append(number)
    numbers.sort()
    return numbers


class Segment:
    """An open segment file."""

    def __init__(self, fd: int, path: str, header: SegmentHeader) -> None:
        self.fd = fd
        self.path = path
        self.header = header
        self.number = header.number
        self.seed = header.seed()
        self.allocated = 0
        self.written = 0  # up to where zeros were written ahead
        self.next_mark = 0
        self.users = 0


@mypyc_attr(acyclic=True)
class Position:
    """A place in the log, right after the frame ``lsn`` whose checksum is ``chain``."""

    def __init__(self, segment: int, offset: int, lsn: int, chain: int) -> None:
        self.segment = segment
        self.offset = offset
        self.lsn = lsn
        self.chain = chain


class SegmentSet:
    """The segments of one database that this process has open."""

    def __init__(self, io: Io, base: str, uuid: bytes, allocation_bytes: int) -> None:
        self.io = io
        self.base = base
        self.uuid = uuid
        self._allocation_bytes = allocation_bytes
        self._open: dict[int, Segment] = {}
        self.is_tight = False  # the disk has refused space: take only what is needed
        self.problem = ""

    def get(self, number: int, read_only: bool) -> Segment | None:
        """An open segment, or None with `problem` set: missing, header, foreign."""
        segment = self._open.get(number)
        if segment is not None:
            return segment
        path = segment_path(self.base, number)
        try:
            fd = self.io.open(path, False, read_only)
        except FileNotFoundError:
            self.problem = "missing"
            return None
        header = decode_segment_header(read_exact(self.io, fd, SEGMENT_HEADER_BYTES, 0))
        if header is None or header.uuid != self.uuid or header.number != number:
            self.io.close(fd)
            self.problem = "header" if header is None else "foreign"
            return None
        try:
            require_known_log(header, path)
        except NewerFormatError:
            self.io.close(fd)
            raise
        segment = Segment(fd, path, header)
        self._open[number] = segment
        return segment

    def create(self, header: SegmentHeader, directory: str, room: int) -> Segment:
        """A new segment, synced, its directory entry too. Leftovers of its name are removed.

        :param room: bytes for frames that it must have.
        """
        path = segment_path(self.base, header.number)
        self.close(header.number)
        try:
            fd = self.io.open(path, True, False)
        except FileExistsError:
            self.io.unlink(path)
            fd = self.io.open(path, True, False)
        try:
            block = header.encode().ljust(FRAMES_OFFSET, b"\0")
            write_all(self.io, fd, block, 0)
            segment = Segment(fd, path, header)
            segment.allocated = FRAMES_OFFSET
            self.reserve(segment, FRAMES_OFFSET + room)
            self.io.sync(fd)
            self.io.sync_directory(directory)
        except BaseException:
            self.io.close(fd)
            self.remove_file(path)
            raise
        self._open[header.number] = segment
        return segment

    def reserve(self, segment: Segment, end: int) -> None:
        """Preallocate up to ``end`` and beyond, so that syncs need no metadata.

        :raises OSError: the disk has no room up to ``end``.
        """
        if end <= segment.allocated:
            return
        segment.allocated = max(segment.allocated, self.io.size(segment.fd))
        needed = end - segment.allocated
        if needed <= 0:
            return
        sizes = [needed] if self.is_tight else [max(self._allocation_bytes, needed), needed]
        for length in sizes:
            try:
                self.io.allocate(segment.fd, segment.allocated, length)
            except OSError as error:
                if error.errno in UNSUPPORTED_ERRNOS:
                    segment.allocated = NO_LIMIT
                    return
                if error.errno not in FULL_ERRNOS:
                    raise
                self.is_tight = True
                if length == needed:
                    raise
            else:
                segment.allocated += length
                return

    def write_ahead(self, segment: Segment, end: int, length: int) -> None:
        """Have zeros where a commit of some bytes is to be written, in space that is reserved.

        Where the disk is full, there are none: it is the commit that has to fit.

        :param end: of the log; the caller holds the writer lock.
        """
        if end + length <= segment.written or length >= len(ZEROS) or self.is_tight:
            return
        start = max(end, segment.written)
        room = segment.allocated - start
        if segment.allocated == NO_LIMIT or room <= 0:
            return
        try:
            write_all(self.io, segment.fd, ZEROS[:room] if room < len(ZEROS) else ZEROS, start)
        except OSError as error:
            if error.errno not in FULL_ERRNOS:
                raise
            self.is_tight = True
        else:
            segment.written = start + min(room, len(ZEROS))

    def remove_file(self, path: str) -> None:
        """Remove a file if it is there; a leftover is harmless."""
        try:
            self.io.unlink(path)
        except OSError:
            return

    def numbers_open(self) -> list[int]:
        """Numbers of the segments that are open."""
        return sorted(self._open)

    def close(self, number: int) -> None:
        """Close one segment, unless a sync of it is under way."""
        segment = self._open.get(number)
        if segment is not None and segment.users == 0:
            del self._open[number]
            self.io.close(segment.fd)

    def close_all(self) -> None:
        """Close every segment."""
        for number in self.numbers_open():
            self.close(number)

    def proven_lsn(self, segment: Segment) -> int:
        """Highest durable LSN proven by the marks in a segment's head."""
        proven = 0
        for offset in MARK_OFFSETS:
            data = read_exact(self.io, segment.fd, MARK.size, offset)
            proven = max(proven, decode_mark(data, segment.seed))
        return proven

    def write_mark(self, segment: Segment, lsn: int, end: int) -> None:
        """Record that a sync which has returned covered ``lsn``; not synced itself."""
        offset = MARK_OFFSETS[segment.next_mark]
        segment.next_mark = 1 - segment.next_mark
        write_all(self.io, segment.fd, encode_mark(lsn, end, segment.seed), offset)


class LogReader:
    """Reads frames in order from a position, through seals into the segments that follow."""

    def __init__(self, segments: SegmentSet, position: Position, read_only: bool) -> None:
        self._segments = segments
        self.position = position
        self._read_only = read_only
        self._buffer = b""
        self._buffer_segment = -1
        self._buffer_offset = 0
        self.stop = ""  # why next() returned None: zero, short, bad, missing, header, foreign

    def next(self, end_segment: int, end_offset: int) -> Frame | None:
        """The next commit or part, or None at the end or at something that is not a frame.

        :param end_segment: segment in which ``end_offset`` bounds what may be read.
        """
        while True:
            position = self.position
            limit = end_offset if position.segment == end_segment else NO_LIMIT
            if position.offset >= limit:
                self.stop = "limit"
                return None
            segment = self._segments.get(position.segment, self._read_only)
            if segment is None:
                self.stop = self._segments.problem
                return None
            frame = self._frame_at(segment, limit)
            if frame is None:
                return None
            if frame.kind == SEAL:
                if not self._enter_next(frame):
                    return None
                continue
            self.position = Position(
                position.segment, position.offset + frame.size(), frame.lsn, frame.checksum
            )
            return frame

    def _frame_at(self, segment: Segment, limit: int) -> Frame | None:
        position = self.position
        offset = position.offset
        at = self._fill(segment, offset, FRAME_HEADER_BYTES, limit)
        frame = decode_frame_header(self._buffer, at, segment.seed, offset)
        if frame is None:
            head = self._buffer[at : at + FRAME_HEADER_BYTES]
            self.stop = "bad" if any(head) else "zero"
            return None
        at = self._fill(segment, offset, frame.size(), limit)
        if not payload_is_valid(self._buffer, at, frame, segment.seed, offset):
            self.stop = "bad"
            return None
        expected = position.lsn if frame.kind == SEAL else position.lsn + 1
        if frame.lsn != expected or frame.chain != position.chain:
            self.stop = "bad"
            return None
        return frame

    def _fill(self, segment: Segment, offset: int, length: int, limit: int) -> int:
        """Make the buffer hold ``length`` bytes from ``offset``; returns their index in it."""
        start = self._buffer_offset
        if (
            self._buffer_segment == segment.number
            and start <= offset
            and offset + length <= start + len(self._buffer)
        ):
            return offset - start
        wanted = min(max(length, READ_CHUNK_BYTES), limit - offset)
        self._buffer = read_exact(self._segments.io, segment.fd, wanted, offset)
        self._buffer_segment = segment.number
        self._buffer_offset = offset
        return 0

    def _enter_next(self, seal: Frame) -> bool:
        number, salt = SEAL_PAYLOAD.unpack(seal.payload)
        return self.enter(number, salt)

    def enter(self, number: int, salt: int | None) -> bool:
        """Go on in a segment that continues this one exactly; else set `stop`."""
        position = self.position
        if number <= position.segment:  # a log goes on, never back
            self.stop = "foreign"
            return False
        segment = self._segments.get(number, self._read_only)
        if segment is None:
            self.stop = self._segments.problem
            return False
        header = segment.header
        if (
            (salt is not None and header.salt != salt)
            or header.previous_lsn != position.lsn
            or header.previous_chain != position.chain
        ):
            self.stop = "foreign"
            return False
        self.position = Position(number, FRAMES_OFFSET, position.lsn, position.chain)
        self._buffer_segment = -1
        return True


def commit_size(payload_length: int) -> int:
    """Bytes that a commit takes in the log, in one frame or in parts."""
    parts = payload_length // MAX_PAYLOAD_BYTES + 1
    return payload_length + parts * (FRAME_HEADER_BYTES + 7)


class WriteAheadLog:
    """The end of the log. Every method needs the writer lock."""

    def __init__(self, segments: SegmentSet) -> None:
        self._segments = segments
        self.segment: Segment | None = None
        self.end = FRAMES_OFFSET
        self.lsn = 0
        self.chain = 0
        self.is_seal_written = False

    def move_to(self, position: Position) -> None:
        """Continue after ``position``."""
        if position.segment == 0:
            self.segment = None
        elif self.segment is None or self.segment.number != position.segment:
            self.segment = self._segments.get(position.segment, False)
        self.end = position.offset
        self.lsn = position.lsn
        self.chain = position.chain

    def position(self) -> Position:
        """Where the next frame goes."""
        number = 0 if self.segment is None else self.segment.number
        return Position(number, self.end, self.lsn, self.chain)

    def reserve(self, payload_length: int, left: int) -> None:
        """Make sure that a commit fits, and ``left`` bytes behind it.

        :raises OSError: it does not; nothing was appended.
        """
        assert self.segment is not None, "no segment to append to"
        size = commit_size(payload_length)
        self._segments.reserve(self.segment, self.end + size + left)
        self._segments.write_ahead(self.segment, self.end, size)

    def append(self, payload: bytes, flags: int, durable_lsn: int, time_us: int) -> int:
        """Append one commit, in parts when it is large; returns its LSN. Nothing is synced.

        :raises OSError: nothing was appended; the bytes written so far are cut off again.
        """
        segment = self.segment
        assert segment is not None, "no segment to append to"
        frames: list[bytes] = []
        end = self.end
        lsn = self.lsn
        chain = self.chain
        start = 0
        while True:
            chunk = (
                payload[start : start + MAX_PAYLOAD_BYTES]
                if start or len(payload) > MAX_PAYLOAD_BYTES
                else payload
            )
            start += len(chunk)
            kind = COMMIT if start >= len(payload) else PART
            lsn += 1
            frame = encode_frame(
                kind, flags, lsn, chain, durable_lsn, time_us, chunk, segment.seed, end
            )
            chain = int.from_bytes(frame[88:96], "little")
            frames.append(frame)
            end += len(frame)
            if kind == COMMIT:
                break
        self._write(segment, frames[0] if len(frames) == 1 else b"".join(frames), end)
        self.end = end
        self.lsn = lsn
        self.chain = chain
        return lsn

    def take_back(self, position: Position, problem: BaseException) -> None:
        """Take away what was appended behind ``position``, which was not published.

        With zeros, so that what other processes take for reserved stays so.

        :raises DurabilityError: it is still there.
        """
        end = self.end
        self.move_to(position)
        segment = self.segment
        if segment is None:
            return
        try:
            write_all(self._segments.io, segment.fd, bytes(end - self.end), self.end)
        except OSError:
            self._cut(segment, self.end, problem)

    def seal(self, next_segment: Segment, durable_lsn: int, time_us: int) -> None:
        """End this segment, sync it, and go on in ``next_segment``, which is already synced."""
        segment = self.segment
        assert segment is not None, "no segment to seal"
        payload = SEAL_PAYLOAD.pack(next_segment.number, next_segment.header.salt)
        frame = encode_frame(
            SEAL, 0, self.lsn, self.chain, durable_lsn, time_us, payload, segment.seed, self.end
        )
        self.is_seal_written = False
        self._write(segment, frame, self.end + len(frame))
        self.is_seal_written = True
        self._segments.io.sync(segment.fd)
        self.segment = next_segment
        self.end = FRAMES_OFFSET

    def _write(self, segment: Segment, data: bytes, end: int) -> None:
        try:
            write_all(self._segments.io, segment.fd, data, self.end)
        except OSError as error:
            self._cut(segment, self.end, error)
            raise

    def _cut(self, segment: Segment, end: int, problem: BaseException) -> None:
        segment.allocated = segment.written = 0
        try:
            self._segments.io.truncate(segment.fd, end)
        except OSError as failure:
            raise DurabilityError(
                "APPEND_UNKNOWN",
                f"an append to {segment.path} failed ({problem}) and could not be taken back "
                f"({failure}): the outcome of the commit is unknown",
                "close the database in every process and open it again",
                {"path": segment.path, "offset": end},
            ) from failure
