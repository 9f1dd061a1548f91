"""Sort keys: a document's place in an order, as bytes that compare.

A sort is described like an index, and a document sorts by the smallest of the keys it would have
in that index (descending parts are inverted, so the smallest key carries the largest value). That
is MongoDB's rule for arrays: the lowest element counts ascending, the highest descending; missing
sorts as null, an empty array before null. An index on the same fields therefore yields documents
in exactly this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo.errors import OperationFailure

from cbdd.catalog.refusal import BAD_VALUE, not_supported, refusal
from cbdd.document.raw import TYPE_DOCUMENT
from cbdd.expression.describe import describe
from cbdd.expression.value import Value, document_value, encode_document
from cbdd.index.definition import IndexDefinition
from cbdd.index.keys import extract_keys
from cbdd.query.path import is_plain_path

NATURAL: Final = "$natural"

_PARALLEL_ARRAYS: Final = 171
_ILLEGAL_KEY: Final = 15974
_ILLEGAL_DIRECTION: Final = 15975
_MAX_FIELDS: Final = 32

SortSpec = Mapping[str, Any] | Sequence[tuple[str, Any]] | bytes


class SortPattern:
    """A compiled sort; `fields` are (path, 1 or -1)."""

    def __init__(self, fields: list[tuple[str, int]]) -> None:
        self.fields = fields
        # Of the first version: types are of no use for an order.
        self.definition = IndexDefinition("sort", fields, key_string_version=1)

    def key(self, document: bytes) -> bytes:
        """Return the sort key of `document`; smaller keys come first."""
        try:
            return extract_keys(self.definition, document).keys[0]
        except OperationFailure as error:
            if error.code == _PARALLEL_ARRAYS:
                message = "cannot sort with keys that are parallel arrays"
                raise refusal(BAD_VALUE, message) from error
            raise

    def is_natural(self) -> bool:
        """Tell whether this asks for the order of insertion, or its reverse."""
        return self.fields[0][0] == NATURAL


def compile_sort(spec: SortSpec | None) -> SortPattern | None:
    """Compile a sort given as pairs, mapping or BSON; None when there is nothing to sort by."""
    if spec is None:
        return None
    fields = _plain_fields(spec)
    if not fields:
        fields = [(path, _read_direction(path, value)) for path, value in _read_pairs(spec)]
    if not fields:
        return None
    if len(fields) > _MAX_FIELDS:
        raise refusal(13103, f"too many compound keys, the limit is {_MAX_FIELDS}")
    if len(fields) > 1 and NATURAL in [path for path, _ in fields]:
        raise refusal(BAD_VALUE, "Cannot include '$natural' in compound sort")
    return SortPattern(fields)


def _plain_fields(spec: SortSpec) -> list[tuple[str, int]]:
    """Read a dictionary of plain paths and directions, without making BSON of it; [] if other."""
    fields: list[tuple[str, int]] = []
    if type(spec) is not dict:
        return fields
    for path, direction in spec.items():
        if type(path) is not str or type(direction) is not int or not is_plain_path(path):
            return []
        if direction != 1 and direction != -1:
            return []
        check_sort_path(path)
        fields.append((path, direction))
    return fields


def _read_pairs(spec: SortSpec) -> list[tuple[str, Value]]:
    if isinstance(spec, (bytes, Mapping)):
        return document_value(encode_document(spec)).fields()
    return document_value(encode_document(dict(spec))).fields()


def _read_direction(path: str, value: Value) -> int:
    if path != NATURAL:
        check_sort_path(path)
    if value.bson_type == TYPE_DOCUMENT:
        raise not_supported(BAD_VALUE, f"a computed key for '{path}'", "in a sort")
    if not value.is_number():
        raise refusal(
            _ILLEGAL_KEY, f"Illegal key in $sort specification: {path}: {describe(value)}"
        )
    direction = value.integer()
    if direction != 1 and direction != -1:
        raise refusal(
            _ILLEGAL_DIRECTION,
            "$sort key ordering must be 1 (for ascending) or -1 (for descending)",
        )
    return direction


def check_sort_path(path: str) -> None:
    """Raise `OperationFailure` unless `path` is a path of field names."""
    if not path:
        raise refusal(40352, "FieldPath cannot be constructed with empty string")
    if path.endswith("."):
        raise refusal(40353, "FieldPath must not end with a '.'.")
    for name in path.split("."):
        if not name:
            raise refusal(15998, "FieldPath field names may not be empty strings.")
        if name.startswith("$"):
            raise refusal(16410, f"FieldPath field names may not start with '$', given '{name}'.")
