"""The beginnings of a node's keys as integers, side by side: what `search.py` looks at first.

A *head* is the first seven bytes of a key, after what all keys of the node have in common, as a
big-endian integer; zeros stand for bytes that the key does not have. So heads are ordered as their
keys are, and only keys whose heads are equal have to be compared.

Source: Graefe, "Modern B-Tree Techniques" (2011), on keys of fixed size that stand for longer ones.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_be, read_i64_le, write_i64_le
from mypy_extensions import i64, mypyc_attr

HEAD_BYTES: Final = 7
"""One less than an integer has, so that none is negative."""
HEAD_MASK: Final = 0x00FF_FFFF_FFFF_FFFF
FEWEST_KEYS: Final = 40
"""Fewer are found as quickly without."""
MOST_SPAN: Final = 0x100_0000_0000


@mypyc_attr(acyclic=True)
class Heads:
    """The heads of one list of keys; never changed."""

    def __init__(self, prefix: bytes, packed: bytes) -> None:
        """
        :param prefix: what all keys have in common.
        :param packed: integers of 8 bytes, little-endian, ascending, one at least.
        """
        self.prefix = prefix
        self.packed = packed
        size: i64 = len(packed)
        self.count: i64 = size >> 3
        self.first: i64 = read_i64_le(packed, 0)
        self.last: i64 = read_i64_le(packed, size - 8)
        self.shift: i64 = 0  # of differences, so that no product with a count overflows
        while (self.last - self.first) >> self.shift >= MOST_SPAN:
            self.shift += 1


def heads_of(keys: list[bytes]) -> Heads | None:
    """The heads of keys in order; None where there are too few to be worth it."""
    count: i64 = len(keys)
    if count < FEWEST_KEYS:
        return None
    skip: i64 = common_prefix_length(keys[0], keys[count - 1])
    packed = BytesWriter()
    at: i64 = 0
    while at < count:
        write_i64_le(packed, head_of(keys[at], skip))
        at += 1
    return Heads(keys[0][:skip], packed.getvalue())


def head_of(key: bytes, start: i64) -> i64:
    """The head of a key whose first ``start`` bytes all keys have in common."""
    size: i64 = len(key)
    if size - start > HEAD_BYTES:
        return (read_i64_be(key, start) >> 8) & HEAD_MASK
    head: i64 = 0
    at = start
    while at < start + HEAD_BYTES:
        head <<= 8
        if at < size:
            byte: i64 = key[at]
            head |= byte
        at += 1
    return head


def common_prefix_length(first: bytes, last: bytes) -> int:
    """Length of the longest common prefix."""
    n = min(len(first), len(last))
    if first[:n] == last[:n]:
        return n
    for i in range(n):
        if first[i] != last[i]:
            return i
    return n
