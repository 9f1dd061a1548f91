"""One node of a B+tree in memory, and its page.

A node is a plain object with lists: a leaf has keys and values, a branch has separator keys,
children and the number of entries below each child. ``keys`` of a branch has one element fewer than
``children``; child ``i`` holds the keys ``k`` with ``keys[i-1] <= k < keys[i]``.

A leaf may be *packed*: its page in place of its lists, which are empty. Only who asks a source to
`look` gets such a leaf; from `load`, and from everything else, come lists.

A child is a `Node` while it is not on disk, else the 16-byte reference of its page. A value is
``bytes`` or the `Run` that holds it. An owner token names the write transaction that may change
the node in place; a published node never changes, but for a checkpoint that replaces a child or a
value by the reference of the same bytes on disk. What is noted of its keys (`heads`,
``consecutive_from``: they are the integers of eight bytes from that on, or it is -1) is of its keys
as they are.

Page body (after the header of page.py), leaf of n entries, branch of n children:

    leaf    n x (key length u16, value length u16), prefix, then per entry: key rest, value
    branch  n x (key length u16), prefix,
            then per child: key rest, page u64, checksum u64, count u64

The first child of a branch has an empty key. Length 65535 means that 24 bytes of a run reference
(page u64, length u64, checksum u64) stand in place of the bytes. The prefix is common to all keys
that are stored in place.

Invariants: keys ascend strictly; encode(decode(page)) is the page; a node that fits is never
larger than its page whatever its prefix.
"""

from __future__ import annotations

import struct
from typing import Final

from librt.strings import (
    BytesWriter,
    read_i16_le,
    read_i32_le,
    read_i64_be,
    write_i16_le,
    write_i64_le,
)
from mypy_extensions import i16, i64, mypyc_attr

from cbdd.errors import CorruptDataError
from cbdd.storage.heads import Heads, common_prefix_length, first_of_consecutive, heads_of
from cbdd.storage.packed_leaf import PackedLeaf
from cbdd.storage.page import (
    BRANCH,
    HEADER,
    HEADER_BYTES,
    IN_RUN,
    LEAF,
    LEAF_SLOT_BYTES,
    REFERENCE,
    RUN_REFERENCE_BYTES,
    Run,
    decode_run,
    seal_page,
)

HALF_PAGE_FORMAT: Final = 2
"""The format from which on values of up to half a page are in leaves, before it a quarter."""
KEY_ROOM_BYTES: Final = 64
BRANCH_SLOT_BYTES: Final = 26
# CPython's cost of one bytes object, its place in a list and its head, for the cache budget.
ENTRY_OVERHEAD_BYTES: Final = 104
BRANCH_ENTRY_OVERHEAD_BYTES: Final = 168
NODE_OVERHEAD_BYTES: Final = 480


class Limits:
    """What fits in a page of a given size."""

    def __init__(self, page_size: int, format_number: int = HALF_PAGE_FORMAT) -> None:
        """
        :param format_number: of the file. Nothing depends on it when nodes are read; who writes
            keeps to what the earlier releases that may write the file, too, take for large.
        """
        self.page_size = page_size
        self.capacity = page_size - HEADER_BYTES
        if format_number < HALF_PAGE_FORMAT:
            self.max_value = page_size // 4
        else:  # so that two of them fit, with short keys
            self.max_value = self.capacity // 2 - KEY_ROOM_BYTES
        self.max_key = page_size // 8

    def key_bytes(self, key: bytes) -> int:
        """Bytes a key takes in its page."""
        n = len(key)
        return n if n <= self.max_key else RUN_REFERENCE_BYTES

    def value_bytes(self, value: object) -> int:
        """Bytes a value takes in its leaf."""
        if isinstance(value, bytes):
            n = len(value)
            return n if n <= self.max_value else RUN_REFERENCE_BYTES
        return RUN_REFERENCE_BYTES


# What a leaf or a branch does not have, shared and never changed: fewer lists for the collector.
_NO_VALUES: Final[list[object]] = []
_NO_CHILDREN: Final[list[object]] = []
_NO_COUNTS: Final[list[int]] = []


