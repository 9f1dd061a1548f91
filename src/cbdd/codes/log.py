"""Codes of the log."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import INFO, LOG, SEV_1, SEV_2, SEV_3, Code
from cbdd.codes.steps import KEEP, RECOVER, REPORT, SALVAGE

LOG_CODES: Final = (
    Code(
        "WAL_TORN_TAIL",
        LOG,
        INFO,
        "The log ended in the middle of a write, as a crash leaves it. The rest was cut off; "
        "nothing that was acknowledged as durable was in it.",
        "Nothing needs to be done.",
    ),
    Code(
        "WAL_HOLE",
        LOG,
        SEV_1,
        "The log is damaged before its end, in commits that were acknowledged.",
        SALVAGE,
    ),
    Code(
        "WAL_FRAME_DAMAGED",
        LOG,
        SEV_1,
        "A frame that another process has published cannot be read from the log.",
        SALVAGE,
    ),
    Code(
        "WAL_MALFORMED",
        LOG,
        SEV_1,
        "A commit in the log has a right checksum and contents that make no sense.",
        f"{SALVAGE} {REPORT}",
    ),
    Code(
        "WAL_UNKNOWN_TREE",
        LOG,
        SEV_1,
        "A commit in the log changes a tree that does not exist.",
        f"{SALVAGE} {REPORT}",
    ),
    Code(
        "WAL_HEADER_DAMAGED",
        LOG,
        SEV_1,
        "The header of the first segment of the log is damaged, so none of it can be applied.",
        f"{KEEP} {RECOVER}",
    ),
    Code(
        "WAL_MISSING",
        LOG,
        SEV_1,
        "The file was not closed cleanly, and the log that it needs is not there: commits since "
        "the last checkpoint are lost with it.",
        f"Put the log back beside the database file. Where it is gone: {RECOVER}",
    ),
    Code(
        "WAL_FOREIGN",
        LOG,
        SEV_1,
        "The log belongs to another database, or to another life of this one. It was not applied.",
        f"Put the right log back beside the database file. Where it is gone: {RECOVER}",
    ),
    Code(
        "WAL_CHAIN",
        LOG,
        SEV_1,
        "The log does not continue where the database file ends: one of the two is older than the "
        "other.",
        f"Put files of the same time together. Where that cannot be: {RECOVER}",
    ),
    Code(
        "WAL_NEWER_THAN_META",
        LOG,
        SEV_1,
        "The file says that it was closed cleanly, and beside it is a log with commits that are "
        "newer: the file is an older copy, or its meta page was lost.",
        "Put the file that belongs to the log back; if the log is left over from another life of "
        f"the database, move it away. Where the file is gone: {RECOVER}",
    ),
    Code(
        "WAL_SEGMENT_MISSING",
        LOG,
        SEV_1,
        "A segment in the middle of the log is missing.",
        SALVAGE,
    ),
    Code(
        "WAL_SEGMENT_FOREIGN",
        LOG,
        SEV_1,
        "A segment in the middle of the log belongs to another database or another time.",
        SALVAGE,
    ),
    Code(
        "WAL_SEAL_DAMAGED",
        LOG,
        SEV_3,
        "The frame that ends a segment is damaged; the next segment continues it exactly, so "
        "nothing is lost.",
        "Check the disk.",
    ),
    Code(
        "WAL_SET_ASIDE",
        LOG,
        SEV_2,
        "A segment of the log that does not belong here was given another name and not applied.",
        "If commits are missing, look for the right log; else remove the file that was set aside.",
    ),
)
