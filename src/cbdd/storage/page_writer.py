"""Writing the nodes of a snapshot to free pages, children first.

Consecutive pages are gathered into one write. Nothing written here is reachable until the meta page
that names it is durable, so a crash or a full disk in the middle costs nothing; nodes in memory are
told where they are (`PageWriter.settle`) only after that.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.storage.freelist import Allocator
from cbdd.storage.io import Io, write_all
from cbdd.storage.node import Node, encode_node, is_large
from cbdd.storage.page import (
    HEADER_BYTES,
    OVERFLOW,
    Run,
    reference,
    run_page_count,
    seal_page,
    with_checksum,
)
from cbdd.storage.pager import Pager
from cbdd.storage.tree import Tree

GATHER_BYTES: Final = 1 << 20
ENTRIES_IN_A_ROW: Final = 512
"""Written without giving others a turn: a tenth of a millisecond."""
ENTRIES_OF_A_PAGE: Final = 24
"""What a page costs as many entries do, besides those it has."""
ENTRIES_OF_A_SECOND: Final = 1_250_000
"""As many for the time that the others took: a fourth of what would be written in it."""
MOST_ENTRIES_IN_A_ROW: Final = 8192
"""For others that take long, too: a few milliseconds."""


# What hardly any node has, shared and never changed: a checkpoint makes one record for each node,
# and lists in all of them would have the collector go through everything the program has.
_NO_RUNS: Final[list[Run]] = []
_NO_REFS: Final[list[bytes]] = []


@mypyc_attr(acyclic=True)
class WrittenNode:
    """A node that is on disk once the checkpoint has succeeded."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.ref = b""
        self.key_runs = _NO_RUNS
        self.value_runs = _NO_RUNS
        """Those of the values that were in memory and are in runs now."""


