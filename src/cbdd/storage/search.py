"""Finding a key in a node.

The keys of a node are objects that lie anywhere in memory: bisecting waits for memory at each
comparison. Nodes that will not change, because they are on disk, have heads (see `heads.py`), and
others get them when they have been searched often enough without a change. Heads are searched from
where the key would be if keys were evenly spread.

A leaf whose keys are consecutive integers, as record ids mostly are, needs neither: a key says
where it is, and none of the leaf's is looked at.

Invariants: the heads are those of the node's keys, in their order, and what
`Node.consecutive_from` says of the keys is so: whoever changes them calls `Node.keys_changed`. The
answers are those of ``bisect``.

Source: Perl, Itai and Avni, "Interpolation search" (1978).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import Final

from librt.strings import read_i64_be, read_i64_le
from mypy_extensions import i64

from cbdd.storage.heads import GOES_ON, Heads, head_of
from cbdd.storage.node import Node

SEARCHES_BEFORE: Final = 8
KEYS_OF_A_SEARCH: Final = 8
"""Making heads costs about what so many bisections do, and one more for so many keys."""

MOST_DISTANT: Final = 1 << 32
"""More than a node has keys."""

Bisection = Callable[[list[bytes], bytes, int, int], int]
BISECT_LEFT: Final[Bisection] = bisect.bisect_left  # so that no name is looked up where it is used
_RIGHT: Final[Bisection] = bisect.bisect_right


def search_left(node: Node, key: bytes) -> int:
    """Number of keys of a node that are smaller than ``key``."""
    return _search(node, key, False)


def search_right(node: Node, key: bytes) -> int:
    """Number of keys of a node that are not greater than ``key``."""
    return _search(node, key, True)


def search_edge(node: Node, key: bytes) -> int:
    """The same as `search_right`, with a look at the last key first: many keys come in order."""
    keys = node.keys
    n = len(keys)
    return n if n == 0 or key >= keys[n - 1] else _search(node, key, True)


def search_place(node: Node, key: bytes) -> i64:
    """Index of a key in a leaf; where it is not, -1 less the index at which it belongs."""
    keys = node.keys
    count: i64 = len(keys)
    if node.consecutive_from >= 0 and len(key) == 8:
        at = _distance(node, key)
        if at < 0:
            return -1
        if at < count:
            return at
        return -1 - count
    heads = node.heads
    if heads is None:
        if count == 0 or key > keys[count - 1]:
            return -1 - count
        heads = _earned(node)
    if heads is None:
        low: i64 = BISECT_LEFT(keys, key, 0, count)
        if keys[low] == key:
            return low
        return -1 - low
    if heads.prefix and not key.startswith(heads.prefix):
        if key < heads.prefix:
            return -1
        return -1 - count
    head = head_of(key, len(heads.prefix))
    low = _first_from(heads, head)
    if low == count or read_i64_le(heads.packed, 8 * low) != head:
        return -1 - low
    if head & GOES_ON != GOES_ON or keys[low] == key:
        return low
    low = BISECT_LEFT(keys, key, low, _first_from(heads, head + 1))
    if low < count and keys[low] == key:
        return low
    return -1 - low


def _distance(node: Node, key: bytes) -> i64:
    """How far a key of eight bytes is beyond the first of consecutive ones; or `MOST_DISTANT`."""
    number: i64 = read_i64_be(key, 0)
    if number < 0:  # it is over 2**63
        return MOST_DISTANT
    return min(number - node.consecutive_from, MOST_DISTANT)


def _search(node: Node, key: bytes, counts_equal: bool) -> int:
    keys = node.keys
    if node.consecutive_from >= 0 and len(key) == 8:
        at = _distance(node, key)
        if at < 0:
            return 0
        return min(at + 1 if counts_equal else at, len(keys))
    heads = node.heads
    if heads is None:
        heads = _earned(node)
    if heads is None:
        low = 0
        high = len(keys)
    elif heads.prefix and not key.startswith(heads.prefix):
        return 0 if key < heads.prefix else len(keys)
    else:
        head = head_of(key, len(heads.prefix))
        low = _first_from(heads, head)
        if low == heads.count or read_i64_le(heads.packed, 8 * low) != head:
            return low
        if head & GOES_ON != GOES_ON:  # the key itself
            return low + 1 if counts_equal else low
        high = _first_from(heads, head + 1)
    return _RIGHT(keys, key, low, high) if counts_equal else BISECT_LEFT(keys, key, low, high)


def _earned(node: Node) -> Heads | None:
    """Heads made because the node is searched again and again, or None."""
    node.searches += 1
    if node.searches == SEARCHES_BEFORE + len(node.keys) // KEYS_OF_A_SEARCH:
        node.make_heads()
    return node.heads


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
