"""Verifying a backup: its files against the manifest, then every page from the root."""

from __future__ import annotations

import time
from collections.abc import Callable

from cbdd.errors import CorruptDataError
from cbdd.ops.backup.stored_pages import StoredPages
from cbdd.storage.backup import Backup, file_digest
from cbdd.storage.cursor import Cursor
from cbdd.storage.io import Io, translated
from cbdd.storage.pager import OnePass

Progress = Callable[[int, int], None] | None
_PROGRESS_ENTRIES = 4096


class VerifyReport:
    """What was verified; a backup that is not whole raises instead."""

    def __init__(self, backup: Backup, chain: list[Backup]) -> None:
        self.path = backup.path
        self.manifest = backup.manifest
        self.backups = [each.path for each in chain]
        self.trees = 0
        self.entries = 0
        self.seconds = 0.0

    def to_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return dict(vars(self))


def verify_backup(path: str, io: Io | None = None, progress: Progress = None) -> VerifyReport:
    """Read every byte of a backup and of those it is based on.

    :raises UsageError: there is no backup, or one that it is based on is missing.
    :raises CorruptDataError: something is not as it was written.
    """
    started = time.perf_counter()
    try:
        report = _verify(io or Io(), path, progress)
    except OSError as error:
        raise translated(error, "read the backup", path) from error
    report.seconds = time.perf_counter() - started
    return report


def _verify(disk: Io, path: str, progress: Progress) -> VerifyReport:
    with StoredPages(disk, disk.resolve(path)) as stored:
        report = VerifyReport(stored.backup, stored.chain)
        for each in stored.chain:
            _compare_files(disk, each)
        trees = stored.trees()
        total = sum(tree.count for tree in trees.values())
        for tree in trees.values():
            report.trees += 1
            counted = 0
            cursor = Cursor(tree, OnePass(stored.pager))
            more = cursor.first()
            while more:
                _ = cursor.value  # large values are read too
                counted += 1
                if progress is not None and counted % _PROGRESS_ENTRIES == 0:
                    progress(report.entries + counted, total)
                more = cursor.step()
            if counted != tree.count:
                raise CorruptDataError(
                    "BACKUP_DAMAGED",
                    f"{path}: a tree has {counted} entries, its root says {tree.count}",
                    "use another backup",
                    {"path": path},
                )
            report.entries += counted
    return report


def _compare_files(io: Io, backup: Backup) -> None:
    for name, facts in backup.manifest["files"].items():
        path = f"{backup.path}/{name.rpartition('/')[2]}"  # a name is never a path
        length, digest = file_digest(io, path)
        if length != facts["bytes"] or digest != facts["sha256"]:
            raise CorruptDataError(
                "BACKUP_DAMAGED",
                f"{path} is not as it was written: {length} bytes with SHA-256 {digest}, the "
                f"manifest says {facts['bytes']} with {facts['sha256']}",
                "use another backup",
                {"path": path, "found": digest, "expected": facts["sha256"]},
            )
