"""Pages that may be written: which, and since when nobody needs them.

An entry is a run of pages and the generation whose checkpoint freed it: the pages are reachable in
generations before that one, not in it. A checkpoint may write them when neither meta slot on disk
and no reader in any process can reach them, that is when the freeing generation is not greater than
the smallest of those.

On disk the list is a run (kind 4) named by the meta page: entries of generation u64, first page
u64, pages u32, little-endian. A damaged or lost list is rebuilt from reachability; then every page
counts as freed now.

Invariants: no page is in two entries; no listed page is reachable from the generation that the list
belongs to.
"""

from __future__ import annotations

import struct
from typing import Final

ENTRY: Final = struct.Struct("<QQI")
MAX_RUN_PAGES: Final = 0xFFFFFFFF


class FreeRun:
    """Consecutive free pages and the generation that freed them."""

    def __init__(self, generation: int, start: int, count: int) -> None:
        self.generation = generation
        self.start = start
        self.count = count


def encode_runs(runs: list[FreeRun]) -> bytes:
    """The list as stored."""
    return b"".join([ENTRY.pack(run.generation, run.start, run.count) for run in runs])


def decode_runs(data: bytes) -> list[FreeRun]:
    """The list stored in a run's bytes; entries of no pages pad it."""
    runs: list[FreeRun] = []
    for at in range(0, len(data) - ENTRY.size + 1, ENTRY.size):
        generation, start, count = ENTRY.unpack_from(data, at)
        if count:
            runs.append(FreeRun(generation, start, count))
    return runs


def malformed_runs(runs: list[FreeRun], first: int, page_count: int, generation: int) -> str:
    """What is wrong with a list of free pages; empty when nothing is.

    :param first: the first usable page; ``page_count`` and ``generation`` are the meta page's.
    """
    end = first
    for run in sorted(runs, key=_start_of):
        if run.start < end or run.count > page_count - run.start:
            return f"pages {run.start} to {run.start + run.count - 1} overlap or do not exist"
        if run.generation > generation:
            return f"pages {run.start} and on were freed by generation {run.generation}"
        end = run.start + run.count
    return ""


def unreached_runs(used: bytearray, generation: int) -> list[FreeRun]:
    """Runs of the pages that are 0 in ``used``."""
    runs: list[FreeRun] = []
    start = used.find(0)
    while start >= 0:
        end = used.find(1, start)
        if end < 0:
            end = len(used)
        runs.append(FreeRun(generation, start, end - start))
        start = used.find(0, end)
    return runs


def merged_runs(pages: list[tuple[int, int]], generation: int) -> list[FreeRun]:
    """Runs for pages given as (start, count), neighbours joined."""
    runs: list[FreeRun] = []
    for start, count in sorted(pages):
        last = runs[len(runs) - 1] if runs else None
        if last is not None and last.start + last.count == start:
            last.count += count
        else:
            runs.append(FreeRun(generation, start, count))
    return runs


class Allocator:
    """Hands out pages to one checkpoint: reusable ones first, else at the end of the file."""

    def __init__(self, runs: list[FreeRun], reusable_generation: int, page_count: int) -> None:
        self.page_count = page_count
        self.allocated: list[tuple[int, int]] = []
        self._kept: list[FreeRun] = []
        reusable: list[FreeRun] = []
        for run in runs:
            if run.generation <= reusable_generation:
                reusable.append(run)
            else:
                self._kept.append(run)
        self._reusable = joined_runs(reusable)
        self._reusable.reverse()  # lowest pages are taken first, from the end of this list

    def page(self) -> int:
        """One page."""
        if not self._reusable:
            return self._extend(1)
        run = self._reusable[len(self._reusable) - 1]
        number = run.start
        run.start += 1
        run.count -= 1
        if run.count == 0:
            self._reusable.pop()
        return number

    def pages(self, count: int) -> int:
        """The first of ``count`` consecutive pages."""
        if count == 1:
            return self.page()
        for i in range(len(self._reusable) - 1, -1, -1):
            run = self._reusable[i]
            if run.count >= count:
                number = run.start
                run.start += count
                run.count -= count
                if run.count == 0:
                    del self._reusable[i]
                return number
        return self._extend(count)

    def trim(self) -> None:
        """Take what is free at the end of the file out of the list and off the page count."""
        if self._reusable:
            last = self._reusable[0]
            if last.start + last.count == self.page_count:
                self.page_count = last.start
                del self._reusable[0]

    def left(self) -> list[FreeRun]:
        """What has not been handed out."""
        return self._kept + self._reusable

    def _extend(self, count: int) -> int:
        number = self.page_count
        self.page_count += count
        return number


def joined_runs(runs: list[FreeRun]) -> list[FreeRun]:
    """Reusable runs sorted by page, neighbours joined under the newer generation."""
    joined: list[FreeRun] = []
    runs.sort(key=_start_of)
    for run in runs:
        last = joined[len(joined) - 1] if joined else None
        if last is not None and last.start + last.count == run.start:
            last.count += run.count
            last.generation = max(last.generation, run.generation)
        else:
            joined.append(FreeRun(run.generation, run.start, run.count))
    return joined


def _start_of(run: FreeRun) -> int:
    return run.start
