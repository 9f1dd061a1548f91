"""Every frame of a log that verifies, damage between them or not, and what is proven of the log.

A frame is looked for at every place where one may begin, so nothing that verifies is missed. A
segment whose header is damaged is read by the salt that the meta page or a seal names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from cbdd.errors import CorruptDataError
from cbdd.storage.frame import (
    FRAME_HEADER_BYTES,
    FRAME_MAGIC_BYTES,
    FRAMES_OFFSET,
    MARK,
    MARK_OFFSETS,
    SEAL,
    SEAL_PAYLOAD,
    SEGMENT_HEADER_BYTES,
    Frame,
    SegmentHeader,
    decode_frame_header,
    decode_mark,
    decode_segment_header,
    payload_is_valid,
    require_known_log,
)
from cbdd.storage.io import Io, read_exact
from cbdd.storage.meta import Meta
from cbdd.storage.shm import claimed_durable

_SCAN_BYTES: Final = 1 << 20


class LogSource(Protocol):
    """Segments of the log of one database, wherever they lie."""

    uuid: bytes
    segments: list[int]

    @property
    def io(self) -> Io:
        """What they are read with."""

    def path_of(self, number: int) -> str:
        """Path of a segment."""

    def shared_state_path(self) -> str:
        """Path of the shared state that belongs to the log; it need not be there."""


class FoundFrame:
    """A frame that verifies, where it is, and how many bytes before it did not."""

    def __init__(self, frame: Frame, segment: int, offset: int, damaged_bytes: int) -> None:
        self.frame = frame
        self.segment = segment
        self.offset = offset
        self.damaged_bytes = damaged_bytes


class LogScan:
    """Reads the segments that a meta page needs; all of them when there is none.

    ``notes`` says which were left out. ``previous_lsns`` has the LSN each segment continues, by its
    number; ``ends`` where the last frame that verifies ends.
    """

    def __init__(self, source: LogSource, meta: Meta | None) -> None:
        self.notes: list[str] = []
        self.previous_lsns: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self._source = source
        self._io = source.io
        self._meta = meta
        self._proven = 0
        self._salts: dict[int, int] = {}
        """Salts of segments by number, as seals and the meta page name them."""
        if meta and meta.first_segment:
            self._salts[meta.first_segment] = meta.first_salt

    def numbers(self) -> list[int]:
        """The segments to read, in order."""
        first = self._meta.first_segment if self._meta else 0
        return [number for number in self._source.segments if number >= first]

    def proven_lsn(self) -> int:
        """The highest LSN that was durable, as marks, frames and the shared state prove."""
        return max(self._proven, self._shared_durable())

    def frames_of(self, number: int) -> Iterator[FoundFrame]:
        """The frames of one segment, seals among them."""
        path = self._source.path_of(number)
        try:
            fd = self._io.open(path, False, True)
        except FileNotFoundError:
            self.notes.append(f"{path} was removed meanwhile, as others do who use the database")
            return
        try:
            seed = self._seed_of(fd, number)
            if seed is None:
                return
            for offset in MARK_OFFSETS:
                mark = decode_mark(read_exact(self._io, fd, MARK.size, offset), seed)
                self._proven = max(self._proven, mark)
            size = self._io.size(fd)
            offset = end = FRAMES_OFFSET
            while offset < size:
                frame = self._frame_at(fd, seed, offset)
                if frame is None:
                    offset = self._next_magic(fd, offset + 8, size)
                    continue
                self._learn(frame, number)
                yield FoundFrame(frame, number, offset, offset - end)
                offset += frame.size()
                end = offset
                self.ends[number] = end
        finally:
            self._io.close(fd)

    def _learn(self, frame: Frame, number: int) -> None:
        """What a frame proves and names."""
        self._proven = max(self._proven, frame.durable_lsn, self.previous_lsns.get(number, 0))
        if frame.kind == SEAL:
            following, salt = SEAL_PAYLOAD.unpack(frame.payload)
            self._salts[following] = salt

    def _seed_of(self, fd: int, number: int) -> int | None:
        """The seed of a segment's checksums; with a damaged header, by the salt named elsewhere."""
        header = decode_segment_header(read_exact(self._io, fd, SEGMENT_HEADER_BYTES, 0))
        path = self._source.path_of(number)
        if header is not None:
            if header.uuid != self._source.uuid or header.number != number:
                self.notes.append(f"{path} belongs to another database and was left out")
                return None
            require_known_log(header, path)
            self.previous_lsns[number] = header.previous_lsn
            return header.seed()
        salt = self._salts.get(number)
        if salt is None:
            self.notes.append(f"the header of {path} is damaged; it was left out")
            return None
        self.notes.append(f"the header of {path} is damaged; its frames were read without")
        header = SegmentHeader()
        header.uuid = self._source.uuid
        header.number = number
        header.salt = salt
        return header.seed()

    def _frame_at(self, fd: int, seed: int, offset: int) -> Frame | None:
        head = read_exact(self._io, fd, FRAME_HEADER_BYTES, offset)
        frame = decode_frame_header(head, 0, seed, offset)
        if frame is None:
            return None
        data = read_exact(self._io, fd, FRAME_HEADER_BYTES + frame.length, offset)
        return frame if payload_is_valid(data, 0, frame, seed, offset) else None

    def _next_magic(self, fd: int, offset: int, size: int) -> int:
        """The next place where a frame may begin, ``size`` when there is none."""
        while offset < size:
            data = read_exact(self._io, fd, min(_SCAN_BYTES, size - offset), offset)
            at = data.find(FRAME_MAGIC_BYTES)
            while at >= 0:
                if (offset + at) % 8 == 0:
                    return offset + at
                at = data.find(FRAME_MAGIC_BYTES, at + 1)
            offset += len(data) if len(data) < 8 else len(data) - len(data) % 8
        return size

    def _shared_durable(self) -> int:
        path = self._source.shared_state_path()
        try:
            return claimed_durable(self._io, path, self._source.uuid)
        except CorruptDataError:
            return 0  # a damaged shared state proves nothing
