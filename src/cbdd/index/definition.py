"""What an index is: its name, fields, options and tree, as the catalog stores it.

A definition travels as a document in the catalog entry of its collection:

    name, key: {field: direction, ...}, unique, multikey, tree, keyString, options: {...}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pymongo.errors import OperationFailure

from cbdd.errors import NewerFormatError
from cbdd.index.key_string import KEY_STRING_VERSION

MAX_INDEX_FIELDS: Final = 32

_CANNOT_CREATE_INDEX: Final = 67
_REFERENCE_NAMES: Final = ("$id", "$ref", "$db")


class IndexDefinition:
    """One index of one collection. Treated as immutable: a change makes a new one (`replaced`).

    `fields` are (dotted path, direction), direction below 0 is descending. `is_multikey` says that
    some document had an array on an indexed path, and stays true. `paths` and `descending` are the
    same fields taken apart for key extraction.
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
    ) -> None:
        self.name: str = name
        self.fields: list[tuple[str, int]] = fields
        self.is_unique: bool = is_unique
        self.is_multikey: bool = is_multikey
        self.tree_id: int = tree_id
        self.key_string_version: int = key_string_version
        self.options: dict[str, object] = {} if options is None else options
        self.is_sparse: bool = bool(self.options.get("sparse", False))
        self.paths: list[list[bytes]] = [path.encode().split(b".") for path, _ in fields]
        self.descending: list[bool] = [direction < 0 for _, direction in fields]
        self.is_id_index: bool = fields == [("_id", 1)]

    def replaced(
        self, is_multikey: bool | None = None, tree_id: int | None = None
    ) -> IndexDefinition:
        """Return a copy with some of its values replaced."""
        return IndexDefinition(
            self.name,
            self.fields,
            self.is_unique,
            self.is_multikey if is_multikey is None else is_multikey,
            self.tree_id if tree_id is None else tree_id,
            self.key_string_version,
            self.options,
        )

    def to_document(self) -> dict[str, object]:
        return {
            "name": self.name,
            "key": dict(self.fields),
            "unique": self.is_unique,
            "multikey": self.is_multikey,
            "tree": self.tree_id,
            "keyString": self.key_string_version,
            "options": dict(self.options),
        }

    @staticmethod
    def from_document(document: Mapping[str, object]) -> IndexDefinition:
        """Read a definition that `to_document` wrote; refuse key strings of a later release."""
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
                "open the database with the release that created the index",
            )
        fields: list[tuple[str, int]] = []
        for path, direction in key.items():
            fields.append((str(path), int(direction)))
        return IndexDefinition(
            name,
            fields,
            bool(document["unique"]),
            bool(document["multikey"]),
            int(tree_id),
            int(version),
            dict(options),
        )


def default_index_name(fields: list[tuple[str, int]]) -> str:
    """Return the name MongoDB's drivers give an index without one: a_1_b.c_-1."""
    return "_".join([f"{path}_{direction}" for path, direction in fields])


def check_index_fields(keys: list[tuple[str, object]]) -> list[tuple[str, int]]:
    """Return the key pattern as index fields, or raise `OperationFailure` 67 as MongoDB would.

    Only ascending and descending fields exist so far: a pattern that names another kind of index
    is refused by that name.
    """
    if not keys:
        raise OperationFailure("Index keys cannot be empty.", _CANNOT_CREATE_INDEX)
    if len(keys) > MAX_INDEX_FIELDS:
        raise OperationFailure(
            f"Index key pattern has {len(keys)} fields, the limit is {MAX_INDEX_FIELDS}",
            _CANNOT_CREATE_INDEX,
        )
    fields: list[tuple[str, int]] = []
    for path, direction in keys:
        _check_path(path)
        fields.append((path, _check_direction(path, direction)))
    return fields


def _check_path(path: str) -> None:
    if not path:
        raise OperationFailure("Index keys cannot be an empty field.", _CANNOT_CREATE_INDEX)
    if "\0" in path:
        raise OperationFailure("Index keys cannot contain a NUL character.", _CANNOT_CREATE_INDEX)
    parts = path.split(".")
    if parts[-1] == "$**":
        raise OperationFailure("Wildcard indexes are not supported.", _CANNOT_CREATE_INDEX)
    for position, part in enumerate(parts):
        if not part:
            raise OperationFailure(
                "Index keys cannot contain an empty field.", _CANNOT_CREATE_INDEX
            )
        if part.startswith("$") and (position == 0 or part not in _REFERENCE_NAMES):
            raise OperationFailure(
                "Index key contains an illegal field name: field name starts with '$'.",
                _CANNOT_CREATE_INDEX,
            )


def _check_direction(path: str, direction: object) -> int:
    if isinstance(direction, str):
        raise OperationFailure(
            f"Index kind '{direction}' of field '{path}' is not supported.", _CANNOT_CREATE_INDEX
        )
    if type(direction) is bool or not isinstance(direction, (int, float)):
        raise OperationFailure(
            "Values in v:2 index key pattern cannot be of type "
            f"{type(direction).__name__}. Only numbers > 0, numbers < 0, and strings are allowed.",
            _CANNOT_CREATE_INDEX,
        )
    if direction > 0:
        return 1
    if direction < 0:
        return -1
    raise OperationFailure(
        "Values in the index key pattern cannot be 0 or NaN.", _CANNOT_CREATE_INDEX
    )
