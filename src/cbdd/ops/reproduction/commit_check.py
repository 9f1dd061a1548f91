"""Whether one commit keeps what must hold, at a cost proportional to what it changes.

For each collection that a commit touches, the index entries it puts and deletes must be the
difference between those of the old and of the new version of each document it changes:

    for each document:  keys(old) - keys(new) are gone,  keys(new) are there, with their types

An index whose tree the commit makes is compared with all documents. Keys of a unique index may be
taken over only from a document that gives them up in the same commit. Besides: documents are valid
and begin with `_id`, definitions decode and their trees exist, dropped definitions leave no trees,
a capped collection knows its size, and an index with several keys of one document says so.

Invariant: a state that keeps all this, and a commit that keeps it, make a state that keeps it. So
the first commit that breaks something is the one that did it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from bson.errors import InvalidBSON, InvalidDocument
from pymongo.errors import PyMongoError

from cbdd.catalog.entry import CollectionEntry, decode_entry
from cbdd.catalog.record_store import (
    CATALOG_TREE,
    FIRST_USER_TREE,
    RECORD_ID_BYTES,
    SEQUENCE_TREE,
    decode_record_id,
    encode_record_id,
)
from cbdd.document.raw import find_field
from cbdd.document.validate import validate_document
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import KeySet, extract_keys
from cbdd.ops.recovery.log_replay import Commit
from cbdd.query.implication import QueryFilters
from cbdd.storage.frame import TreeChanges

_ID_ELEMENT: Final = 4
_CAPPED: Final = b"capped\0"
MOST_BREAKS: Final = 100


class Trees(Protocol):
    """The state before a commit."""

    def get(self, tree: int, key: bytes) -> bytes | None:
        """The value of a key, None for none."""

    def has_tree(self, tree: int) -> bool:
        """Whether a tree is there."""

    def items(self, tree: int) -> Iterator[tuple[bytes, bytes]]:
        """Everything in a tree."""


class Break:
    """Something that a commit breaks. The message holds no values."""

    def __init__(
        self, code: str, message: str, namespace: str = "", index: str = "", record_id: int = 0
    ) -> None:
        self.code = code
        self.message = message
        self.namespace = namespace
        self.index = index
        self.record_id = record_id

    def __repr__(self) -> str:
        return f"{self.code} {self.namespace} {self.index} record {self.record_id}: {self.message}"


class CommitChecker:
    """Checks commits one after the other; ``entries`` is the catalog before the next one."""

    def __init__(self, entries: dict[bytes, CollectionEntry]) -> None:
        self.entries = dict(entries)
        self._filters = QueryFilters()

    def check(self, commit: Commit, before: Trees) -> list[Break]:
        """What a commit breaks.

        :param before: the state it is applied to.
        """
        changes = commit.by_tree()
        breaks: list[Break] = []
        old_entries = {each.collection_id: each for each in self.entries.values()}
        self._take_catalog(changes.get(CATALOG_TREE), breaks)
        new_entries = {each.collection_id: each for each in self.entries.values()}
        touched = [
            each
            for each in new_entries.values()
            if each is not old_entries.get(each.collection_id)
            or any(tree in changes for tree in _trees_of(each))
        ]
        for entry in touched:
            old = old_entries.get(entry.collection_id)
            breaks += _CollectionCheck(entry, old, changes, before).run()
        breaks += _tree_breaks(old_entries, new_entries, changes, before)
        return breaks[:MOST_BREAKS]

    def _take_catalog(self, change: TreeChanges | None, breaks: list[Break]) -> None:
        if change is None:
            return
        for key, record in change.entries.items():
            if record is None:
                self.entries.pop(key, None)
                continue
            try:
                self.entries[key] = decode_entry(key, record, self._filters)
            except PyMongoError as error:
                breaks.append(Break("CATALOG_ENTRY", type(error).__name__))


def _trees_of(entry: CollectionEntry) -> list[int]:
    return [entry.record_tree, *(definition.tree_id for definition in entry.indexes)]


def _tree_breaks(
    old: dict[int, CollectionEntry],
    new: dict[int, CollectionEntry],
    changes: dict[int, TreeChanges],
    before: Trees,
) -> list[Break]:
    """Trees that belong to nobody any more, or are missing."""
    breaks: list[Break] = []
    owned = {tree for entry in new.values() for tree in _trees_of(entry)}
    owned_before = {tree for entry in old.values() for tree in _trees_of(entry)}

    def is_there(tree: int) -> bool:
        change = changes.get(tree)
        if change is not None and (change.is_created or change.is_dropped):
            return change.is_created
        return before.has_tree(tree)

    made = {tree for tree, change in changes.items() if change.is_created}
    for tree in sorted((made | owned_before) - owned):
        if tree >= FIRST_USER_TREE and is_there(tree):
            breaks.append(Break("TREE_ORPHANED", f"tree {tree} belongs to no collection"))
    for entry in new.values():
        if entry is old.get(entry.collection_id) and not any(
            tree in changes for tree in _trees_of(entry)
        ):
            continue
        for tree in _trees_of(entry):
            if not is_there(tree):
                breaks.append(Break("TREE_MISSING", f"tree {tree} does not exist", entry.namespace))
    return breaks


class _CollectionCheck:
    """What one commit does to one collection."""

    def __init__(
        self,
        entry: CollectionEntry,
        old: CollectionEntry | None,
        changes: dict[int, TreeChanges],
        before: Trees,
    ) -> None:
        self._entry = entry
        self._old = old
        self._changes = changes
        self._before = before
        self._breaks: list[Break] = []
        self._documents: dict[bytes, tuple[bytes | None, bytes | None]] = {}
        """Of each record that changes, the document before and after."""

    def run(self) -> list[Break]:
        """Check documents, then each index, then the size."""
        change = self._changes.get(self._entry.record_tree)
        if change is not None:
            for key, document in change.entries.items():
                self._take_document(key, document, change)
        for definition in self._entry.indexes:
            self._check_index(definition)
        if self._entry.is_capped:
            self._check_size()
        return self._breaks

    def _note(self, code: str, message: str, index: str = "", record_key: bytes = b"") -> None:
        record_id = decode_record_id(record_key) if record_key else 0
        self._breaks.append(Break(code, message, self._entry.namespace, index, record_id))

    def _take_document(self, key: bytes, document: bytes | None, change: TreeChanges) -> None:
        if len(key) != RECORD_ID_BYTES or decode_record_id(key) == 0:
            self._note("RECORD_ID", f"a record has a key of {len(key)} bytes")
            return
        is_new = change.is_created or change.is_dropped
        before = None if is_new else self._before.get(self._entry.record_tree, key)
        if document is not None:
            try:
                validate_document(document)
            except (InvalidDocument, InvalidBSON):
                self._note("RECORD_INVALID", "a record is no document", "", key)
                return
            if find_field(document, 0, b"_id") != _ID_ELEMENT:
                self._note("RECORD_WITHOUT_ID", "a record does not begin with _id", "", key)
                return
        self._documents[key] = (before, document)

    # -- indexes -----------------------------------------------------------------------------

    def _check_index(self, definition: IndexDefinition) -> None:
        change = self._changes.get(definition.tree_id)
        if change is not None and change.is_created:
            self._check_made(definition, change)
        else:
            self._check_changed(definition, change)

    def _check_made(self, definition: IndexDefinition, change: TreeChanges) -> None:
        """An index whose tree the commit makes: all documents against all entries."""
        expected: dict[bytes, tuple[bytes, bytes]] = {}
        for key, document in self._all_documents():
            found = self._extract(definition, document, key)
            if found is not None:
                self._expect(definition, key, found, expected)
        there = {key: value for key, value in change.entries.items() if value is not None}
        for stored, (value, record_key) in expected.items():
            self._compare(definition, there.pop(stored, None), value, record_key)
        for _ in there:
            self._note("INDEX_COUNT", "an entry that no document asks for", definition.name)

    def _all_documents(self) -> Iterator[tuple[bytes, bytes]]:
        """Every document after the commit."""
        tree = self._entry.record_tree
        change = self._changes.get(tree)
        changed = change.entries if change is not None else {}
        is_new = change is not None and (change.is_created or change.is_dropped)
        if not is_new and self._before.has_tree(tree):
            for key, document in self._before.items(tree):
                if key not in changed:
                    yield key, document
        for key, value in changed.items():
            if value is not None and key in self._documents:
                yield key, value

    def _check_changed(self, definition: IndexDefinition, change: TreeChanges | None) -> None:
        """An index that was there: what the commit changes against what it has to."""
        gone: dict[bytes, bytes] = {}
        expected: dict[bytes, tuple[bytes, bytes]] = {}
        for key, (before, _) in self._documents.items():
            if before is not None:
                found = self._extract(definition, before, key, is_old=True)
                for each in found.keys if found is not None else ():
                    gone[_stored(definition, each, key)] = key
        for key, (_, after) in self._documents.items():
            if after is not None:
                found = self._extract(definition, after, key)
                if found is not None:
                    self._expect(definition, key, found, expected)
        changed = change.entries if change is not None else {}
        tree = definition.tree_id
        for stored, (value, record_key) in expected.items():
            if definition.is_unique and stored not in gone:
                self._check_holder(definition, stored, record_key)
            actual = changed[stored] if stored in changed else self._before.get(tree, stored)
            self._compare(definition, actual, value, record_key)
        for stored, record_key in gone.items():
            if stored in expected:
                continue
            actual = changed[stored] if stored in changed else self._before.get(tree, stored)
            if actual is not None:
                text = "an entry of the document as it was stays"
                self._note("INDEX_COUNT", text, definition.name, record_key)
        for stored, put in changed.items():
            if stored in expected or stored in gone:
                continue
            if put is not None and put != self._before.get(tree, stored):
                self._note("INDEX_COUNT", "an entry that no document asks for", definition.name)
            elif put is None and self._before.get(tree, stored) is not None:
                text = "an entry is taken away from a document that the commit does not change"
                self._note("INDEX_ENTRY_MISSING", text, definition.name)

    def _check_holder(self, definition: IndexDefinition, stored: bytes, record_key: bytes) -> None:
        """Nobody else may hold the key of a unique index."""
        holder = self._before.get(definition.tree_id, stored)
        if holder is not None and holder[:RECORD_ID_BYTES] != record_key:
            text = "a key of a unique index is taken from another document"
            self._note("INDEX_ENTRY_MISSING", text, definition.name, holder[:RECORD_ID_BYTES])

    def _expect(
        self,
        definition: IndexDefinition,
        record_key: bytes,
        found: KeySet,
        expected: dict[bytes, tuple[bytes, bytes]],
    ) -> None:
        for key in found.keys:
            stored = _stored(definition, key, record_key)
            other = expected.get(stored)
            if other is not None and other[1] != record_key:
                text = "two documents have one key of a unique index"
                self._note("INDEX_ENTRY_MISSING", text, definition.name, record_key)
            value = record_key + found.types if definition.is_unique else found.types
            expected[stored] = (value, record_key)

    def _compare(
        self, definition: IndexDefinition, actual: bytes | None, value: bytes, record_key: bytes
    ) -> None:
        if actual == value:
            return
        if actual is None or (
            definition.is_unique and actual[:RECORD_ID_BYTES] != value[:RECORD_ID_BYTES]
        ):
            text = "an entry that the document asks for is missing"
            self._note("INDEX_ENTRY_MISSING", text, definition.name, record_key)
        else:
            text = "an entry tells other types than its document has"
            self._note("INDEX_ENTRY_TYPES", text, definition.name, record_key)

    def _extract(
        self, definition: IndexDefinition, document: bytes, key: bytes, is_old: bool = False
    ) -> KeySet | None:
        try:
            found = extract_keys(definition, document)
        except PyMongoError:
            if not is_old:
                self._note("INDEX_KEYS", "a document has no keys", definition.name, key)
            return None
        if found.is_multikey and not definition.is_multikey and not is_old:
            text = "a document has an array in an index that is not marked"
            self._note("INDEX_MULTIKEY", text, definition.name, key)
        return found

    # -- size --------------------------------------------------------------------------------

    def _check_size(self) -> None:
        """A capped collection knows how many bytes its documents have."""
        key = _CAPPED + encode_record_id(self._entry.collection_id)
        change = self._changes.get(SEQUENCE_TREE)
        before = self._before.get(SEQUENCE_TREE, key)
        after = change.entries.get(key, before) if change is not None else before
        old = decode_record_id(before) if before is not None else 0
        new = decode_record_id(after) if after is not None else 0
        added = sum(
            len(document or b"") - len(previous or b"")
            for previous, document in self._documents.values()
        )
        if self._old is not None and self._old.is_capped and new != old + added:
            self._note("CAPPED_SIZE", f"its size changes by {new - old}, its documents by {added}")


def _stored(definition: IndexDefinition, key: bytes, record_key: bytes) -> bytes:
    return key if definition.is_unique else key + record_key
