"""The keys a document contributes to an index.

Most documents have no array on an indexed path: then there is one key, the key strings of the
fields joined (descending ones inverted, missing ones null), read in one pass.

An array on the way makes the index multikey, with one key per element, by MongoDB's rules:

- a path ends at an array: a key per element, nested arrays stay whole; an empty array counts as
  one undefined element;
- a path leads through an array: it goes on in each element that is a document, all others count
  as missing; a numeric part may also name a position: `a.0.b` reads the first element of `a`;
- several fields may lead through the same array, they advance together; two different arrays in
  one compound index (parallel arrays) are refused;
- in a sparse index a document without any of the fields has no key at all;
- in a partial index neither has one that its filter does not match.

A hashed field has the key string of a 64-bit hash of its value's key string, and no arrays. The
keys of wildcard indexes are in `wildcard`.
"""

from __future__ import annotations

import hashlib
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64, mypyc_attr
from pymongo.errors import OperationFailure

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_DOCUMENT,
    TYPE_INT64,
    find_field,
    skip_name,
    skip_value,
)
from cbdd.index.definition import IndexDefinition
from cbdd.index.key_string import (
    CLASS_NULL,
    NULL_KEY,
    UNDEFINED_KEY,
    append_value,
    encode_value,
    invert,
)
from cbdd.index.key_types import USUAL, type_code
from cbdd.index.wildcard import WildcardKeys

_CANNOT_INDEX_PARALLEL_ARRAYS: Final = 171
_AMBIGUOUS_POSITION: Final = 16746
_ARRAY_IN_HASHED_INDEX: Final = 16766
_NOWHERE: Final = -1


@mypyc_attr(acyclic=True)
class KeySet:
    """The composite keys of one document in one index, distinct and ascending.

    `types` is what an entry says about the types of the values, see `key_types`.
    """

    def __init__(self, keys: list[bytes], is_multikey: bool, types: bytes = b"") -> None:
        self.keys: list[bytes] = keys
        self.is_multikey: bool = is_multikey
        self.types: bytes = types


def extract_keys(definition: IndexDefinition, document: bytes) -> KeySet:
    """Return the keys of `document`.

    :raises OperationFailure: 171 for parallel arrays, 16766 for an array in a hashed index.
    """
    filter = definition.filter
    if filter is not None and not filter.matches(document):
        return KeySet([], False)
    if definition.is_wildcard:
        wildcard = WildcardKeys(definition, document)
        keys = wildcard.run()
        return KeySet(keys, wildcard.is_multikey)
    found = _extract_single_key(definition, document)
    if found is not None:
        return found
    if definition.hashed_field >= 0:
        raise OperationFailure(
            "hashed indexes do not currently support array values. Found an array on a path of "
            f"the index {definition.name}",
            _ARRAY_IN_HASHED_INDEX,
        )
    return _Expansion(definition, document).run()


def hash_key(key: bytes) -> bytes:
    """Return the key string of the hash of a value, given the value's own key string."""
    digest = hashlib.blake2b(key, digest_size=8).digest()
    return encode_value(digest, TYPE_INT64, 0, 8)


def _extract_single_key(definition: IndexDefinition, document: bytes) -> KeySet | None:
    """Return the only key, none when a sparse index leaves the document out, None at an array."""
    writer = BytesWriter()
    missing = 0
    codes: bytearray | None = None
    keeps_types = definition.keeps_types
    for i in range(len(definition.paths)):
        path = definition.paths[i]
        bson_type: i64 = TYPE_DOCUMENT
        value: i64 = 0
        for name in path:
            if bson_type != TYPE_DOCUMENT:
                bson_type = 0
                break
            element: i64 = find_field(document, value, name)
            if element < 0:
                bson_type = 0
                break
            bson_type = document[element]
            if bson_type == TYPE_ARRAY:
                return None
            value = element + len(name) + 2
        if bson_type == 0:
            missing += 1
            if i == definition.hashed_field:
                writer.write(hash_key(NULL_KEY))
            else:
                writer.append(CLASS_NULL if not definition.descending[i] else 0xFF - CLASS_NULL)
            continue
        end: i64 = skip_value(document, bson_type, value)
        if i == definition.hashed_field:
            writer.write(hash_key(encode_value(document, bson_type, value, end)))
        elif definition.descending[i]:
            writer.write(invert(encode_value(document, bson_type, value, end)))
        else:
            append_value(writer, document, bson_type, value, end, 0)
        if keeps_types:
            code: i64 = type_code(document, bson_type, value)
            if code != USUAL:
                if codes is None:
                    codes = bytearray(len(definition.paths))
                codes[i] = code
    if definition.is_sparse and missing == len(definition.paths):
        return KeySet([], False)
    types = b"" if codes is None else bytes(codes)
    return KeySet([writer.getvalue()], False, types)


