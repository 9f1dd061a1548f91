"""The entries of a tree that verify, in key order, damaged or not.

A tree is walked from its root. Where a page is damaged, the keys that its parent says are behind
it are looked for in the leaves that verify by themselves:

    in use   neither free nor older than the tree: what the damaged page led to, as it was
    older    what the page held before, found in free pages; the newest version of each key counts

Without the list of free pages the two cannot be told apart, and every such leaf counts as older.

Invariants: keys come in ascending order, each once; an entry that is not `IS_OLDER` is the very one
that the tree had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cbdd.errors import CbddError, CorruptDataError, DiskFaultError
from cbdd.ops.recovery.page_survey import FoundNode, PageSurvey
from cbdd.storage.check import MAX_DEPTH, page_of
from cbdd.storage.node import Node
from cbdd.storage.page import Run, reference_page
from cbdd.storage.pager import Pager

_UNKNOWN_COUNT: Final = -1


class SalvagedEntry:
    """One entry. ``value`` is None when the key is there and its value cannot be read."""

    def __init__(
        self, key: bytes, value: bytes | None, is_older: bool = False, lsn: int = 0
    ) -> None:
        self.key = key
        self.value = value
        self.is_older = is_older
        self.lsn = lsn

    @staticmethod
    def of_log(key: bytes, value: bytes, lsn: int) -> SalvagedEntry:
        """An entry that a commit in the log wrote."""
        return SalvagedEntry(key, value, False, lsn)


class Gap:
    """Keys from ``low`` to before ``high`` that stand behind damage.

    ``expected`` is how many there were, -1 when unknown; ``found`` how many of them were found as
    they were.
    """

    def __init__(self, low: bytes | None, high: bytes | None, expected: int) -> None:
        self.low = low
        self.high = high
        self.expected = expected
        self.found = 0

    def holds(self, key: bytes) -> bool:
        """Whether a key lies in it."""
        return (self.low is None or key >= self.low) and (self.high is None or key < self.high)

    @property
    def is_filled(self) -> bool:
        """Whether everything that was there is known to be found."""
        return self.expected >= 0 and self.found == self.expected


class TreeSource:
    """Where trees are read from: verified pages, the survey, and which pages are free."""

    def __init__(
        self, pager: Pager, survey: PageSurvey, freed: bytearray | None, generation: int
    ) -> None:
        """
        :param freed: 1 for each page that is free in ``generation``; None when unknown.
        """
        self.pager = pager
        self.survey = survey
        self.freed = freed
        self.generation = generation
        self.damaged: set[int] = set()
        self._ranges: dict[int, list[tuple[bytes, bytes, FoundNode]]] = {}

    def note(self, error: CbddError, page: int) -> None:
        """Note a page that cannot be used."""
        self.damaged.add(page_of(error, page))

    def is_in_use(self, node: FoundNode) -> bool:
        """Whether a page is known to be part of the generation that is read."""
        if self.freed is None or node.page >= len(self.freed):
            return False
        return not self.freed[node.page] and node.generation <= self.generation

    def leaves_between(
        self, tree: int, low: bytes | None, high: bytes | None
    ) -> list[tuple[FoundNode, Node]]:
        """The leaves of a tree that have keys in a range, the oldest first."""
        if tree not in self._ranges:
            self._ranges[tree] = []
            for found in self.survey.leaves_of(tree):
                node = self._load(found)
                if node is not None:
                    self._ranges[tree].append((node.keys[0], node.keys[-1], found))
        leaves: list[tuple[FoundNode, Node]] = []
        for first, last, found in self._ranges[tree]:
            if (high is None or first < high) and (low is None or last >= low):
                node = self._load(found)
                if node is not None:
                    leaves.append((found, node))
        return leaves

    def _load(self, found: FoundNode) -> Node | None:
        try:
            return self.pager.load_fresh(found.ref)
        except (CorruptDataError, DiskFaultError):
            return None  # a key in a run that is gone: nothing of it can be used


class SalvagedTree:
    """One tree. After `entries` has ended, ``gaps`` has what was behind damage."""

    def __init__(
        self, source: TreeSource, tree: int, root: bytes | None, count: int, is_known: bool = True
    ) -> None:
        """
        :param root: reference of the root; None for an empty tree.
        :param is_known: False when nothing tells where the root is.
        """
        self.tree = tree
        self.gaps: list[Gap] = []
        self.unreadable_values = 0
        self._source = source
        self._root = root
        self._count = count
        self._is_known = is_known
        self._reached: set[int] = set()

    @property
    def is_complete(self) -> bool:
        """Whether every entry the tree had was found as it was."""
        return not self.unreadable_values and all(gap.is_filled for gap in self.gaps)

    def entries(self) -> Iterator[SalvagedEntry]:
        """Every entry that can be had, in key order."""
        self.gaps = []
        self.unreadable_values = 0
        self._reached = set()
        if not self._is_known:
            yield from self._fill(None, None, _UNKNOWN_COUNT)
        elif self._root is not None:
            yield from self._walk(self._root, None, None, -1, self._count, 0)

    def _walk(
        self,
        ref: bytes,
        low: bytes | None,
        high: bytes | None,
        level: int,
        expected: int,
        depth: int,
    ) -> Iterator[SalvagedEntry]:
        page = reference_page(ref)
        try:
            node = self._source.pager.load_fresh(ref)
        except (CorruptDataError, DiskFaultError) as error:
            self._source.note(error, page)
            yield from self._fill(low, high, expected)
            return
        if page in self._reached or depth > MAX_DEPTH or (level >= 0 and node.level != level):
            self._source.damaged.add(page)
            yield from self._fill(low, high, expected)
            return
        self._reached.add(page)
        if node.level == 0:
            for key, value in zip(node.keys, node.values, strict=True):
                yield self._entry(key, value)
            return
        for i, child in enumerate(node.children):
            assert isinstance(child, bytes)
            below = low if i == 0 else node.keys[i - 1]
            above = high if i == len(node.keys) else node.keys[i]
            yield from self._walk(child, below, above, node.level - 1, node.counts[i], depth + 1)

    def _entry(self, key: bytes, value: object) -> SalvagedEntry:
        """An entry as it was; when its value is gone, the newest older one."""
        data = self._value_of(value, True)
        if data is not None:
            return SalvagedEntry(key, data)
        self.unreadable_values += 1
        older = self._older_value(key)
        return SalvagedEntry(key, older, older is not None)

    def _value_of(self, value: object, is_in_use: bool) -> bytes | None:
        if isinstance(value, bytes):
            return value
        assert isinstance(value, Run)
        try:
            return self._source.pager.read_run(value)
        except (CorruptDataError, DiskFaultError) as error:
            if is_in_use:  # else its pages are used for something else by now
                self._source.note(error, value.page)
            return None

    def _older_value(self, key: bytes) -> bytes | None:
        newest: bytes | None = None
        for _found, node in self._source.leaves_between(self.tree, key, key + b"\0"):
            if key in node.keys:
                value = self._value_of(node.values[node.keys.index(key)], False)
                newest = value if value is not None else newest
        return newest

    def _fill(
        self, low: bytes | None, high: bytes | None, expected: int
    ) -> Iterator[SalvagedEntry]:
        """What can be found of the keys behind damage."""
        gap = Gap(low, high, expected)
        self.gaps.append(gap)
        found: dict[bytes, SalvagedEntry] = {}
        in_use: dict[bytes, SalvagedEntry] = {}
        for leaf, node in self._source.leaves_between(self.tree, low, high):
            is_in_use = self._source.is_in_use(leaf)
            for key, value in zip(node.keys, node.values, strict=True):
                if not gap.holds(key):
                    continue
                data = self._value_of(value, is_in_use)
                if is_in_use:
                    in_use[key] = SalvagedEntry(key, data)
                elif data is not None:
                    found[key] = SalvagedEntry(key, data, True)
        if 0 <= expected < len(in_use):
            for entry in in_use.values():  # pages that nobody owns are among them
                entry.is_older = True
        else:
            gap.found = len(in_use)
        for key, entry in in_use.items():
            older = found.get(key)
            if entry.value is None:
                self.unreadable_values += 1
                if older is not None:
                    continue
            found[key] = entry
        for key in sorted(found):
            yield found[key]
