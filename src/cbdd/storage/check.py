"""Verifying the whole structure of a database.

On disk, as of the newest checkpoint: every page reachable from the meta page has the checksum its
parent holds, its own number, tree and level; keys ascend, separators bound them, counts add up; no
page is reached twice or listed free while reachable; every page of the file is reachable or
free. The copy of its checksum that a page carries itself is compared too. In memory, as of the
newest commit: the same order and counts for the trees with the log applied. What opening found to
be lost is listed too. All problems are listed, none repaired.

The directory entries and all trees are walked leaf by leaf with bounded memory: a page number takes
a bit in a bytearray.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.codes import SEV_1, severity_of
from cbdd.errors import CbddError, CorruptDataError
from cbdd.storage.follow import acquire_snapshot, release_snapshot
from cbdd.storage.free_pages import read_freelist
from cbdd.storage.meta import HEADER_REGION_BYTES, Meta
from cbdd.storage.node import Node, measured
from cbdd.storage.page import Run, reference_page, run_page_count
from cbdd.storage.state import DatabaseState
from cbdd.storage.tree import Tree

SEVERE: Final = SEV_1
MAX_PROBLEMS: Final = 1000
MAX_DEPTH: Final = 64
PROGRESS_PAGES: Final = 256
Progress = Callable[[int, int], None] | None


def page_of(error: CbddError, otherwise: int) -> int:
    """The page an error is about: a leaf fails to decode when a run of one of its keys is bad."""
    page = error.details.get("page")
    return page if isinstance(page, int) else otherwise


class Problem:
    """One thing that is wrong: a stable code, what, and where.

    ``entries`` says how many entries of the tree cannot be read because of it, 0 when none or not
    known. ``namespace`` and ``index`` name what the tree is of, where the catalog tells: an index,
    or the documents of a collection if ``index`` is empty.
    """

    def __init__(self, code: str, message: str, page: int, tree: int, entries: int = 0) -> None:
        self.code = code
        self.message = message
        self.page = page
        self.tree = tree
        self.entries = entries
        self.namespace = ""
        self.index = ""

    def to_dict(self) -> dict[str, object]:
        """The problem for JSON."""
        return {
            "code": self.code,
            "severity": severity_of(self.code),
            "message": self.message,
            "page": self.page,
            "tree": self.tree,
            "entries": self.entries,
            "namespace": self.namespace,
            "index": self.index,
        }


class CheckReport:
    """What a check saw. It is clean when ``problems`` is empty."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.pages = 0
        self.trees = 0
        self.entries = 0
        self.free_pages = 0
        self.generation = 0
        self.lsn = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def add(self, code: str, message: str, page: int, tree: int, entries: int = 0) -> None:
        """Note a problem; beyond a thousand they are not kept."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(code, message, page, tree, entries))

    def to_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return {
            "is_clean": self.is_clean,
            "generation": self.generation,
            "lsn": self.lsn,
            "pages": self.pages,
            "free_pages": self.free_pages,
            "trees": self.trees,
            "entries": self.entries,
            "problems": [problem.to_dict() for problem in self.problems],
        }


def check_database(
    state: DatabaseState, progress: Progress = None, skips_unchanged: bool = False
) -> CheckReport:
    """Check the newest checkpoint on disk and the newest commit in memory.

    :param progress: called now and then with the pages read and all pages.
    :param skips_unchanged: leave out trees in memory that the log has not changed, for a file that
        was just opened.
    """
    report = CheckReport()
    key = state.next_owner()
    try:
        snapshot = acquire_snapshot(state, False, key)
        with state.apply_lock:
            meta = state.meta
            base = dict(state.base_trees)
            directory = state.directory_tree
        report.generation = meta.generation
        report.lsn = snapshot.lsn
        for finding in state.report.findings:
            if finding.severity == SEVERE:
                report.add(finding.code, finding.message, 0, 0)
        on_disk = _Checker(state, report, meta, True)
        on_disk.progress = progress
        on_disk.check_disk(directory, base)
        checker = _Checker(state, report, meta, False)
        for number in sorted(snapshot.trees):
            if not skips_unchanged or not _is_unchanged(snapshot.trees[number], base.get(number)):
                checker.check_tree(snapshot.trees[number], number)
            report.entries += snapshot.trees[number].count
            report.trees += 1
    finally:
        release_snapshot(state, key)
    return report


def _is_unchanged(tree: Tree, on_disk: Tree | None) -> bool:
    """Whether a tree is the one on disk, which was walked already."""
    if on_disk is None or tree.count != on_disk.count:
        return False
    return isinstance(tree.root, bytes) and tree.root == on_disk.root


class _Checker:
    """Walks trees; with ``on_disk`` it also accounts for every page."""

    def __init__(
        self, state: DatabaseState, report: CheckReport, meta: Meta, on_disk: bool
    ) -> None:
        self._state = state
        self._report = report
        self._meta = meta
        self._on_disk = on_disk
        self._used = bytearray(meta.page_count)
        self._tree = 0
        self.progress: Progress = None
        self._told = 0

    def check_disk(self, directory: Tree, trees: dict[int, Tree]) -> None:
        """Check a generation: its trees, its freelist, and that every page has one owner."""
        report = self._report
        header_pages = HEADER_REGION_BYTES // self._meta.page_size
        for page in range(header_pages):
            self._used[page] = 1
        self.check_tree(directory, 0)
        for number in sorted(trees):
            self.check_tree(trees[number], number)
        self._tree = 0
        meta = self._meta
        if meta.freelist_length:
            self._claim(
                meta.freelist_page, run_page_count(meta.freelist_length, meta.page_size), "freelist"
            )
            try:
                runs = read_freelist(self._state, meta)
                self._check_own_checksum(meta.freelist_page, meta.freelist_checksum)
                for run in runs:
                    report.free_pages += run.count
                    self._claim(run.start, run.count, "free list entry")
            except CbddError as error:
                report.add(error.code, f"the freelist is damaged: {error}", meta.freelist_page, 0)
                return
        leaked = self._used.count(0)
        if leaked and not report.problems:
            first = self._used.find(0)
            report.add("PAGE_LEAKED", f"{leaked} pages belong to nobody", first, 0)

    def check_tree(self, tree: Tree, number: int) -> None:
        """Check one tree from its root."""
        self._tree = number
        if tree.root is None:
            if tree.count:
                self._report.add("COUNT_WRONG", f"empty tree counts {tree.count}", 0, number)
            return
        total = self._walk(tree.root, None, None, -1, 0, tree.count)
        if total >= 0 and total != tree.count:
            self._report.add(
                "COUNT_WRONG", f"tree has {total} entries, its root says {tree.count}", 0, number
            )

    def _walk(
        self,
        child: object,
        low: bytes | None,
        high: bytes | None,
        level: int,
        depth: int,
        expected: int,
    ) -> int:
        """Check a subtree and return its entries, -1 when part of it could not be read.

        :param expected: how many entries it should have.
        """
        page = 0
        if isinstance(child, Node):
            node = child
        else:
            assert isinstance(child, bytes)
            page = reference_page(child)
            if self._on_disk and not self._claim(page, 1, "page"):
                return -1
            try:
                node = (
                    self._state.pager.load_fresh(child)
                    if self._on_disk
                    else (self._state.pager.load(child))
                )
            except CorruptDataError as error:
                if self._on_disk:
                    where = page_of(error, page)
                    self._report.add(error.code, error.message, where, self._tree, expected)
                return -1
            if self._on_disk:
                self._check_own_checksum(page, int.from_bytes(child[8:], "little"))
        if depth > MAX_DEPTH or (level >= 0 and node.level != level):
            self._report.add(
                "LEVEL_WRONG", f"level {node.level}, expected {level}", page, self._tree
            )
            return -1
        self._check_keys(node, low, high, page)
        self._check_runs(node)
        if node.level == 0:
            if self._on_disk:
                self._report.pages += 1
                self._tell()
            return len(node.keys)
        return self._walk_children(node, low, high, page, depth)

    def _walk_children(
        self, node: Node, low: bytes | None, high: bytes | None, page: int, depth: int
    ) -> int:
        if self._on_disk:
            self._report.pages += 1
        if len(node.children) != len(node.keys) + 1 or len(node.counts) != len(node.children):
            self._report.add("PAGE_MALFORMED", "children and keys differ", page, self._tree)
            return -1
        total = 0
        is_whole = True
        for i in range(len(node.children)):
            below = low if i == 0 else node.keys[i - 1]
            above = high if i == len(node.keys) else node.keys[i]
            expected = node.counts[i]
            found = self._walk(node.children[i], below, above, node.level - 1, depth + 1, expected)
            if found < 0:
                is_whole = False
            elif found != node.counts[i]:
                self._report.add(
                    "COUNT_WRONG",
                    f"child {i} has {found} entries, its parent says {node.counts[i]}",
                    page,
                    self._tree,
                )
            total += max(found, 0)
        return total if is_whole else -1

    def _check_keys(self, node: Node, low: bytes | None, high: bytes | None, page: int) -> None:
        keys = node.keys
        for i in range(1, len(keys)):
            if keys[i - 1] >= keys[i]:
                self._report.add("ORDER_WRONG", f"keys {i - 1} and {i}", page, self._tree)
                break
        if keys and low is not None and keys[0] < low:
            self._report.add("ORDER_WRONG", "first key is below its separator", page, self._tree)
        if keys and high is not None and keys[len(keys) - 1] >= high:
            self._report.add("ORDER_WRONG", "last key is above its separator", page, self._tree)
        if not self._on_disk and node.used != measured(node, self._state.pager.limits):
            self._report.add("SIZE_WRONG", f"size {node.used} is wrong", page, self._tree)

    def _check_runs(self, node: Node) -> None:
        """Runs are read as well: nothing on disk goes unverified."""
        if not self._on_disk:
            return
        size = self._meta.page_size
        runs: list[Run] = list(node.key_runs or [])
        for value in node.values:
            if isinstance(value, Run):
                runs.append(value)
        for run in runs:
            count = run_page_count(run.length, size)
            if not self._claim(run.page, count, "run"):
                continue
            self._report.pages += count
            self._tell()
            try:
                self._state.pager.read_run(run)
                self._check_own_checksum(run.page, run.checksum)
            except CorruptDataError as error:
                self._report.add(error.code, error.message, run.page, self._tree, 1)

    def _tell(self) -> None:
        """Tell progress now and then."""
        pages = self._report.pages
        if self.progress is not None and pages >= self._told + PROGRESS_PAGES:
            self._told = pages
            self.progress(pages, self._meta.page_count)

    def _check_own_checksum(self, page: int, expected: int) -> None:
        """A page whose contents are right may carry a damaged copy of its checksum."""
        found = self._state.pager.own_checksum(page)
        if found != expected:
            self._report.add(
                "PAGE_CHECKSUM_FIELD",
                f"page {page} says its checksum is {found:016x}, its contents and its parent say "
                f"{expected:016x}: the contents are right, the disk is failing",
                page,
                self._tree,
            )

    def _claim(self, page: int, count: int, what: str) -> bool:
        """Note that pages have an owner; False when they have one already or do not exist."""
        for number in range(page, page + count):
            if number >= self._meta.page_count:
                self._report.add(
                    "PAGE_OUT_OF_RANGE", f"{what} {number} is beyond the end", number, self._tree
                )
                return False
            if self._used[number]:
                self._report.add(
                    "PAGE_SHARED", f"{what} {number} has another owner", number, self._tree
                )
                return False
            self._used[number] = 1
        return True
