"""The log's bytes: segment header, durability marks, frames, and the operations in a commit.

A log is a chain of segment files ``NAME-wal-NNNNNN``. Segment (little-endian):

    offset size  field
    0      8     magic              "CBDDWAL1"
    8      4     format             1
    12     4     reserved           0
    16     16    database UUID
    32     8     segment number
    40     8     salt               random, also named by the meta page or the seal before it
    48     8     timeline
    56     8     previous segment   number, 0 for none
    64     8     previous end       offset where the previous segment was left
    72     8     previous LSN       last frame before this segment
    80     8     previous chain     checksum of that frame
    88     8     created            wall time, microseconds
    96     8     checksum           XXH3-64 of bytes 0 to 95
    1024   24    mark 0             durable LSN, end offset, checksum seeded with the segment seed
    2048   24    mark 1             the same, written in turn
    4096   ..    frames             to the first zero header

Frame, aligned to 8 bytes:

    offset size  field
    0      4     magic              "CBFR"
    4      1     kind               1 commit, 2 part of a commit, 3 seal
    5      1     flags              bit 0: its commit was asked to be durable
    6      2     compression (0), reserved
    8      8     LSN                one more than the frame before
    16     8     chain              header checksum of the frame before
    24     8     durable LSN        highest LSN known to be synced when this was written
    32     8     time               wall time, microseconds
    40     8     payload length     u32, reserved u32
    48     32    reserved           nonce and tag (28), 0
    80     8     payload checksum   XXH3-64
    88     8     header checksum    XXH3-64 of bytes 0 to 87
    96     ..    payload, zero-padded to 8 bytes

Both checksums are seeded with the segment seed (UUID, salt and number) plus the frame's offset, so
a copy of a frame at another place, in another segment or inside a document is never taken for
one. The payloads of parts and the commit that closes them, joined, are one commit:

    u8 length and operation name, then sections
      1  changes      tree u32, n u32, n x (key length u32, value length u32, key, value);
                      value length 4294967295 deletes the key
      2  create tree  tree u32
      3  drop tree    tree u32
      9  annotation   length u32, bytes; redo ignores it

A seal's payload is the number and the salt of the next segment, u64 each.

Invariants: redo needs nothing but these operations; applying a log twice gives the same trees.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import xxhash
from librt.strings import BytesWriter, write_i16_le, write_i32_le, write_i64_le
from mypy_extensions import mypyc_attr

from cbdd.errors import CorruptDataError, NewerFormatError

SEGMENT_MAGIC: Final = b"CBDDWAL1"
SEGMENT_FORMAT: Final = 1
SEGMENT_HEADER: Final = struct.Struct("<8sII16sQQQQQQQQ")
SEGMENT_HEADER_BYTES: Final = 104
MARK_OFFSETS: Final = (1024, 2048)
MARK: Final = struct.Struct("<QQQ")
FRAMES_OFFSET: Final = 4096
FRAME_MAGIC_BYTES: Final = b"CBFR"
FRAME_HEADER: Final = struct.Struct("<IBBHQQQQQ32sQ")
FRAME_HEADER_BYTES: Final = 96
FRAME_RESERVED: Final = bytes(32)
PADDING: Final = bytes(7)
COMMIT: Final = 1
PART: Final = 2
SEAL: Final = 3
FLAG_DURABLE: Final = 1
MAX_PAYLOAD_BYTES: Final = 4 << 20
MASK: Final = 0xFFFFFFFFFFFFFFFF
CHANGES: Final = 1
CREATE_TREE: Final = 2
DROP_TREE: Final = 3
ANNOTATION: Final = 9
DELETED_LENGTH: Final = 0xFFFFFFFF
SECTION: Final = struct.Struct("<BI")
ENTRY: Final = struct.Struct("<II")
SEAL_PAYLOAD: Final = struct.Struct("<QQ")


class SegmentHeader:
    """The first 104 bytes of a segment."""

    def __init__(self) -> None:
        self.format = SEGMENT_FORMAT
        self.uuid = bytes(16)
        self.number = 0
        self.salt = 0
        self.timeline = 0
        self.previous_segment = 0
        self.previous_end = 0
        self.previous_lsn = 0
        self.previous_chain = 0
        self.created_us = 0

    def encode(self) -> bytes:
        """The header with its checksum."""
        body = SEGMENT_HEADER.pack(
            SEGMENT_MAGIC,
            self.format,
            0,
            self.uuid,
            self.number,
            self.salt,
            self.timeline,
            self.previous_segment,
            self.previous_end,
            self.previous_lsn,
            self.previous_chain,
            self.created_us,
        )
        return body + xxhash.xxh3_64_intdigest(body).to_bytes(8, "little")

    def seed(self) -> int:
        """Seed of every checksum in the segment."""
        identity = self.uuid + struct.pack("<QQ", self.salt, self.number)
        return xxhash.xxh3_64_intdigest(identity)


def decode_segment_header(data: bytes) -> SegmentHeader | None:
    """The header, or None when the bytes are not a valid one."""
    if len(data) < SEGMENT_HEADER_BYTES or data[:8] != SEGMENT_MAGIC:
        return None
    body = data[: SEGMENT_HEADER_BYTES - 8]
    stored = int.from_bytes(data[SEGMENT_HEADER_BYTES - 8 : SEGMENT_HEADER_BYTES], "little")
    if xxhash.xxh3_64_intdigest(body) != stored:
        return None
    fields = SEGMENT_HEADER.unpack(body)
    header = SegmentHeader()
    header.format = fields[1]
    header.uuid = fields[3]
    header.number = fields[4]
    header.salt = fields[5]
    header.timeline = fields[6]
    header.previous_segment = fields[7]
    header.previous_end = fields[8]
    header.previous_lsn = fields[9]
    header.previous_chain = fields[10]
    header.created_us = fields[11]
    return header


def require_known_log(header: SegmentHeader, path: str) -> None:
    """Raise `NewerFormatError` when a later release wrote a segment in another format."""
    if header.format > SEGMENT_FORMAT:
        raise NewerFormatError(
            "NEWER_FORMAT",
            f"{path} has log format {header.format}, this release knows {SEGMENT_FORMAT}",
            "use the release that last opened the database (`cbdd events` names it), or a later "
            "one",
            {"path": path, "segment": header.number, "found": header.format},
        )


def encode_mark(lsn: int, end: int, seed: int) -> bytes:
    """A durability mark."""
    body = struct.pack("<QQ", lsn, end)
    return body + xxhash.xxh3_64_intdigest(body, seed).to_bytes(8, "little")


def decode_mark(data: bytes, seed: int) -> int:
    """The durable LSN a mark proves, 0 when it proves nothing."""
    if len(data) < MARK.size:
        return 0
    lsn, _end, checksum = MARK.unpack_from(data, 0)
    if xxhash.xxh3_64_intdigest(data[:16], seed) != checksum:
        return 0
    proven: int = lsn
    return proven


@mypyc_attr(acyclic=True)
class Frame:
    """One frame, decoded. ``checksum`` is its header checksum, the next frame's chain."""

    def __init__(
        self,
        kind: int,
        flags: int,
        lsn: int,
        chain: int,
        durable_lsn: int,
        time_us: int,
        length: int,
    ) -> None:
        self.kind = kind
        self.flags = flags
        self.lsn = lsn
        self.chain = chain
        self.durable_lsn = durable_lsn
        self.time_us = time_us
        self.length = length
        self.checksum = 0
        self.payload = b""

    def size(self) -> int:
        """Bytes in the segment, padding included."""
        return frame_size(self.length)


