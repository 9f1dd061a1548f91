"""The errors of the catalog: MongoDB's codes and names, in the form a server sends them."""

from __future__ import annotations

from typing import Final

from pymongo.errors import OperationFailure

BAD_VALUE: Final = 2
TYPE_MISMATCH: Final = 14
ILLEGAL_OPERATION: Final = 20
NAMESPACE_NOT_FOUND: Final = 26
INDEX_NOT_FOUND: Final = 27
NAMESPACE_EXISTS: Final = 48
COMMAND_NOT_FOUND: Final = 59
CANNOT_CREATE_INDEX: Final = 67
INVALID_OPTIONS: Final = 72
INVALID_NAMESPACE: Final = 73
INDEX_OPTIONS_CONFLICT: Final = 85
INDEX_KEY_SPECS_CONFLICT: Final = 86
INVALID_INDEX_OPTION: Final = 197
NOT_SUPPORTED: Final = 238
NO_SUCH_TRANSACTION: Final = 251
NOT_IN_TRANSACTION: Final = 263
DATABASE_DIFFERS_IN_CASE: Final = 13297

CODE_NAMES: Final = {
    BAD_VALUE: "BadValue",
    TYPE_MISMATCH: "TypeMismatch",
    ILLEGAL_OPERATION: "IllegalOperation",
    NAMESPACE_NOT_FOUND: "NamespaceNotFound",
    INDEX_NOT_FOUND: "IndexNotFound",
    NAMESPACE_EXISTS: "NamespaceExists",
    COMMAND_NOT_FOUND: "CommandNotFound",
    CANNOT_CREATE_INDEX: "CannotCreateIndex",
    INVALID_OPTIONS: "InvalidOptions",
    INVALID_NAMESPACE: "InvalidNamespace",
    INDEX_OPTIONS_CONFLICT: "IndexOptionsConflict",
    INDEX_KEY_SPECS_CONFLICT: "IndexKeySpecsConflict",
    INVALID_INDEX_OPTION: "InvalidIndexSpecificationOption",
    NOT_SUPPORTED: "NotImplemented",
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
