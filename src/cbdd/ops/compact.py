"""Compacting: the same database in a file without free, leaked or half-empty pages.

A new file is written beside the old one, synced, and then takes its name: a crash leaves the one
or the other, whole. It keeps UUID, LSN and tree numbers, so backups and an archive of the log go
on; its format is that of new files. Everything that is copied is verified; a damaged page ends it,
and the old file stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cbdd.errors import CorruptDataError
from cbdd.ops.alone import AloneWithFile
from cbdd.ops.new_file import check_file
from cbdd.storage import Clock, Randomness
from cbdd.storage.bulk import BulkFile
from cbdd.storage.creation import TEMPORARY_MARK
from cbdd.storage.cursor import Cursor
from cbdd.storage.directory import directory_of, load_trees
from cbdd.storage.io import Io, translated
from cbdd.storage.locks import CREATING
from cbdd.storage.meta import FORMAT
from cbdd.storage.node import NodeSource
from cbdd.storage.pager import OnePass, Pager
from cbdd.storage.tree import Tree
from cbdd.storage.version import VERSION

_CACHE_BYTES: Final = 32 << 20
_PROGRESS_ENTRIES: Final = 4096
Progress = Callable[[int, int], None] | None


class CompactReport:
    """Sizes before and after, in bytes, and what was copied."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.before_bytes = 0
        self.after_bytes = 0
        self.trees = 0
        self.entries = 0
        self.seconds = 0.0

    def to_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return dict(vars(self))


def compact_file(
    path: str,
    timeout_seconds: float = 30.0,
    io: Io | None = None,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    progress: Progress = None,
) -> CompactReport:
    """Write the database anew and put it in the place of the file.

    :param timeout_seconds: how long to wait for a process that is opening or closing it.
    :param progress: called now and then with the entries copied and all entries.
    :raises LockedError: some process has the file open.
    :raises CorruptDataError: a page is damaged; nothing was changed.
    :raises DiskFullError: there is no room for a second file; nothing was changed.
    """
    disk = io or Io()
    time_source = clock or Clock()
    dice = randomness or Randomness()
    started = time.perf_counter()
    real = disk.resolve(path)
    report = CompactReport(real)
    with AloneWithFile(disk, time_source, dice, real, timeout_seconds) as alone:
        try:
            report.before_bytes = disk.size(alone.fd)
            _replace(alone, time_source, dice, report, progress)
        except OSError as error:
            raise translated(error, "compact the database", real) from error
    report.seconds = time.perf_counter() - started
    return report


def _replace(
    alone: AloneWithFile,
    clock: Clock,
    randomness: Randomness,
    report: CompactReport,
    progress: Progress,
) -> None:
    io = alone.io
    temporary = f"{alone.path}{TEMPORARY_MARK}{randomness.token(6).hex()}"
    fd = io.open(temporary, True, False)
    is_in_place = False
    try:
        io.lock(fd, CREATING, True)  # so that nobody takes it for a leftover
        io.copy_mode(alone.fd, fd)
        meta = alone.meta.copy()
        meta.generation += 1
        meta.written_us = clock.now_us()
        meta.writer_version = VERSION
        meta.min_reader = max(meta.min_reader, FORMAT)
        meta.min_writer = max(meta.min_writer, FORMAT)
        seed = int.from_bytes(meta.uuid[:8], "little")
        pager = Pager(io, alone.fd, alone.path, meta.page_size, seed, _CACHE_BYTES)
        trees = load_trees(directory_of(alone.meta), pager)
        file = BulkFile(io, fd, meta)
        copy_trees(trees, OnePass(pager), file, report, progress)
        file.finish()
        report.after_bytes = io.size(fd)
        check_file(temporary, alone.path, io, clock, randomness)
        io.rename(temporary, alone.path)
        is_in_place = True
        io.sync_directory(alone.path[: alone.path.rfind("/")] or "/")
    finally:
        io.close(fd)
        if not is_in_place:
            io.unlink(temporary)


def copy_trees(
    trees: dict[int, Tree],
    source: NodeSource,
    file: BulkFile,
    report: CompactReport,
    progress: Progress,
) -> None:
    """Copy every entry of every tree, verified."""
    total = sum(tree.count for tree in trees.values())
    for number in sorted(trees):
        copy = file.begin_tree(number)
        cursor = Cursor(trees[number], source)
        copied = 0
        more = cursor.first()
        while more:
            copy.add(cursor.key, cursor.value)
            copied += 1
            if progress is not None and copied % _PROGRESS_ENTRIES == 0:
                progress(report.entries + copied, total)
            more = cursor.step()
        if copied != trees[number].count:
            raise CorruptDataError(
                "COUNT_WRONG",
                f"tree {number} has {copied} entries, its root says {trees[number].count}",
                "run `cbdd doctor`; nothing was changed",
                {"tree": number, "found": copied, "expected": trees[number].count},
            )
        copy.finish()
        report.trees += 1
        report.entries += copied
