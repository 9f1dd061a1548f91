"""Codes of processes, locks, the disk and the use of the API."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import DISK, FILE, INFO, PROCESS, SEV_1, SEV_2, SEV_3, USE, Code
from cbdd.codes.steps import CHECK, REOPEN, REPORT

RUNNING_CODES: Final = (
    Code(
        "LOCKED",
        PROCESS,
        SEV_3,
        "Another process or thread did not release a lock in time; the message says which lock, "
        "and who has it where that is known.",
        "Let it finish or stop it, or raise `lock_timeout_seconds`; `cbdd info FILE` shows who has "
        "the file open.",
    ),
    Code(
        "OTHER_MACHINE",
        PROCESS,
        SEV_2,
        "Another machine has the database open, over a network file system.",
        "Close it there first; for use from several machines at once, run a server.",
    ),
    Code(
        "TOO_MANY_PROCESSES",
        PROCESS,
        SEV_3,
        "As many processes as can have the database open have it open.",
        "Close it in some of them.",
    ),
    Code(
        "SHM_MISSING",
        PROCESS,
        SEV_2,
        "Other processes have the database open, but the file in which they tell each other of it "
        "was removed.",
        f"{REOPEN} Nothing is lost.",
    ),
    Code(
        "SHM_TRUNCATED",
        PROCESS,
        SEV_2,
        "The file in which processes tell each other of their commits was cut.",
        f"{REOPEN} Nothing is lost.",
    ),
    Code(
        "SHM_DAMAGED",
        PROCESS,
        SEV_2,
        "The file in which processes tell each other of their commits is damaged.",
        f"{REOPEN} Nothing is lost.",
    ),
    Code(
        "FORKED",
        PROCESS,
        INFO,
        "A handle that was opened before a fork was used in the child.",
        "Open the database after the fork, in each process.",
    ),
    Code(
        "DISK_FULL",
        DISK,
        SEV_2,
        "There was no space on the disk, or a quota or size limit was reached. Nothing was "
        "changed; reading goes on.",
        "Free space, or delete documents, which works on a full disk; then try again.",
    ),
    Code(
        "IO_ERROR",
        DISK,
        SEV_1,
        "The operating system failed to read or write.",
        f"Check the disk and the system log. {CHECK}",
    ),
    Code(
        "SYNC_FAILED",
        DISK,
        SEV_1,
        "The operating system could not make writes durable. Whether the last commits survive is "
        "unknown, and nothing more is written until the file has been read anew.",
        f"{REOPEN} Check the disk and the system log.",
    ),
    Code(
        "COMMIT_UNKNOWN",
        DISK,
        SEV_1,
        "A commit was written and could not be made known: whether it survives is unknown.",
        "Read the data again to see. Check the disk and the system log.",
    ),
    Code(
        "COMMIT_INTERRUPTED",
        DISK,
        SEV_3,
        "A commit was interrupted: whether it survives is unknown.",
        "Read the data again to see.",
    ),
    Code(
        "APPEND_UNKNOWN",
        DISK,
        SEV_1,
        "A write to the log failed and could not be taken back: whether the commit survives is "
        "unknown.",
        f"{REOPEN} Check the disk and the system log.",
    ),
    Code(
        "NETWORK_FILE_SYSTEM",
        DISK,
        SEV_3,
        "The file is on NFS, SMB, FUSE or the like, whose locks and syncs may not keep their "
        "promises.",
        "Keep the file on a local disk, or see to it that only one machine opens it.",
    ),
    Code(
        "READ_ONLY",
        DISK,
        INFO,
        "The database is open for reading only, or the file system or its permissions do not allow "
        "to write.",
        "Open it without `read_only`, or check the permissions of the file and its directory.",
    ),
    Code("CLOSED", USE, INFO, "The database was used after it was closed.", "Open it again."),
    Code(
        "OPTION",
        USE,
        INFO,
        "An option has a value that it cannot have.",
        "The message says what it can be.",
    ),
    Code(
        "PLATFORM",
        USE,
        INFO,
        "This platform lacks the locks that CBDD needs.",
        "Run on Linux 3.15 or later.",
    ),
    Code(
        "NESTED_WRITE",
        USE,
        INFO,
        "A thread began to write while it was writing already.",
        "End the first write before.",
    ),
    Code("TRANSACTION_ENDED", USE, INFO, "A transaction was used after its end.", "Begin another."),
    Code(
        "TRANSACTION_TOO_LARGE",
        USE,
        INFO,
        "One transaction changed more than `max_transaction_bytes`.",
        "Use smaller transactions, or raise the limit.",
    ),
    Code("KEY_ORDER", USE, INFO, "Entries of a new tree were given out of order.", REPORT),
    Code("TREE_EXISTS", USE, INFO, "A tree was made that is there already.", REPORT),
    Code("UNKNOWN_TREE", USE, INFO, "A tree was used that is not there.", REPORT),
    Code(
        "IN_USE",
        PROCESS,
        INFO,
        "Other processes have the file open.",
        "Nothing needs to be done.",
    ),
    Code(
        "NOT_CLOSED",
        FILE,
        INFO,
        "The file was not closed cleanly, as after a crash or a kill.",
        "Nothing needs to be done: the next opening for writing recovers it from its log.",
    ),
    Code(
        "PAGES_PINNED",
        PROCESS,
        SEV_3,
        "A process has been reading one snapshot for long; until it ends, pages that are freed "
        "cannot be used again and the file grows.",
        "Let the process end what it reads, or end it.",
    ),
)
