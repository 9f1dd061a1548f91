"""Errors of writes in the form PyMongo's users get them.

Below the client, a refused write is an `OperationFailure` (or a `WriteError`) with a code. A server
reports it inside the result of the command, so PyMongo raises `WriteError`, and `BulkWriteError`
for statements of many writes.
"""

from __future__ import annotations

from typing import Any

from pymongo.errors import BulkWriteError, OperationFailure, WriteError


def error_document(error: OperationFailure, index: int) -> dict[str, Any]:
    """Return a refused write as a server reports it.

    :param index: the place of the write in its statement.
    """
    details = error.details or {}
    document: dict[str, Any] = {
        "index": index,
        "code": error.code,
        "errmsg": details.get("errmsg", str(error)),
    }
    for field in ("keyPattern", "keyValue", "errInfo"):
        if field in details:
            document[field] = details[field]
    return document


def write_error(error: OperationFailure) -> OperationFailure:
    """Return the error PyMongo raises for a statement of one write."""
    document = error_document(error, 0)
    kind = type(error) if isinstance(error, WriteError) else WriteError
    return kind(document["errmsg"], error.code, document)


class BulkOutcome:
    """What a statement of many writes has done so far, and which writes were refused."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {
            "writeErrors": [],
            "writeConcernErrors": [],
            "nInserted": 0,
            "nUpserted": 0,
            "nMatched": 0,
            "nModified": 0,
            "nRemoved": 0,
            "upserted": [],
        }

    def counts(self) -> dict[str, int]:
        """Return how much there is of everything, for `take_back`."""
        return {
            name: len(value) if isinstance(value, list) else value
            for name, value in self.result.items()
        }

    def take_back(self, before: dict[str, int]) -> None:
        """Forget what was added since: it was not committed."""
        for name, value in before.items():
            if isinstance(self.result[name], list):
                del self.result[name][value:]
            else:
                self.result[name] = value

    @property
    def has_errors(self) -> bool:
        """Whether a write was refused."""
        return bool(self.result["writeErrors"])

    def refuse(self, error: OperationFailure, index: int, operation: object) -> None:
        """Note a refused write."""
        document = error_document(error, index)
        document["op"] = operation
        self.result["writeErrors"].append(document)

    def raise_errors(self) -> None:
        """Raise `BulkWriteError` if a write was refused."""
        if self.has_errors:
            self.result["writeErrors"].sort(key=lambda document: document["index"])
            raise BulkWriteError(self.result)
