"""Checking what storage cannot know: that trees hold documents and indexes that agree.

For each collection: every record is a document that may be stored, with `_id` in front; each index
holds every key its documents ask for, under the right record, and no more. Entries are compared as
two multisets by the sum of their hashes, one summed over the documents and one over the index;
only an index whose sums differ is looked at entry by entry, to say what is wrong. Two different
multisets have one sum with a probability of 2^-64.

For the file: each tree belongs to one collection, each collection's trees exist, and sequences are
ahead of what they gave out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import xxhash
from bson.errors import InvalidBSON, InvalidDocument
from pymongo.errors import PyMongoError

from cbdd.catalog.entry import CollectionEntry, decode_entry
from cbdd.catalog.record_store import (
    CATALOG_TREE,
    FIRST_USER_TREE,
    RECORD_ID_BYTES,
    capped_size,
    decode_record_id,
    peek_collection_id,
    peek_tree_id,
)
from cbdd.document.filter import FilterCompiler
from cbdd.document.raw import find_field
from cbdd.document.validate import validate_document
from cbdd.errors import CorruptDataError, NewerFormatError
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import KeySet, extract_keys
from cbdd.storage import ReadTransaction
from cbdd.storage.check import Problem, page_of
from cbdd.storage.yield_point import YIELD_INTERVAL, yield_point

_ID_ELEMENT: Final = 4
MAX_PROBLEMS_PER_COLLECTION: Final = 100
PROGRESS_INTERVAL: Final = 16 * YIELD_INTERVAL


def check_catalog(
    txn: ReadTransaction,
    filters: FilterCompiler | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Problem]:
    """Return what is wrong with the catalog and every collection of the file.

    Damaged pages are listed with what they belong to; what is behind them is not compared.

    :param filters: compiles partial filters and validators.
    :param progress: called now and then with the number of documents checked since the last call.
    """
    problems: list[Problem] = []
    try:
        _check_entries(txn, problems, filters, progress)
    except CorruptDataError as error:
        problems.append(_damage(error, "the catalog", CATALOG_TREE))
    return problems


def name_owners(
    txn: ReadTransaction, problems: list[Problem], filters: FilterCompiler | None = None
) -> None:
    """Say of each problem what its tree is of, as far as the catalog can be read."""
    if not problems:
        return
    owners: dict[int, tuple[str, str]] = {}
    try:
        cursor = txn.cursor(CATALOG_TREE)
        more = cursor.first()
        while more:
            try:
                entry = decode_entry(cursor.key, cursor.value, filters)
            except PyMongoError:
                entry = None  # a problem of its own
            if entry is not None:
                owners[entry.record_tree] = (entry.namespace, "")
                for definition in entry.indexes:
                    owners[definition.tree_id] = (entry.namespace, definition.name)
            more = cursor.step()
    except CorruptDataError:
        pass  # a problem of its own; what is before the damage has its names
    for problem in problems:
        problem.namespace, problem.index = owners.get(problem.tree, ("", ""))


def _check_entries(
    txn: ReadTransaction,
    problems: list[Problem],
    filters: FilterCompiler | None,
    progress: Callable[[int], None] | None,
) -> None:
    owners: dict[int, str] = {}
    is_all_known = True
    next_tree = peek_tree_id(txn)
    next_collection = peek_collection_id(txn)
    cursor = txn.cursor(CATALOG_TREE)
    more = cursor.first()
    while more:
        try:
            entry = decode_entry(cursor.key, cursor.value, filters)
        except NewerFormatError as error:
            is_all_known = False
            problems.append(Problem(error.code, error.message, 0, CATALOG_TREE))
        except PyMongoError as error:
            problems.append(Problem("CATALOG_ENTRY", str(error), 0, CATALOG_TREE))
        else:
            if entry.collection_id >= next_collection:
                problems.append(_sequence_behind(entry, "collection id", entry.collection_id))
            for tree_id in trees_of(entry):
                if tree_id >= next_tree:
                    problems.append(_sequence_behind(entry, "tree id", tree_id))
                _claim_tree(entry, tree_id, owners, problems)
            problems.extend(check_collection(txn, entry, progress))
        more = cursor.step()
    if not is_all_known:
        return  # nobody knows which trees belong to what a later release made
    for tree_id in txn.tree_ids():
        if tree_id >= FIRST_USER_TREE and tree_id not in owners:
            problems.append(
                Problem("TREE_ORPHANED", f"tree {tree_id} belongs to no collection", 0, tree_id)
            )


def _damage(error: CorruptDataError, what: str, tree_id: int) -> Problem:
    return Problem(error.code, f"{what}: {error.message}", page_of(error, 0), tree_id)


def trees_of(entry: CollectionEntry) -> list[int]:
    """List the trees of a collection: its records, then its indexes."""
    return [entry.record_tree, *[definition.tree_id for definition in entry.indexes]]


def check_collection(
    txn: ReadTransaction,
    entry: CollectionEntry,
    progress: Callable[[int], None] | None = None,
) -> list[Problem]:
    """Return what is wrong with the records and indexes of one collection.

    :param progress: see `check_catalog`.
    """
    checker = _CollectionChecker(txn, entry, progress)
    for tree_id in trees_of(entry):
        if not txn.has_tree(tree_id):
            checker.note("TREE_MISSING", f"tree {tree_id} does not exist", tree_id)
    if not checker.problems:
        try:
            checker.check_records()
        except CorruptDataError as error:
            checker.problems.append(_damage(error, entry.namespace, entry.record_tree))
    return checker.problems


class _CollectionChecker:
    """Walks the records of one collection once, and each of its indexes."""

    def __init__(
        self,
        txn: ReadTransaction,
        entry: CollectionEntry,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.txn = txn
        self.entry = entry
        self.progress = progress
        self.problems: list[Problem] = []
        self.document_bytes = 0
        self._sums: list[int] = [0] * len(entry.indexes)
        self._expected: list[int] = [0] * len(entry.indexes)
        self._unfit: set[bytes] = set()
        """Keys of records that are no documents, or have no keys."""

    def check_records(self) -> None:
        """Check each record, then each index against what the documents ask for."""
        cursor = self.txn.scan(self.entry.record_tree)
        more = cursor.first()
        done = 0
        while more and len(self.problems) < MAX_PROBLEMS_PER_COLLECTION:
            self._check_record(cursor.key, cursor.value)
            done += 1
            if done % YIELD_INTERVAL == 0:
                yield_point()
                if self.progress is not None and done % PROGRESS_INTERVAL == 0:
                    self.progress(PROGRESS_INTERVAL)
            more = cursor.step()
        if self.entry.is_capped and not self.problems:
            noted = capped_size(self.txn, self.entry.collection_id)
            if noted != self.document_bytes:
                self.note(
                    "CAPPED_SIZE",
                    f"its documents have {self.document_bytes} bytes, the catalog says {noted}",
                    self.entry.record_tree,
                )
        are_whole = not self.problems
        for position in range(len(self.entry.indexes)):
            definition = self.entry.indexes[position]
            try:
                self._check_index(position, are_whole)
            except CorruptDataError as error:
                what = f"{self.entry.namespace}: index {definition.name}"
                self.problems.append(_damage(error, what, definition.tree_id))

    def _check_index(self, position: int, are_whole: bool) -> None:
        """Compare one index with the documents; find out what is wrong if they differ.

        :param are_whole: whether all records are fit to be compared; those that are not may have
            entries, which are none too many.
        """
        definition = self.entry.indexes[position]
        if self._index_sum(definition) == self._sums[position]:
            return
        before = len(self.problems)
        cursor = self.txn.cursor(self.entry.record_tree)
        more = cursor.first()
        while more and len(self.problems) < MAX_PROBLEMS_PER_COLLECTION:
            if cursor.key not in self._unfit:
                self._compare_entries(definition, cursor.key, cursor.value)
            more = cursor.step()
        found = self.txn.count(definition.tree_id)
        if (
            are_whole and len(self.problems) == before
        ):  # none is missing, so there are some too many
            self.note(
                "INDEX_COUNT",
                f"index {definition.name} has {found} entries, the documents ask for "
                f"{self._expected[position]}",
                definition.tree_id,
            )

    def _index_sum(self, definition: IndexDefinition) -> int:
        """The sum over an index: of each entry key string, record id and types in this order."""
        total = 0
        cursor = self.txn.scan(definition.tree_id)
        more = cursor.first()
        done = 0
        while more:
            total += xxhash.xxh3_64_intdigest(cursor.key + cursor.value)
            done += 1
            if done % YIELD_INTERVAL == 0:
                yield_point()
            more = cursor.step()
        return total

    def note(self, code: str, message: str, tree_id: int) -> None:
        """Add a problem of this collection."""
        self.problems.append(Problem(code, f"{self.entry.namespace}: {message}", 0, tree_id))

    def _check_record(self, record_key: bytes, document: bytes) -> None:
        record_id = decode_record_id(record_key)
        tree_id = self.entry.record_tree
        if len(record_key) != RECORD_ID_BYTES or record_id == 0:
            self.note("RECORD_ID", f"a record has the key {record_key!r}", tree_id)
            self._unfit.add(record_key)
            return
        try:
            validate_document(document)
        except (InvalidDocument, InvalidBSON) as error:
            self.note("RECORD_INVALID", f"record {record_id} is no document: {error}", tree_id)
            self._unfit.add(record_key)
            return
        if find_field(document, 0, b"_id") != _ID_ELEMENT:
            self.note("RECORD_WITHOUT_ID", f"record {record_id} does not begin with _id", tree_id)
            self._unfit.add(record_key)
            return
        self.document_bytes += len(document)
        indexes = self.entry.indexes
        for position in range(len(indexes)):
            definition = indexes[position]
            extracted = self._extract(definition, record_key, document)
            if extracted is None:
                continue
            total = 0
            for key in extracted.keys:
                total += xxhash.xxh3_64_intdigest(key + record_key + extracted.types)
            self._sums[position] += total
            self._expected[position] += len(extracted.keys)

    def _extract(
        self, definition: IndexDefinition, record_key: bytes, document: bytes
    ) -> KeySet | None:
        """The keys a document asks for; None, and a problem, when there can be none."""
        try:
            extracted = extract_keys(definition, document)
        except PyMongoError as error:
            record_id = decode_record_id(record_key)
            self.note("INDEX_KEYS", f"record {record_id}: {error}", definition.tree_id)
            self._unfit.add(record_key)
            return None
        if extracted.is_multikey and not definition.is_multikey:
            record_id = decode_record_id(record_key)
            self.note(
                "INDEX_MULTIKEY",
                f"record {record_id} has an array in index {definition.name}, which is not marked",
                definition.tree_id,
            )
        return extracted

    def _compare_entries(
        self, definition: IndexDefinition, record_key: bytes, document: bytes
    ) -> None:
        """Look up each entry that a document asks for."""
        record_id = decode_record_id(record_key)
        extracted = extract_keys(definition, document)
        for key in extracted.keys:
            if definition.is_unique:
                found = self.txn.get(definition.tree_id, key)
                is_there = found is not None and found[:RECORD_ID_BYTES] == record_key
                types = b"" if found is None else found[RECORD_ID_BYTES:]
            else:
                found = self.txn.get(definition.tree_id, key + record_key)
                is_there = found is not None
                types = found or b""
            if not is_there:
                self.note(
                    "INDEX_ENTRY_MISSING",
                    f"index {definition.name} lacks a key of record {record_id}",
                    definition.tree_id,
                )
            elif types != extracted.types:
                self.note(
                    "INDEX_ENTRY_TYPES",
                    f"index {definition.name} tells the types {types.hex() or 'usual'} for record "
                    f"{record_id}, its document {extracted.types.hex() or 'usual'}",
                    definition.tree_id,
                )


def _claim_tree(
    entry: CollectionEntry, tree_id: int, owners: dict[int, str], problems: list[Problem]
) -> None:
    owner = owners.get(tree_id)
    if owner is not None:
        problems.append(
            Problem(
                "TREE_SHARED",
                f"tree {tree_id} belongs to {owner} and to {entry.namespace}",
                0,
                tree_id,
            )
        )
    owners[tree_id] = entry.namespace


def _sequence_behind(entry: CollectionEntry, what: str, value: int) -> Problem:
    return Problem(
        "SEQUENCE_BEHIND",
        f"{entry.namespace} has {what} {value}, which is still to be given out",
        0,
        CATALOG_TREE,
    )
