"""The errors of the query language: MongoDB's codes, one function that makes them.

Everything wrong with a filter, an update, a projection or a sort is an `OperationFailure` with the
code MongoDB gives. What MongoDB has and this release does not is refused with the same class and a
message that names the operator: a query that cannot be answered right is not answered.
"""

from __future__ import annotations

from typing import Final

from pymongo.errors import OperationFailure

BAD_VALUE: Final = 2
FAILED_TO_PARSE: Final = 9
TYPE_MISMATCH: Final = 14
OVERFLOW: Final = 15
PATH_NOT_VIABLE: Final = 28
CONFLICTING_UPDATE_OPERATORS: Final = 40
DOLLAR_PREFIXED_FIELD_NAME: Final = 52
NOT_SINGLE_VALUE_FIELD: Final = 54
EMPTY_FIELD_NAME: Final = 56
IMMUTABLE_FIELD: Final = 66
QUERY_FEATURE_NOT_ALLOWED: Final = 224

_NAMES: Final = {
    BAD_VALUE: "BadValue",
    FAILED_TO_PARSE: "FailedToParse",
    TYPE_MISMATCH: "TypeMismatch",
    OVERFLOW: "Overflow",
    PATH_NOT_VIABLE: "PathNotViable",
    CONFLICTING_UPDATE_OPERATORS: "ConflictingUpdateOperators",
    DOLLAR_PREFIXED_FIELD_NAME: "DollarPrefixedFieldName",
    NOT_SINGLE_VALUE_FIELD: "NotSingleValueField",
    EMPTY_FIELD_NAME: "EmptyFieldName",
    IMMUTABLE_FIELD: "ImmutableField",
    QUERY_FEATURE_NOT_ALLOWED: "QueryFeatureNotAllowed",
}


def refuse(code: int, message: str) -> OperationFailure:
    """Return (not raise) the error for `code`, with details as a server would send them."""
    name = _NAMES.get(code, f"Location{code}")
    details = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}
    return OperationFailure(message, code, details)


def not_supported(code: int, operator: str, where: str) -> OperationFailure:
    """Return the error for something MongoDB has and this release has not."""
    return refuse(code, f"{operator} is not supported {where} by this release of CBDD")
