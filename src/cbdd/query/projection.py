"""Projections: which fields of a found document are returned, applied to raw BSON.

A projection either includes (the named fields and `_id`) or excludes (everything but the named
ones); `_id` may go against the rule. Paths go through documents and arrays alike: {"a.b": 1} keeps
b of every document in the array a. Values without fields on the way are dropped by an inclusion and
kept by an exclusion. Fields stay in the order of the document, kept values are copied as bytes.

    {"a.b": 1, "c": 1}   ->   tree   _id: keep, a: {b: keep}, c: keep
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson.codec_options import CodecOptions
from mypy_extensions import i64

from cbdd.catalog.refusal import BAD_VALUE, not_supported, refusal
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DOCUMENT,
    skip_name,
    skip_value,
)
from cbdd.query.value import Value, document_value, encode_document

_INCLUSION_IN_EXCLUSION: Final = 31253
_EXCLUSION_IN_INCLUSION: Final = 31254
_COLLISION_BELOW: Final = 31249
_COLLISION_ABOVE: Final = 31250
_MAX_DEPTH: Final = 100


class ProjectionNode:
    """What happens to the fields of one document; a field without an entry follows the rule."""

    def __init__(self) -> None:
        self.children: dict[bytes, ProjectionNode] = {}
        self.is_leaf = False
        self.is_kept = False


class Projection:
    """A compiled projection; immutable, shared by all documents of a query."""

    def __init__(self, root: ProjectionNode, is_inclusion: bool) -> None:
        self.root = root
        self.is_inclusion = is_inclusion

    @staticmethod
    def compile(
        spec: Mapping[str, Any] | bytes | None, codec_options: CodecOptions[Any] | None = None
    ) -> Projection | None:
        """Compile a projection document; None when it asks for whole documents.

        Raises `OperationFailure` for mixed rules, colliding paths and what is not supported yet:
        $slice, $elemMatch, the positional operator and computed fields.
        """
        if spec is None:
            return None
        builder = _ProjectionBuilder()
        builder.add_document("", document_value(encode_document(spec, codec_options)), 0)
        return builder.build()

    def apply(self, document: bytes) -> bytes:
        """Return the projected document."""
        return self._document(document, 0, self.root)

    def _document(self, data: bytes, start: i64, node: ProjectionNode) -> bytes:
        parts: list[bytes] = []
        element: i64 = start + 4
        while data[element] != 0:
            bson_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            end: i64 = skip_value(data, bson_type, value)
            child = node.children.get(data[element + 1 : value - 1])
            if child is None:
                if not self.is_inclusion:
                    parts.append(data[element:end])
            elif child.is_leaf:
                if child.is_kept:
                    parts.append(data[element:end])
            elif bson_type == TYPE_DOCUMENT:
                parts.append(data[element:value])
                parts.append(self._document(data, value, child))
            elif bson_type == TYPE_ARRAY:
                parts.append(data[element:value])
                parts.append(self._array(data, value, child))
            elif not self.is_inclusion:
                parts.append(data[element:end])
            element = end
        return _join(parts)

    def _array(self, data: bytes, start: i64, node: ProjectionNode) -> bytes:
        parts: list[bytes] = []
        count = 0
        element: i64 = start + 4
        while data[element] != 0:
            bson_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            end: i64 = skip_value(data, bson_type, value)
            element = end
            if bson_type == TYPE_DOCUMENT:
                content = self._document(data, value, node)
            elif bson_type == TYPE_ARRAY:
                content = self._array(data, value, node)
            elif self.is_inclusion:
                continue
            else:
                content = data[value:end]
            parts.append(bytes([int(bson_type)]) + str(count).encode("ascii") + b"\0")
            parts.append(content)
            count += 1
        return _join(parts)


def _join(parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


class _ProjectionBuilder:
    """Collects the fields of a projection document and finds out which rule it follows."""

    def __init__(self) -> None:
        self.root = ProjectionNode()
        self.rule: bool | None = None
        self.keeps_id: bool | None = None

    def add_document(self, prefix: str, spec: Value, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise refusal(BAD_VALUE, "projection is nested too deeply")
        for name, value in spec.fields():
            path = prefix + name
            if value.bson_type == TYPE_DOCUMENT:
                self._add_nested(path, value, depth)
            elif value.is_number() or value.bson_type == TYPE_BOOLEAN:
                self._add(path, value.is_true())
            else:
                raise not_supported(BAD_VALUE, f"a computed field ('{path}')", "in a projection")

    def _add_nested(self, path: str, value: Value, depth: int) -> None:
        fields = value.fields()
        if not fields:
            raise refusal(51270, "An empty sub-projection is not a valid value")
        name = fields[0][0]
        if name.startswith("$"):
            raise not_supported(BAD_VALUE, name, f"in a projection (field '{path}')")
        self.add_document(path + ".", value, depth + 1)

    def _add(self, path: str, is_kept: bool) -> None:
        _check_path(path)
        if path == "_id":
            self.keeps_id = is_kept
            return
        if self.rule is None:
            self.rule = is_kept
        elif self.rule != is_kept:
            if is_kept:
                raise refusal(
                    _INCLUSION_IN_EXCLUSION,
                    f"Cannot do inclusion on field {path} in exclusion projection",
                )
            raise refusal(
                _EXCLUSION_IN_INCLUSION,
                f"Cannot do exclusion on field {path} in inclusion projection",
            )
        self._insert(path, is_kept)

    def _insert(self, path: str, is_kept: bool) -> None:
        node = self.root
        names = path.split(".")
        for i, name in enumerate(names):
            if node.is_leaf:
                rest = ".".join(names[i:])
                raise refusal(
                    _COLLISION_BELOW, f"Path collision at {path} remaining portion {rest}"
                )
            key = name.encode("utf-8")
            child = node.children.get(key)
            if child is None:
                child = ProjectionNode()
                node.children[key] = child
            node = child
        if node.is_leaf or node.children:
            raise refusal(_COLLISION_ABOVE, f"Path collision at {path}")
        node.is_leaf = True
        node.is_kept = is_kept

    def build(self) -> Projection | None:
        if self.rule is None and self.keeps_id is None:
            return None
        is_inclusion = self.keeps_id is True if self.rule is None else self.rule
        if self.keeps_id is not None:
            self._insert("_id", self.keeps_id)
        elif is_inclusion and b"_id" not in self.root.children:
            self._insert("_id", True)
        return Projection(self.root, is_inclusion)


def _check_path(path: str) -> None:
    if not path:
        raise refusal(40352, "FieldPath cannot be constructed with empty string")
    if path.endswith("."):
        raise refusal(40353, "FieldPath must not end with a '.'.")
    names = path.split(".")
    if "" in names:
        raise refusal(15998, "FieldPath field names may not be empty strings.")
    if len(names) > _MAX_DEPTH:
        raise refusal(BAD_VALUE, f"projection path of more than {_MAX_DEPTH} fields")
    for name in names:
        if name == "$":
            raise not_supported(BAD_VALUE, "the positional operator $", "in a projection")
        if name.startswith("$"):
            raise refusal(16410, f"FieldPath field names may not start with '$', given '{name}'.")
