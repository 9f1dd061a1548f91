"""From what a user asks of an index to its definition, and what an existing one says to it.

An index is asked for with a document as the createIndexes command takes it: ``key`` (field to
direction), ``name`` and options (see `index_options`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pymongo.errors import OperationFailure

from cbdd.catalog.entry import ID_INDEX_NAME, CollectionEntry
from cbdd.catalog.index_options import parse_options, same_options, same_signature
from cbdd.catalog.refusal import (
    BAD_VALUE,
    CANNOT_CREATE_INDEX,
    INDEX_KEY_SPECS_CONFLICT,
    INDEX_OPTIONS_CONFLICT,
    TYPE_MISMATCH,
    refusal,
)
from cbdd.document.filter import FilterCompiler
from cbdd.index.definition import (
    PARTIAL_FILTER,
    SPARSE,
    IndexDefinition,
    compile_filter,
    pattern_of,
)
from cbdd.index.key_pattern import check_index_fields, default_index_name

MAX_INDEXES: Final = 64


class IndexRequest:
    """A checked request: what to build, once a tree is allotted to it."""

    def __init__(
        self,
        name: str,
        fields: list[tuple[str, int]],
        is_unique: bool,
        options: dict[str, object],
    ) -> None:
        self.name = name
        self.fields = fields
        self.is_unique = is_unique
        self.options = options

    @property
    def is_id_index(self) -> bool:
        """Whether this asks for the index on `_id` that every collection has."""
        return self.fields == [("_id", 1)]

    def to_definition(self, tree_id: int, filters: FilterCompiler | None) -> IndexDefinition:
        """Return the definition of the index in its own, still empty tree.

        :raises OperationFailure: the filter of a partial index is not one it may have.
        """
        return IndexDefinition(
            name=self.name,
            fields=self.fields,
            is_unique=self.is_unique,
            tree_id=tree_id,
            options=self.options,
            filter=compile_filter(self.options, filters),
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
    if fields == [("_id", -1)]:
        raise refusal(
            BAD_VALUE, "The field 'key' for an _id index must be {_id: 1}, but got {_id: -1}"
        )
    is_unique, options = parse_options(document, fields)
    name = _check_name(document.get("name", default_index_name(list(pattern_of(fields).items()))))
    if name == ID_INDEX_NAME and fields != [("_id", 1)]:
        raise refusal(
            BAD_VALUE,
            f"The index name '{ID_INDEX_NAME}' is reserved for the _id index, which must have key "
            "pattern {_id: 1}",
        )
    return IndexRequest(name, fields, is_unique, options)


def is_same_index(
    entry: CollectionEntry, request: IndexRequest, filters: FilterCompiler | None
) -> bool:
    """Tell whether the collection has just this index; raise when it has a conflicting one.

    Indexes on one key may differ in being unique or sparse, in their partial filters and in their
    wildcard projections.
    """
    for existing in entry.indexes:
        if existing.fields == request.fields and request.is_id_index:
            return True
    wanted = request.to_definition(0, filters)
    for existing in entry.indexes:
        if existing.name == request.name:
            _check_same_name(existing, wanted)
            return True
    for existing in entry.indexes:
        if _is_equivalent(existing, wanted):
            raise _equivalent_exists(existing, wanted)
    if len(entry.indexes) >= MAX_INDEXES:
        raise refusal(
            CANNOT_CREATE_INDEX,
            f"add index fails, too many indexes for {entry.namespace} key:{_show(request)}",
        )
    return False


def _is_equivalent(existing: IndexDefinition, request: IndexDefinition) -> bool:
    return (
        _filter_of(existing) == _filter_of(request)
        and existing.fields == request.fields
        and existing.is_unique == request.is_unique
        and same_signature(existing.options, request.options)
    )


def _filter_of(definition: IndexDefinition) -> str:
    return "" if definition.filter is None else definition.filter.signature


def _check_same_name(existing: IndexDefinition, request: IndexDefinition) -> None:
    if not _is_equivalent(existing, request):
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


def _equivalent_exists(existing: IndexDefinition, request: IndexDefinition) -> OperationFailure:
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


def _same_options(existing: IndexDefinition, request: IndexDefinition) -> bool:
    return same_options(existing.options, request.options)


def _check_name(name: object) -> str:
    if type(name) is not str:
        raise refusal(TYPE_MISMATCH, f"The field 'name' must be a string, but got {name!r}")
    if not name:
        raise refusal(CANNOT_CREATE_INDEX, "The index name cannot be an empty string")
    if name == "*":
        raise refusal(BAD_VALUE, "The index name '*' is not valid.")
    if "\0" in name:
        raise refusal(CANNOT_CREATE_INDEX, "Index name cannot contain NUL bytes")
    return name


def _show(index: IndexRequest | IndexDefinition) -> str:
    key = ", ".join([f"{field}: {value}" for field, value in pattern_of(index.fields).items()])
    unique = ", unique: true" if index.is_unique else ""
    sparse = ", sparse: true" if SPARSE in index.options else ""
    partial = ", partialFilterExpression: ..." if PARTIAL_FILTER in index.options else ""
    return f'{{ key: {{ {key} }}, name: "{index.name}"{unique}{sparse}{partial} }}'
