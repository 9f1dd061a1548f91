"""One collection as the catalog stores it.

A collection is one entry of the catalog tree (tree 1): key ``database NUL name``, value a BSON
document:

    field     type      what
    format    int32     1, or 2: has options that releases before 0.2 would not keep to
    db        string    database name, also in the key
    name      string    collection name, also in the key
    id        int64     collection id, never reused
    uuid      binary 4  identity that survives a rename
    records   int64     tree of the records: 8-byte record id -> BSON document
    options   document  options given when it was made
    indexes   array     one document per index, the _id index first

Invariants: entries are immutable, so threads share them; a changed collection is a new entry.
A collection without such options is written in format 1.
Tree ids and collection ids are never reused, also not after a drop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from bson.int64 import Int64

from cbdd.catalog.collection_options import (
    CAPPED,
    MAX,
    SIZE,
    VALIDATION_ACTION,
    VALIDATION_LEVEL,
    VALIDATOR,
)
from cbdd.catalog.namespace import catalog_key
from cbdd.document.filter import DocumentFilter, FilterCompiler
from cbdd.errors import CorruptDataError, NewerFormatError
from cbdd.index.definition import SPARSE, IndexDefinition

ENTRY_FORMAT: Final = 2
PLAIN_FORMAT: Final = 1
UUID_SUBTYPE: Final = 4
ID_INDEX_NAME: Final = "_id_"

_CODEC_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
"""Filters in options may hold any date; one that Python has no datetime for stays a number."""


class CollectionEntry:
    """A collection's place in the file: its trees and its indexes; immutable, shared by threads."""

    def __init__(
        self,
        database: str,
        name: str,
        collection_id: int,
        uuid: bytes,
        record_tree: int,
        indexes: list[IndexDefinition],
        options: dict[str, object],
        record: bytes = b"",
        validator: DocumentFilter | None = None,
    ) -> None:
        """
        :param validator: the compiled validator of the options; needed when there is one.
        """
        self.database = database
        self.name = name
        self.collection_id = collection_id
        self.uuid = uuid
        self.record_tree = record_tree
        self.indexes = indexes
        self.options = options
        self.validator = validator
        self.is_capped = bool(options.get(CAPPED, False))
        self.capped_bytes = cast("int", options.get(SIZE, 0))
        self.capped_documents = cast("int", options.get(MAX, 0))
        self.validation_level = str(options.get(VALIDATION_LEVEL, ""))
        self.validation_action = str(options.get(VALIDATION_ACTION, ""))
        self.namespace = f"{database}.{name}"
        self.key = catalog_key(database, name)
        self.record = record or _encode(self)

    def index_named(self, name: str) -> IndexDefinition | None:
        """Return the index of this name, or None."""
        for definition in self.indexes:
            if definition.name == name:
                return definition
        return None

    def with_indexes(self, indexes: list[IndexDefinition]) -> CollectionEntry:
        """Return this collection with other indexes."""
        return CollectionEntry(
            self.database,
            self.name,
            self.collection_id,
            self.uuid,
            self.record_tree,
            indexes,
            self.options,
            b"",
            self.validator,
        )

    def with_options(
        self, options: dict[str, object], validator: DocumentFilter | None
    ) -> CollectionEntry:
        """Return this collection with other options."""
        return CollectionEntry(
            self.database,
            self.name,
            self.collection_id,
            self.uuid,
            self.record_tree,
            self.indexes,
            options,
            b"",
            validator,
        )

    def renamed(self, database: str, name: str) -> CollectionEntry:
        """Return this collection under another name: same trees, same identity."""
        return CollectionEntry(
            database,
            name,
            self.collection_id,
            self.uuid,
            self.record_tree,
            self.indexes,
            self.options,
            b"",
            self.validator,
        )

    def __repr__(self) -> str:
        return f"<collection {self.namespace} id {self.collection_id} tree {self.record_tree}>"


def _encode(entry: CollectionEntry) -> bytes:
    indexes: list[dict[str, Any]] = []
    for definition in entry.indexes:
        indexes.append(definition.to_document())
    return bson.encode(
        {
            "format": _format_of(entry),
            "db": entry.database,
            "name": entry.name,
            "id": Int64(entry.collection_id),
            "uuid": Binary(entry.uuid, UUID_SUBTYPE),
            "records": Int64(entry.record_tree),
            "options": entry.options,
            "indexes": indexes,
        }
    )


def _format_of(entry: CollectionEntry) -> int:
    if entry.options:
        return ENTRY_FORMAT
    for definition in entry.indexes:
        for option in definition.options:
            if option != SPARSE:
                return ENTRY_FORMAT
    return PLAIN_FORMAT


def compile_validator(
    options: Mapping[str, Any], filters: FilterCompiler | None
) -> DocumentFilter | None:
    """Return the compiled validator of a collection's options, None when there is none."""
    validator = options.get(VALIDATOR)
    if not validator:
        return None
    assert filters is not None, "a validator needs a filter compiler"
    return filters.compile(bson.encode(validator))


def decode_entry(
    key: bytes, record: bytes, filters: FilterCompiler | None = None
) -> CollectionEntry:
    """Read an entry of the catalog tree.

    :param filters: compiles partial filters and validators.
    :raises CorruptDataError: the value is no entry, or belongs under another key.
    :raises NewerFormatError: a later release wrote it.
    """
    try:
        document = bson.decode(record, _CODEC_OPTIONS)
        entry_format = document["format"]
        if entry_format not in (PLAIN_FORMAT, ENTRY_FORMAT):
            raise _newer_format(key, entry_format)
        indexes: list[IndexDefinition] = []
        for index in document["indexes"]:
            indexes.append(IndexDefinition.from_document(index, filters))
        entry = CollectionEntry(
            cast("str", document["db"]),
            cast("str", document["name"]),
            int(document["id"]),
            bytes(document["uuid"]),
            int(document["records"]),
            indexes,
            dict(document["options"]),
            record,
            compile_validator(document["options"], filters),
        )
    except (InvalidBSON, KeyError, TypeError, ValueError, AssertionError) as error:
        raise _bad_entry(key, f"{type(error).__name__}: {error}") from error
    if entry.key != key:
        raise _bad_entry(key, f"the value names {entry.namespace}")
    return entry


def _bad_entry(key: bytes, reason: str) -> CorruptDataError:
    return CorruptDataError(
        "CATALOG_ENTRY",
        f"the catalog entry under {key!r} cannot be read ({reason})",
        "run `cbdd check`; other collections stay readable",
        {"key": key, "reason": reason},
    )


def _newer_format(key: bytes, found: object) -> NewerFormatError:
    return NewerFormatError(
        "CATALOG_FORMAT",
        f"the catalog entry under {key!r} has format {found}, this release reads {ENTRY_FORMAT}",
        "install the release that last wrote the file (`cbdd info` names it), or a later one",
        {"key": key, "found": found, "expected": ENTRY_FORMAT},
    )
