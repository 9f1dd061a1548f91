"""Codes of the command line."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import COMMANDS, INFO, SEV_1, SEV_2, SEV_3, Code

COMMAND_CODES: Final = (
    Code(
        "INPUT",
        COMMANDS,
        INFO,
        "What a command was given cannot be used: a bad record, a refused document, a target that "
        "is there already.",
        "The message says what and where.",
    ),
    Code("FILE", COMMANDS, INFO, "A server was named where a file is needed.", "Name a file."),
    Code(
        "DATABASE",
        COMMANDS,
        INFO,
        "No database can be named like this file.",
        "Name one with `--database`.",
    ),
    Code(
        "NAMESPACE_NOT_FOUND",
        COMMANDS,
        INFO,
        "There is no such collection; the message lists those that are there.",
        "Check its name, and `--database`.",
    ),
    Code(
        "OUTPUT_EXISTS",
        COMMANDS,
        INFO,
        "The new file that was to be made is there already; nothing is ever overwritten.",
        "Name a file that does not exist yet.",
    ),
    Code(
        "STATE_GONE",
        COMMANDS,
        INFO,
        "The state that was asked for is older than anything the file still has.",
        "Ask for a newer state, or restore a backup.",
    ),
    Code(
        "NO_BACKUP",
        COMMANDS,
        INFO,
        "There is no backup in this directory, or one that was never finished.",
        "Check the path, or take another backup.",
    ),
    Code(
        "BACKUP_DAMAGED",
        COMMANDS,
        SEV_1,
        "A backup is not as it was written.",
        "Use another backup, and take a new one; check the disk it is on.",
    ),
    Code(
        "BACKUP_BASE_MISSING",
        COMMANDS,
        SEV_2,
        "A backup is based on another one that is not beside it.",
        "Put the other backup into the same directory.",
    ),
    Code(
        "BACKUP_FOREIGN",
        COMMANDS,
        INFO,
        "A backup was named as a base that is of another database.",
        "Name a backup of this database, or none.",
    ),
    Code(
        "ARCHIVE_GAP",
        COMMANDS,
        SEV_2,
        "The log behind a backup has a gap: a segment is missing from the archive, or damaged. "
        "What is behind the gap is not restored, because it would be a state that never was.",
        "Name all places where the log is, or restore what is before the gap with `--to-lsn`.",
    ),
    Code(
        "ARCHIVE_FAILED",
        COMMANDS,
        SEV_2,
        "A segment of the log could not be copied to the archive. It stays beside the database and "
        "is tried again; the log takes more and more space until then.",
        "Make room in the archive, or give the right directory as `archive`.",
    ),
    Code(
        "BUNDLE_INVALID",
        COMMANDS,
        INFO,
        "A file is no bundle, or a damaged one, or larger than a bundle is.",
        "Ask the sender for another.",
    ),
    Code(
        "BUNDLE_KEY",
        COMMANDS,
        INFO,
        "A file was named as the key of a bundle that holds none.",
        "Name the file that `cbdd bundle` has made.",
    ),
    Code(
        "ARCHIVE_PENDING",
        COMMANDS,
        SEV_3,
        "The log of the database is archived, and a process that was not told where has left "
        "segments of it beside the database.",
        "Nothing is lost: the next process that is opened with `archive` takes them. To archive no "
        "more, open it once with `archive=False`.",
    ),
    Code(
        "ORIGINAL_CHANGED",
        COMMANDS,
        SEV_2,
        "A file was changed while it was being read, so what was read may not belong together. "
        "The new file was removed.",
        "See to it that nothing writes to the files, and run the command again.",
    ),
    Code(
        "NO_EVENTS",
        COMMANDS,
        INFO,
        "The file has no flight recorder beside it (NAME-events).",
        "It is kept from the next opening on, unless with `flight_recorder=False`.",
    ),
    Code(
        "UNKNOWN_CODE",
        COMMANDS,
        INFO,
        "`cbdd explain` was asked about a code that does not exist.",
        "Run `cbdd explain` for the list; a later release may know it.",
    ),
)