@mypyc_attr(acyclic=True)
class Node:
    """A leaf (level 0) or a branch."""

    def __init__(self, level: int, owner: int) -> None:
        self.level = level
        self.owner = owner
        self.keys: list[bytes] = []
        if level == 0:
            self.values: list[object] = []
            self.children: list[object] = _NO_CHILDREN
            self.counts: list[int] = _NO_COUNTS
        else:
            self.values = _NO_VALUES
            self.children = []
            self.counts = []
        self.used = 0
        self.ref: bytes | None = None
        self.key_runs: list[Run] | None = None
        self.cut_key: bytes | None = None
        self.has_long_key = False  # some key is, or was, longer than `Limits.max_key`
        self.is_hot = False
        self.heads: Heads | None = None
        self.searches: i64 = 0  # without heads, since the keys last changed
        self.consecutive_from: i64 = -1
        self.packed: PackedLeaf | None = None

    def keys_changed(self) -> None:
        """Forget what was noted of the keys. Whoever changes them calls this, or `key_appended`."""
        self.heads = None
        self.searches = 0
        self.consecutive_from = -1

    def key_appended(self, key: bytes) -> None:
        """As `keys_changed`, for a leaf whose last key is new."""
        self.heads = None
        self.searches = 0
        before = len(self.keys) - 1
        number: i64 = -1
        if len(key) == 8:
            number = read_i64_be(key, 0)
        if number < 0:  # nor are those over 2**63
            self.consecutive_from = -1
        elif before == 0:
            self.consecutive_from = number
        elif number - self.consecutive_from != before:  # a sum might be over 2**63
            self.consecutive_from = -1

    def copy(self, owner: int) -> Node:
        """A private copy for the transaction ``owner``."""
        node = Node(self.level, owner)
        node.keys = self.keys[:]
        if self.level == 0:
            node.values = self.values[:]
        else:
            node.children = self.children[:]
            node.counts = self.counts[:]
        node.used = self.used
        node.has_long_key = self.has_long_key
        node.heads = self.heads
        node.consecutive_from = self.consecutive_from
        return node

    def entry_count(self) -> int:
        """Entries in this node and all below it."""
        if self.level == 0:
            return len(self.keys)
        total = 0
        for n in self.counts:
            total += n
        return total

    def make_heads(self) -> None:
        """Prepare for being searched, when the keys will not change."""
        if self.heads is None and self.consecutive_from < 0 and self.keys:
            if self.level == 0:
                self.consecutive_from = first_of_consecutive(self.keys)
            if self.consecutive_from < 0:
                self.heads = heads_of(self.keys)  # in one step: others may be searching

    def memory_bytes(self) -> int:
        """What the node costs in memory, near enough for a budget."""
        if self.packed is not None:
            return self.packed.memory_bytes() + NODE_OVERHEAD_BYTES
        if self.level == 0:
            return self.used + ENTRY_OVERHEAD_BYTES * len(self.keys) + NODE_OVERHEAD_BYTES
        return self.used + BRANCH_ENTRY_OVERHEAD_BYTES * len(self.children) + NODE_OVERHEAD_BYTES


def measured(node: Node, limits: Limits) -> int:
    """Bytes of the page body without prefix compression."""
    total = 0
    if node.level == 0:
        for i in range(len(node.keys)):
            total += LEAF_SLOT_BYTES + limits.key_bytes(node.keys[i])
            total += limits.value_bytes(node.values[i])
        return total
    total = BRANCH_SLOT_BYTES * len(node.children)
    for key in node.keys:
        total += limits.key_bytes(key)
    return total


def stored_prefix(node: Node, limits: Limits) -> bytes:
    """The prefix that is stored once for all keys; empty when some key is in a run."""
    n = len(node.keys)
    if n < 2:
        return b""
    for key in node.keys:
        if len(key) > limits.max_key:
            return b""
    return node.keys[0][: common_prefix_length(node.keys[0], node.keys[n - 1])]


def fits(node: Node, limits: Limits) -> bool:
    """Whether the node fits in one page; `has_long_key` must be right."""
    if node.used <= limits.capacity:
        return True
    n = len(node.keys)
    if n < 2:
        return False
    saved = common_prefix_length(node.keys[0], node.keys[n - 1]) * (n - 1)
    if node.used - saved > limits.capacity:
        return False
    if not node.has_long_key:
        return True
    saved = len(stored_prefix(node, limits)) * (n - 1)
    return node.used - saved <= limits.capacity