_SMALL: Final = 1 << 61  # compiled, what is below is no object
_checksum: Final[Callable[[bytes, int], int]] = xxhash.xxh3_64_intdigest


def frame_size(payload_length: int) -> int:
    """Bytes a frame takes in the segment."""
    return (FRAME_HEADER_BYTES + payload_length + 7) & ~7


def write_u64(writer: BytesWriter, value: int) -> None:
    """Write 64 bits without a sign."""
    if 0 <= value < _SMALL:
        write_i64_le(writer, value)
    else:
        writer.write(value.to_bytes(8, "little"))


def encode_frame(
    kind: int,
    flags: int,
    lsn: int,
    chain: int,
    durable_lsn: int,
    time_us: int,
    payload: bytes,
    seed: int,
    offset: int,
) -> bytes:
    """The bytes of a frame to be written at ``offset``; its checksum is bytes 88 to 95."""
    here = (seed + offset) & MASK
    frame = BytesWriter()
    frame.write(FRAME_MAGIC_BYTES)
    frame.append(kind)
    frame.append(flags)
    write_i16_le(frame, 0)
    write_u64(frame, lsn)
    write_u64(frame, chain)
    write_u64(frame, durable_lsn)
    write_u64(frame, time_us)
    write_i64_le(frame, len(payload))
    frame.write(FRAME_RESERVED)
    write_u64(frame, _checksum(payload, here))
    write_u64(frame, _checksum(frame.getvalue(), here))
    frame.write(payload)
    frame.write(PADDING[: -len(payload) & 7])
    return frame.getvalue()


