"""Documents against the validator of their collection."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.errors import WriteError

from cbdd.catalog.collection_options import MODERATE, OFF, VALIDATOR, WARN
from cbdd.catalog.entry import CollectionEntry
from cbdd.document.filter import DocumentFilter

DOCUMENT_VALIDATION_FAILURE: Final = 121
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_MESSAGE: Final = "Document failed validation"


def require_valid(entry: CollectionEntry, document: bytes, old: bytes | None) -> None:
    """Raise `WriteError` 121 when the collection's validator refuses a document.

    :param old: what the document replaces; with the level "moderate" one that was invalid before
        may stay so.

    With the action "warn" the document is stored and a `UserWarning` is issued.
    """
    validator: DocumentFilter | None = entry.validator
    if validator is None or entry.validation_level == OFF or validator.matches(document):
        return
    if entry.validation_level == MODERATE and old is not None and not validator.matches(old):
        return
    if entry.validation_action == WARN:
        warnings.warn(f"{_MESSAGE}: collection {entry.namespace}", stacklevel=2)
        return
    raise WriteError(_MESSAGE, DOCUMENT_VALIDATION_FAILURE, failure_details(entry, document))


def failure_details(entry: CollectionEntry, document: bytes) -> dict[str, Any]:
    """Return the details of the error as MongoDB sends them: which document, which rule."""
    rule = entry.options.get(VALIDATOR)
    details: dict[str, Any] = {"operatorName": _operator_of(rule), "specifiedAs": rule}
    identity = bson.decode(document, _OPTIONS).get("_id")
    return {
        "index": 0,
        "code": DOCUMENT_VALIDATION_FAILURE,
        "errmsg": _MESSAGE,
        "errInfo": {"failingDocumentId": identity, "details": details},
    }


def _operator_of(rule: object) -> str:
    """Return the operator at the top of a validator."""
    if not isinstance(rule, Mapping) or len(rule) != 1:
        return "$and"
    name = str(next(iter(rule)))
    if name.startswith("$"):
        return name
    condition = rule[name]
    if not isinstance(condition, Mapping) or not condition:
        return "$eq"
    operator = str(next(iter(condition)))
    if not operator.startswith("$"):
        return "$eq"
    return operator if len(condition) == 1 else "$and"
