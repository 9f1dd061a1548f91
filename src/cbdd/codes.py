"""Every code of an error, a finding or a problem: what it means, how bad it is, what to do next.

This table is the one source: `cbdd explain` prints it, docs/codes.md is made from it, and a test
sees to it that no code is raised, reported or noted that is not here, and none is here for nothing.

Severity is that of the incident a code stands for, see `SEVERITIES`. A finding may be milder than
its code: what recovery could put right is a finding of its own severity.
"""

from __future__ import annotations

from typing import Final

SEV_1: Final = "SEV-1"
SEV_2: Final = "SEV-2"
SEV_3: Final = "SEV-3"
INFO: Final = "info"
SEVERITIES: Final = {
    SEV_1: "data is damaged or lost, or may be",
    SEV_2: "the database cannot be used as it should",
    SEV_3: "it can be used, and something wants attention",
    INFO: "nothing is wrong with the file",
}

FILE: Final = "The database file"
LOG: Final = "The log"
PAGE: Final = "Pages and trees"
CATALOG: Final = "Collections and indexes"
PROCESS: Final = "Processes and locks"
DISK: Final = "The disk"
USE: Final = "Use of the API"
COMMANDS: Final = "The command line"
GROUPS: Final = (FILE, LOG, PAGE, CATALOG, PROCESS, DISK, USE, COMMANDS)

_CHECK: Final = "Run `cbdd check FILE` to see everything that is wrong."
_KEEP: Final = "Stop writing and keep a copy of the file and of everything named like it."
_READ_REST: Final = (
    f"{_KEEP} {_CHECK} Other collections stay readable: take them out with `cbdd export`. Then "
    "restore a backup."
)
_SALVAGE: Final = (
    f"{_KEEP} `cbdd export --salvage` and `connect(path, read_only=True, salvage=True)` read what "
    "is before the damage. Then restore a backup."
)
_REOPEN: Final = "Close the database in every process, then open it again."
_REBUILD: Final = (
    "Documents are not affected. Make the index anew with `cbdd reindex FILE COLLECTION INDEX`."
)
_REPORT: Final = "This is a defect: please report it, with what led to it."


class Code:
    """One code. ``meaning`` and ``next_step`` are sentences for people."""

    def __init__(self, name: str, group: str, severity: str, meaning: str, next_step: str) -> None:
        self.name = name
        self.group = group
        self.severity = severity
        self.meaning = meaning
        self.next_step = next_step

    @property
    def severity_text(self) -> str:
        """The severity and what it stands for."""
        return f"{self.severity}: {SEVERITIES[self.severity]}"

    @property
    def group_rank(self) -> int:
        """The place of its group among `GROUPS`."""
        return GROUPS.index(self.group)

    def to_dict(self) -> dict[str, str]:
        """The code for JSON."""
        return {
            "code": self.name,
            "group": self.group,
            "severity": self.severity,
            "meaning": self.meaning,
            "next_step": self.next_step,
        }