def decode_frame_header(data: bytes, at: int, seed: int, offset: int) -> Frame | None:
    """The frame header at ``data[at:]``, found at ``offset`` of its segment, or None."""
    if len(data) < at + FRAME_HEADER_BYTES or data[at : at + 4] != FRAME_MAGIC_BYTES:
        return None
    head = data[at : at + FRAME_HEADER_BYTES - 8]
    stored = int.from_bytes(data[at + 88 : at + FRAME_HEADER_BYTES], "little")
    if xxhash.xxh3_64_intdigest(head, (seed + offset) & MASK) != stored:
        return None
    fields = FRAME_HEADER.unpack(head)
    kind: int = fields[1]
    length: int = fields[8]
    if kind not in (COMMIT, PART, SEAL) or length > MAX_PAYLOAD_BYTES:
        return None
    if kind == SEAL and length != SEAL_PAYLOAD.size:
        return None
    frame = Frame(fields[1], fields[2], fields[4], fields[5], fields[6], fields[7], fields[8])
    frame.checksum = stored
    return frame


def payload_is_valid(data: bytes, at: int, frame: Frame, seed: int, offset: int) -> bool:
    """Check the payload that follows the header at ``data[at:]`` and keep it in the frame."""
    start = at + FRAME_HEADER_BYTES
    payload = data[start : start + frame.length]
    if len(payload) < frame.length:
        return False
    stored = int.from_bytes(data[at + 80 : at + 88], "little")
    if xxhash.xxh3_64_intdigest(payload, (seed + offset) & MASK) != stored:
        return False
    frame.payload = payload
    return True


@mypyc_attr(acyclic=True)
class TreeChanges:
    """What a commit does to one tree: dropped first, then created, then keys changed."""

    def __init__(self, tree: int) -> None:
        self.tree = tree
        self.is_created = False
        self.is_dropped = False
        self.entries: dict[bytes, bytes | None] = {}


def encode_commit(operation: str, changes: dict[int, TreeChanges]) -> bytes:
    """The payload of a commit."""
    name = operation.encode("utf-8")[:255]
    payload = BytesWriter()
    payload.append(len(name))
    payload.write(name)
    for tree in sorted(changes) if len(changes) > 1 else changes:
        change = changes[tree]
        if change.is_dropped:
            payload.append(DROP_TREE)
            write_i32_le(payload, tree)
        if change.is_created:
            payload.append(CREATE_TREE)
            write_i32_le(payload, tree)
        if not change.entries:
            continue
        payload.append(CHANGES)
        write_i32_le(payload, tree)
        write_i32_le(payload, len(change.entries))
        for key, value in change.entries.items():
            write_i32_le(payload, len(key))
            if value is None:
                write_i32_le(payload, -1)  # DELETED_LENGTH
                payload.write(key)
            else:
                write_i32_le(payload, len(value))
                payload.write(key)
                payload.write(value)
    return payload.getvalue()


def decode_commit(payload: bytes) -> tuple[str, list[TreeChanges]]:
    """Operation name and changes of a commit payload.

    :raises CorruptDataError: the bytes are not a commit, though their checksum was right.
    """
    try:
        return _decode_sections(payload)
    except (IndexError, ValueError, struct.error) as error:
        raise CorruptDataError(
            "WAL_MALFORMED",
            f"a commit in the log is malformed: {error}",
            "keep every file; open with mode='salvage' to read what is before it",
            {"offset": 0, "length": len(payload)},
        ) from error


def _decode_sections(payload: bytes) -> tuple[str, list[TreeChanges]]:
    position = 1 + payload[0]
    operation = payload[1:position].decode("utf-8", "replace")
    changes: list[TreeChanges] = []
    while position < len(payload):
        tag = payload[position]
        number = int.from_bytes(payload[position + 1 : position + 5], "little")
        position += 5
        if tag == ANNOTATION:
            position += number
            continue
        change = TreeChanges(number)
        changes.append(change)
        if tag == CREATE_TREE:
            change.is_created = True
        elif tag == DROP_TREE:
            change.is_dropped = True
        elif tag == CHANGES:
            position = _decode_entries(payload, position, change)
        else:
            raise ValueError(f"unknown section {tag} at {position - 5}")
    if position != len(payload):
        raise ValueError(f"sections end at {position}, expected {len(payload)}")
    return operation, changes


def _decode_entries(payload: bytes, position: int, change: TreeChanges) -> int:
    total = int.from_bytes(payload[position : position + 4], "little")
    position += 4
    for _ in range(total):
        key_length, value_length = ENTRY.unpack_from(payload, position)
        position += 8
        key = payload[position : position + key_length]
        position += key_length
        if value_length == DELETED_LENGTH:
            change.entries[key] = None
        else:
            change.entries[key] = payload[position : position + value_length]
            position += value_length
    return position
