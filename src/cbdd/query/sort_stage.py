"""Sorting in memory, and on disk what memory does not hold.

Sort keys, record keys and documents are gathered in lists of their own, and what is sorted are
their positions: an object for each entry would be compared by way of its first field, and looked
at by the garbage collector. When they outgrow the memory they are sorted and written to a temporary
file as one run, without the documents; at the end the runs are merged and the documents fetched
again. The file has no name, is readable by nobody else and vanishes with the stage. A query that
forbids the disk is refused at that point, as MongoDB does.

With a limit only the first documents are kept, in a heap, which never spills; a limit beyond
`MAX_HEAP_DOCUMENTS` is sorted like everything.

A run is a row of entries: length of the key (4 bytes, little-endian), number of arrival (8), record
key (8), key. Runs follow one another and are read back in pieces.
"""

from __future__ import annotations

import heapq
import tempfile
from typing import IO, Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.refusal import refusal
from cbdd.index.key_string import invert
from cbdd.query.sort import SortPattern
from cbdd.query.stages import RECORD_ID_BYTES, Stage, fetch_record
from cbdd.storage import ReadTransaction

SORT_MEMORY_BYTES: Final = 100 << 20
"""What a sort keeps in memory before it uses the disk; MongoDB's limit."""

MAX_HEAP_DOCUMENTS: Final = 10_000

_NO_DISK_USE: Final = 292
_ENTRY_BYTES: Final = 200
"""What an entry costs in memory beside its key and its document."""
_HEAD_BYTES: Final = 20
_READ_BYTES: Final = 1 << 18


class Sort(Stage):
    """All documents of the stage below, in order; with `needed` above 0 only the first of them.

    Equal documents keep the order they came in.
    """

    def __init__(
        self,
        txn: ReadTransaction,
        entry: CollectionEntry,
        child: Stage,
        pattern: SortPattern,
        needed: int,
        may_use_disk: bool = True,
        memory_bytes: int = SORT_MEMORY_BYTES,
    ) -> None:
        super().__init__(child)
        self.source = child
        self.txn = txn
        self.entry = entry
        self.pattern = pattern
        self.needed = needed
        self.may_use_disk = may_use_disk
        self.memory_bytes = memory_bytes
        self.sorted_bytes = 0
        self.spills = 0
        self._held_bytes = 0
        self._keys: list[bytes] = []
        self._record_keys: list[bytes] = []
        self._documents: list[bytes] = []
        self._order: list[int] = []
        self._spilled = 0
        self._next = -1
        self._runs: _Runs | None = None

    def advance(self) -> bool:
        if self._next < 0:
            self._read_all()
        if self._runs is not None:
            return self._advance_runs(self._runs)
        if self._next >= len(self._order):
            return False
        at = self._order[self._next]
        self.record_key = self._record_keys[at]
        self.document = self._documents[at]
        self._next += 1
        return True

    def _advance_runs(self, runs: _Runs) -> bool:
        record_key = runs.next()
        if not record_key:
            return False
        self.record_key = record_key
        self.document = fetch_record(self.txn, self.entry, record_key, "sort")
        return True

    def _read_all(self) -> None:
        self._next = 0
        if 0 < self.needed <= MAX_HEAP_DOCUMENTS:
            self._read_first(self.needed)
            return
        while self.source.step():
            document = self.source.document
            key = self.pattern.key(document)
            self._keys.append(key)
            self._record_keys.append(self.source.record_key)
            self._documents.append(document)
            size = len(key) + len(document)
            self.sorted_bytes += size
            self._held_bytes += size + _ENTRY_BYTES
            if self._held_bytes > self.memory_bytes:
                self._spill()
        if self._runs is None:
            self._sort()
            return
        if self._keys:
            self._spill()
        self._runs.begin()

    def _sort(self) -> None:
        """Put the positions in order; equal keys stay as they came, since the sort is stable."""
        self._order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        self._keys = []

    def _spill(self) -> None:
        """Write what is held as one run."""
        if not self.may_use_disk:
            raise refusal(
                _NO_DISK_USE,
                f"Executor error during find command: Sort exceeded memory limit of "
                f"{self.memory_bytes} bytes, but did not opt in to external sorting. Pass "
                "allow_disk_use=True, add an index on the sort, or set a limit.",
            )
        if self._runs is None:
            self._runs = _Runs()
        keys = self._keys
        self._sort()
        self._runs.write(keys, self._record_keys, self._order, self._spilled)
        self.spills += 1
        self._spilled += len(keys)
        self._record_keys = []
        self._documents = []
        self._order = []
        self._held_bytes = 0

    def _read_first(self, needed: int) -> None:
        """Keep the `needed` smallest entries in a heap with the largest of them on top.

        Python's heaps have the smallest on top, so keys are held inverted and numbers negated.
        An inverted key sorts the other way because no key is the beginning of another.
        """
        heap: list[tuple[bytes, int, bytes, bytes]] = []
        number = 0
        largest = b""
        while self.source.step():
            document = self.source.document
            key = self.pattern.key(document)
            is_full = len(heap) == needed
            if is_full and key >= largest:
                continue  # most of them; what is as large came before
            number += 1
            entry = (invert(key), -number, self.source.record_key, document)
            if is_full:
                heapq.heapreplace(heap, entry)
            else:
                self.sorted_bytes += len(document)
                heapq.heappush(heap, entry)
            if len(heap) == needed:
                largest = invert(heap[0][0])
        heap.sort(reverse=True)
        for _, _, record_key, document in heap:
            self._record_keys.append(record_key)
            self._documents.append(document)
        self._order = list(range(len(heap)))


