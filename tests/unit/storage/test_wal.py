"""Segments, appends, seals, and why reading stops where it stops."""

from __future__ import annotations

import errno

import pytest

from cbdd.errors import DurabilityError
from cbdd.storage.frame import (
    COMMIT,
    FRAMES_OFFSET,
    MARK_OFFSETS,
    MAX_PAYLOAD_BYTES,
    PART,
    SegmentHeader,
)
from cbdd.storage.wal import (
    ZEROS,
    LogReader,
    Position,
    Segment,
    SegmentSet,
    WriteAheadLog,
    list_segments,
    segment_path,
)
from cbdd.testing import Fault, MemoryDisk, MemoryIo

pytestmark = pytest.mark.wal

UUID = bytes(range(16))


class Log:
    """A log of its own on a simulated disk."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.io = MemoryIo(self.disk)
        self.segments = self.again()
        self.log = WriteAheadLog(self.segments)
        self.log.move_to(Position(self.create(1, 0, 0).number, FRAMES_OFFSET, 0, 0))

    def again(self) -> SegmentSet:
        """The same files, opened anew."""
        return SegmentSet(self.io, "/db/a", UUID, 1 << 16)

    def create(self, number: int, lsn: int, chain: int) -> Segment:
        header = SegmentHeader()
        header.uuid, header.number, header.salt = UUID, number, 1000 + number
        header.previous_segment, header.previous_lsn = number - 1, lsn
        header.previous_chain = chain
        return self.segments.create(header, "/db", 256)

    def append(self, payload: bytes) -> int:
        return self.log.append(payload, 0, 0, 0)

    def rotate(self) -> None:
        assert self.log.segment is not None
        number = self.log.segment.number + 1
        self.log.seal(self.create(number, self.log.lsn, self.log.chain), 0, 0)

    def read(self, end: tuple[int, int] = (0, 0)) -> tuple[list[bytes], LogReader]:
        reader = LogReader(self.again(), Position(1, FRAMES_OFFSET, 0, 0), True)
        found: list[bytes] = []
        while True:
            frame = reader.next(*end)
            if frame is None:
                return found, reader
            found.append(frame.payload)

    def data(self, number: int = 1) -> bytearray:
        return self.disk.names[segment_path("/db/a", number)].data


def test_what_is_appended_is_read_through_seals() -> None:
    log = Log()
    expected = []
    for number in range(30):
        payload = bytes([number]) * (number * 37)
        expected.append(payload)
        assert log.append(payload) == number + 1
        if number % 10 == 9:
            log.rotate()
    found, reader = log.read()
    assert found == expected
    assert reader.stop == "zero"
    position = log.log.position()
    assert (reader.position.segment, reader.position.offset) == (4, FRAMES_OFFSET)
    assert (position.segment, position.offset, position.lsn) == (4, FRAMES_OFFSET, 30)
    assert reader.position.chain == position.chain
    assert list_segments(log.io, "/db", "a") == [1, 2, 3, 4]


def test_a_large_commit_is_several_frames() -> None:
    log = Log()
    payload = bytes(range(256)) * (2 * MAX_PAYLOAD_BYTES // 256) + b"end"
    assert log.append(payload) == 3
    reader = LogReader(log.again(), Position(1, FRAMES_OFFSET, 0, 0), True)
    frames = [reader.next(0, 0), reader.next(0, 0), reader.next(0, 0)]
    assert [frame.kind for frame in frames if frame] == [PART, PART, COMMIT]
    assert b"".join([frame.payload for frame in frames if frame]) == payload
    assert reader.next(0, 0) is None


def test_reading_stops_at_the_published_end() -> None:
    log = Log()
    log.append(b"one")
    end = log.log.end
    log.append(b"two")
    found, reader = log.read((1, end))
    assert (found, reader.stop) == ([b"one"], "limit")


def test_damage_stops_reading_before_it() -> None:
    log = Log()
    log.append(b"one")
    second = log.log.end
    log.append(b"two")
    log.append(b"three")
    log.data()[second + 96] ^= 1
    found, reader = log.read()
    assert (found, reader.stop, reader.position.lsn) == ([b"one"], "bad", 1)
    log.data()[second : second + 96] = bytes(96)
    found, reader = log.read()
    assert (found, reader.stop) == ([b"one"], "zero")
    del log.data()[second + 10 :]
    found, reader = log.read()
    assert (found, reader.stop) == ([b"one"], "zero")
    log.data()[second:] = b"CBFR"
    found, reader = log.read()
    assert (found, reader.stop) == ([b"one"], "bad")


def test_a_valid_frame_of_another_history_is_not_followed() -> None:
    log = Log()
    log.append(b"one")
    here = log.log.position()
    log.append(b"two")
    log.log.move_to(Position(1, here.offset, here.lsn, here.chain + 1))
    log.append(b"another two")
    assert log.read()[0] == [b"one"]
    log.log.move_to(Position(1, here.offset, here.lsn + 1, here.chain))
    log.append(b"three instead of two")
    found, reader = log.read()
    assert (found, reader.stop) == ([b"one"], "bad")


@pytest.mark.parametrize("what", ["missing", "header", "foreign", "salt"])
def test_a_seal_whose_successor_is_not_there(what: str) -> None:
    log = Log()
    log.append(b"one")
    log.rotate()
    log.append(b"two")
    path = segment_path("/db/a", 2)
    if what == "missing":
        log.io.unlink(path)
    elif what == "header":
        log.data(2)[20] ^= 1
    else:
        header = SegmentHeader()
        header.uuid = bytes(16) if what == "foreign" else UUID
        header.number, header.salt, header.previous_lsn = 2, 7, 1
        log.data(2)[:104] = header.encode()
    found, reader = log.read()
    assert found == [b"one"]
    assert reader.stop == ("foreign" if what == "salt" else what)


def test_marks_are_written_in_turn_and_outlive_one_another() -> None:
    log = Log()
    segment = log.log.segment
    assert segment is not None
    assert log.segments.proven_lsn(segment) == 0
    log.segments.write_mark(segment, 5, 4200)
    log.segments.write_mark(segment, 9, 4300)
    assert log.segments.proven_lsn(segment) == 9
    log.data()[MARK_OFFSETS[1]] ^= 1
    assert log.segments.proven_lsn(segment) == 5


def test_a_failed_append_is_taken_back() -> None:
    log = Log()
    log.append(b"one")
    end = log.log.end
    log.disk.fault = Fault(1, errno.ENOSPC, False, ("pwrite",))
    with pytest.raises(OSError, match="ENOSPC"):
        log.append(b"two")
    assert (log.log.lsn, log.log.end, len(log.data())) == (1, end, end)
    assert log.append(b"three") == 2
    assert log.read()[0] == [b"one", b"three"]


def test_what_was_appended_and_not_published_is_taken_back() -> None:
    log = Log()
    log.append(b"one")
    start = log.log.position()
    log.append(b"two")
    length = len(log.data())
    log.log.take_back(start, ValueError("why"))
    assert (log.log.lsn, log.log.end) == (1, start.offset)
    assert log.data()[start.offset :] == bytes(length - start.offset)
    assert log.read()[0] == [b"one"]
    assert log.append(b"three") == 2
    assert log.read()[0] == [b"one", b"three"]


def test_where_zeros_cannot_be_written_it_is_cut_off() -> None:
    log = Log()
    log.append(b"one")
    start = log.log.position()
    log.append(b"two")
    log.disk.fault = Fault(1, errno.EIO, False, ("pwrite",))
    log.log.take_back(start, ValueError("why"))
    assert len(log.data()) == start.offset
    assert log.append(b"three") == 2
    assert log.read()[0] == [b"one", b"three"]


def test_an_append_that_cannot_be_taken_back_says_so() -> None:
    log = Log()
    log.disk.fault = Fault(1, errno.EIO, True, ("pwrite", "truncate"))
    with pytest.raises(DurabilityError) as caught:
        log.append(b"one")
    assert caught.value.code == "APPEND_UNKNOWN"
    log.disk.fault = None


def test_a_segment_that_could_not_be_made_leaves_nothing() -> None:
    for kind in ("open", "pwrite", "sync", "sync_directory"):
        log = Log()
        log.disk.fault = Fault(1, errno.EIO, False, (kind,))
        with pytest.raises(OSError, match="EIO"):
            log.create(2, 0, 0)
        assert list_segments(log.io, "/db", "a") == [1]
        assert len(log.io.fds) == 1
        log.create(2, 0, 0)


def test_a_leftover_of_the_same_name_is_replaced() -> None:
    log = Log()
    log.io.pwrite(log.io.open(segment_path("/db/a", 2), True, False), b"leftover", 4096)
    segment = log.create(2, 0, 0)
    assert b"leftover" not in log.data(2)
    log.segments.close(segment.number)


def test_the_log_is_written_without_preallocation_where_there_is_none() -> None:
    log = Log()
    log.disk.fault = Fault(1, errno.EOPNOTSUPP, True, ("allocate",))
    log.log.reserve(200_000, 0)
    assert log.append(bytes(200_000)) == 1
    log.log.reserve(200_000, 0)
    assert log.append(bytes(200_000)) == 2


def test_room_is_reserved_by_the_piece_or_as_much_as_is_needed() -> None:
    log = Log()
    log.disk.capacity = log.disk.size() + 210_000
    log.log.reserve(200_000, 1000)
    before = log.disk.size()
    assert 200_000 < before < log.disk.capacity
    with pytest.raises(OSError, match="full"):
        log.log.reserve(400_000, 1000)
    assert log.disk.size() == before
    log.append(bytes(200_000))
    assert log.disk.size() == before
    log.disk.fault = Fault(1, errno.EIO, True, ("allocate",))
    with pytest.raises(OSError, match="EIO"):
        log.log.reserve(400_000, 0)


def writes_of(log: Log, length: int) -> list[tuple[int, int]]:
    """What `reserve` writes for a commit, as (offset, length)."""
    written: list[tuple[int, int]] = []
    pwrite = log.io.pwrite

    def noted(fd: int, data: bytes, offset: int) -> int:
        assert not any(data)
        written.append((offset, len(data)))
        return pwrite(fd, data, offset)

    log.io.pwrite = noted  # type: ignore[method-assign]
    log.log.reserve(length, 0)
    del log.io.pwrite
    return written


def test_zeros_are_written_ahead_of_the_end_and_never_before_it() -> None:
    log = Log()
    segment = log.log.segment
    assert segment is not None
    allocated = segment.allocated
    assert allocated < len(ZEROS)
    assert writes_of(log, 1000) == [(FRAMES_OFFSET, allocated - FRAMES_OFFSET)]
    assert writes_of(log, 1000) == []  # they are there
    first = log.append(b"a" * 1000)
    assert writes_of(log, 1000) == []
    second = log.append(b"b" * 1000)
    size = allocated - log.log.end  # more than is left of what is allocated
    assert writes_of(log, size) == [(allocated, segment.allocated - allocated)]
    assert writes_of(log, len(ZEROS)) == []  # too large to be worth it
    log.append(bytes(len(ZEROS)))
    end = log.log.end
    assert end > segment.written
    written = writes_of(log, 1000)
    assert written[0][0] == end
    assert [first, second] == [1, 2]
    assert log.read()[0] == [b"a" * 1000, b"b" * 1000, bytes(len(ZEROS))]


def test_zeros_that_cannot_be_written_are_told() -> None:
    log = Log()
    log.disk.fault = Fault(1, errno.EIO, True, ("pwrite",))
    with pytest.raises(OSError, match="EIO"):
        log.log.reserve(100, 0)
    log.disk.fault = None
    log.log.reserve(100, 0)
    assert log.append(b"after") == 1
    assert log.read()[0] == [b"after"]


def test_on_a_full_disk_no_zeros_are_written_ahead() -> None:
    log = Log()
    log.disk.fault = Fault(1, errno.ENOSPC, True, ("pwrite",))
    log.log.reserve(100, 0)
    assert log.segments.is_tight
    log.disk.fault = None
    assert writes_of(log, 100) == []
    assert log.append(b"fits") == 1
    log.segments.is_tight = False
    assert writes_of(log, 100) != []


def test_a_segment_in_use_is_not_closed() -> None:
    log = Log()
    segment = log.log.segment
    assert segment is not None
    segment.users = 1
    log.segments.close_all()
    assert log.segments.numbers_open() == [1]
    segment.users = 0
    log.segments.close_all()
    assert log.segments.numbers_open() == []


def test_only_segments_of_this_database_are_listed() -> None:
    log = Log()
    for name in ("/db/b-wal-000009", "/db/a-wal-00001x", "/db/a-wal-", "/db/xa-wal-000003"):
        log.io.open(name, True, False)
    assert list_segments(log.io, "/db", "a") == [1]
    assert segment_path("/db/a", 7) == "/db/a-wal-000007"