class _Position:
    """What a numeric path part found in an array: the rest of the path is already walked.

    `bson_type` 0 means that the rest leads nowhere.
    """

    def __init__(self, is_array: bool, at: int, bson_type: int, start: int, end: int) -> None:
        self.is_array: bool = is_array
        self.at: int = at
        self.bson_type: int = bson_type
        self.start: int = start
        self.end: int = end


class _Expansion:
    """The keys of one document that has an array on an indexed path.

    The `found_` attributes are the result of the last walk: type 0 for nothing, else the value,
    and how many parts of the path lead to it (an array ends a walk early).
    """

    def __init__(self, definition: IndexDefinition, document: bytes) -> None:
        self.definition: IndexDefinition = definition
        self.document: bytes = document
        self.field_count: int = len(definition.fields)
        self.keys: set[bytes] = set()
        self.is_multikey: bool = False
        self.found_at: int = 0
        self.found_type: int = 0
        self.found_start: int = 0
        self.found_end: int = 0

    def run(self) -> KeySet:
        count = self.field_count
        nothing: list[_Position | None] = [None] * count
        self._expand(0, [0] * count, [b""] * count, nothing, 0)
        return KeySet(sorted(self.keys), self.is_multikey)

    def _expand(
        self,
        start: int,
        at: list[int],
        fixed: list[bytes],
        positions: list[_Position | None],
        missing: int,
    ) -> None:
        """Add the keys of the document at `start` (`_NOWHERE` for one without fields).

        `at` counts the parts walked per path; where that is all of them, `fixed` holds the key
        string. Both belong to this call. `positions` is what numeric parts found in the array
        around this document.
        """
        array = _NOWHERE
        array_name = b""
        array_fields: list[int] = []
        is_kept_whole = False
        for i in range(self.field_count):
            path = self.definition.paths[i]
            if at[i] == len(path):
                continue
            is_nested_array = self._walk_field(start, i, at[i], positions[i])
            if self.found_type == 0:
                fixed[i] = self._directed(i, NULL_KEY)
                at[i] = len(path)
                missing += 1
                continue
            at[i] = self.found_at
            if self.found_type != TYPE_ARRAY:
                fixed[i] = self._encode(i, self.found_type, self.found_start, self.found_end)
                continue
            if array == _NOWHERE:
                array = self.found_start
                array_name = path[at[i] - 1]
            elif array != self.found_start:
                raise _parallel_arrays(path[at[i] - 1], array_name)
            array_fields.append(i)
            if is_nested_array:
                is_kept_whole = True
        if array == _NOWHERE:
            if not (self.definition.is_sparse and missing == self.field_count):
                self.keys.add(b"".join(fixed))
        else:
            self._expand_array(array, array_fields, is_kept_whole, at, fixed, missing)

    def _walk_field(self, start: int, i: int, at: int, position: _Position | None) -> bool:
        """Find field `i` from its part `at` on; return whether a position named a nested array."""
        path = self.definition.paths[i]
        is_field = start != _NOWHERE and find_field(self.document, start, path[at]) >= 0
        if position is None:
            if is_field:
                self._walk(start, path, at)
            else:
                self.found_type = 0
            return False
        if is_field:
            raise OperationFailure(
                "Ambiguous field name found in array (do not use numeric field names in embedded "
                f"elements in an array), field: '{path[at].decode('utf-8', 'replace')}'",
                _AMBIGUOUS_POSITION,
            )
        self.found_at = position.at
        self.found_type = position.bson_type
        self.found_start = position.start
        self.found_end = position.end
        return position.is_array

    def _walk(self, start: int, path: list[bytes], at: int) -> None:
        """Follow `path` from part `at` in the document at `start`, up to its end or an array."""
        while True:
            element = find_field(self.document, start, path[at])
            if element < 0:
                self.found_type = 0
                return
            start = element + len(path[at]) + 2
            at += 1
            bson_type = self.document[element]
            if at == len(path) or bson_type == TYPE_ARRAY:
                self.found_at = at
                self.found_type = bson_type
                self.found_start = start
                self.found_end = skip_value(self.document, bson_type, start)
                return
            if bson_type != TYPE_DOCUMENT:
                self.found_type = 0
                return

    def _expand_array(
        self,
        array: int,
        array_fields: list[int],
        is_kept_whole: bool,
        at: list[int],
        fixed: list[bytes],
        missing: int,
    ) -> None:
        """Go on in every element of the array that `array_fields` lead to."""
        document = self.document
        element = array + 4
        if document[element] == 0:
            self.is_multikey = self.is_multikey or not is_kept_whole
            nothing: list[_Position | None] = [None] * self.field_count
            self._expand_element(_NOWHERE, UNDEFINED_KEY, array_fields, at, fixed, nothing, missing)
            return
        positions = self._find_positions(array, array_fields, is_kept_whole, at)
        whole = b""
        if is_kept_whole:
            end = skip_value(document, TYPE_ARRAY, array)
            whole = encode_value(document, TYPE_ARRAY, array, end)
        has_ending = False
        for i in array_fields:
            has_ending = has_ending or at[i] == len(self.definition.paths[i])
        while document[element] != 0:
            bson_type = document[element]
            value = skip_name(document, element + 1)
            end = skip_value(document, bson_type, value)
            key = whole
            if has_ending and not is_kept_whole:
                key = encode_value(document, bson_type, value, end)
            inner = value if bson_type == TYPE_DOCUMENT else _NOWHERE
            self._expand_element(inner, key, array_fields, at, fixed, positions, missing)
            element = end

    def _expand_element(
        self,
        inner: int,
        key: bytes,
        array_fields: list[int],
        at: list[int],
        fixed: list[bytes],
        positions: list[_Position | None],
        missing: int,
    ) -> None:
        """Give `key` to the fields that end at this array, then go on in the document `inner`."""
        own_fixed = fixed.copy()
        for i in array_fields:
            if at[i] == len(self.definition.paths[i]):
                own_fixed[i] = self._directed(i, key)
        self._expand(inner, at.copy(), own_fixed, positions, missing)

    def _find_positions(
        self, array: int, array_fields: list[int], is_kept_whole: bool, at: list[int]
    ) -> list[_Position | None]:
        """Look up the elements that numeric path parts name, and note what is multikey."""
        positions: list[_Position | None] = [None] * self.field_count
        for i in array_fields:
            path = self.definition.paths[i]
            if at[i] == len(path):
                self.is_multikey = self.is_multikey or not is_kept_whole
                continue
            element = find_field(self.document, array, path[at[i]])
            if element < 0:
                self.is_multikey = True
                continue
            self._walk(array, path, at[i])
            positions[i] = _Position(
                self.document[element] == TYPE_ARRAY,
                self.found_at,
                self.found_type,
                self.found_start,
                self.found_end,
            )
        return positions

    def _encode(self, i: int, bson_type: int, start: int, end: int) -> bytes:
        return self._directed(i, encode_value(self.document, bson_type, start, end))

    def _directed(self, i: int, key: bytes) -> bytes:
        return invert(key) if self.definition.descending[i] else key


def _parallel_arrays(name: bytes, other: bytes) -> OperationFailure:
    return OperationFailure(
        f"cannot index parallel arrays [{name.decode('utf-8', 'replace')}] "
        f"[{other.decode('utf-8', 'replace')}]",
        _CANNOT_INDEX_PARALLEL_ARRAYS,
    )