class _Runs:
    """Sorted runs in a temporary file, and their merge."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="cbdd-sort-")
        self._ends: list[int] = [0]
        self._readers: list[_RunReader] = []
        self._heap: list[tuple[bytes, int, int]] = []

    def write(
        self, keys: list[bytes], record_keys: list[bytes], order: list[int], arrived: int
    ) -> None:
        """Append one run.

        :param order: positions in the other two.
        :param arrived: how many there were before the first of them.
        """
        pieces: list[bytes] = []
        size = 0
        for at in order:
            key = keys[at]
            number = arrived + at
            head = len(key).to_bytes(4, "little") + number.to_bytes(8, "little")
            piece = head + record_keys[at] + key
            pieces.append(piece)
            size += len(piece)
            if len(pieces) >= 10_000:
                self._file.write(b"".join(pieces))
                pieces = []
        self._file.write(b"".join(pieces))
        self._ends.append(self._ends[-1] + size)

    def begin(self) -> None:
        """Go to the first entry of every run."""
        self._file.flush()
        for i in range(len(self._ends) - 1):
            reader = _RunReader(self._file, self._ends[i], self._ends[i + 1])
            self._readers.append(reader)
            self._push(i)

    def next(self) -> bytes:
        """Return the record key of the next entry, b"" at the end."""
        if not self._heap:
            self._file.close()
            return b""
        i = heapq.heappop(self._heap)[2]
        record_key = self._readers[i].record_key
        self._push(i)
        return record_key

    def _push(self, i: int) -> None:
        reader = self._readers[i]
        if reader.step():
            heapq.heappush(self._heap, (reader.key, reader.number, i))


class _RunReader:
    """The entries of one run, read in pieces."""

    def __init__(self, file: IO[bytes], start: int, end: int) -> None:
        self.key = b""
        self.number = 0
        self.record_key = b""
        self._file = file
        self._at = start
        self._end = end
        self._buffer = b""
        self._place = 0

    def step(self) -> bool:
        """Move to the next entry; False at the end."""
        if self._place == len(self._buffer) and self._at == self._end:
            return False
        head = self._take(_HEAD_BYTES)
        self.number = int.from_bytes(head[4:12], "little")
        self.record_key = head[12 : 12 + RECORD_ID_BYTES]
        self.key = self._take(int.from_bytes(head[:4], "little"))
        return True

    def _take(self, size: int) -> bytes:
        if self._place + size > len(self._buffer):
            rest = self._buffer[self._place :]
            self._file.seek(self._at)
            wanted = min(max(_READ_BYTES, size), self._end - self._at)
            read = self._file.read(wanted)
            self._at += len(read)
            self._buffer = rest + read
            self._place = 0
        taken = self._buffer[self._place : self._place + size]
        self._place += size
        return taken
