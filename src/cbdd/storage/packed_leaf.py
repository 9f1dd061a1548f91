"""A leaf as its page has it, cut up only where it is looked at.

Making an object of every key and every value of a page takes as long as fifty look-ups and several
times the memory of the page. So a leaf that is read from disk stays its page until it has been
looked at so often that objects pay, or is to be changed. What is needed to find an entry are the
places of all, which lengths alone do not tell: they are added up once.

The layout is that of node.py. A leaf with a key in a run is never packed.

Invariants: nothing here changes once it is made, so any thread may look. What it answers is what
the lists of the decoded node would.

Source: Graefe, "Modern B-Tree Techniques" (2011), on pages that are searched as they are.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i16_le, read_i32_le, write_i32_le
from mypy_extensions import i32, i64, mypyc_attr

from cbdd.storage.page import (
    HEADER_BYTES,
    IN_RUN,
    LEAF,
    LEAF_SLOT_BYTES,
    RUN_REFERENCE_BYTES,
    decode_run,
)

OBJECT_BYTES: Final = 256
"""What the objects of a packed leaf take beside its page and the places, near enough."""
LOOKS_BEFORE: Final = 16
ENTRIES_OF_A_LOOK: Final = 4
"""Making objects of a leaf costs what so many looks save, and one more for so many entries."""


@mypyc_attr(acyclic=True)
class PackedLeaf:
    """The page of a leaf and where its entries are."""

    def __init__(self, data: bytes, prefix: bytes, places: bytes) -> None:
        """
        :param data: the page, verified.
        :param prefix: of all keys.
        :param places: where each entry begins in the page, four bytes each.
        """
        self.data = data
        self.prefix = prefix
        self._places = places
        size: i64 = len(places)
        self.count: i64 = size >> 2

    def memory_bytes(self) -> int:
        """What it costs in memory, near enough for a budget."""
        return len(self.data) + len(self._places) + OBJECT_BYTES

    def page_number(self) -> int:
        """The number of its page."""
        return int.from_bytes(self.data[16:24], "little")

    def key(self, at: i64) -> bytes:
        """The key of an entry."""
        rest = self._rest(at)
        return self.prefix + rest if self.prefix else rest

    def slot(self, at: i64) -> object:
        """The value of an entry, `bytes` or `Run`."""
        slots: i64 = HEADER_BYTES + LEAF_SLOT_BYTES * at
        start = i64(read_i32_le(self._places, 4 * at)) + _length(self.data, slots)
        length = _length(self.data, slots + 2)
        if length == IN_RUN:
            return decode_run(self.data, start)
        return self.data[start : start + length]

    def first_from(self, key: bytes) -> i64:
        """Number of entries whose key is smaller than ``key``."""
        skip: i64 = len(self.prefix)
        if skip:
            if not key.startswith(self.prefix):
                if key < self.prefix:
                    return 0
                return self.count
            key = key[skip:]
        low: i64 = 0
        high = self.count
        while low < high:
            middle = (low + high) >> 1
            if self._rest(middle) < key:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, key: bytes) -> i64:
        """Index of the entry with a key, or -1."""
        at = self.first_from(key)
        if at < self.count and self.key(at) == key:
            return at
        return -1

    def _rest(self, at: i64) -> bytes:
        start = i64(read_i32_le(self._places, 4 * at))
        length = _length(self.data, HEADER_BYTES + LEAF_SLOT_BYTES * at)
        return self.data[start : start + length]


def _length(data: bytes, at: i64) -> i64:
    return i64(read_i16_le(data, at)) & 0xFFFF


def pack_leaf(data: bytes) -> PackedLeaf | None:
    """The leaf in a verified page; None where `decode_node` must see to it, or refuse it."""
    size: i64 = len(data)
    if size < HEADER_BYTES or data[8] != LEAF or _length(data, 36) != 0:
        return None
    entries = i64(read_i32_le(data, 12))
    skip = _length(data, 38)
    end: i64 = HEADER_BYTES + i64(read_i32_le(data, 40))
    at: i64 = HEADER_BYTES + LEAF_SLOT_BYTES * entries
    start = at
    at += skip
    if entries < 1 or end > size or at > end:
        return None
    places = BytesWriter()
    slot: i64 = HEADER_BYTES
    while slot < start:
        write_i32_le(places, i32(at))
        lengths = i64(read_i32_le(data, slot))
        key_length = lengths & 0xFFFF
        value_length = (lengths >> 16) & 0xFFFF
        if key_length == IN_RUN:
            return None
        if value_length == IN_RUN:
            value_length = RUN_REFERENCE_BYTES
        at += key_length + value_length
        if at > end:
            return None
        slot += LEAF_SLOT_BYTES
    if at != end:
        return None
    return PackedLeaf(data, data[start : start + skip], places.getvalue())