_TABLE: Final = (
    # -- the file ----------------------------------------------------------------------------
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
        "Put the database file back beside its log, or move the log away to start anew.",
    ),
    Code(
        "FILE_TRUNCATED",
        FILE,
        SEV_1,
        "The file is shorter than its meta page says: something has cut it.",
        f"{_KEEP} Restore a backup.",
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
        f"{_KEEP} Restore a backup.",
    ),
    Code(
        "META_MALFORMED",
        FILE,
        SEV_1,
        "A meta page with a right checksum holds values that make no sense.",
        f"{_KEEP} {_REPORT} Restore a backup.",
    ),
    Code(
        "META_GENERATION_MISSING",
        FILE,
        SEV_1,
        "No meta page on disk has the generation that the processes are working on: the file was "
        "changed or replaced under them.",
        f"{_KEEP} {_REOPEN}",
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
    # -- the log -----------------------------------------------------------------------------
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
        _SALVAGE,
    ),
    Code(
        "WAL_FRAME_DAMAGED",
        LOG,
        SEV_1,
        "A frame that another process has published cannot be read from the log.",
        _SALVAGE,
    ),
    Code(
        "WAL_MALFORMED",
        LOG,
        SEV_1,
        "A commit in the log has a right checksum and contents that make no sense.",
        f"{_SALVAGE} {_REPORT}",
    ),
    Code(
        "WAL_UNKNOWN_TREE",
        LOG,
        SEV_1,
        "A commit in the log changes a tree that does not exist.",
        f"{_SALVAGE} {_REPORT}",
    ),
    Code(
        "WAL_HEADER_DAMAGED",
        LOG,
        SEV_1,
        "The header of the first segment of the log is damaged, so none of it can be applied.",
        f"{_KEEP} `connect(path, read_only=True, salvage=True)` reads the last checkpoint. Then "
        "restore a backup.",
    ),
    Code(
        "WAL_MISSING",
        LOG,
        SEV_1,
        "The file was not closed cleanly, and the log that it needs is not there: commits since "
        "the last checkpoint are lost with it.",
        "Put the log back beside the database file, or restore a backup. What the last checkpoint "
        "has is read by `connect(path, read_only=True, salvage=True)`.",
    ),
    Code(
        "WAL_FOREIGN",
        LOG,
        SEV_1,
        "The log belongs to another database, or to another life of this one. It was not applied.",
        "Put the right log back beside the database file, or restore a backup.",
    ),
    Code(
        "WAL_CHAIN",
        LOG,
        SEV_1,
        "The log does not continue where the database file ends: one of the two is older than the "
        "other.",
        "Put files of the same time together, or restore a backup.",
    ),
    Code(
        "WAL_NEWER_THAN_META",
        LOG,
        SEV_1,
        "The file says that it was closed cleanly, and beside it is a log with commits that are "
        "newer: the file is an older copy, or its meta page was lost.",
        "Put the file that belongs to the log back; if the log is left over from another life of "
        "the database, move it away.",
    ),
    Code(
        "WAL_SEGMENT_MISSING",
        LOG,
        SEV_1,
        "A segment in the middle of the log is missing.",
        _SALVAGE,
    ),
    Code(
        "WAL_SEGMENT_FOREIGN",
        LOG,
        SEV_1,
        "A segment in the middle of the log belongs to another database or another time.",
        _SALVAGE,
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
    # -- pages -------------------------------------------------------------------------------
    Code(
        "PAGE_CHECKSUM",
        PAGE,
        SEV_1,
        "The bytes of a page are not those that were written.",
        _READ_REST,
    ),
    Code("PAGE_ZEROED", PAGE, SEV_1, "A page holds only zeros: its write was lost.", _READ_REST),
    Code(
        "PAGE_MISDIRECTED",
        PAGE,
        SEV_1,
        "A page holds the contents of another one: a write went to the wrong place.",
        _READ_REST,
    ),
    Code(
        "PAGE_STALE",
        PAGE,
        SEV_1,
        "A page holds an older or a foreign version of itself: a newer write was lost.",
        _READ_REST,
    ),
    Code("PAGE_TRUNCATED", PAGE, SEV_1, "The file ends inside a page.", _READ_REST),
    Code(
        "PAGE_MALFORMED",
        PAGE,
        SEV_1,
        "A page has the right checksum and contents that make no sense.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "PAGE_OUT_OF_RANGE",
        PAGE,
        SEV_1,
        "A reference names a page that the file does not have.",
        _READ_REST,
    ),
    Code(
        "PAGE_SHARED",
        PAGE,
        SEV_1,
        "A page has two owners, or is listed as free while it is in use: a write to one would "
        "damage the other.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "PAGE_LEAKED",
        PAGE,
        SEV_3,
        "Pages belong to nobody: space is lost, no data.",
        "Nothing needs to be done now.",
    ),
    Code(
        "PAGE_CHECKSUM_FIELD",
        PAGE,
        SEV_3,
        "The checksum that a page carries itself is wrong; the one that its parent holds is right, "
        "so its contents are.",
        "Check the disk.",
    ),
    Code(
        "FREELIST_MALFORMED",
        PAGE,
        SEV_3,
        "The list of free pages makes no sense. No data is in it.",
        "Nothing is lost; the next checkpoint makes a new list.",
    ),
    Code(
        "FREELIST_REBUILT",
        PAGE,
        SEV_3,
        "The list of free pages was damaged and was made anew from what is reachable.",
        "Check the disk; nothing is lost.",
    ),
    Code(
        "DIRECTORY_MALFORMED",
        PAGE,
        SEV_1,
        "The list of trees has an entry that makes no sense.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "COUNT_WRONG",
        PAGE,
        SEV_1,
        "A tree has another number of entries than it says.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "ORDER_WRONG",
        PAGE,
        SEV_1,
        "Keys of a tree are not in order: some may not be found.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "LEVEL_WRONG",
        PAGE,
        SEV_1,
        "A page of a tree is on the wrong level.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code("SIZE_WRONG", PAGE, SEV_3, "A page in memory has another size than it says.", _REPORT),
    # -- collections and indexes -------------------------------------------------------------
    Code(
        "CATALOG_ENTRY",
        CATALOG,
        SEV_1,
        "The description of a collection cannot be read; its documents cannot be found without it.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "CATALOG_FORMAT",
        CATALOG,
        SEV_2,
        "A later release made this collection with options that this one does not know.",
        "Install the release that the message names, or a later one; other collections can be "
        "used.",
    ),
    Code(
        "KEY_STRING_VERSION",
        CATALOG,
        SEV_2,
        "A later release made this index with keys that this one does not know.",
        "Install a later release.",
    ),
    Code(
        "CATALOG_SEQUENCE",
        CATALOG,
        SEV_1,
        "A number from which new ids are made cannot be read.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "SEQUENCE_BEHIND",
        CATALOG,
        SEV_1,
        "A number from which new ids are made is lower than ids in use.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "TREE_MISSING",
        CATALOG,
        SEV_1,
        "A collection or an index names a tree that is not there.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "TREE_SHARED",
        CATALOG,
        SEV_1,
        "Two collections or indexes name the same tree.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "TREE_ORPHANED",
        CATALOG,
        SEV_3,
        "A tree belongs to no collection: space is lost, no data.",
        _REPORT,
    ),
    Code(
        "RECORD_ID",
        CATALOG,
        SEV_1,
        "A record has a key that is no record id.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "RECORD_INVALID",
        CATALOG,
        SEV_1,
        "A stored document is not valid BSON.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "RECORD_WITHOUT_ID",
        CATALOG,
        SEV_1,
        "A stored document has no `_id`.",
        f"{_READ_REST} {_REPORT}",
    ),
    Code(
        "RECORD_MISSING",
        CATALOG,
        SEV_1,
        "A record that an index names is not there.",
        f"{_CHECK} {_REPORT}",
    ),
    Code(
        "CAPPED_SIZE",
        CATALOG,
        SEV_3,
        "The size that a capped collection keeps is not that of its documents.",
        f"Documents are not affected. {_REPORT}",
    ),
    Code(
        "INDEX_ENTRY_MISSING",
        CATALOG,
        SEV_2,
        "A document has no entry in an index: queries that use the index do not find it.",
        _REBUILD,
    ),
    Code(
        "INDEX_ENTRY_WITHOUT_RECORD",
        CATALOG,
        SEV_2,
        "An index has an entry for a document that is not there.",
        _REBUILD,
    ),
    Code(
        "INDEX_ENTRY_TYPES",
        CATALOG,
        SEV_2,
        "An index entry tells other types than the document has: queries answered from the index "
        "alone may show another type.",
        _REBUILD,
    ),
    Code(
        "INDEX_COUNT",
        CATALOG,
        SEV_2,
        "An index has more entries than its documents give it.",
        _REBUILD,
    ),
    Code(
        "INDEX_KEYS",
        CATALOG,
        SEV_2,
        "The keys of a document cannot be made for an index.",
        _REBUILD,
    ),
    Code(
        "INDEX_MULTIKEY",
        CATALOG,
        SEV_2,
        "An index with several entries for one document is not marked so: some queries give wrong "
        "answers.",
        _REBUILD,
    ),
    # -- processes ---------------------------------------------------------------------------
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
        f"{_REOPEN} Nothing is lost.",
    ),
    Code(
        "SHM_TRUNCATED",
        PROCESS,
        SEV_2,
        "The file in which processes tell each other of their commits was cut.",
        f"{_REOPEN} Nothing is lost.",
    ),
    Code(
        "SHM_DAMAGED",
        PROCESS,
        SEV_2,
        "The file in which processes tell each other of their commits is damaged.",
        f"{_REOPEN} Nothing is lost.",
    ),
    Code(
        "FORKED",
        PROCESS,
        INFO,
        "A handle that was opened before a fork was used in the child.",
        "Open the database after the fork, in each process.",
    ),
    # -- the disk ----------------------------------------------------------------------------
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
        f"Check the disk and the system log. {_CHECK}",
    ),
    Code(
        "SYNC_FAILED",
        DISK,
        SEV_1,
        "The operating system could not make writes durable. Whether the last commits survive is "
        "unknown, and nothing more is written until the file has been read anew.",
        f"{_REOPEN} Check the disk and the system log.",
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
        f"{_REOPEN} Check the disk and the system log.",
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
    # -- use ---------------------------------------------------------------------------------
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
    Code("TREE_EXISTS", USE, INFO, "A tree was made that is there already.", _REPORT),
    Code("UNKNOWN_TREE", USE, INFO, "A tree was used that is not there.", _REPORT),
    # -- what only a diagnosis finds ---------------------------------------------------------
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
    # -- the command line --------------------------------------------------------------------
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
CODES: Final = {code.name: code for code in _TABLE}


def severity_of(code: str) -> str:
    """The severity of a code; one that is not in the table counts as the worst."""
    known = CODES.get(code)
    return SEV_1 if known is None else known.severity


def to_markdown() -> str:
    """The table as the document docs/codes.md."""
    worst_first = "; ".join(f"{name}: {text}" for name, text in SEVERITIES.items())
    lines = [
        "# Codes",
        "",
        "Every error of CBDD itself has a code, and so has everything that opening a file or",
        "`cbdd check` finds. `cbdd explain CODE` prints the same on the command line. Severity is",
        "that of the incident a code stands for.",
        f"{worst_first}.",
    ]
    for group in GROUPS:
        lines += ["", f"## {group}", "", "| code | severity | what it means | what to do next |"]
        lines.append("|---|---|---|---|")
        lines += [
            f"| `{code.name}` | {code.severity} | {code.meaning} | {code.next_step} |"
            for code in CODES.values()
            if code.group == group
        ]
    return "\n".join(lines) + "\n"
