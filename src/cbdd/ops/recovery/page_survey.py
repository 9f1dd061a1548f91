"""Every page of the file that verifies by itself, whoever it belongs to.

A page carries its own checksum, the tree it belongs to and the generation that wrote it. So the
leaves of a tree can be found though the branch above them is damaged, and older versions of a leaf
though the newest one is: copy-on-write leaves them in free pages until those are used again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.ops.recovery.evidence import Evidence
from cbdd.storage.io import read_exact
from cbdd.storage.meta import HEADER_REGION_BYTES
from cbdd.storage.page import (
    BRANCH,
    FREELIST,
    HEADER,
    HEADER_BYTES,
    LEAF,
    OVERFLOW,
    checksum_of,
    reference,
)

Progress = Callable[[int, int], None] | None
_CHUNK_BYTES: Final = 1 << 20
_PROGRESS_PAGES: Final = 1024


class FoundNode:
    """A leaf or branch whose checksum is right."""

    def __init__(self, page: int, checksum: int, generation: int, level: int) -> None:
        self.page = page
        self.checksum = checksum
        self.generation = generation
        self.level = level

    @property
    def ref(self) -> bytes:
        """The reference by which a parent would name it."""
        return reference(self.page, self.checksum)


class FoundRun:
    """A run of free page entries whose checksum is right."""

    def __init__(self, page: int, length: int, checksum: int, generation: int) -> None:
        self.page = page
        self.length = length
        self.checksum = checksum
        self.generation = generation


class PageSurvey:
    """What is in the pages; ``nodes`` by tree id."""

    def __init__(self) -> None:
        self.nodes: dict[int, list[FoundNode]] = {}
        self.freelists: list[FoundRun] = []
        self.pages = 0

    def leaves_of(self, tree: int) -> list[FoundNode]:
        """The leaves of a tree, all versions of them, the oldest first."""
        leaves = [node for node in self.nodes.get(tree, []) if node.level == 0]
        return sorted(leaves, key=lambda each: (each.generation, each.page))

    def newest_root(self, tree: int) -> FoundNode | None:
        """The node of the newest generation that is highest in the tree."""
        nodes = self.nodes.get(tree, [])
        return max(nodes, key=lambda each: (each.generation, each.level), default=None)


def survey_pages(evidence: Evidence, progress: Progress = None) -> PageSurvey:
    """Look at every page of the file."""
    survey = PageSurvey()
    if evidence.fd < 0 or not evidence.page_size:
        return survey
    surveyor = _Surveyor(evidence, survey)
    size = evidence.page_size
    page = HEADER_REGION_BYTES // size
    count = evidence.page_count()
    told = 0
    while page < count:
        page = surveyor.look_at(page)
        survey.pages += 1
        if progress is not None and page - told >= _PROGRESS_PAGES:
            told = page
            progress(page, count)
    return survey


class _Surveyor:
    """Reads pages through a buffer of consecutive ones."""

    def __init__(self, evidence: Evidence, survey: PageSurvey) -> None:
        self._evidence = evidence
        self._survey = survey
        self._size = evidence.page_size
        self._buffer = b""
        self._start = 0

    def look_at(self, page: int) -> int:
        """Take up one page or run; returns the page after it."""
        data = self._read(page, 1)
        if len(data) < HEADER_BYTES:
            return page + 1
        fields = HEADER.unpack_from(data, 0)
        checksum, kind, entries, number = fields[0], fields[1], fields[4], fields[5]
        if number != page or kind not in (LEAF, BRANCH, OVERFLOW, FREELIST):
            return page + 1
        if kind in (OVERFLOW, FREELIST):
            if not 1 <= entries <= self._evidence.page_count() - page:
                return page + 1
            if entries > 1:
                data = self._read(page, entries)
        if checksum_of(data, self._evidence.seed) != checksum:
            return page + 1
        generation, tree, level, used = fields[6], fields[7], fields[8], fields[10]
        if kind == FREELIST:
            self._survey.freelists.append(FoundRun(page, used, checksum, generation))
        elif kind != OVERFLOW:
            found = FoundNode(page, checksum, generation, level)
            self._survey.nodes.setdefault(tree, []).append(found)
            return page + 1
        return page + int(entries)

    def _read(self, page: int, count: int) -> bytes:
        offset = page * self._size
        length = count * self._size
        at = offset - self._start
        if at < 0 or at + length > len(self._buffer):
            wanted = max(length, _CHUNK_BYTES)
            self._buffer = read_exact(self._evidence.io, self._evidence.fd, wanted, offset)
            self._start = offset
            at = 0
        return self._buffer[at : at + length]
