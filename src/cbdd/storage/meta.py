"""The meta page: what the database file is and where its trees begin.

There are two slots, written in turn, each in two copies in distant blocks of the file's first
64 KiB, which hold nothing else whatever the page size:

    slot 0   offsets     0 and 32768
    slot 1   offsets 16384 and 49152

A copy is 512 bytes (little-endian), the rest of its 4096-byte block is zero:

    offset size  field
    0      8     magic               89 43 42 44 44 0d 0a 1a
    8      2     minimum reader      format number a reader must know
    10     2     minimum writer      format number a writer must know
    12     4     page size           bytes
    16     16    database UUID
    32     8     generation          number of the checkpoint, greater wins
    40     8     flags               bit 0: clean, no log belongs to it
    48     8     page count          pages in use from the file's start, header region included
    56     8     checkpoint LSN      every commit up to it is in the trees
    64     24    directory           page, checksum and entry count of the tree of trees
    88     24    freelist            page, length and checksum of its run; length 0: none
    112    16    first segment       number and salt of the first log segment needed
    128    8     next segment        number never used before
    136    8     timeline            changes whenever history is cut
    144    8     written             wall time, microseconds
    152    8     created             wall time, microseconds
    160    8     chain               checksum of the frame of the checkpoint LSN
    168    24    feature flags       may ignore (bit 0: the log is archived), must not write,
                                    must not read
    192    32    writer version      UTF-8, zero-padded
    224    112   reserved            key id (16) and wrapped key (96) for encryption
    336    168   reserved            0
    504    8     checksum            XXH3-64 of bytes 0 to 503

Flags that may be ignored are kept by a release that writes and does not know them; it does not keep
reserved bytes, so whatever is put there needs a flag or a format number that forbids writing.

Invariants: the newest valid slot wins; both slots stay readable to their roots and logs until the
next one is durable, so one slot may be lost; after a clean close both slots are clean and name
the same root; a clean meta has no log beside it, so a segment with commits next to it is refused.
"""

from __future__ import annotations

import struct
from typing import Final

import xxhash

from cbdd.errors import CorruptDataError, NewerFormatError, NotADatabaseError, ReadOnlyError
from cbdd.storage.io import Io, read_exact, write_all
from cbdd.storage.page import MAX_PAGE_SIZE, MIN_PAGE_SIZE

MAGIC: Final = b"\x89CBDD\r\n\x1a"
FORMAT: Final = 2
HEADER_REGION_BYTES: Final = 65536
META_BYTES: Final = 512
META_BLOCK_BYTES: Final = 4096
CHECKSUM_OFFSET: Final = 504
SLOT_OFFSETS: Final = ((0, 32768), (16384, 49152))
FLAG_CLEAN: Final = 1
LOG_ARCHIVED: Final = 1  # of the flags that may be ignored
RECORD: Final = struct.Struct("<8sHHI16sQQQQQQQQQQQQQQQQQQQQ32s")
UUID_OFFSET: Final = 16


class Meta:
    """One meta page, decoded."""

    def __init__(self) -> None:
        self.min_reader = FORMAT
        self.min_writer = FORMAT
        self.page_size = 8192
        self.uuid = bytes(16)
        self.generation = 0
        self.is_clean = True
        self.page_count = 0
        self.checkpoint_lsn = 0
        self.directory_page = 0
        self.directory_checksum = 0
        self.directory_count = 0
        self.freelist_page = 0
        self.freelist_length = 0
        self.freelist_checksum = 0
        self.first_segment = 0
        self.first_salt = 0
        self.next_segment = 1
        self.timeline = 0
        self.written_us = 0
        self.created_us = 0
        self.chain = 0
        self.may_ignore = 0
        self.must_not_write = 0
        self.must_not_read = 0
        self.writer_version = ""
        self.slot = 0

    def copy(self) -> Meta:
        """Another meta page with the same contents."""
        return decode_meta(self.encode(), self.slot)

    def encode(self) -> bytes:
        """The 512 bytes."""
        body = RECORD.pack(
            MAGIC,
            self.min_reader,
            self.min_writer,
            self.page_size,
            self.uuid,
            self.generation,
            FLAG_CLEAN if self.is_clean else 0,
            self.page_count,
            self.checkpoint_lsn,
            self.directory_page,
            self.directory_checksum,
            self.directory_count,
            self.freelist_page,
            self.freelist_length,
            self.freelist_checksum,
            self.first_segment,
            self.first_salt,
            self.next_segment,
            self.timeline,
            self.written_us,
            self.created_us,
            self.chain,
            self.may_ignore,
            self.must_not_write,
            self.must_not_read,
            self.writer_version.encode()[:32],
        ).ljust(CHECKSUM_OFFSET, b"\0")
        return body + xxhash.xxh3_64_intdigest(body).to_bytes(8, "little")


def decode_meta(data: bytes, slot: int) -> Meta:
    """The meta page in 512 bytes whose checksum was verified."""
    meta = Meta()
    fields = RECORD.unpack_from(data, 0)
    meta.min_reader = fields[1]
    meta.min_writer = fields[2]
    meta.page_size = fields[3]
    meta.uuid = fields[4]
    meta.generation = fields[5]
    flags: int = fields[6]
    meta.is_clean = flags & FLAG_CLEAN != 0
    meta.page_count = fields[7]
    meta.checkpoint_lsn = fields[8]
    meta.directory_page = fields[9]
    meta.directory_checksum = fields[10]
    meta.directory_count = fields[11]
    meta.freelist_page = fields[12]
    meta.freelist_length = fields[13]
    meta.freelist_checksum = fields[14]
    meta.first_segment = fields[15]
    meta.first_salt = fields[16]
    meta.next_segment = fields[17]
    meta.timeline = fields[18]
    meta.written_us = fields[19]
    meta.created_us = fields[20]
    meta.chain = fields[21]
    meta.may_ignore = fields[22]
    meta.must_not_write = fields[23]
    meta.must_not_read = fields[24]
    version: bytes = fields[25]
    meta.writer_version = version.rstrip(b"\0").decode("utf-8", "replace")
    meta.slot = slot
    return meta


