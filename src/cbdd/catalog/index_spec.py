"""From what a user asks of an index to its definition, and what an existing one says to it.

An index is asked for with a document as the createIndexes command takes it: ``key`` (field to
direction), ``name`` and options. What this release cannot do is refused by name, never ignored:
an index that silently left documents out would make queries silently wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pymongo.errors import OperationFailure

from cbdd.catalog.entry import ID_INDEX_NAME, CollectionEntry
from cbdd.catalog.refusal import (
    BAD_VALUE,
    CANNOT_CREATE_INDEX,
    INDEX_KEY_SPECS_CONFLICT,
    INDEX_OPTIONS_CONFLICT,
    INVALID_INDEX_OPTION,
    NOT_SUPPORTED,
    TYPE_MISMATCH,
    refusal,
)
from cbdd.index.definition import IndexDefinition, check_index_fields, default_index_name

MAX_INDEXES: Final = 64

_FLAGS: Final = ("unique", "sparse")

_IGNORED_OPTIONS: Final = ("v", "ns", "background", "comment")
"""Options that change nothing here: index versions and how a server schedules the build."""

_UNSUPPORTED_OPTIONS: Final = (
    "2dsphereIndexVersion",
    "bits",
    "bucketSize",
    "clustered",
    "collation",
    "default_language",
    "expireAfterSeconds",
    "hidden",
    "language_override",
    "max",
    "min",
    "partialFilterExpression",
    "prepareUnique",
    "storageEngine",
    "textIndexVersion",
    "weights",
    "wildcardProjection",
)


class IndexRequest:
    """A checked request: what to build, once a tree is allotted to it."""

    def __init__(
        self, name: str, fields: list[tuple[str, int]], is_unique: bool, is_sparse: bool
    ) -> None:
        self.name = name
        self.fields = fields
        self.is_unique = is_unique
        self.is_sparse = is_sparse

    @property
    def is_id_index(self) -> bool:
        """Whether this asks for the index on `_id` that every collection has."""
        return self.fields == [("_id", 1)]

    def to_definition(self, tree_id: int) -> IndexDefinition:
        """Return the definition of the index in its own, still empty tree."""
        options: dict[str, object] = {"sparse": True} if self.is_sparse else {}
        return IndexDefinition(
            name=self.name,
            fields=self.fields,
            is_unique=self.is_unique,
            tree_id=tree_id,
            options=options,
        )


def parse_index(document: Mapping[str, object]) -> IndexRequest:
    """Check one element of a createIndexes command.

    :raises OperationFailure: MongoDB would refuse it, or this release cannot build it.
    """
    key = document.get("key")
    if not isinstance(key, Mapping):
        raise refusal(TYPE_MISMATCH, f"The field 'key' must be an object, but got {key!r}")
    pattern: list[tuple[str, object]] = []
    for field, direction in key.items():
        pattern.append((str(field), direction))
    fields = check_index_fields(pattern)
    flags: set[str] = set()
    for option, value in document.items():
        if option in _FLAGS:
            if _is_true(option, value):
                flags.add(option)
        elif option not in ("key", "name"):
            _check_option(option, value)
    name = _check_name(document.get("name") or default_index_name(fields))
    request = IndexRequest(name, fields, "unique" in flags, "sparse" in flags)
    _check_id_index(request, document)
    return request


def is_same_index(entry: CollectionEntry, request: IndexRequest) -> bool:
    """Tell whether the collection has just this index; raise when it has a conflicting one."""
    for existing in entry.indexes:
        same_key = existing.fields == request.fields
        if same_key and request.is_id_index:
            return True
        if existing.name == request.name:
            _check_same_name(existing, request)
            return True
        if same_key:
            raise _equivalent_exists(existing, request)
    if len(entry.indexes) >= MAX_INDEXES:
        raise refusal(
            CANNOT_CREATE_INDEX,
            f"add index fails, too many indexes for {entry.namespace} key:{_show(request)}",
        )
    return False


def _check_same_name(existing: IndexDefinition, request: IndexRequest) -> None:
    if existing.fields != request.fields:
        raise refusal(
            INDEX_KEY_SPECS_CONFLICT,
            "An existing index has the same name as the requested index. When index names are not "
            "specified, they are auto generated and can cause conflicts. Please refer to our "
            f"documentation. Requested index: {_show(request)}, existing index: {_show(existing)}",
        )
    if not _same_options(existing, request):
        raise refusal(
            INDEX_OPTIONS_CONFLICT,
            "An equivalent index already exists with the same name but different options. "
            f"Requested index: {_show(request)}, existing index: {_show(existing)}",
        )


def _equivalent_exists(existing: IndexDefinition, request: IndexRequest) -> OperationFailure:
    if _same_options(existing, request):
        return refusal(
            INDEX_OPTIONS_CONFLICT,
            f"Index already exists with a different name: {existing.name}",
        )
    return refusal(
        INDEX_OPTIONS_CONFLICT,
        "An equivalent index already exists with a different name and options. Requested index: "
        f"{_show(request)}, existing index: {_show(existing)}",
    )


def _same_options(existing: IndexDefinition, request: IndexRequest) -> bool:
    return existing.is_unique == request.is_unique and existing.is_sparse == request.is_sparse


def _check_name(name: object) -> str:
    if type(name) is not str:
        raise refusal(TYPE_MISMATCH, f"The field 'name' must be a string, but got {name!r}")
    if name == "*":
        raise refusal(BAD_VALUE, "The index name '*' is not valid.")
    if "\0" in name:
        raise refusal(CANNOT_CREATE_INDEX, "Index name cannot contain NUL bytes")
    return name


def _check_option(option: str, value: object) -> None:
    if option in _IGNORED_OPTIONS:
        return
    if option not in _UNSUPPORTED_OPTIONS:
        raise refusal(
            INVALID_INDEX_OPTION, f"The field '{option}' is not valid for an index specification."
        )
    if value is not None and value is not False:
        raise refusal(
            NOT_SUPPORTED, f"the index option {option!r} is not supported by this release of CBDD"
        )


def _is_true(option: str, value: object) -> bool:
    if type(value) is bool:
        return value is True
    if isinstance(value, (int, float)):
        return value != 0
    raise refusal(
        TYPE_MISMATCH,
        f"The field '{option}' has value {value!r}, which is not convertible to bool",
    )


def _check_id_index(request: IndexRequest, document: Mapping[str, object]) -> None:
    if request.fields == [("_id", -1)]:
        raise refusal(
            BAD_VALUE, "The field 'key' for an _id index must be {_id: 1}, but got {_id: -1}"
        )
    if request.is_id_index:
        for flag in _FLAGS:
            if flag in document:
                raise refusal(
                    INVALID_INDEX_OPTION,
                    f"The field '{flag}' is not valid for an _id index specification.",
                )
    elif request.name == ID_INDEX_NAME:
        raise refusal(
            BAD_VALUE,
            f"The index name '{ID_INDEX_NAME}' is reserved for the _id index, which must have key "
            "pattern {_id: 1}",
        )


def _show(index: IndexRequest | IndexDefinition) -> str:
    fields = ", ".join([f"{field}: {direction}" for field, direction in index.fields])
    unique = ", unique: true" if index.is_unique else ""
    sparse = ", sparse: true" if index.is_sparse else ""
    return f'{{ key: {{ {fields} }}, name: "{index.name}"{unique}{sparse} }}'
