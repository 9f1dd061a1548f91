"""Every exception CBDD raises on its own account.

What MongoDB knows (duplicate keys, bad queries, bad documents) is raised as PyMongo's own class
with MongoDB's code. What only an embedded database knows is here:

    pymongo.errors.PyMongoError
    +-- CbddError                 code, details, next step
    |   +-- NotADatabaseError     the file is something else: wrong input
    |   +-- NewerFormatError      written by a later release: use that release
    |   +-- CorruptDataError      bytes are not what was written: run a check, then recover
    |   +-- DiskFaultError        the operating system refused a read or write
    |   |   +-- DiskFullError     no space left: free some, the handle stays usable
    |   |   +-- DurabilityError   a sync failed: outcome unknown, reopen the file
    |   +-- LockedError           another process holds what we need: wait or stop it
    |   +-- ReadOnlyError         a write on something opened or mounted read-only
    |   +-- ReplacedFileError     the path no longer names the file that is open
    |   +-- UsageError            wrong use of the API
    |       +-- ClosedError       used after close
    |       +-- ForkedError       used in a forked child
    |       +-- TransactionTooLargeError
    +-- OperationFailure
        +-- WriteConflictError    lost race: run the transaction again (code 112)

`NetworkFileSystemWarning` is a warning: the file opens, but its promises may not hold there.

``code`` is stable and meant for programs, see `cbdd.codes`; the message is meant for people.
"""

from __future__ import annotations

from collections.abc import Mapping

from pymongo.errors import OperationFailure, PyMongoError

from cbdd.codes import severity_of

__all__ = [
    "CbddError",
    "ClosedError",
    "CorruptDataError",
    "DiskFaultError",
    "DiskFullError",
    "DurabilityError",
    "ForkedError",
    "LockedError",
    "NetworkFileSystemWarning",
    "NewerFormatError",
    "NotADatabaseError",
    "ReadOnlyError",
    "ReplacedFileError",
    "TransactionTooLargeError",
    "UsageError",
    "WriteConflictError",
]


class CbddError(PyMongoError):
    """An error of the embedded database itself.

    :param code: stable name of the fault, e.g. ``WAL_HOLE``.
    :param message: what happened and where.
    :param next_step: what to do about it, appended to the message.
    :param details: facts for programs: path, page, offset, lsn, expected, found.
    """

    def __init__(
        self,
        code: str,
        message: str,
        next_step: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        text = f"{code}: {message}"
        if next_step:
            text = f"{text}. Next: {next_step}"
        super().__init__(text)
        self.code = code
        self.message = message
        self.next_step = next_step
        self.details: dict[str, object] = dict(details or {})

    @property
    def severity(self) -> str:
        """How bad it is: ``SEV-1`` to ``SEV-3`` or ``info``, as in docs/codes.md."""
        return severity_of(self.code)


class NetworkFileSystemWarning(UserWarning):
    """The database is on a file system whose locks and syncs may not keep their promises."""


class NotADatabaseError(CbddError):
    """The file exists but is not a CBDD database."""


class NewerFormatError(CbddError):
    """The file was written in a format this release cannot read or write."""


class CorruptDataError(CbddError):
    """Stored bytes fail verification; they are never returned as data."""


class DiskFaultError(CbddError):
    """The operating system reported an error on a read or a write."""


class DiskFullError(DiskFaultError):
    """No space (or quota, or file size) left; the transaction was rolled back."""


class DurabilityError(DiskFaultError):
    """A sync failed: the outcome of the commit is unknown until the file is opened again."""


class LockedError(CbddError):
    """Another process holds a lock and did not release it in time."""


class ReadOnlyError(CbddError):
    """A write was asked of a database that is open, or can only be opened, for reading."""


class ReplacedFileError(CbddError):
    """The path no longer names the file this handle has open."""


class UsageError(CbddError):
    """The API was used in a way that cannot work."""


class ClosedError(UsageError):
    """The database was used after it was closed."""


class ForkedError(UsageError):
    """A handle opened before a fork was used in the child process."""


class TransactionTooLargeError(UsageError):
    """One transaction holds more changes than the limit allows."""


class WriteConflictError(OperationFailure):
    """Another transaction changed the same data first; code 112, run the transaction again."""

    def __init__(self, message: str) -> None:
        details = {
            "ok": 0.0,
            "errmsg": message,
            "code": 112,
            "codeName": "WriteConflict",
            "errorLabels": ["TransientTransactionError"],
        }
        super().__init__(message, 112, details)
