"""Key patterns of indexes: which are allowed, and what kind of index they ask for.

    {field: 1 or -1, ...}            ordered, ascending or descending
    {..., field: "hashed", ...}      hashed: at most one field
    {"$**": 1}, {"field.$**": 1}     wildcard: everything, or everything below a field

Source of the rules and codes: MongoDB's createIndexes command.
"""

from __future__ import annotations

from typing import Final

from pymongo.errors import OperationFailure

MAX_INDEX_FIELDS: Final = 32
HASHED: Final = 0
"""The direction of a hashed field: it has none."""
HASHED_NAME: Final = "hashed"
WILDCARD: Final = "$**"

_CANNOT_CREATE_INDEX: Final = 67
_TOO_MANY_HASHED: Final = 31303
_REFERENCE_NAMES: Final = ("$id", "$ref", "$db")


def default_index_name(fields: list[tuple[str, object]]) -> str:
    """Return the name MongoDB's drivers give an index without one: a_1_b.c_-1."""
    return "_".join([f"{path}_{direction}" for path, direction in fields])


def check_index_fields(keys: list[tuple[str, object]]) -> list[tuple[str, int]]:
    """Return the key pattern as index fields, or raise `OperationFailure` 67 as MongoDB would.

    A kind of index that does not exist here is refused by its name.
    """
    if not keys:
        raise _refused("Index keys cannot be empty.")
    if len(keys) > MAX_INDEX_FIELDS:
        raise _refused(f"Index key pattern has {len(keys)} fields, the limit is {MAX_INDEX_FIELDS}")
    fields: list[tuple[str, int]] = []
    hashed = 0
    for path, direction in keys:
        checked = _check_direction(path, direction)
        if is_wildcard_path(path):
            _check_wildcard(path, checked, len(keys))
        else:
            _check_path(path)
        hashed += checked == HASHED
        fields.append((path, checked))
    if hashed > 1:
        raise OperationFailure(
            f"A maximum of one index field is allowed to be hashed but found {hashed} for 'key' "
            f"{dict(keys)}",
            _TOO_MANY_HASHED,
        )
    return fields


def is_wildcard_path(path: str) -> bool:
    """Tell whether a path of a key pattern stands for everything below it."""
    return path == WILDCARD or path.endswith("." + WILDCARD)


def _check_wildcard(path: str, direction: int, count: int) -> None:
    if direction == HASHED:
        raise _refused("Wildcard indexes do not support hashed fields.")
    if count > 1:
        raise _refused("Compound wildcard indexes are not supported by this release of CBDD")
    if path != WILDCARD:
        _check_path(path[: -len(WILDCARD) - 1])


def _check_path(path: str) -> None:
    if not path:
        raise _refused("Index keys cannot be an empty field.")
    if "\0" in path:
        raise _refused("Index keys cannot contain a NUL character.")
    for position, part in enumerate(path.split(".")):
        if not part:
            raise _refused("Index keys cannot contain an empty field.")
        if part.startswith("$") and (position == 0 or part not in _REFERENCE_NAMES):
            raise _refused("Index key contains an illegal field name: field name starts with '$'.")


def _check_direction(path: str, direction: object) -> int:
    if isinstance(direction, str):
        if direction == HASHED_NAME:
            return HASHED
        if direction in ("text", "2d", "2dsphere", "geoHaystack"):
            raise _refused(
                f"Index kind '{direction}' of field '{path}' is not supported by this release of "
                "CBDD"
            )
        raise _refused(f"Unknown index plugin '{direction}'")
    if type(direction) is bool or not isinstance(direction, (int, float)):
        raise _refused(
            "Values in v:2 index key pattern cannot be of type "
            f"{type(direction).__name__}. Only numbers > 0, numbers < 0, and strings are allowed."
        )
    if direction > 0:
        return 1
    if direction < 0:
        return -1
    raise _refused("Values in the index key pattern cannot be 0 or NaN.")


def _refused(message: str) -> OperationFailure:
    return OperationFailure(message, _CANNOT_CREATE_INDEX)
