"""Where nodes are cut: what goes left and what goes right when entries move between neighbours.

Nothing here knows of versions: the nodes are owned by whoever calls. See `btree.py`.
"""

from __future__ import annotations

from cbdd.storage.heads import common_prefix_length
from cbdd.storage.node import BRANCH_SLOT_BYTES, Limits, Node
from cbdd.storage.page import LEAF_SLOT_BYTES


def shortest_separator(left: bytes, right: bytes) -> bytes:
    """The shortest key that is greater than ``left`` and not greater than ``right``."""
    return right[: common_prefix_length(left, right) + 1]


def even_point(left: Node, right: Node, limits: Limits) -> int:
    """How many entries of two leaves the left one has if each has half of the bytes.

    0 when they would be as good as full: the next insertion would make one overfull again.
    """
    total = left.used + right.used
    used = 0
    # What the first and the last key have in common, all keys of both have.
    prefix = 0
    if not left.has_long_key and not right.has_long_key:
        prefix = common_prefix_length(left.keys[0], right.keys[len(right.keys) - 1])
    count = len(left.keys) + len(right.keys)
    if total - prefix * count > 2 * limits.capacity * 15 // 16:
        return 0
    for at in range(count):
        node, k = (left, at) if at < len(left.keys) else (right, at - len(left.keys))
        size = LEAF_SLOT_BYTES + limits.key_bytes(node.keys[k])
        size += limits.value_bytes(node.values[k])
        if at and used + size > total // 2:
            used -= prefix * (at - 1)
            rest = total - used - prefix * (count - 2)
            return at if max(used, rest) <= limits.capacity else 0
        used += size
    return 0


def middle_of(node: Node, limits: Limits) -> int:
    """Index that halves a node by bytes, leaving at least one element on each side."""
    half = node.used // 2
    total = 0
    n = len(node.keys) if node.level == 0 else len(node.children)
    for i in range(n):
        if node.level == 0:
            total += LEAF_SLOT_BYTES + limits.key_bytes(node.keys[i])
            total += limits.value_bytes(node.values[i])
        else:
            total += BRANCH_SLOT_BYTES
            if i < len(node.keys):
                total += limits.key_bytes(node.keys[i])
        if total >= half:
            return max(1, min(i + 1, n - 1))
    return max(1, n - 1)


def move_to(left: Node, right: Node, count: int) -> None:
    """Move entries between two owned leaves until the left one has ``count``."""
    keys = left.keys + right.keys
    values = left.values + right.values
    left.keys, right.keys = keys[:count], keys[count:]
    left.keys_changed()
    right.keys_changed()
    left.values, right.values = values[:count], values[count:]
    if left.has_long_key or right.has_long_key:
        left.has_long_key = right.has_long_key = True


def end_within(
    keys: list[bytes], values: list[object], start: int, size: int, limits: Limits
) -> int:
    """Where entries from ``start`` on end that take at most ``size`` bytes, or one."""
    used = 0
    for i in range(start, len(keys)):
        used += LEAF_SLOT_BYTES + limits.key_bytes(keys[i]) + limits.value_bytes(values[i])
        if used > size:
            return max(start + 1, i)
    return len(keys)
