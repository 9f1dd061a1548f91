"""The options of an index: which there are, what they may be, which go together.

What this release cannot do is refused by name, never ignored: an index that silently left
documents out would make queries silently wrong. Source of the rules and codes: MongoDB's
createIndexes command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import bson
from pymongo.errors import OperationFailure

from cbdd.catalog.refusal import (
    BAD_VALUE,
    CANNOT_CREATE_INDEX,
    FAILED_TO_PARSE,
    INVALID_INDEX_OPTION,
    NOT_SUPPORTED,
    TYPE_MISMATCH,
    refusal,
)
from cbdd.index.definition import (
    EXPIRE_AFTER,
    HIDDEN,
    PARTIAL_FILTER,
    SPARSE,
    WILDCARD_PROJECTION,
)
from cbdd.index.key_pattern import HASHED, WILDCARD, is_wildcard_path

MAX_EXPIRE_AFTER_SECONDS: Final = 2**31 - 1

_UNIQUE: Final = "unique"
_COLLATION: Final = "collation"
_FLAGS: Final = (_UNIQUE, SPARSE, HIDDEN)
_NOT_OF_ID: Final = (SPARSE, _UNIQUE, EXPIRE_AFTER, WILDCARD_PROJECTION)
_HASHED_UNIQUE: Final = 16764

_IGNORED_OPTIONS: Final = ("v", "ns", "background", "comment", "key", "name")
"""Options that change nothing here: index versions and how a server schedules the build."""

_UNSUPPORTED_OPTIONS: Final = (
    "2dsphereIndexVersion",
    "bits",
    "bucketSize",
    "clustered",
    "default_language",
    "language_override",
    "max",
    "min",
    "prepareUnique",
    "storageEngine",
    "textIndexVersion",
    "weights",
)


def parse_options(
    document: Mapping[str, object], fields: list[tuple[str, int]]
) -> tuple[bool, dict[str, object]]:
    """Return whether the index is unique, and its other options, in MongoDB's order.

    :raises OperationFailure: an option is unknown, not supported, or does not fit the others.
    """
    flags: set[str] = set()
    options: dict[str, object] = {}
    for option, value in document.items():
        if option in _FLAGS:
            if _is_true(option, value):
                flags.add(option)
        elif option == EXPIRE_AFTER:
            options[option] = expire_after(value)
        elif option == PARTIAL_FILTER or option == WILDCARD_PROJECTION:
            if not isinstance(value, Mapping):
                raise refusal(TYPE_MISMATCH, f"The field '{option}' must be an object")
            options[option] = value
        elif option not in _IGNORED_OPTIONS:
            _check_other(option, value)
    ordered: dict[str, object] = {}
    if SPARSE in flags:
        ordered[SPARSE] = True
    for option in (EXPIRE_AFTER, PARTIAL_FILTER, WILDCARD_PROJECTION):
        if option in options:
            ordered[option] = options[option]
    if HIDDEN in flags:
        ordered[HIDDEN] = True
    if fields == [("_id", 1)]:
        _check_id_index(document, ordered)
    _check_together(fields, _UNIQUE in flags, ordered)
    return _UNIQUE in flags, ordered


def expire_after(value: object) -> int | float:
    """Return the seconds of a TTL index, checked."""
    if type(value) is bool or not isinstance(value, (int, float)):
        raise refusal(
            CANNOT_CREATE_INDEX,
            f"TTL index 'expireAfterSeconds' option must be numeric, but received {value!r}",
        )
    if not 0 <= value <= MAX_EXPIRE_AFTER_SECONDS:
        raise refusal(
            CANNOT_CREATE_INDEX,
            "TTL index 'expireAfterSeconds' option must be within an acceptable range, try a "
            f"different number than {value}",
        )
    return value


def same_signature(left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    """Tell whether the options do not tell two indexes on the same key apart.

    Those that do, since MongoDB 5.0: unique, sparse, partial filter, wildcard projection. Two
    indexes with the same signature may not both exist. Filters are compared by their meaning,
    which is not looked at here.
    """
    for option in (SPARSE, WILDCARD_PROJECTION):
        if _encoded(left, option) != _encoded(right, option):
            return False
    return True


def same_options(left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    """Tell whether options that are not of the signature agree; being hidden does not count."""
    return _encoded(left, EXPIRE_AFTER) == _encoded(right, EXPIRE_AFTER)


def _encoded(options: Mapping[str, object], option: str) -> bytes:
    value = options.get(option)
    if isinstance(value, (int, float)):
        value = float(value)
    return b"" if value is None else bson.encode({option: value})


def _check_other(option: str, value: object) -> None:
    if option == _COLLATION:
        check_collation(value, "an index")
        return
    if option not in _UNSUPPORTED_OPTIONS:
        raise refusal(
            INVALID_INDEX_OPTION, f"The field '{option}' is not valid for an index specification."
        )
    if value is not None and value is not False:
        raise refusal(
            NOT_SUPPORTED, f"the index option {option!r} is not supported by this release of CBDD"
        )


def check_collation(value: object, where: str) -> None:
    """Accept no collation and the simple one, which compares bytes; refuse every other by name.

    :param value: None, or a collation document.
    """
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise refusal(TYPE_MISMATCH, "BSON field 'collation' is the wrong type, expected 'object'")
    locale = value.get("locale")
    if not isinstance(locale, str):
        raise refusal(FAILED_TO_PARSE, 'Missing expected field "locale"')
    if locale != "simple":
        raise refusal(
            NOT_SUPPORTED,
            f"the collation locale {locale!r} is not supported by this release of CBDD for "
            f"{where}, only 'simple' is",
        )
    if len(value) > 1:
        raise refusal(BAD_VALUE, f"The simple collation takes no options, but got {value!r}")


def _is_true(option: str, value: object) -> bool:
    if type(value) is bool:
        return value is True
    if isinstance(value, (int, float)):
        return value != 0
    raise refusal(
        TYPE_MISMATCH,
        f"The field '{option}' has value {value!r}, which is not convertible to bool",
    )


def _check_id_index(document: Mapping[str, object], options: dict[str, object]) -> None:
    for option in _NOT_OF_ID:
        if option in document:
            raise refusal(
                INVALID_INDEX_OPTION,
                f"The field '{option}' is not valid for an _id index specification.",
            )
    if PARTIAL_FILTER in options:
        raise refusal(CANNOT_CREATE_INDEX, "_id index cannot be a partial index")
    if HIDDEN in options:
        raise refusal(BAD_VALUE, "can't hide _id index")


def _check_together(
    fields: list[tuple[str, int]], is_unique: bool, options: dict[str, object]
) -> None:
    if SPARSE in options and PARTIAL_FILTER in options:
        raise refusal(
            CANNOT_CREATE_INDEX,
            f'cannot mix "{PARTIAL_FILTER}" and "{SPARSE}" options',
        )
    is_hashed = any(direction == HASHED for _, direction in fields)
    if is_hashed and is_unique:
        raise OperationFailure(
            "Currently hashed indexes cannot guarantee uniqueness. Use a regular index.",
            _HASHED_UNIQUE,
        )
    if EXPIRE_AFTER in options and len(fields) > 1:
        raise refusal(
            CANNOT_CREATE_INDEX,
            "TTL indexes are single-field indexes, compound indexes do not support TTL. Index "
            f"spec: {dict(fields)}",
        )
    if is_wildcard_path(fields[0][0]):
        _check_wildcard(fields[0][0], is_unique, options)
    elif WILDCARD_PROJECTION in options:
        raise refusal(
            BAD_VALUE,
            f"The field '{WILDCARD_PROJECTION}' is only allowed in an 'wildcard' index",
        )


def _check_wildcard(path: str, is_unique: bool, options: dict[str, object]) -> None:
    refused = "unique" if is_unique else SPARSE if SPARSE in options else ""
    if EXPIRE_AFTER in options:
        refused = "TTL"
    if refused:
        raise refusal(
            CANNOT_CREATE_INDEX, f"Index type 'wildcard' does not support the {refused} option"
        )
    projection = options.get(WILDCARD_PROJECTION)
    if projection is None:
        return
    assert isinstance(projection, Mapping)
    if path != WILDCARD:
        raise refusal(
            FAILED_TO_PARSE,
            f"The field '{WILDCARD_PROJECTION}' is only allowed when 'key' is {{\"$**\": ±1}}",
        )
    if not projection:
        raise refusal(
            FAILED_TO_PARSE, f"The '{WILDCARD_PROJECTION}' field can't be an empty object"
        )
    kinds: set[bool] = set()
    for name, value in projection.items():
        if type(value) is not bool and not isinstance(value, (int, float)):
            raise refusal(
                FAILED_TO_PARSE,
                f"The '{WILDCARD_PROJECTION}' of '{name}' must be a boolean or a number",
            )
        if name != "_id":
            kinds.add(bool(value))
    if len(kinds) > 1:
        raise refusal(
            FAILED_TO_PARSE,
            f"The '{WILDCARD_PROJECTION}' cannot mix inclusion and exclusion of paths",
        )
