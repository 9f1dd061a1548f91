"""The operations behind commits, as somebody would write them: lists of plain values.

    ["collection", C, options]     make a collection
    ["index", C, keys, options]    keys as [[path, direction], ...]
    ["insert", C, document]
    ["replace", C, id, document]   the whole document of an id
    ["delete", C, id]
    ["commit", [operation, ...]]   several in one transaction
    ["drop", C], ["drop_index", C, name]

C is ``database.collection``. They are made from what the commits did to records and definitions,
not to indexes: those are what the release under test has to get right by itself.
"""

from __future__ import annotations

from typing import Any, Final

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from pymongo.errors import PyMongoError

from cbdd.catalog.entry import CollectionEntry, decode_entry
from cbdd.catalog.record_store import CATALOG_TREE
from cbdd.index.definition import IndexDefinition
from cbdd.ops.recovery.log_replay import Commit
from cbdd.ops.reproduction.commit_check import Trees
from cbdd.query.implication import QueryFilters
from cbdd.storage.frame import TreeChanges

Operation = list[Any]

_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


class OperationWriter:
    """Turns commits into operations, one after the other.

    :param entries: the catalog of the base.
    :param wanted: collections to keep to, by name; all others are left out.
    """

    def __init__(self, entries: dict[bytes, CollectionEntry], wanted: set[str]) -> None:
        self._entries = dict(entries)
        self._wanted = wanted
        self._filters = QueryFilters()
        self._is_begun: set[tuple[str, bytes]] = set()
        self.operations: list[Operation] = []
        self._beginning: list[Operation] = []
        for entry in entries.values():
            if entry.namespace in wanted:
                self._beginning += _made(entry)

    def all(self) -> list[Operation]:
        """Every operation: first what makes the documents of the base that are touched."""
        return [*self._beginning, *self.operations]

    def collections(self) -> list[CollectionEntry]:
        """The collections after the commits taken so far."""
        return list(self._entries.values())

    def take(self, commit: Commit, before: Trees) -> None:
        """Add a commit.

        :param before: the state it is applied to.
        """
        changes = commit.by_tree()
        found: list[Operation] = []
        old = {each.collection_id: each for each in self._entries.values()}
        self._take_catalog(changes.get(CATALOG_TREE))
        new = {each.collection_id: each for each in self._entries.values()}
        for number in sorted({*old, *new}):
            found += _definitions(old.get(number), new.get(number), self._wanted)
        for entry in new.values():
            if entry.namespace in self._wanted:
                found += self._documents(entry, changes.get(entry.record_tree), before)
        if len(found) == 1:
            self.operations += found
        elif found:
            is_schema = any(each[0] not in ("insert", "replace", "delete") for each in found)
            self.operations += found if is_schema else [["commit", found]]

    def _take_catalog(self, change: TreeChanges | None) -> None:
        for key, record in change.entries.items() if change is not None else ():
            self._entries.pop(key, None)
            if record is not None:
                try:
                    self._entries[key] = decode_entry(key, record, self._filters)
                except PyMongoError:
                    continue  # what breaks there has been told

    def _documents(
        self, entry: CollectionEntry, change: TreeChanges | None, before: Trees
    ) -> list[Operation]:
        found: list[Operation] = []
        if change is None:
            return found
        is_new = change.is_created or change.is_dropped
        name = entry.namespace
        for key, value in change.entries.items():
            previous = None if is_new else decoded(before.get(entry.record_tree, key))
            document = decoded(value)
            if previous is not None and (name, key) not in self._is_begun:
                self._beginning.append(["insert", name, previous])
            self._is_begun.add((name, key))
            if document is None:
                if previous is not None:
                    found.append(["delete", name, previous["_id"]])
            elif previous is None:
                found.append(["insert", name, document])
            elif previous["_id"] == document["_id"]:
                found.append(["replace", name, document["_id"], document])
            else:  # its place was given to another document
                found.append(["delete", name, previous["_id"]])
                found.append(["insert", name, document])
        order = ("delete", "replace", "insert")
        return sorted(found, key=lambda each: order.index(each[0]))


def decoded(document: bytes | None) -> dict[str, Any] | None:
    """A document; None where there is none that could be stored."""
    if document is None:
        return None
    try:
        found = bson.decode(document, _OPTIONS)  # a reference to a document stays a document
    except BSONError:
        return None
    return found if "_id" in found else None


def _made(entry: CollectionEntry) -> list[Operation]:
    """What makes a collection as it is, without documents."""
    options = {name: value for name, value in entry.options.items() if name != "uuid"}
    found: list[Operation] = [["collection", entry.namespace, options]]
    return found + [_index(entry, each) for each in entry.indexes if not each.is_id_index]


def _index(entry: CollectionEntry, definition: IndexDefinition) -> Operation:
    options: dict[str, Any] = {"name": definition.name, **definition.options}
    if definition.is_unique:
        options["unique"] = True
    keys = [[path, direction] for path, direction in definition.key_pattern().items()]
    return ["index", entry.namespace, keys, options]


def _definitions(
    old: CollectionEntry | None, new: CollectionEntry | None, wanted: set[str]
) -> list[Operation]:
    """What a commit does to the definition of one collection."""
    found: list[Operation] = []
    if old is not None and old.namespace in wanted and (new is None or new.name != old.name):
        found.append(["drop", old.namespace])
        old = None
    if new is None or new.namespace not in wanted:
        return found
    if old is None:
        return found + _made(new)
    before = {each.name: each for each in old.indexes}
    after = {each.name: each for each in new.indexes}
    for name, each in before.items():
        if name not in after or _is_other(each, after[name]):
            found.append(["drop_index", new.namespace, name])
    for name, each in after.items():
        if name not in before or _is_other(before[name], each):
            found.append(_index(new, each))
    return found


def _is_other(old: IndexDefinition, new: IndexDefinition) -> bool:
    """Whether an index of one name is another one, or was made anew."""
    return old.tree_id != new.tree_id
