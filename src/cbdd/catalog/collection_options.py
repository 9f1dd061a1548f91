"""The options of a collection: capped sizes and validation, as create and collMod take them.

    capped, size, max                 at most `size` bytes of documents, at most `max` of them
    validator                         a filter that documents must match
    validationLevel                   strict (default), moderate, off
    validationAction                  error (default), warn, errorAndLog

What is kept is what listCollections shows. An option that is not known here is refused by name.
Source of the rules and codes: MongoDB's create and collMod commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from cbdd.catalog.index_options import check_collation
from cbdd.catalog.refusal import (
    BAD_VALUE,
    INVALID_OPTIONS,
    NOT_SUPPORTED,
    TYPE_MISMATCH,
    refusal,
)

VALIDATOR: Final = "validator"
VALIDATION_LEVEL: Final = "validationLevel"
VALIDATION_ACTION: Final = "validationAction"
CAPPED: Final = "capped"
SIZE: Final = "size"
MAX: Final = "max"

STRICT: Final = "strict"
MODERATE: Final = "moderate"
OFF: Final = "off"
ERROR: Final = "error"
WARN: Final = "warn"
LEVELS: Final = (STRICT, MODERATE, OFF)
ACTIONS: Final = (ERROR, WARN, "errorAndLog")

MIN_CAPPED_BYTES: Final = 4096
MAX_CAPPED_BYTES: Final = 1 << 50
MAX_CAPPED_DOCUMENTS: Final = (1 << 31) - 1
_CAPPED_STEP: Final = 256
_OUT_OF_RANGE: Final = 51024

_VALIDATION: Final = (VALIDATOR, VALIDATION_LEVEL, VALIDATION_ACTION)
_IGNORED: Final = ("autoIndexId", "comment", "writeConcern", "flags")
_UNSUPPORTED: Final = (
    "changeStreamPreAndPostImages",
    "clusteredIndex",
    "encryptedFields",
    "expireAfterSeconds",
    "idIndex",
    "indexOptionDefaults",
    "pipeline",
    "storageEngine",
    "temp",
    "timeseries",
    "viewOn",
)

_KNOWN: Final = _UNSUPPORTED + _IGNORED + _VALIDATION + (CAPPED, SIZE, MAX, "collation")


def create_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a new collection, checked, as they are kept."""
    options: dict[str, Any] = {}
    for name in _UNSUPPORTED:
        if given.get(name) is not None:
            raise refusal(
                NOT_SUPPORTED,
                f"the option {name!r} of create is not supported by this release of CBDD",
            )
    for name in given:
        if name not in _KNOWN:
            raise refusal(40415, f"BSON field 'create.{name}' is an unknown field.")
    check_collation(given.get("collation"), "a collection")
    _add_capped(given, options)
    options.update(validation_options(given))
    if not options.get(VALIDATOR, True):
        del options[VALIDATOR]
    return options


def validation_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options about validation that are given, checked."""
    options: dict[str, Any] = {}
    validator = given.get(VALIDATOR)
    if validator is not None:
        if not isinstance(validator, Mapping):
            raise refusal(
                TYPE_MISMATCH, "BSON field 'validator' is the wrong type, expected type 'object'"
            )
        options[VALIDATOR] = validator
    for name, allowed in ((VALIDATION_LEVEL, LEVELS), (VALIDATION_ACTION, ACTIONS)):
        value = given.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise refusal(
                TYPE_MISMATCH, f"BSON field '{name}' is the wrong type, expected type 'string'"
            )
        if value not in allowed:
            raise refusal(
                BAD_VALUE,
                f"Enumeration value '{value}' for field '{name}' is not a valid value.",
            )
        options[name] = value
    if VALIDATOR in options:
        options.setdefault(VALIDATION_LEVEL, STRICT)
        options.setdefault(VALIDATION_ACTION, ERROR)
    return options


def capped_bytes(value: object, name: str = SIZE) -> int:
    """Return the bytes a capped collection may hold: at least 4096, a multiple of 256."""
    size = _whole(value, name)
    if not 0 < size <= MAX_CAPPED_BYTES:
        raise refusal(
            _OUT_OF_RANGE, f"BSON field '{name}' value must be >= 1 and <= 2^50, actual: {value!r}"
        )
    return max(MIN_CAPPED_BYTES, -(-size // _CAPPED_STEP) * _CAPPED_STEP)


def capped_documents(value: object, name: str = MAX) -> int:
    """Return the documents a capped collection may hold; 0 and below is no limit."""
    most = _whole(value, name)
    if most > MAX_CAPPED_DOCUMENTS:
        raise refusal(
            BAD_VALUE,
            f"max in a capped collection has to be < 2^31 or not set, not {value!r}",
        )
    return max(most, 0)


def _add_capped(given: Mapping[str, Any], options: dict[str, Any]) -> None:
    capped = given.get(CAPPED)
    if capped is not None and not isinstance(capped, (bool, int, float)):
        raise refusal(
            TYPE_MISMATCH,
            f"BSON field 'create.capped' is the wrong type {type(capped).__name__!r}, expected "
            "types '[bool, long, int, decimal, double]'",
        )
    if not capped:
        if given.get(SIZE) is not None or given.get(MAX) is not None:
            raise refusal(
                INVALID_OPTIONS,
                "the 'capped' field needs to be true when either the 'size' or 'max' fields are "
                "present",
            )
        return
    if given.get(SIZE) is None:
        raise refusal(INVALID_OPTIONS, "the 'size' field is required when 'capped' is true")
    options[CAPPED] = True
    options[SIZE] = capped_bytes(given[SIZE])
    most = capped_documents(given[MAX]) if given.get(MAX) is not None else 0
    if most:
        options[MAX] = most


def _whole(value: object, name: str) -> int:
    if type(value) is bool or not isinstance(value, (int, float)) or not isfinite(value):
        raise refusal(
            TYPE_MISMATCH,
            f"BSON field 'create.{name}' is the wrong type {type(value).__name__!r}, expected "
            "types '[long, int, decimal, double]'",
        )
    return int(value)
