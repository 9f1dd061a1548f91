"""One page of the data file: header, checksum, geometry, and values that need pages of their own.

Every page, and every run of pages that holds one large value, begins with this header
(little-endian, 72 bytes):

    offset size  field
    0      8     checksum     XXH3-64 of everything after it, seeded with the database seed
    8      1     kind         1 leaf, 2 branch, 3 overflow run, 4 freelist run
    9      1     compression  0 none (reserved)
    10     2     flags        reserved, 0
    12     4     entries      leaf, branch: number of entries; runs: number of pages
    16     8     page         number of this page; of the first page for a run
    24     8     generation   checkpoint that wrote it
    32     4     tree         id of the tree it belongs to, 0 for the storage layer's own
    36     2     level        0 for a leaf, 1 for its parents and so on
    38     2     prefix       leaf, branch: length of the key prefix stored once
    40     4     used         bytes after the header that mean something
    44     28    reserved     for an encryption nonce and tag

Invariants: a page is trusted only when its checksum equals the one its parent holds, so a stale,
torn, misdirected or rotten page is found on read; page number, kind and tree are compared as well
so that the error can say which of these it was. A reference to a page is 16 bytes, page number
and checksum, and is the key of the node cache.
"""

from __future__ import annotations

import struct
from typing import Final

import xxhash
from mypy_extensions import mypyc_attr

from cbdd.errors import CorruptDataError

HEADER: Final = struct.Struct("<QBBHIQQIHHI28s")
HEADER_BYTES: Final = 72
CHECKSUM_BYTES: Final = 8
LEAF: Final = 1
BRANCH: Final = 2
OVERFLOW: Final = 3
FREELIST: Final = 4
KIND_NAMES: Final = {1: "leaf", 2: "branch", 3: "overflow run", 4: "freelist run"}
REFERENCE: Final = struct.Struct("<QQ")
RUN_REFERENCE: Final = struct.Struct("<QQQ")
RUN_REFERENCE_BYTES: Final = 24
RESERVED: Final = bytes(28)
LEAF_SLOT_BYTES: Final = 4
"""Of an entry in a leaf: the lengths of its key and its value."""
IN_RUN: Final = 0xFFFF
"""In place of a length: the bytes are in a run."""

DAMAGED_PAGE_STEP: Final = (
    "run `cbdd doctor` to see what it touches and what to do; other collections stay readable"
)

MIN_PAGE_SIZE: Final = 4096
MAX_PAGE_SIZE: Final = 65536


@mypyc_attr(acyclic=True)
class Run:
    """A value stored in consecutive pages of its own: where it is and what it must hash to."""

    def __init__(self, page: int, length: int, checksum: int) -> None:
        self.page = page
        self.length = length
        self.checksum = checksum

    def encode(self) -> bytes:
        """The 24 bytes that stand for the value in its leaf."""
        return RUN_REFERENCE.pack(self.page, self.length, self.checksum)


def decode_run(data: bytes, offset: int) -> Run:
    """The run whose 24-byte reference stands at ``offset``."""
    page, length, checksum = RUN_REFERENCE.unpack_from(data, offset)
    return Run(page, length, checksum)


def run_page_count(length: int, page_size: int) -> int:
    """Pages taken by a run that holds ``length`` bytes."""
    return (HEADER_BYTES + length + page_size - 1) // page_size


def reference(page: int, checksum: int) -> bytes:
    """The 16 bytes by which a parent names a child page."""
    return REFERENCE.pack(page, checksum)


def reference_page(ref: bytes) -> int:
    """Page number in a reference."""
    return int.from_bytes(ref[:8], "little")


def seal_page(
    kind: int,
    entries: int,
    page: int,
    generation: int,
    tree: int,
    level: int,
    prefix: int,
    body: bytes,
    size: int,
) -> bytes:
    """Header and body, zero-filled to ``size`` bytes, the checksum still zero."""
    header = HEADER.pack(
        0, kind, 0, 0, entries, page, generation, tree, level, prefix, len(body), RESERVED
    )
    return (header + body).ljust(size, b"\0")


def checksum_of(data: bytes, seed: int) -> int:
    """XXH3-64 of a page or run without its checksum field."""
    return xxhash.xxh3_64_intdigest(data[8:], seed)


def with_checksum(data: bytes, seed: int) -> tuple[bytes, int]:
    """The page or run with its checksum field set, and the checksum."""
    rest = data[8:]
    checksum: int = xxhash.xxh3_64_intdigest(rest, seed)
    return checksum.to_bytes(8, "little") + rest, checksum


def verify(data: bytes, page: int, expected: int, length: int, seed: int, page_size: int) -> None:
    """Raise `CorruptDataError` unless ``data`` is the page its parent named."""
    if len(data) == length and checksum_of(data, seed) == expected:
        return
    offset = page * page_size
    details: dict[str, object] = {
        "page": page,
        "offset": offset,
        "expected": f"{expected:016x}",
        "length": len(data),
    }
    if len(data) < length:
        code, what = "PAGE_TRUNCATED", f"the file ends inside it ({len(data)} of {length} bytes)"
    else:
        found = checksum_of(data, seed)
        details["found"] = f"{found:016x}"
        stored = int.from_bytes(data[:8], "little")
        number = int.from_bytes(data[16:24], "little")
        if not any(data):
            code, what = "PAGE_ZEROED", "it holds only zeros"
        elif stored == found and number != page:
            code, what = "PAGE_MISDIRECTED", f"it holds page {number}"
        elif stored == found:
            code, what = "PAGE_STALE", "it holds an older or foreign version of the page"
        else:
            code, what = "PAGE_CHECKSUM", f"checksum {found:016x}, expected {expected:016x}"
    raise CorruptDataError(
        code,
        f"page {page} at offset {offset} is damaged: {what}",
        DAMAGED_PAGE_STEP,
        details,
    )
