"""Finding a key in a node.

The keys of a node are objects that lie anywhere in memory: bisecting waits for memory at each
comparison. A node that is searched again and again gets *heads*: the first seven bytes of each key,
after what all keys have in common, as integers side by side. They are searched first, from where
the key would be if keys were evenly spread; only keys whose heads are equal are compared.

Invariants: the heads are those of the node's keys, in their order: whoever changes the keys calls
`Node.keys_changed`. Heads never change, so copies share them. The answers are those of ``bisect``.

Source: Graefe, "Modern B-Tree Techniques" (2011) for keys of fixed size that stand for longer ones;
Perl, Itai and Avni, "Interpolation search" (1978).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

from librt.strings import BytesWriter, read_i64_be, read_i64_le, write_i64_le
from mypy_extensions import i64

from cbdd.storage.node import Heads, Node, common_prefix_length

HEAD_BYTES: Final = 7
"""One less than an integer has, so that none is negative."""
HEAD_MASK: Final = 0x00FF_FFFF_FFFF_FFFF
FEWEST_KEYS: Final = 24
"""Fewer are found as quickly without."""
SEARCHES_BEFORE: Final = 8
"""Searches without a change of keys in between: then heads will soon have been worth the making."""


def search_left(node: Node, key: bytes) -> int:
    """Number of keys of a node that are smaller than ``key``."""
    heads = node.heads
    if heads is None:
        heads = _make_heads(node)
        if heads is None:
            return bisect_left(node.keys, key)
    keys = node.keys
    if heads.prefix and not key.startswith(heads.prefix):
        return 0 if key < heads.prefix else len(keys)
    head = head_of(key, len(heads.prefix))
    at = _first_from(heads, head)
    if at == heads.count or keys[at] >= key:
        return at
    return bisect_left(keys, key, at, _first_from(heads, head + 1))


def search_right(node: Node, key: bytes) -> int:
    """Number of keys of a node that are not greater than ``key``."""
    heads = node.heads
    if heads is None:
        heads = _make_heads(node)
        if heads is None:
            return bisect_right(node.keys, key)
    keys = node.keys
    if heads.prefix and not key.startswith(heads.prefix):
        return 0 if key < heads.prefix else len(keys)
    head = head_of(key, len(heads.prefix))
    at = _first_from(heads, head)
    if at == heads.count or keys[at] > key:
        return at
    return bisect_right(keys, key, at, _first_from(heads, head + 1))


def head_of(key: bytes, start: i64) -> i64:
    """The bytes of a key from ``start`` on that its head has, zeros for those it has not."""
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


def _make_heads(node: Node) -> Heads | None:
    """The heads of a node that has been searched often enough since its keys changed, or None."""
    keys = node.keys
    count: i64 = len(keys)
    if count < FEWEST_KEYS:
        return None
    node.searches += 1
    if node.searches < SEARCHES_BEFORE:
        return None
    skip: i64 = common_prefix_length(keys[0], keys[count - 1])
    packed = BytesWriter()
    at: i64 = 0
    while at < count:
        write_i64_le(packed, head_of(keys[at], skip))
        at += 1
    heads = Heads(keys[0][:skip], packed.getvalue())
    node.heads = heads  # in one step: others may be searching
    return heads


def _first_from(heads: Heads, head: i64) -> i64:
    """Index of the first head that is not smaller than ``head``; the number of heads if all are."""
    count = heads.count
    if head <= heads.first:
        return 0
    if head > heads.last:
        return count
    packed = heads.packed
    span = (heads.last - heads.first) >> heads.shift
    low: i64 = 1  # all before are smaller
    high = count - 1  # this one is not
    if span > 0:
        at = ((head - heads.first) >> heads.shift) * (count - 1) // span
        step: i64 = 1
        if at < high and read_i64_le(packed, 8 * at) < head:
            low = at + 1
            at = low
            while at < high and read_i64_le(packed, 8 * at) < head:
                low = at + 1
                at += step
                step += step
            high = min(high, at)
        else:
            high = min(high, at)
            at -= 1
            while at >= low and read_i64_le(packed, 8 * at) >= head:
                high = at
                at -= step
                step += step
            if at >= low:
                low = at + 1
    while low < high:
        middle = (low + high) >> 1
        if read_i64_le(packed, 8 * middle) < head:
            low = middle + 1
        else:
            high = middle
    return low
