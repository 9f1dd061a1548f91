"""Codes of the database file and its meta pages."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import FILE, INFO, SEV_1, SEV_2, SEV_3, Code
from cbdd.codes.steps import KEEP, RECOVER, REOPEN, REPORT

FILE_CODES: Final = (
    Code("NOT_FOUND", FILE, INFO, "There is no file at this path.", "Check the path."),
    Code(
        "NOT_A_FILE",
        FILE,
        INFO,
        "The path names a directory, a device or a pipe.",
        "Check the path.",
    ),
    Code(
        "EMPTY_FILE",
        FILE,
        SEV_1,
        "The file has 0 bytes. CBDD never leaves that behind: something else has emptied it, or it "
        "never was a database.",
        "Restore a backup; if it never was a database, remove it.",
    ),
    Code(
        "NOT_A_DATABASE",
        FILE,
        SEV_2,
        "The file does not begin like a CBDD database: it is something else, or its beginning was "
        "overwritten.",
        "Check the path; if it was a database, restore a backup.",
    ),
    Code(
        "DATABASE_MISSING",
        FILE,
        SEV_1,
        "The log is there and the database file is not. A new file would make the log worthless, "
        "so none is made.",
        "Put the database file back beside its log. Where it is gone: "
        "`cbdd recover FILE --output NEW` writes what the log has to a new file.",
    ),
    Code(
        "FILE_TRUNCATED",
        FILE,
        SEV_1,
        "The file is shorter than its meta page says: something has cut it.",
        f"{KEEP} {RECOVER}",
    ),
    Code(
        "NEWER_FORMAT",
        FILE,
        SEV_2,
        "A later release wrote the file, in a format that this one cannot read.",
        "Install the release that the message names, or a later one.",
    ),
    Code(
        "NEWER_FORMAT_READ_ONLY",
        FILE,
        SEV_2,
        "A later release wrote the file; this one can read it and must not write it.",
        "Open it with `read_only=True`, or install a later release.",
    ),
    Code(
        "META_COPY_DAMAGED",
        FILE,
        SEV_3,
        "One of the four copies of the meta page is damaged; another one was used and nothing is "
        "lost. The next checkpoint writes it anew.",
        "Check the disk; run `cbdd check FILE` and `cbdd checkpoint FILE`.",
    ),
    Code(
        "META_DAMAGED",
        FILE,
        SEV_1,
        "All copies of the meta page are damaged, so it is not known where the trees begin.",
        f"{KEEP} {RECOVER}",
    ),
    Code(
        "META_MALFORMED",
        FILE,
        SEV_1,
        "A meta page with a right checksum holds values that make no sense.",
        f"{KEEP} {REPORT} {RECOVER}",
    ),
    Code(
        "META_GENERATION_MISSING",
        FILE,
        SEV_1,
        "No meta page on disk has the generation that the processes are working on: the file was "
        "changed or replaced under them.",
        f"{KEEP} {REOPEN}",
    ),
    Code(
        "FILE_REPLACED",
        FILE,
        SEV_2,
        "The path names another file than the one that is open: it was moved, replaced or removed. "
        "Nothing is written to a file that nobody would find again.",
        "Put the file back, or close the database and open it again.",
    ),
    Code(
        "HARD_LINKED",
        FILE,
        SEV_3,
        "The file has several names. Opened under another one it would use another log.",
        "Remove the other hard links, or copy the file.",
    ),
)
