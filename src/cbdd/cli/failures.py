"""Exit codes, and how every error a user can cause becomes one line and one of them.

    code  meaning
    0     done
    1     the input is wrong: a bad record, a refused document, a bad filter, no such collection
    2     the command line is wrong
    3     damage found: `check` found problems, or stored bytes fail verification
    4     the file cannot be opened: missing, not a database, newer format, locked, not permitted
    5     the disk refused: full, I/O error, or a commit whose outcome is unknown
    6     `consumers run`: a consumer's test fails that did not before
    7     `consumers run`: something else differs
    8     an incident is overdue
    130   stopped by Ctrl-C
    141   the reader of our output went away (`cbdd find ... | head`)

The text goes to standard error; with `--json` it is a JSON object there. A traceback is a bug of
CBDD, and only such errors show one.
"""

from __future__ import annotations

import errno
import json
import sys
from typing import Final

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    InvalidName,
    OperationFailure,
    PyMongoError,
)

from cbdd.errors import (
    CbddError,
    ClosedError,
    CorruptDataError,
    DiskFaultError,
    ForkedError,
    LockedError,
    NewerFormatError,
    NotADatabaseError,
    ReadOnlyError,
    ReplacedFileError,
    TransactionTooLargeError,
    UsageError,
)

DONE: Final = 0
BAD_INPUT: Final = 1
BAD_USAGE: Final = 2
DAMAGED: Final = 3
CANNOT_OPEN: Final = 4
DISK_REFUSED: Final = 5
REGRESSED: Final = 6
DIFFERENT: Final = 7
OVERDUE: Final = 8
INTERRUPTED: Final = 130
OUTPUT_CLOSED: Final = 141

EXIT_CODES: Final = {
    DONE: "done",
    BAD_INPUT: "the input is wrong: a bad record, a refused document, no such collection",
    BAD_USAGE: "the command line is wrong",
    DAMAGED: "damage found",
    CANNOT_OPEN: "the file cannot be opened: missing, no database, newer format, locked",
    DISK_REFUSED: "the disk refused: full, I/O error, outcome of a commit unknown",
    REGRESSED: "a consumer's test fails that did not before",
    DIFFERENT: "consumers' tests differ, and none regressed",
    OVERDUE: "a milestone of an incident is overdue",
    INTERRUPTED: "stopped by Ctrl-C",
    OUTPUT_CLOSED: "the reader of the output went away",
}

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BY_CLASS: Final[tuple[tuple[tuple[type[Exception], ...], int], ...]] = (
    ((CorruptDataError,), DAMAGED),
    ((DiskFaultError,), DISK_REFUSED),
    ((NotADatabaseError, NewerFormatError, LockedError, ReadOnlyError), CANNOT_OPEN),
    ((ReplacedFileError, ClosedError, ForkedError), CANNOT_OPEN),
    ((TransactionTooLargeError,), BAD_INPUT),
    ((UsageError,), BAD_USAGE),
    ((ConfigurationError, InvalidName), BAD_USAGE),
)


class CommandError(Exception):
    """An error a command reports itself.

    :param exit_code: one of the constants of this module.
    :param code: stable name for programs, with `--json`.
    """

    def __init__(self, message: str, exit_code: int = BAD_INPUT, code: str = "INPUT") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code


EXTRA: Final = frozenset(("defusedxml", "httpx", "markdown_it", "packaging"))
"""Packages of the extra ``incident``."""


def without_extra(error: BaseException) -> BaseException:
    """What to tell in the place of a package of the extra that is not installed."""
    if not isinstance(error, ModuleNotFoundError):
        return error
    name = (error.name or "").partition(".")[0]
    if name not in EXTRA:
        return error
    return CommandError(
        f"this command needs the package {name}: pip install 'cbdd[incident]'",
        BAD_USAGE,
        "EXTRA_MISSING",
    )


def is_expected(error: BaseException) -> bool:
    """Whether a user can cause this error, so that it is told without a traceback."""
    return isinstance(error, (CommandError, PyMongoError, BSONError, OSError, KeyboardInterrupt))


def exit_code_of(error: BaseException) -> int:
    """Return the exit code for an error that `is_expected`."""
    if isinstance(error, CommandError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return OUTPUT_CLOSED
    if isinstance(error, OSError):
        return DISK_REFUSED if error.errno in (*_FULL, errno.EIO) else BAD_INPUT
    for classes, exit_code in _BY_CLASS:
        if isinstance(error, classes):
            return exit_code
    return BAD_INPUT


def message_of(error: BaseException) -> str:
    """Return an error as a sentence for people."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if isinstance(error, BulkWriteError):
        errors = error.details.get("writeErrors", []) if error.details else []
        return str(errors[0]["errmsg"]) if errors else str(error)
    if isinstance(error, OperationFailure):
        return str((error.details or {}).get("errmsg", error))
    return str(error)


def report(error: BaseException, as_json: bool) -> int:
    """Tell an error on standard error; return the exit code."""
    exit_code = exit_code_of(error)
    if exit_code == OUTPUT_CLOSED:
        return exit_code
    message = message_of(error)
    if as_json:
        facts: dict[str, object] = {"code": _name_of(error), "message": message}
        if isinstance(error, CbddError) and error.details:
            facts["details"] = error.details
        text = json.dumps({"error": facts, "exit_code": exit_code}, default=str)
    else:
        text = f"cbdd: {message}"
    sys.stderr.write(f"{text}\n")
    return exit_code


def _name_of(error: BaseException) -> str | int:
    code = getattr(error, "code", None)
    return code if isinstance(code, (str, int)) else type(error).__name__
