"""Frames: what is accepted as one, and what a commit's payload says."""

from __future__ import annotations

import pytest

from cbdd.errors import CorruptDataError
from cbdd.storage.frame import (
    ANNOTATION,
    COMMIT,
    FRAME_HEADER_BYTES,
    SECTION,
    SegmentHeader,
    TreeChanges,
    decode_commit,
    decode_frame_header,
    decode_mark,
    decode_segment_header,
    encode_commit,
    encode_frame,
    encode_mark,
    frame_size,
    payload_is_valid,
)

pytestmark = pytest.mark.wal

SEED = 2**64 - 5  # seed + offset must wrap


def frame_of(payload: bytes, offset: int = 4096) -> bytes:
    return encode_frame(COMMIT, 1, 7, 8, 6, 5, payload, SEED, offset)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 1000])
def test_a_frame_reads_back(length: int) -> None:
    payload = bytes(range(256))[:length]
    data = frame_of(payload)
    assert len(data) == frame_size(len(payload))
    assert len(data) % 8 == 0
    frame = decode_frame_header(b"ab" + data, 2, SEED, 4096)
    assert frame is not None
    assert payload_is_valid(b"ab" + data, 2, frame, SEED, 4096)
    assert (frame.kind, frame.flags, frame.lsn, frame.chain) == (COMMIT, 1, 7, 8)
    assert (frame.durable_lsn, frame.time_us, frame.payload) == (6, 5, payload)
    assert frame.checksum == int.from_bytes(data[88:96], "little")
    assert frame.size() == len(data)


def test_any_flipped_byte_is_refused() -> None:
    data = frame_of(b"payload!")
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        frame = decode_frame_header(flipped, 0, SEED, 4096)
        assert frame is None or not payload_is_valid(flipped, 0, frame, SEED, 4096), at


def test_a_frame_at_another_place_is_none() -> None:
    data = frame_of(b"payload!")
    assert decode_frame_header(data, 0, SEED, 4104) is None
    assert decode_frame_header(data, 0, SEED + 1, 4096) is None
    assert decode_frame_header(data[: FRAME_HEADER_BYTES - 1], 0, SEED, 4096) is None
    frame = decode_frame_header(data, 0, SEED, 4096)
    assert frame is not None
    assert not payload_is_valid(data[:-1], 0, frame, SEED, 4096)


def test_segment_headers() -> None:
    header = SegmentHeader()
    header.uuid, header.number, header.salt = bytes(range(16)), 3, 4
    header.previous_lsn, header.created_us = 5, 6
    data = header.encode()
    again = decode_segment_header(data)
    assert again is not None
    assert again.encode() == data
    assert again.seed() == header.seed()
    assert decode_segment_header(data[:-1]) is None
    assert decode_segment_header(data[:40] + b"x" + data[41:]) is None
    other = SegmentHeader()
    other.uuid, other.number, other.salt = header.uuid, 4, 4
    assert other.seed() != header.seed()


def test_marks_prove_only_what_they_were_written_for() -> None:
    mark = encode_mark(9, 5000, 77)
    assert decode_mark(mark, 77) == 9
    assert decode_mark(mark, 78) == 0
    assert decode_mark(mark[:-1], 77) == 0
    assert decode_mark(bytes(24), 77) == 0


def test_a_commit_reads_back() -> None:
    changes = {5: TreeChanges(5), 3: TreeChanges(3), 4: TreeChanges(4)}
    changes[3].is_dropped = True
    changes[4].is_created = True
    changes[5].entries = {b"": b"", b"k": bytes(70000), b"gone": None}
    operation, found = decode_commit(encode_commit("an operation é", changes))
    assert operation == "an operation é"
    assert [change.tree for change in found] == [3, 4, 5]
    assert [change.is_dropped for change in found] == [True, False, False]
    assert [change.is_created for change in found] == [False, True, False]
    assert found[2].entries == changes[5].entries
    assert list(found[2].entries) == [b"", b"k", b"gone"]


def test_annotations_are_skipped_and_unknown_sections_are_not() -> None:
    head = b"\1x"
    note = SECTION.pack(ANNOTATION, 3) + b"abc"
    assert decode_commit(head + note) == ("x", [])
    with pytest.raises(CorruptDataError, match="unknown section 77"):
        decode_commit(head + SECTION.pack(77, 0))
    with pytest.raises(CorruptDataError, match="sections end"):
        decode_commit(head + SECTION.pack(ANNOTATION, 9) + b"abc")