def encode_node(
    node: Node,
    page: int,
    generation: int,
    tree: int,
    limits: Limits,
    refs: list[bytes],
    key_runs: list[Run],
) -> bytes:
    """The page of a node, its checksum still zero.

    :param refs: for a leaf, the reference of each run that a value is in, in key order; for a
        branch, the reference of each child.
    :param key_runs: runs of the keys longer than ``limits.max_key``, in key order.
    """
    prefix = stored_prefix(node, limits)
    body = BytesWriter()
    if node.level == 0:
        kind, entries = LEAF, len(node.keys)
        _append_leaf(body, node, limits, refs, key_runs, prefix)
    else:
        kind, entries = BRANCH, len(node.children)
        _append_branch(body, node, limits, refs, key_runs, prefix)
    return seal_page(
        kind,
        entries,
        page,
        generation,
        tree,
        node.level,
        len(prefix),
        body.getvalue(),
        limits.page_size,
    )


def _append_leaf(
    body: BytesWriter,
    node: Node,
    limits: Limits,
    refs: list[bytes],
    key_runs: list[Run],
    prefix: bytes,
) -> None:
    skip: i64 = len(prefix)
    most: i64 = limits.max_value
    for at, key in enumerate(node.keys):
        _append_key_length(body, key, limits, skip)
        value = node.values[at]
        if isinstance(value, bytes) and len(value) <= most:
            _append_length(body, len(value))
        else:
            _append_length(body, IN_RUN)
    body.write(prefix)
    run: i64 = 0
    value_run: i64 = 0
    for at, key in enumerate(node.keys):
        run = _append_key(body, key, limits, skip, key_runs, run)
        value = node.values[at]
        if isinstance(value, bytes) and len(value) <= most:
            body.write(value)
        else:
            body.write(refs[value_run])
            value_run += 1


def _append_branch(
    body: BytesWriter,
    node: Node,
    limits: Limits,
    refs: list[bytes],
    key_runs: list[Run],
    prefix: bytes,
) -> None:
    skip: i64 = len(prefix)
    _append_length(body, 0)
    for key in node.keys:
        _append_key_length(body, key, limits, skip)
    body.write(prefix)
    body.write(refs[0])
    write_i64_le(body, node.counts[0])
    run: i64 = 0
    for at, key in enumerate(node.keys):
        run = _append_key(body, key, limits, skip, key_runs, run)
        body.write(refs[at + 1])
        write_i64_le(body, node.counts[at + 1])


def _append_length(body: BytesWriter, length: i64) -> None:
    if length > 0x7FFF:  # it is written as one with a sign
        length -= 0x1_0000
    write_i16_le(body, i16(length))


def _append_key_length(body: BytesWriter, key: bytes, limits: Limits, skip: i64) -> None:
    if len(key) > limits.max_key:
        _append_length(body, IN_RUN)
    else:
        _append_length(body, len(key) - skip)


def _append_key(
    body: BytesWriter, key: bytes, limits: Limits, skip: i64, key_runs: list[Run], run: i64
) -> i64:
    """Write what is stored of a key; returns how many keys were in runs so far."""
    if len(key) > limits.max_key:
        body.write(key_runs[run].encode())
        return run + 1
    if skip:
        body.write(key[skip:])
    else:
        body.write(key)
    return run


def is_large(value: object, limits: Limits) -> bool:
    """Whether a value is kept in a run."""
    return not isinstance(value, bytes) or len(value) > limits.max_value