class PageWriter:
    """Writes pages for one checkpoint."""

    def __init__(self, io: Io, pager: Pager, allocator: Allocator, generation: int) -> None:
        self._io = io
        self._pager = pager
        self._limits = pager.limits
        self._allocator = allocator
        self._generation = generation
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._gathered_start = 0
        self._gathered_end = 0
        self._by_node: dict[int, WrittenNode] = {}
        self._entries_left = ENTRIES_IN_A_ROW  # until others get a turn
        self.written: list[WrittenNode] = []
        self.pages_written = 0

    def write_tree(self, tree: Tree, tree_id: int) -> Tree:
        """The same version with its root on disk."""
        root = tree.root
        if not isinstance(root, Node):
            return tree
        return Tree(self._write_node(root, tree_id), tree.count, tree.large)

    def write_run(self, data: bytes, kind: int, tree_id: int) -> Run:
        """Write bytes to pages of their own."""
        first = self._allocator.pages(run_page_count(len(data), self._limits.page_size))
        return self.write_run_at(first, data, kind, tree_id)

    def write_run_at(self, first: int, data: bytes, kind: int, tree_id: int) -> Run:
        """Write bytes to consecutive pages that were allocated before."""
        size = self._limits.page_size
        count = run_page_count(len(data), size)
        self._entries_left -= count * ENTRIES_OF_A_PAGE
        image = seal_page(kind, count, first, self._generation, tree_id, 0, 0, data, count * size)
        image, checksum = with_checksum(image, self._pager.seed)
        self._put(first, image, count)
        return Run(first, len(data), checksum)

    def flush(self) -> None:
        """Write what has been gathered."""
        if self._gathered:
            offset = self._gathered_start * self._limits.page_size
            write_all(self._io, self._pager.fd, b"".join(self._gathered), offset)
            self._gathered = []
            self._gathered_bytes = 0

    def has_written(self, node: Node) -> bool:
        """Whether the node was among those of the snapshot."""
        return id(node) in self._by_node

    def settle(self, superseded: list[Node]) -> list[tuple[int, int]]:
        """Tell the nodes where they are and give them to the cache.

        :returns: pages written for nodes that commits replaced meanwhile, as (start, count).
        """
        freed: list[tuple[int, int]] = []
        gone: set[int] = set()
        for node in superseded:
            written = self._by_node.get(id(node))
            if written is None or id(node) in gone:
                continue
            gone.add(id(node))
            freed.append((int.from_bytes(written.ref[:8], "little"), 1))
            for run in written.key_runs + written.value_runs:
                freed.append((run.page, run_page_count(run.length, self._limits.page_size)))
        for written in self.written:
            node = written.node
            for i in range(len(node.children)):  # which were written, and so settled, before it
                child = node.children[i]
                if isinstance(child, Node) and child.ref is not None:
                    node.children[i] = child.ref
            if gone and id(node) in gone:
                continue
            if written.value_runs:
                self._settle_values(node, written.value_runs)
            node.key_runs = written.key_runs or None
            node.ref = written.ref
            self._pager.adopt(written.ref, node)
        return freed

    def _write_node(self, node: Node, tree_id: int) -> bytes:
        if node.ref is not None:
            return node.ref
        known = self._by_node.get(id(node))
        if known is not None:
            return known.ref
        record = WrittenNode(node)
        refs = self._write_below(node, tree_id, record)
        if node.has_long_key:
            record.key_runs = [
                self.write_run(key, OVERFLOW, tree_id)
                for key in node.keys
                if len(key) > self._limits.max_key
            ]
        page = self._allocator.page()
        image = encode_node(
            node, page, self._generation, tree_id, self._limits, refs, record.key_runs
        )
        image, checksum = with_checksum(image, self._pager.seed)
        self._put(page, image, 1)
        record.ref = reference(page, checksum)
        node.make_heads()
        self._by_node[id(node)] = record
        self.written.append(record)
        self._entries_left -= len(node.keys) + ENTRIES_OF_A_PAGE
        if self._entries_left < 0:
            waited = self._io.let_others_run()
            earned = min(int(waited * ENTRIES_OF_A_SECOND), MOST_ENTRIES_IN_A_ROW)
            self._entries_left = max(earned, ENTRIES_IN_A_ROW)
        return record.ref

    def _write_below(self, node: Node, tree_id: int, record: WrittenNode) -> list[bytes]:
        """Write what a node refers to; returns the references, as `encode_node` takes them."""
        if node.level == 0:
            for value in node.values:
                if is_large(value, self._limits):
                    return self._write_values(node, tree_id, record)
            return _NO_REFS
        refs: list[bytes] = []
        for child in node.children:
            if isinstance(child, Node):
                refs.append(self._write_node(child, tree_id))
            else:
                assert isinstance(child, bytes)
                refs.append(child)
        return refs

    def _write_values(self, node: Node, tree_id: int, record: WrittenNode) -> list[bytes]:
        refs: list[bytes] = []
        runs: list[Run] = []
        for value in node.values:
            if isinstance(value, Run):
                refs.append(value.encode())
            elif is_large(value, self._limits):
                assert isinstance(value, bytes)
                run = self.write_run(value, OVERFLOW, tree_id)
                runs.append(run)
                refs.append(run.encode())
        record.value_runs = runs
        return refs

    def _settle_values(self, node: Node, runs: list[Run]) -> None:
        """Put the runs in the place of the values they have."""
        at = 0
        for i in range(len(node.values)):
            value = node.values[i]
            if isinstance(value, bytes) and is_large(value, self._limits):
                node.values[i] = runs[at]
                at += 1

    def _put(self, page: int, image: bytes, count: int) -> None:
        self.pages_written += count
        if self._gathered and (page != self._gathered_end or self._gathered_bytes >= GATHER_BYTES):
            self.flush()
        if not self._gathered:
            self._gathered_start = page
        self._gathered.append(image)
        self._gathered_bytes += len(image)
        self._gathered_end = page + count


def freelist_run_bytes(entries: int, entry_size: int, page_size: int) -> int:
    """Length of a freelist run with room for two more entries, filling its pages."""
    needed = (entries + 2) * entry_size
    return run_page_count(needed, page_size) * page_size - HEADER_BYTES
