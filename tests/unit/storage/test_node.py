"""Nodes: pages of them, prefix compression, large keys and values, malformed pages."""

from __future__ import annotations

import random

import pytest

from cbdd.errors import CorruptDataError
from cbdd.storage.freelist import Allocator
from cbdd.storage.heads import common_prefix_length
from cbdd.storage.node import (
    Limits,
    Node,
    decode_node,
    encode_node,
    fits,
    measured,
    stored_prefix,
)
from cbdd.storage.page import HEADER, HEADER_BYTES, OVERFLOW, Run, reference
from cbdd.storage.page_writer import PageWriter
from cbdd.storage.pager import Pager
from cbdd.testing import MemoryDisk, MemoryIo

SIZE = 4096
LIMITS = Limits(SIZE)


class Runs:
    """Runs on a simulated disk, where `decode_node` fetches the keys that are kept in one."""

    def __init__(self) -> None:
        io = MemoryIo(MemoryDisk())
        self.pager = Pager(io, io.open("/db/a", True, False), "/db/a", SIZE, 5, 1 << 20)
        self._writer = PageWriter(io, self.pager, Allocator([], 0, 16), 1)

    def keep(self, data: bytes) -> Run:
        run = self._writer.write_run(data, OVERFLOW, 3)
        self._writer.flush()
        return run

    def decoded(self, page: bytes) -> Node:
        return decode_node(page, 30, self.pager, LIMITS)


def leaf_of(entries: dict[bytes, object]) -> Node:
    node = Node(0, 1)
    node.keys = sorted(entries)
    node.values = [entries[key] for key in node.keys]
    node.used = measured(node, LIMITS)
    return node


def page_of(node: Node, runs: Runs) -> bytes:
    refs: list[bytes] = []
    key_runs = [runs.keep(key) for key in node.keys if len(key) > LIMITS.max_key]
    for value in node.values if node.level == 0 else node.children:
        if isinstance(value, Run):
            refs.append(value.encode())
        elif isinstance(value, bytes) and node.level == 0 and len(value) > LIMITS.max_value:
            refs.append(runs.keep(value).encode())
        elif node.level > 0:
            assert isinstance(value, bytes)
            refs.append(value)
    return encode_node(node, 30, 2, 3, LIMITS, refs, key_runs)


@pytest.mark.parametrize("seed", range(20))
def test_a_leaf_reads_back_as_it_was(seed: int) -> None:
    source = random.Random(seed)
    runs = Runs()
    entries: dict[bytes, object] = {}
    prefix = source.randbytes(source.choice([0, 1, 30]))
    for _ in range(source.randrange(1, 12)):
        key = prefix + source.randbytes(source.choice([0, 1, 8, 40, 600]))
        entries[key] = source.randbytes(source.choice([0, 3, 100, 1500, LIMITS.max_value, 3000]))
    node = leaf_of(entries)
    again = runs.decoded(page_of(node, runs))
    assert again.keys == node.keys
    values = [runs.pager.read_run(v) if isinstance(v, Run) else v for v in again.values]
    assert values == node.values
    assert again.used == node.used
    assert again.level == 0


def test_a_branch_reads_back_as_it_was() -> None:
    runs = Runs()
    node = Node(2, 1)
    node.keys = [b"prefix-a", b"prefix-b" + bytes(700), b"prefix-c"]
    node.children = [reference(i, i + 100) for i in range(4)]
    node.counts = [1, 2, 3, 4]
    node.used = measured(node, LIMITS)
    again = runs.decoded(page_of(node, runs))
    assert (again.keys, again.children, again.counts) == (node.keys, node.children, node.counts)
    assert (again.level, again.used, again.entry_count()) == (2, node.used, 10)
    assert again.key_runs is not None
    assert len(again.key_runs) == 1


def test_a_common_prefix_is_stored_once_and_lets_more_fit() -> None:
    keys = [b"a-long-common-prefix-%04d" % i for i in range(120)]
    node = leaf_of(dict.fromkeys(keys[:100], b""))
    assert stored_prefix(node, LIMITS) == b"a-long-common-prefix-00"
    assert fits(node, LIMITS)
    node = leaf_of({b"a-long-common-prefix-%05d" % i: b"" for i in range(250)})
    assert node.used > LIMITS.capacity
    assert fits(node, LIMITS)
    runs = Runs()
    assert len(page_of(node, runs)) == SIZE
    node.keys.append(b"b")
    node.values.append(b"")
    node.used = measured(node, LIMITS)
    assert not fits(node, LIMITS)


def test_a_key_in_a_run_stops_prefix_compression() -> None:
    node = leaf_of({b"pp" + bytes(600): b"", b"ppa": b""})
    assert stored_prefix(node, LIMITS) == b""
    long = leaf_of({b"pp" + bytes(600): b"", **{b"pp%05d" % i: b"" for i in range(375)}})
    assert long.used > LIMITS.capacity
    long.has_long_key = True
    assert not fits(long, LIMITS)


@pytest.mark.parametrize(
    ("first", "last", "length"),
    [(b"", b"abc", 0), (b"abc", b"abd", 2), (b"ab", b"abc", 2), (b"x", b"y", 0)],
)
def test_common_prefix(first: bytes, last: bytes, length: int) -> None:
    assert common_prefix_length(first, last) == length


def test_a_copy_shares_nothing_that_changes() -> None:
    node = leaf_of({b"a": b"1"})
    copy = node.copy(9)
    copy.keys.append(b"b")
    copy.values.append(b"2")
    assert (node.keys, node.values, node.owner, copy.owner) == ([b"a"], [b"1"], 1, 9)


def changed_header(page: bytes, **fields: int) -> bytes:
    names = ["checksum", "kind", "compression", "flags", "entries", "page", "generation"]
    names += ["tree", "level", "prefix", "used", "reserved"]
    values = dict(zip(names, HEADER.unpack_from(page, 0)))
    values.update(fields)
    return HEADER.pack(*[values[name] for name in names]) + page[HEADER_BYTES:]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": OVERFLOW},
        {"kind": 9},
        {"level": 1},
        {"used": SIZE},
        {"used": 5},
        {"entries": 3},
        {"entries": 60000},
        {"prefix": 4000},
    ],
)
def test_a_page_that_makes_no_sense_is_malformed(fields: dict[str, int]) -> None:
    runs = Runs()
    page = page_of(leaf_of({b"a": b"1", b"b": b"2"}), runs)
    with pytest.raises(CorruptDataError) as caught:
        runs.decoded(changed_header(page, **fields))
    assert caught.value.code == "PAGE_MALFORMED"
    assert caught.value.details == {"page": 30}


@pytest.mark.parametrize("size", [4096, 8192, 65536])
def test_two_values_that_are_not_large_fit_in_a_leaf(size: int) -> None:
    limits = Limits(size)
    leaf = Node(0, 1)
    leaf.keys = [bytes(20), bytes(19) + b"\1"]
    leaf.values = [bytes(limits.max_value)] * 2
    leaf.used = measured(leaf, limits)
    assert limits.max_value > size * 2 // 5
    assert fits(leaf, limits)
    assert Limits(size, 1).max_value == size // 4  # where earlier releases may write, too
