"""The beginnings of a node's keys as integers, side by side: what `search.py` looks at first.

A *head* is the first six bytes of a key, after what all keys of the node have in common, as a
big-endian integer, zeros in place of bytes that the key does not have; and in a seventh byte, the
lowest, how many it has, or `GOES_ON` if there are more. So heads are ordered as their keys are, and
of keys with equal heads only those that go on can differ: they alone have to be looked at.

Source: Graefe, "Modern B-Tree Techniques" (2011), on keys of fixed size that stand for longer ones.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_be, read_i64_le, write_i64_le
from mypy_extensions import i64, mypyc_attr

HEAD_BYTES: Final = 6
"""With the one of the length, one less than an integer has, so that none is negative."""
GOES_ON: Final = 0xFF
FEWEST_KEYS: Final = 16
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
    rest = size - start
    if rest >= 8:
        return ((read_i64_be(key, start) >> 16) & 0xFFFF_FFFF_FFFF) << 8 | GOES_ON
    head: i64 = 0
    at = start
    end = min(size, start + HEAD_BYTES)
    while at < end:
        byte: i64 = key[at]
        head = head << 8 | byte
        at += 1
    if rest > HEAD_BYTES:
        return head << 8 | GOES_ON
    return head << (8 * (HEAD_BYTES - rest) + 8) | rest


def first_of_consecutive(keys: list[bytes]) -> i64:
    """The first of keys that are the integers of eight bytes from it on, one by one; else -1.

    :param keys: in order, one at least.
    """
    if len(keys[0]) != 8:
        return -1
    first: i64 = read_i64_be(keys[0], 0)
    for at, key in enumerate(keys):
        if len(key) != 8:
            return -1
        number: i64 = read_i64_be(key, 0)
        if number < 0 or number - first != at:  # negative are those over 2**63
            return -1
    return first


def common_prefix_length(first: bytes, last: bytes) -> int:
    """Length of the longest common prefix."""
    n = min(len(first), len(last))
    if first[:n] == last[:n]:
        return n
    for i in range(n):
        if first[i] != last[i]:
            return i
    return n
