"""The data file as pages: reading and verifying nodes and runs, and the cache of clean nodes.

`Pager` reads with ``pread`` (never a memory map: a truncated file must raise an error, not kill
the process), verifies each page against the checksum in its reference, decodes it once and keeps
the node under its 16-byte reference. The budget is shared by clean nodes and dirty ones; when
it is spent the clock algorithm lets clean nodes go, first those not used since the hand last
passed.

Concurrency: lookups and insertions are single dictionary operations; eviction runs under a lock
that is only ever tried, so a reader never waits for another's eviction.

Source: Corbato, "A Paging Experiment with the Multics System" (1968) for the clock algorithm.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from cbdd.errors import CorruptDataError
from cbdd.storage.events import EventLog
from cbdd.storage.io import Io, read_exact, translated
from cbdd.storage.node import (
    HALF_PAGE_FORMAT,
    Limits,
    Node,
    NodeSource,
    decode_node,
    packed_node,
    unpack,
)
from cbdd.storage.packed_leaf import ENTRIES_OF_A_LOOK, LOOKS_BEFORE, pack_leaf
from cbdd.storage.page import (
    CHECKSUM_BYTES,
    DAMAGED_PAGE_STEP,
    HEADER_BYTES,
    Run,
    reference_page,
    run_page_count,
    verify,
)

LARGE_RUN_BYTES: Final = 1 << 20
MAX_PAGE: Final = 1 << 44


class Pager(NodeSource):
    """Clean nodes of one open data file."""

    def __init__(
        self,
        io: Io,
        fd: int,
        path: str,
        page_size: int,
        seed: int,
        cache_size_bytes: int,
        events: EventLog | None = None,
        format_number: int = HALF_PAGE_FORMAT,
    ) -> None:
        """
        :param format_number: what a writer of the file must know, for who makes new nodes.
        """
        super().__init__(Limits(page_size, format_number))
        self._events = events
        self._io = io
        self.fd = fd
        self._path = path
        self.page_size = page_size
        self.seed = seed
        self._budget = cache_size_bytes
        self._nodes: dict[bytes, Node] = {}
        self._clock: deque[bytes] = deque()
        self._clean_bytes = 0
        self.dirty_bytes = 0
        self.evicting = threading.RLock()
        self.pages_read = 0

    @property
    def cached_bytes(self) -> int:
        """Memory taken by clean nodes, estimated."""
        return self._clean_bytes

    def load(self, ref: bytes) -> Node:
        """The node of a page reference.

        :raises CorruptDataError: the page is not the one the reference names.
        """
        node = self.look(ref)
        if node.packed is not None:
            self._unpack(node)
        return node

    def look(self, ref: bytes) -> Node:
        """The node of a page reference, which may be a packed leaf.

        :raises CorruptDataError: the page is not the one the reference names.
        """
        node = self._nodes.get(ref)
        if node is not None:
            node.is_hot = True
            return node
        node = self.look_fresh(ref)
        if node.packed is None:
            node.make_heads()
        self.pages_read += 1
        self.adopt(ref, node)
        return node

    def borrow(self, ref: bytes) -> Node:
        """As in `NodeSource`: leaves are not kept, whose next version is about to be made.

        :raises CorruptDataError: the page is not the one the reference names.
        """
        node = self._nodes.get(ref)
        if node is None:
            node = self._read_node(ref)
            self.pages_read += 1
            if node.level > 0:
                node.make_heads()
                self.adopt(ref, node)
            return node
        if node.level > 0:
            node.is_hot = True
        packed = node.packed
        return node if packed is None else self._decode(ref, packed.data)

    def note_look(self, node: Node) -> bool:
        """As in `NodeSource`."""
        packed = node.packed
        if packed is None:
            return True
        node.searches += 1
        if node.searches < LOOKS_BEFORE + packed.count // ENTRIES_OF_A_LOOK:
            return False
        self._unpack(node)
        return True

    def load_fresh(self, ref: bytes) -> Node:
        """The node of a page reference, read from disk even if it is cached, and not kept."""
        return self._read_node(ref)

    def look_fresh(self, ref: bytes) -> Node:
        """As `load_fresh`, for who can look at a packed leaf."""
        data = self.read_page(ref)
        packed = pack_leaf(data)
        if packed is None:
            return self._decode(ref, data)
        node = packed_node(packed)
        node.ref = ref
        return node

    def cached(self, ref: bytes) -> Node | None:
        """The node of a page reference if it is in memory. It may be a packed leaf."""
        return self._nodes.get(ref)

    def adopt(self, ref: bytes, node: Node) -> None:
        """Put a node that is on disk under the cache's control."""
        if ref in self._nodes:
            return
        size = node.memory_bytes()  # before: what is read and set in one step is not lost
        self._nodes[ref] = node
        self._clock.append(ref)
        self._clean_bytes += size
        if self._clean_bytes + self.dirty_bytes > self._budget:
            self._evict()

    def read_run(self, run: Run) -> bytes:
        """The bytes of a run.

        :raises CorruptDataError: the run is not the one its reference names.
        """
        size = run_page_count(run.length, self.page_size) * self.page_size
        data = self._read(run.page, size, run.checksum)
        return data[HEADER_BYTES : HEADER_BYTES + run.length]

    def read_page(self, ref: bytes) -> bytes:
        """The bytes of a page as they are on disk, verified and not kept.

        :raises CorruptDataError: the page is not the one the reference names.
        """
        page = reference_page(ref)
        return self._read(page, self.page_size, int.from_bytes(ref[8:], "little"))

    def read_run_pages(self, run: Run) -> bytes:
        """The bytes of a run as they are on disk, header and padding included, verified.

        :raises CorruptDataError: the run is not the one its reference names.
        """
        size = run_page_count(run.length, self.page_size) * self.page_size
        return self._read(run.page, size, run.checksum)

    def own_checksum(self, page: int) -> int:
        """The checksum a page carries itself; the one its parent holds is the one that counts."""
        try:
            data = read_exact(self._io, self.fd, CHECKSUM_BYTES, page * self.page_size)
        except OSError as error:
            raise translated(error, f"read page {page}", self._path) from error
        return int.from_bytes(data, "little")

    def forget_all(self) -> None:
        """Empty the cache."""
        with self.evicting:
            self._nodes = {}
            self._clock = deque()
            self._clean_bytes = 0

    def _unpack(self, node: Node) -> None:
        before = node.memory_bytes()
        if not unpack(node, self, self.limits) or node.ref is None:
            return
        if self._nodes.get(node.ref) is not node:
            return  # let go of already, or read twice
        grown = node.memory_bytes() - before
        self._clean_bytes += grown
        if self._clean_bytes + self.dirty_bytes > self._budget:
            self._evict()

    def _read_node(self, ref: bytes) -> Node:
        return self._decode(ref, self.read_page(ref))

    def _decode(self, ref: bytes, data: bytes) -> Node:
        page = reference_page(ref)
        try:
            node = decode_node(data, page, self, self.limits)
        except CorruptDataError as error:
            if "path" not in error.details:  # of the page itself, not of a key in a run
                self._note_damage(error, page)
            raise
        node.ref = ref
        return node

    def _note_damage(self, error: CorruptDataError, page: int) -> None:
        """Say which file it is, and have the flight recorder keep it: some readers go on."""
        error.details["path"] = self._path
        if self._events is not None:
            self._events.record_damage(error, page)

    def _read(self, page: int, length: int, checksum: int) -> bytes:
        if page > MAX_PAGE:
            error = CorruptDataError(
                "PAGE_OUT_OF_RANGE",
                f"a reference names page {page}, which no file can have",
                DAMAGED_PAGE_STEP,
                {"page": page},
            )
            self._note_damage(error, page)
            raise error
        try:
            if length > LARGE_RUN_BYTES and length > self._io.size(self.fd):
                length = LARGE_RUN_BYTES  # it cannot be there: find out without so much memory
            data = read_exact(self._io, self.fd, length, page * self.page_size)
        except OSError as error:
            raise translated(error, f"read page {page}", self._path) from error
        try:
            verify(data, page, checksum, length, self.seed, self.page_size)
        except CorruptDataError as error:
            self._note_damage(error, page)
            raise
        return data

    def _evict(self) -> None:
        """Let clean nodes go until the budget holds, at least a little below it."""
        if not self.evicting.acquire(False):
            return
        try:
            target = max(self._budget - self.dirty_bytes - self._budget // 32, self._budget // 8)
            rounds = 2 * len(self._clock)
            while self._clean_bytes > target and rounds > 0 and self._clock:
                rounds -= 1
                ref = self._clock.popleft()
                node = self._nodes.get(ref)
                if node is None:
                    continue
                if node.is_hot:
                    node.is_hot = False
                    self._clock.append(ref)
                    continue
                size = node.memory_bytes()
                del self._nodes[ref]
                self._clean_bytes -= size
        finally:
            self.evicting.release()


class OnePass(NodeSource):
    """Nodes for who reads a tree once: what is not in memory is read and not kept."""

    def __init__(self, pager: Pager) -> None:
        super().__init__(pager.limits)
        self._pager = pager

    def load(self, ref: bytes) -> Node:
        """The node of a page reference, verified."""
        node = self._pager.cached(ref)
        if node is None or node.packed is not None:
            return self._pager.load_fresh(ref)
        return node

    def look(self, ref: bytes) -> Node:
        """The node of a page reference, verified; it may be a packed leaf."""
        node = self._pager.cached(ref)
        return self._pager.look_fresh(ref) if node is None else node

    def read_run(self, run: Run) -> bytes:
        """Bytes of a run, verified."""
        return self._pager.read_run(run)
