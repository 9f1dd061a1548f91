"""A damaged database as far as it verifies: its trees with the log over them, its collections.

The state is that of one meta page and the log behind it. Without a valid meta page the newest root
of the tree of trees that verifies stands in for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from bson.errors import InvalidBSON, InvalidDocument
from pymongo.errors import PyMongoError

from cbdd.catalog.entry import CollectionEntry, decode_entry
from cbdd.catalog.record_store import FIRST_USER_TREE, RECORD_ID_BYTES
from cbdd.document.raw import find_field
from cbdd.document.validate import validate_document
from cbdd.errors import CorruptDataError, DiskFaultError, UsageError
from cbdd.ops.recovery.evidence import Evidence
from cbdd.ops.recovery.log_replay import LogLimits, LogReplay, TreeOverlay, overlaid, replay_log
from cbdd.ops.recovery.page_survey import FoundRun, PageSurvey
from cbdd.ops.recovery.report import LostCommits
from cbdd.ops.recovery.salvaged_tree import SalvagedEntry, SalvagedTree, TreeSource
from cbdd.query.implication import QueryFilters
from cbdd.storage.directory import CATALOG_TREE, EMPTY_REFERENCE, ENTRY
from cbdd.storage.freelist import decode_runs, malformed_runs
from cbdd.storage.meta import HEADER_REGION_BYTES, Meta
from cbdd.storage.page import MIN_PAGE_SIZE, Run, reference
from cbdd.storage.pager import Pager

_CACHE_BYTES: Final = 64 << 20
_DIRECTORY_TREE: Final = 0
_RECORD_TREE_SAMPLE: Final = 20
_FIRST_ELEMENT: Final = 4


class Root:
    """Where a tree begins: None for an empty one; not known when what says so is damaged."""

    def __init__(self, ref: bytes | None, count: int, is_known: bool) -> None:
        self.ref = ref
        self.count = count
        self.is_known = is_known


class FoundCollection:
    """A collection of the damaged file; ``entry`` is None when only its documents are left."""

    def __init__(self, record_tree: int, entry: CollectionEntry | None, is_older: bool) -> None:
        self.record_tree = record_tree
        self.entry = entry
        self.is_older = is_older


class SalvagedDatabase:
    """Trees and collections of one state of a damaged database."""

    def __init__(
        self, evidence: Evidence, survey: PageSurvey, meta: Meta | None, limits: LogLimits
    ) -> None:
        """
        :param meta: the meta page to stand on; None when there is none.
        """
        self.meta = meta
        self.notes: list[str] = []
        self.log: LogReplay = replay_log(evidence, meta, limits)
        self._evidence = evidence
        self._survey = survey
        page_size = evidence.page_size or MIN_PAGE_SIZE
        pager = Pager(
            evidence.io, evidence.fd, evidence.path, page_size, evidence.seed, _CACHE_BYTES
        )
        self.catalog_is_complete = True
        """Whether every collection there was is known; told by `collections`."""
        self.generation, directory = self._stand_on()
        freed = self._freed(pager)
        self.source = TreeSource(pager, survey, freed, self.generation)
        self._roots, self._roots_are_complete = self._read_directory(directory)

    def tree(self, number: int) -> SalvagedTree:
        """A tree without the log."""
        root = self._roots.get(number)
        if root is None:
            is_known = self._roots_are_complete and number not in self._survey.nodes
            root = Root(None, 0, is_known)
        return SalvagedTree(self.source, number, root.ref, root.count, root.is_known)

    def overlay(self, number: int) -> TreeOverlay:
        """What the log does to a tree."""
        return self.log.trees.get(number) or TreeOverlay()

    def entries(self, tree: SalvagedTree) -> Iterator[SalvagedEntry]:
        """The entries of a tree with the log over them, in key order."""
        return overlaid(
            tree.entries(), self.log.trees.get(tree.tree), _key_of, SalvagedEntry.of_log
        )

    def collections(self) -> list[FoundCollection]:
        """Every collection, those without a catalog entry last."""
        found: list[FoundCollection] = []
        claimed: set[int] = set()
        catalog = self.tree(CATALOG_TREE)
        filters = QueryFilters()
        for each in self.entries(catalog):
            try:
                if each.value is None:
                    raise CorruptDataError("CATALOG_ENTRY", "its value is damaged")
                entry = decode_entry(each.key, each.value, filters)
            except PyMongoError as error:
                name = each.key.replace(b"\0", b".").decode("utf-8", "replace")
                self.notes.append(f"the definition of {name} cannot be used: {error}")
                self.catalog_is_complete = False
                continue
            if each.is_older and self._is_gone(entry.record_tree):
                continue
            claimed.add(entry.record_tree)
            claimed.update(definition.tree_id for definition in entry.indexes)
            found.append(FoundCollection(entry.record_tree, entry, each.is_older))
        self.catalog_is_complete = self.catalog_is_complete and catalog.is_complete
        for number in sorted(self._other_trees() - claimed):
            if self._holds_records(number):
                found.append(FoundCollection(number, None, False))
        return found

    # -- the state ---------------------------------------------------------------------------

    def _stand_on(self) -> tuple[int, Root]:
        """The generation, and the root of the tree of trees."""
        meta = self.meta
        if meta is not None:
            ref = None
            if meta.directory_page:
                ref = reference(meta.directory_page, meta.directory_checksum)
            return meta.generation, Root(ref, meta.directory_count, True)
        newest = self._survey.newest_root(_DIRECTORY_TREE)
        if newest is None:
            if self.log.first_lsn:
                self.log.lost.insert(0, LostCommits(1, self.log.first_lsn))
            return 0, Root(None, 0, not self.log.first_lsn)
        self.notes.append(
            f"no meta page is valid; the newest root that verifies, of generation "
            f"{newest.generation} on page {newest.page}, stands in for it"
        )
        return newest.generation, Root(newest.ref, -1, True)

    def _freed(self, pager: Pager) -> bytearray | None:
        """The pages that are free in the generation, None when that is unknown."""
        run = self._freelist()
        if run is None:
            return None
        count = self.meta.page_count if self.meta else self._evidence.page_count()
        freed = bytearray(count)
        if run.length:
            try:
                runs = decode_runs(pager.read_run(Run(run.page, run.length, run.checksum)))
            except (CorruptDataError, DiskFaultError) as error:
                self.notes.append(f"the list of free pages is damaged: {error}")
                return None
            first = HEADER_REGION_BYTES // self._evidence.page_size
            problem = malformed_runs(runs, first, count, self.generation)
            if problem:
                self.notes.append(f"the list of free pages makes no sense: {problem}")
                return None
            for each in runs:
                freed[each.start : each.start + each.count] = b"\1" * each.count
        return freed

    def _freelist(self) -> FoundRun | None:
        meta = self.meta
        if meta is not None:
            return FoundRun(
                meta.freelist_page, meta.freelist_length, meta.freelist_checksum, meta.generation
            )
        lists = [each for each in self._survey.freelists if each.generation == self.generation]
        return lists[0] if len(lists) == 1 else None

    def _read_directory(self, directory: Root) -> tuple[dict[int, Root], bool]:
        """The roots of all trees, and whether there can be no others."""
        tree = SalvagedTree(
            self.source, _DIRECTORY_TREE, directory.ref, directory.count, directory.is_known
        )
        roots: dict[int, Root] = {}
        for entry in tree.entries():
            if len(entry.key) != 8 or entry.value is None or len(entry.value) != ENTRY.size:
                continue
            ref, count, _large = ENTRY.unpack(entry.value)
            number = int.from_bytes(entry.key, "big")
            if entry.is_older:
                roots[number] = Root(None, -1, False)
            else:
                roots[number] = Root(None if ref == EMPTY_REFERENCE else ref, count, True)
        return roots, directory.is_known and tree.is_complete

    # -- collections -------------------------------------------------------------------------

    def _is_gone(self, tree: int) -> bool:
        """Whether a tree is known not to exist any more."""
        overlay = self.overlay(tree)
        if overlay.is_new:
            return overlay.is_dropped
        return self._roots_are_complete and tree not in self._roots

    def _other_trees(self) -> set[int]:
        """Trees that may be of a collection whose definition is lost."""
        numbers = set(self._roots) | set(self.log.trees)
        if not self._roots_are_complete:
            numbers |= set(self._survey.nodes)
        return {each for each in numbers if each >= FIRST_USER_TREE and not self._is_gone(each)}

    def _holds_records(self, tree: int) -> bool:
        """Whether what a tree holds looks like documents under record ids."""
        seen = 0
        for entry in self.entries(self.tree(tree)):
            if len(entry.key) != RECORD_ID_BYTES:
                return False
            if entry.value is None:
                continue
            if not is_document(entry.value):
                return False
            seen += 1
            if seen >= _RECORD_TREE_SAMPLE:
                break
        return seen > 0


def is_document(value: bytes) -> bool:
    """Whether a value is a document as a collection holds it, with `_id` in front."""
    try:
        validate_document(value)
    except (InvalidDocument, InvalidBSON):
        return False
    return find_field(value, 0, b"_id") == _FIRST_ELEMENT


def _key_of(entry: SalvagedEntry) -> bytes:
    return entry.key


def choose_meta(evidence: Evidence, older: bool, limits: LogLimits) -> Meta | None:
    """The meta page to stand on; None when there is no valid one.

    :raises UsageError: none is old enough for what was asked.
    """
    metas = evidence.metas
    if older:
        if len(metas) < 2:
            raise _no_such_state(evidence, "there is no older meta page that is valid")
        metas = metas[1:]
    for meta in metas:
        if limits.to_lsn is not None and meta.checkpoint_lsn > limits.to_lsn:
            continue
        if limits.to_time_us is not None and meta.written_us > limits.to_time_us:
            continue
        return meta
    if metas:
        oldest = metas[-1]
        raise _no_such_state(
            evidence,
            f"the file reaches back to LSN {oldest.checkpoint_lsn} only, written "
            f"{datetime.fromtimestamp(oldest.written_us / 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        )
    return None


def _no_such_state(evidence: Evidence, what: str) -> UsageError:
    return UsageError(
        "STATE_GONE",
        f"{evidence.path} cannot be recovered to that state: {what}",
        "ask for a newer state, or restore a backup",
        {"path": evidence.path},
    )