class NodeSource:
    """Where nodes and runs that are not in memory come from; the page file is one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def load(self, ref: bytes) -> Node:
        """The node of a page reference, verified."""
        raise AssertionError("abstract")

    def look(self, ref: bytes) -> Node:
        """As `load`, for who can look at a packed leaf."""
        return self.load(ref)

    def borrow(self, ref: bytes) -> Node:
        """As `load`, for who copies the node at once: it need not be kept."""
        return self.load(ref)

    def note_look(self, node: Node) -> bool:
        """A packed leaf is looked at; returns whether it has got lists now."""
        return False

    def read_run(self, run: Run) -> bytes:
        """Bytes of a run, verified."""
        raise AssertionError("abstract")


def packed_node(packed: PackedLeaf) -> Node:
    """The leaf of a page, without lists."""
    node = Node(0, 0)
    node.packed = packed
    return node


def unpack(node: Node, reader: NodeSource, limits: Limits) -> bool:
    """Give a leaf its lists; returns whether it had none.

    Others may be looking at it: they see it as it was, or as it is.
    """
    packed = node.packed
    if packed is None:
        return False
    made = decode_node(packed.data, packed.page_number(), reader, limits)
    node.keys = made.keys
    node.values = made.values
    node.used = made.used
    node.searches = 0
    node.make_heads()
    if node.packed is None:
        return False  # another thread was faster
    node.packed = None
    return True


def decode_node(data: bytes, page: int, reader: NodeSource, limits: Limits) -> Node:
    """The node stored in a verified page."""
    fields = HEADER.unpack_from(data, 0)
    kind: int = fields[1]
    entries: int = fields[4]
    level: int = fields[8]
    skip: int = fields[9]
    used: int = fields[10]
    slots = entries * 2 if kind == LEAF else entries
    position = HEADER_BYTES + slots * 2
    end = HEADER_BYTES + used
    if kind not in (LEAF, BRANCH) or (kind == LEAF) != (level == 0) or end > len(data):
        raise malformed(page, f"kind {kind}, level {level}, {used} bytes used")
    if position + skip > end or entries < 1:
        raise malformed(page, f"{entries} entries do not fit")
    prefix = data[position : position + skip]
    position += skip
    node = Node(level, 0)
    try:
        if kind == LEAF:
            position = _decode_leaf(node, data, position, entries, prefix, reader)
        else:
            position = _decode_branch(node, data, position, entries, prefix, reader)
    except struct.error as error:  # a reference beyond the end of the page
        raise malformed(page, str(error)) from error
    if position != end:
        raise malformed(page, f"entries end at {position}, expected {end}")
    node.used = used + skip * (len(node.keys) - 1)
    return node


def _decode_leaf(
    node: Node,
    data: bytes,
    position: i64,
    entries: i64,
    prefix: bytes,
    reader: NodeSource,
) -> i64:
    keys = node.keys
    values = node.values
    slot: i64 = HEADER_BYTES
    behind: i64 = HEADER_BYTES + LEAF_SLOT_BYTES * entries
    while slot < behind:
        lengths = i64(read_i32_le(data, slot))
        slot += LEAF_SLOT_BYTES
        length = lengths & 0xFFFF
        if length == IN_RUN:
            keys.append(_key_from_run(node, data, position, reader))
            position += RUN_REFERENCE_BYTES
        else:
            key = data[position : position + length]
            keys.append(prefix + key if prefix else key)
            position += length
        length = (lengths >> 16) & 0xFFFF
        if length == IN_RUN:
            values.append(decode_run(data, position))
            position += RUN_REFERENCE_BYTES
        else:
            values.append(data[position : position + length])
            position += length
    return position


def _decode_branch(
    node: Node,
    data: bytes,
    position: i64,
    entries: i64,
    prefix: bytes,
    reader: NodeSource,
) -> i64:
    i: i64 = 0
    while i < entries:
        length = i64(read_i16_le(data, HEADER_BYTES + 2 * i)) & 0xFFFF
        if i:
            if length == IN_RUN:
                node.keys.append(_key_from_run(node, data, position, reader))
                position += RUN_REFERENCE_BYTES
            else:
                node.keys.append(prefix + data[position : position + length])
                position += length
        node.children.append(data[position : position + REFERENCE.size])
        position += REFERENCE.size
        node.counts.append(int.from_bytes(data[position : position + 8], "little"))
        position += 8
        i += 1
    return position


def _key_from_run(node: Node, data: bytes, position: i64, reader: NodeSource) -> bytes:
    run = decode_run(data, position)
    if node.key_runs is None:
        node.key_runs = []
        node.has_long_key = True
    node.key_runs.append(run)
    return reader.read_run(run)


def malformed(page: int, what: str) -> CorruptDataError:
    """The error for a page whose checksum is right and whose contents make no sense."""
    return CorruptDataError(
        "PAGE_MALFORMED",
        f"page {page} is malformed: {what}",
        "run `cbdd check`; report this, the checksum says the page was written like this",
        {"page": page},
    )