class MetaCopy:
    """What was found at one of the four places of a meta page."""

    def __init__(self, slot: int, offset: int, status: str, meta: Meta | None) -> None:
        self.slot = slot
        self.offset = offset
        self.status = status  # valid, zero, checksum, foreign, short
        self.meta = meta


def read_copies(io: Io, fd: int) -> list[MetaCopy]:
    """All four copies, each judged."""
    copies: list[MetaCopy] = []
    for slot in range(2):
        for offset in SLOT_OFFSETS[slot]:
            data = read_exact(io, fd, META_BYTES, offset)
            copies.append(_judge(data, slot, offset))
    return copies


def raw_slots(io: Io, fd: int) -> bytes:
    """Both slots as they are; equal bytes mean that no checkpoint or close was completed since."""
    return b"".join([read_exact(io, fd, META_BYTES, offsets[0]) for offsets in SLOT_OFFSETS])


def _judge(data: bytes, slot: int, offset: int) -> MetaCopy:
    if len(data) < META_BYTES:
        return MetaCopy(slot, offset, "short", None)
    if not any(data):
        return MetaCopy(slot, offset, "zero", None)
    if data[: len(MAGIC)] != MAGIC:
        return MetaCopy(slot, offset, "foreign", None)
    stored = int.from_bytes(data[CHECKSUM_OFFSET:META_BYTES], "little")
    if xxhash.xxh3_64_intdigest(data[:CHECKSUM_OFFSET]) != stored:
        return MetaCopy(slot, offset, "checksum", None)
    return MetaCopy(slot, offset, "valid", decode_meta(data, slot))


def choose(copies: list[MetaCopy], path: str) -> Meta:
    """The newest valid meta page.

    :raises NotADatabaseError: nothing in the file looks like a meta page.
    :raises CorruptDataError: meta pages are there and none is valid.
    :raises NewerFormatError: this release cannot read the file.
    """
    best: Meta | None = None
    for copy in copies:
        if copy.meta is not None and (best is None or copy.meta.generation > best.generation):
            best = copy.meta
    states = [f"offset {copy.offset}: {copy.status}" for copy in copies]
    details: dict[str, object] = {"path": path, "copies": states}
    if best is None:
        if any([copy.status == "checksum" for copy in copies]):
            raise CorruptDataError(
                "META_DAMAGED",
                f"no meta page of {path} is valid ({'; '.join(states)})",
                "keep the file and its log; run `cbdd recover`, or restore a backup",
                details,
            )
        raise NotADatabaseError(
            "NOT_A_DATABASE",
            f"{path} is not a CBDD database",
            "check the path",
            details,
        )
    require_readable(best, path, details)
    if not MIN_PAGE_SIZE <= best.page_size <= MAX_PAGE_SIZE:
        raise CorruptDataError(
            "META_MALFORMED", f"page size {best.page_size} in {path}", "report this", details
        )
    return best


def require_readable(meta: Meta, path: str, details: dict[str, object] | None = None) -> None:
    """Raise `NewerFormatError` when this release must not even read the file.

    :param details: facts for the error; the format and the release that wrote it are added.
    """
    if meta.min_reader <= FORMAT and not meta.must_not_read:
        return
    raise NewerFormatError(
        "NEWER_FORMAT",
        f"{path} {_needs(meta.min_reader, meta.must_not_read)} to be read, this release knows "
        f"format {FORMAT}",
        f"install cbdd {_writer_of(meta)} or later",
        {
            **(details or {"path": path}),
            "min_reader": meta.min_reader,
            "must_not_read": meta.must_not_read,
            "writer_version": meta.writer_version,
        },
    )


def is_writable(meta: Meta) -> bool:
    """Whether this release may write a file that it can read."""
    return meta.min_writer <= FORMAT and not meta.must_not_write


def require_writable(meta: Meta, path: str) -> None:
    """Raise `ReadOnlyError` when this release may read the file but not write it."""
    if is_writable(meta):
        return
    raise ReadOnlyError(
        "NEWER_FORMAT_READ_ONLY",
        refusal_to_write(meta, path),
        f"open with read_only=True, or install cbdd {_writer_of(meta)} or later",
        {
            "path": path,
            "min_writer": meta.min_writer,
            "must_not_write": meta.must_not_write,
            "writer_version": meta.writer_version,
        },
    )


def refusal_to_write(meta: Meta, path: str) -> str:
    """Why this release must not write a file, in words."""
    return (
        f"{path} {_needs(meta.min_writer, meta.must_not_write)} to be written, this release knows "
        f"format {FORMAT}"
    )


def _needs(number: int, flags: int) -> str:
    """What a release must know."""
    if number > FORMAT or not flags:
        return f"needs format {number}"
    return f"needs the feature with flags {flags:#x}"


def _writer_of(meta: Meta) -> str:
    return meta.writer_version or "of a later version"


def write_meta(io: Io, fd: int, meta: Meta) -> None:
    """Write both copies of a slot; the caller syncs."""
    block = meta.encode().ljust(META_BLOCK_BYTES, b"\0")
    for offset in SLOT_OFFSETS[meta.slot]:
        write_all(io, fd, block, offset)
