"""Wildcard indexes: one entry per path and value of a document.

The key of {"$**": 1} for the value 5 at a.b is the key string of the text "a.b", then that of 5.
Documents are gone through, arrays element by element under the path of the array; an array inside
an array stays whole; an empty document is a value, an empty array is undefined. A query on the
path a.b reads it like an index on {"$_path": 1, "a.b": 1}, which is what `virtual_definition`
returns. Documents without the path are not in it, so a filter that they match cannot use it.

`wildcardProjection` names paths that are in the index, or that are not; `_id` is left out unless
named. Source: MongoDB's documentation of wildcard indexes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from librt.strings import BytesWriter

from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, skip_name, skip_value
from cbdd.index.definition import WILDCARD_PROJECTION, IndexDefinition
from cbdd.index.key_string import CLASS_STRING, UNDEFINED_KEY, append_text, encode_value, invert

PATH_FIELD: Final = "$_path"
_ID: Final = b"_id"
_VERSION_WITHOUT_TYPES: Final = 1
"""Entries of wildcard indexes tell no types, whatever version their key strings are of."""
_NESTED: Final = (TYPE_DOCUMENT, TYPE_ARRAY)


def path_key(path: bytes) -> bytes:
    """Return the key string of a path."""
    writer = BytesWriter()
    writer.append(CLASS_STRING)
    append_text(writer, path, 0, len(path))
    return writer.getvalue()


def virtual_definition(definition: IndexDefinition, path: str) -> IndexDefinition:
    """Return the index that a wildcard index is for queries on one path."""
    return IndexDefinition(
        definition.name,
        [(PATH_FIELD, 1), (path, definition.fields[0][1])],
        False,
        definition.is_multikey,
        definition.tree_id,
        _VERSION_WITHOUT_TYPES,
        definition.options,
        definition.filter,
    )


class WildcardPaths:
    """Which paths of a document a wildcard index holds."""

    def __init__(self, definition: IndexDefinition) -> None:
        self.is_exclusion: bool = True
        self.paths: list[bytes] = []
        root = definition.wildcard_root()
        if root:
            self.is_exclusion = False
            self.paths.append(root.encode())
            return
        projection = definition.options.get(WILDCARD_PROJECTION)
        includes_id = False
        if isinstance(projection, Mapping):
            for path, value in projection.items():
                if path == "_id":
                    includes_id = bool(value)
                else:
                    self.is_exclusion = not value
                    self.paths.append(str(path).encode())
            if not self.paths and includes_id:
                self.is_exclusion = False
        if self.is_exclusion != includes_id:
            self.paths.append(_ID)

    def holds(self, path: bytes) -> bool:
        """Tell whether values at this path are in the index."""
        for named in self.paths:
            if path == named or path.startswith(named + b"."):
                return not self.is_exclusion
        return self.is_exclusion

    def leads_on(self, path: bytes) -> bool:
        """Tell whether something at or below this path may be in the index."""
        if self.holds(path):
            return True
        for named in self.paths:
            if not self.is_exclusion and named.startswith(path + b"."):
                return True
        return False


class WildcardKeys:
    """Collects the keys of one document."""

    def __init__(self, definition: IndexDefinition, document: bytes) -> None:
        self.document: bytes = document
        self.paths: WildcardPaths = WildcardPaths(definition)
        self.is_descending: bool = definition.fields[0][1] < 0
        self.keys: set[bytes] = set()
        self.is_multikey: bool = False

    def run(self) -> list[bytes]:
        """Return the keys, in order."""
        self._walk(0, b"", False)
        return sorted(self.keys)

    def _walk(self, start: int, prefix: bytes, is_array: bool) -> None:
        """Add what is in the document at `start`, or in the array at the path `prefix`."""
        document = self.document
        element = start + 4
        while document[element] != 0:
            bson_type = document[element]
            value = skip_name(document, element + 1)
            end = skip_value(document, bson_type, value)
            if is_array:
                self._add(prefix, bson_type, value, end, True)
            else:
                name = document[element + 1 : value - 1]
                path = prefix + b"." + name if prefix else name
                if self.paths.leads_on(path):
                    self._add(path, bson_type, value, end, False)
            element = end

    def _add(self, path: bytes, bson_type: int, start: int, end: int, in_array: bool) -> None:
        is_empty = self.document[start + 4] == 0 if bson_type in _NESTED else True
        if bson_type == TYPE_DOCUMENT and not is_empty:
            self._walk(start, path, False)
        elif bson_type == TYPE_ARRAY and not in_array:
            self.is_multikey = True
            if is_empty:
                self._put(path, UNDEFINED_KEY)
            else:
                self._walk(start, path, True)
        else:
            self._put(path, encode_value(self.document, bson_type, start, end))

    def _put(self, path: bytes, key: bytes) -> None:
        if self.paths.holds(path):
            self.keys.add(path_key(path) + (invert(key) if self.is_descending else key))
