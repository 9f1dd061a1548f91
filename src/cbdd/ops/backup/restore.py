"""Restoring: a database from a backup, and from the log behind it up to a commit or a moment.

The new file has an identity of its own, so that its log can never be taken for the original's. It
is written under a temporary name, checked, and named when it is whole and on disk.

A gap in the log ends a restore with an error: what is behind it would not be a state that the
database ever had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from cbdd.errors import CorruptDataError, UsageError
from cbdd.ops.backup.archived_log import ArchivedLog
from cbdd.ops.backup.stored_pages import StoredPages
from cbdd.ops.new_file import NewFile, check_file, require_new
from cbdd.ops.recovery.log_replay import LogLimits, LogReplay, overlaid, replay_log
from cbdd.storage import Clock, Randomness
from cbdd.storage.bulk import BulkFile
from cbdd.storage.cursor import Cursor
from cbdd.storage.io import Io, translated
from cbdd.storage.meta import Meta, is_writable
from cbdd.storage.pager import OnePass, Pager
from cbdd.storage.tree import Tree
from cbdd.storage.version import VERSION

Progress = Callable[[str, int, int], None] | None
"""Called with what is being done, how much of it is done, and how much there is, 0 if unknown."""

_PROGRESS_ENTRIES: Final = 4096


class RestoreReport:
    """What the new file is: ``lsn`` and ``last_commit_us`` (0 if in the backup) of its state."""

    def __init__(self, backup: str, output: str) -> None:
        self.backup = backup
        self.output = output
        self.backup_lsn = 0
        self.backup_taken_us = 0
        self.lsn = 0
        self.last_commit_us = 0
        self.commits_replayed = 0
        self.stopped_at_limit = False
        self.trees = 0
        self.entries = 0
        self.notes: list[str] = []
        self.seconds = 0.0

    def to_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return dict(vars(self))


def restore_backup(
    backup: str,
    output: str,
    archive: str = "",
    live: str = "",
    to_lsn: int | None = None,
    to_time_us: int | None = None,
    io: Io | None = None,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    progress: Progress = None,
) -> RestoreReport:
    """Make a database of a backup.

    :param archive: directory of the segments that the option ``archive`` has kept.
    :param live: path of the database that was backed up, for the newest part of its log.
    :param to_lsn: the last commit to restore; default: the backup's own, or the end of the log.
    :param to_time_us: leave out the first commit after this time, in microseconds since 1970, and
        all that follow.
    :raises UsageError: the new file is there, or the log does not reach that far.
    :raises CorruptDataError: the backup or the log is damaged; there is no new file.
    """
    disk = io or Io()
    dice = randomness or Randomness()
    time_source = clock or Clock()
    started = time.perf_counter()
    target = disk.resolve(output)
    require_new(disk, target)  # before the work of reading the log
    try:
        with StoredPages(disk, disk.resolve(backup)) as stored:
            report = RestoreReport(stored.backup.path, target)
            report.backup_lsn = stored.backup.lsn
            report.backup_taken_us = int(stored.backup.manifest["taken_us"])
            replay = _replay(disk, stored, archive, live, LogLimits(to_lsn, to_time_us), report)
            with NewFile(disk, dice, target) as new:
                meta = _new_meta(stored.meta, replay, time_source, dice)
                fd = disk.open(new.path, True, False)
                try:
                    file = BulkFile(disk, fd, meta)
                    _write(stored, replay, file, report, progress)
                    file.finish()
                finally:
                    disk.close(fd)
                check_file(
                    new.path,
                    target,
                    disk,
                    time_source,
                    dice,
                    lambda done, total: _tell(progress, "checking", done, total),
                )
                new.give_name()
    except OSError as error:
        raise translated(error, "restore a backup", target) from error
    report.seconds = time.perf_counter() - started
    return report


def _tell(progress: Progress, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)


def _replay(
    io: Io,
    stored: StoredPages,
    archive: str,
    live: str,
    limits: LogLimits,
    report: RestoreReport,
) -> LogReplay:
    """The commits behind the backup, all of them there."""
    backup = stored.backup
    if limits.to_lsn is not None and limits.to_lsn < backup.lsn:
        raise _gone(f"the backup is of LSN {backup.lsn}, a later state than LSN {limits.to_lsn}")
    source = ArchivedLog(
        io, backup, io.resolve(archive) if archive else "", io.resolve(live) if live else ""
    )
    replay = replay_log(source, stored.meta, limits)
    if replay.lost:
        raise CorruptDataError(
            "ARCHIVE_GAP",
            f"the log behind the backup has a gap: commits {replay.lost[0]} are missing",
            f"name the archive and the live database whose log has them, or restore what is before "
            f"with --to-lsn {replay.lost[0].first_lsn - 1}",
            {"path": archive, "lsn": replay.lost[0].first_lsn},
        )
    if limits.to_lsn is not None and replay.last_lsn < limits.to_lsn:
        raise _gone(f"backup and log reach to LSN {replay.last_lsn} only")
    if limits.to_time_us is not None and _is_later(stored, replay, limits.to_time_us):
        raise _gone("the backup is of a later state")
    report.lsn = replay.last_lsn
    report.last_commit_us = replay.last_commit_us
    report.commits_replayed = replay.commits
    report.stopped_at_limit = replay.stopped_at_limit
    report.notes = replay.notes
    return replay


def _is_later(stored: StoredPages, replay: LogReplay, to_time_us: int) -> bool:
    """Whether the backup may have commits that are later than a moment."""
    return not replay.commits and int(stored.backup.manifest["taken_us"]) > to_time_us


def _gone(what: str) -> UsageError:
    return UsageError(
        "STATE_GONE",
        f"that state cannot be restored: {what}",
        "use another backup, name the archive and the live database, or ask for another state",
    )


def _new_meta(old: Meta, replay: LogReplay, clock: Clock, randomness: Randomness) -> Meta:
    """The meta page of a database that goes on from the restored state on its own."""
    meta = Meta()
    meta.page_size = old.page_size
    meta.uuid = randomness.token(16)
    meta.timeline = int.from_bytes(randomness.token(8), "little")
    meta.generation = 1
    meta.checkpoint_lsn = replay.last_lsn
    meta.created_us = clock.now_us()
    meta.written_us = meta.created_us
    # What its pages hold asks as much of a release as it did in the file that was backed up.
    meta.min_reader = old.min_reader
    meta.min_writer = old.min_writer
    meta.must_not_read = old.must_not_read
    meta.must_not_write = old.must_not_write
    meta.writer_version = old.writer_version if not is_writable(old) else VERSION
    return meta


def _write(
    stored: StoredPages,
    replay: LogReplay,
    file: BulkFile,
    report: RestoreReport,
    progress: Progress,
) -> None:
    trees = stored.trees()
    total = sum(tree.count for tree in trees.values())
    for number in sorted(trees.keys() | replay.trees.keys()):
        overlay = replay.trees.get(number)
        if overlay is not None and overlay.is_dropped:
            continue
        if number not in trees and (overlay is None or not overlay.is_new):
            raise CorruptDataError(
                "WAL_UNKNOWN_TREE",
                f"the log changes tree {number}, which is neither in the backup nor made since",
                "use the backup that the log belongs to",
                {"tree": number},
            )
        before = trees.get(number, Tree(None, 0, 0))
        copy = file.begin_tree(number)
        entries = overlaid(_entries(before, stored.pager), overlay, _key_of, _entry)
        for key, value in entries:
            copy.add(key, value)
            report.entries += 1
            if report.entries % _PROGRESS_ENTRIES == 0:
                _tell(progress, "writing", min(report.entries, total), total)
        copy.finish()
        report.trees += 1


def _key_of(entry: tuple[bytes, bytes]) -> bytes:
    return entry[0]


def _entry(key: bytes, value: bytes, _lsn: int) -> tuple[bytes, bytes]:
    return key, value


def _entries(tree: Tree, pager: Pager) -> Iterator[tuple[bytes, bytes]]:
    cursor = Cursor(tree, OnePass(pager))
    more = cursor.first()
    while more:
        yield cursor.key, cursor.value
        more = cursor.step()
