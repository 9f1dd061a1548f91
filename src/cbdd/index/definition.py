"""What an index is: its name, fields, options and tree, as the catalog stores it.

A definition travels as a document in the catalog entry of its collection:

    name, key: {field: direction, ...}, unique, multikey, tree, keyString, options: {...}

`options` has, as far as they are given, MongoDB's: sparse, hidden, expireAfterSeconds,
partialFilterExpression, wildcardProjection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import bson
from pymongo.errors import OperationFailure

from cbdd.document.filter import DocumentFilter, FilterCompiler
from cbdd.errors import NewerFormatError
from cbdd.index.key_pattern import HASHED, HASHED_NAME, WILDCARD, is_wildcard_path
from cbdd.index.key_string import KEY_STRING_VERSION

SPARSE: Final = "sparse"
HIDDEN: Final = "hidden"
EXPIRE_AFTER: Final = "expireAfterSeconds"
PARTIAL_FILTER: Final = "partialFilterExpression"
WILDCARD_PROJECTION: Final = "wildcardProjection"

_TYPES_SINCE_VERSION: Final = 2
_UNSUPPORTED: Final = 238


class IndexDefinition:
    """One index of one collection. Treated as immutable: a change makes a new one (`replaced`).

    `fields` are (dotted path, direction), direction below 0 is descending, 0 hashed. `is_multikey`
    says that some document had an array on an indexed path, and stays true. `paths` and
    `descending` are the same fields taken apart for key extraction.
    """

    def __init__(
        self,
        name: str,
        fields: list[tuple[str, int]],
        is_unique: bool = False,
        is_multikey: bool = False,
        tree_id: int = 0,
        key_string_version: int = KEY_STRING_VERSION,
        options: dict[str, object] | None = None,
        filter: DocumentFilter | None = None,
    ) -> None:
        """
        :param filter: the compiled `partialFilterExpression`; needed when there is one.
        """
        self.name: str = name
        self.fields: list[tuple[str, int]] = fields
        self.is_unique: bool = is_unique
        self.is_multikey: bool = is_multikey
        self.tree_id: int = tree_id
        self.key_string_version: int = key_string_version
        self.options: dict[str, object] = {} if options is None else options
        self.is_sparse: bool = bool(self.options.get(SPARSE, False))
        self.is_hidden: bool = bool(self.options.get(HIDDEN, False))
        self.is_partial: bool = PARTIAL_FILTER in self.options
        self.filter: DocumentFilter | None = filter
        self.is_wildcard: bool = is_wildcard_path(fields[0][0])
        self.hashed_field: int = -1
        for position in range(len(fields)):
            if fields[position][1] == HASHED:
                self.hashed_field = position
        self.paths: list[list[bytes]] = [path.encode().split(b".") for path, _ in fields]
        self.descending: list[bool] = [direction < 0 for _, direction in fields]
        self.is_id_index: bool = fields == [("_id", 1)]
        self.keeps_types: bool = (
            key_string_version >= _TYPES_SINCE_VERSION
            and not self.is_wildcard
            and self.hashed_field < 0
        )
        """Whether entries tell the types that key strings leave open, see `key_types`."""

    @property
    def expires_after(self) -> float | None:
        """Seconds after the indexed date at which a document is to be deleted; None for never."""
        seconds = self.options.get(EXPIRE_AFTER)
        return float(seconds) if isinstance(seconds, (int, float)) else None

    def depends_on(self, names: list[bytes]) -> bool:
        """Tell whether a document's keys can change when only these top-level fields do."""
        if self.filter is not None or self.is_wildcard:
            return True
        for path in self.paths:
            if path[0] in names:
                return True
        return False

    def key_pattern(self) -> dict[str, object]:
        """Return the fields as MongoDB shows them: a direction or "hashed"."""
        return pattern_of(self.fields)

    def wildcard_root(self) -> str:
        """Return the path below which a wildcard index holds everything, '' for the document."""
        return self.fields[0][0][: -len(WILDCARD)].rstrip(".")

    def replaced(
        self,
        is_multikey: bool | None = None,
        tree_id: int | None = None,
        options: dict[str, object] | None = None,
    ) -> IndexDefinition:
        """Return a copy with some of its values replaced."""
        return IndexDefinition(
            self.name,
            self.fields,
            self.is_unique,
            self.is_multikey if is_multikey is None else is_multikey,
            self.tree_id if tree_id is None else tree_id,
            self.key_string_version,
            self.options if options is None else options,
            self.filter,
        )

    def to_document(self) -> dict[str, object]:
        return {
            "name": self.name,
            "key": self.key_pattern(),
            "unique": self.is_unique,
            "multikey": self.is_multikey,
            "tree": self.tree_id,
            "keyString": self.key_string_version,
            "options": dict(self.options),
        }

    @staticmethod
    def from_document(
        document: Mapping[str, object], filters: FilterCompiler | None = None
    ) -> IndexDefinition:
        """Read a definition that `to_document` wrote; refuse key strings of a later release.

        :param filters: compiles the filter of a partial index.
        """
        name, key, options = document["name"], document["key"], document["options"]
        tree_id, version = document["tree"], document["keyString"]
        assert isinstance(name, str)
        assert isinstance(key, Mapping)
        assert isinstance(options, Mapping)
        assert isinstance(tree_id, int)
        assert isinstance(version, int)
        if version > KEY_STRING_VERSION:
            raise NewerFormatError(
                "KEY_STRING_VERSION",
                f"index {name} has key strings of version {version}, this release knows "
                f"{KEY_STRING_VERSION}",
                "install the release that last wrote the file (`cbdd info` names it), or a later "
                "one",
            )
        fields: list[tuple[str, int]] = []
        for path, direction in key.items():
            fields.append((str(path), HASHED if direction == HASHED_NAME else int(direction)))
        return IndexDefinition(
            name,
            fields,
            bool(document["unique"]),
            bool(document["multikey"]),
            int(tree_id),
            int(version),
            dict(options),
            compile_filter(options, filters),
        )


def pattern_of(fields: list[tuple[str, int]]) -> dict[str, object]:
    """Return index fields as a key pattern."""
    pattern: dict[str, object] = {}
    for path, direction in fields:
        pattern[path] = HASHED_NAME if direction == HASHED else direction
    return pattern


def compile_filter(
    options: Mapping[str, Any], filters: FilterCompiler | None
) -> DocumentFilter | None:
    """Return the compiled filter of a partial index, None for any other.

    :raises OperationFailure: there is a filter and nothing to compile it with.
    """
    expression = options.get(PARTIAL_FILTER)
    if expression is None:
        return None
    if filters is None:
        raise OperationFailure("a partial index needs a filter compiler", _UNSUPPORTED)
    return filters.compile_partial(bson.encode(expression))
