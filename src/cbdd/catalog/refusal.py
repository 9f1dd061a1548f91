"""The errors of catalog and query: MongoDB's codes and names, in the form a server sends them.

What MongoDB has and this release does not is refused with the same class and a message that names
the operator: a query that cannot be answered right is not answered.
"""

from __future__ import annotations

from typing import Final

from pymongo.errors import OperationFailure

BAD_VALUE: Final = 2
FAILED_TO_PARSE: Final = 9
TYPE_MISMATCH: Final = 14
OVERFLOW: Final = 15
ILLEGAL_OPERATION: Final = 20
NAMESPACE_NOT_FOUND: Final = 26
INDEX_NOT_FOUND: Final = 27
PATH_NOT_VIABLE: Final = 28
CONFLICTING_UPDATE_OPERATORS: Final = 40
NAMESPACE_EXISTS: Final = 48
DOLLAR_PREFIXED_FIELD_NAME: Final = 52
NOT_SINGLE_VALUE_FIELD: Final = 54
EMPTY_FIELD_NAME: Final = 56
COMMAND_NOT_FOUND: Final = 59
IMMUTABLE_FIELD: Final = 66
CANNOT_CREATE_INDEX: Final = 67
INVALID_OPTIONS: Final = 72
INVALID_NAMESPACE: Final = 73
INDEX_OPTIONS_CONFLICT: Final = 85
INDEX_KEY_SPECS_CONFLICT: Final = 86
INVALID_INDEX_OPTION: Final = 197
QUERY_FEATURE_NOT_ALLOWED: Final = 224
NOT_SUPPORTED: Final = 238
CAPPED_POSITION_LOST: Final = 136
NO_SUCH_TRANSACTION: Final = 251
NOT_IN_TRANSACTION: Final = 263
DATABASE_DIFFERS_IN_CASE: Final = 13297

CODE_NAMES: Final = {
    BAD_VALUE: "BadValue",
    FAILED_TO_PARSE: "FailedToParse",
    TYPE_MISMATCH: "TypeMismatch",
    OVERFLOW: "Overflow",
    ILLEGAL_OPERATION: "IllegalOperation",
    NAMESPACE_NOT_FOUND: "NamespaceNotFound",
    INDEX_NOT_FOUND: "IndexNotFound",
    PATH_NOT_VIABLE: "PathNotViable",
    CONFLICTING_UPDATE_OPERATORS: "ConflictingUpdateOperators",
    NAMESPACE_EXISTS: "NamespaceExists",
    DOLLAR_PREFIXED_FIELD_NAME: "DollarPrefixedFieldName",
    NOT_SINGLE_VALUE_FIELD: "NotSingleValueField",
    EMPTY_FIELD_NAME: "EmptyFieldName",
    COMMAND_NOT_FOUND: "CommandNotFound",
    IMMUTABLE_FIELD: "ImmutableField",
    CANNOT_CREATE_INDEX: "CannotCreateIndex",
    INVALID_OPTIONS: "InvalidOptions",
    INVALID_NAMESPACE: "InvalidNamespace",
    INDEX_OPTIONS_CONFLICT: "IndexOptionsConflict",
    INDEX_KEY_SPECS_CONFLICT: "IndexKeySpecsConflict",
    INVALID_INDEX_OPTION: "InvalidIndexSpecificationOption",
    QUERY_FEATURE_NOT_ALLOWED: "QueryFeatureNotAllowed",
    NOT_SUPPORTED: "NotImplemented",
    CAPPED_POSITION_LOST: "CappedPositionLost",
    NO_SUCH_TRANSACTION: "NoSuchTransaction",
    NOT_IN_TRANSACTION: "OperationNotSupportedInTransaction",
    DATABASE_DIFFERS_IN_CASE: "DatabaseDifferCase",
}


def refusal(code: int, message: str, label: str = "") -> OperationFailure:
    """Return (not raise) the error for `code`, with details as a server would send them.

    :param label: an error label such as ``TransientTransactionError``, or "".
    """
    details: dict[str, object] = {
        "ok": 0.0,
        "errmsg": message,
        "code": code,
        "codeName": CODE_NAMES.get(code, f"Location{code}"),
    }
    if label:
        details["errorLabels"] = [label]
    return OperationFailure(message, code, details)


def not_supported(code: int, operator: str, where: str) -> OperationFailure:
    """Return the error for something MongoDB has and this release has not."""
    return refusal(code, f"{operator} is not supported {where} by this release of CBDD")
