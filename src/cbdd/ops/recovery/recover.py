"""Recovering a damaged database into a new file; the original is only ever read.

Everything that verifies is saved: the trees of the newest valid meta page with the log over them,
what damaged pages led to as far as it is found elsewhere in the file, and older versions of the
rest. The report says of each collection what that means for its documents.

The SHA-256 of every file that is read is taken before and after; the new file is checked before it
gets its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cbdd.catalog.check import check_catalog
from cbdd.errors import LockedError
from cbdd.ops.new_file import NewFile, require_sound
from cbdd.ops.recovery.evidence import Evidence
from cbdd.ops.recovery.log_replay import LogLimits
from cbdd.ops.recovery.page_survey import survey_pages
from cbdd.ops.recovery.rebuild import Rebuilder
from cbdd.ops.recovery.report import CollectionOutcome, RecoverReport
from cbdd.ops.recovery.salvaged_collection import SalvagedCollection
from cbdd.ops.recovery.salvaged_database import FoundCollection, SalvagedDatabase, choose_meta
from cbdd.query.implication import QueryFilters
from cbdd.storage import Clock, Randomness, StorageEngine
from cbdd.storage.io import Io
from cbdd.storage.options import StorageOptions

Progress = Callable[[str, int, int], None] | None
"""Called with what is being done, how much of it is done, and how much there is, 0 if unknown."""

_UNNAMED_DATABASE = "recovered"
_NO_LIMIT_BYTES = 1 << 62


class RecoverOptions:
    """Which state to recover.

    :param older_meta: stand on the older meta page.
    :param to_lsn: leave out commits after this LSN.
    :param to_time_us: leave out the first commit after this time, in microseconds since 1970, and
        all that follow.
    :param uuid: the UUID of the database, where nothing in the file tells it any more.
    """

    def __init__(
        self,
        older_meta: bool = False,
        to_lsn: int | None = None,
        to_time_us: int | None = None,
        uuid: bytes | None = None,
    ) -> None:
        self.older_meta = older_meta
        self.limits = LogLimits(to_lsn, to_time_us)
        self.uuid = uuid


def recover_file(
    path: str,
    output: str,
    options: RecoverOptions | None = None,
    io: Io | None = None,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    progress: Progress = None,
) -> RecoverReport:
    """Write what can be had of a database to a new file.

    :raises UsageError: the new file is there already, or the state that was asked for is gone.
    :raises CorruptDataError: nothing can be verified.
    :raises NotADatabaseError: it is something else.
    :raises LockedError: a process has the database open for writing.
    """
    disk = io or Io()
    chosen = options or RecoverOptions()
    source = disk.resolve(path)
    target = disk.resolve(output)
    dice = randomness or Randomness()
    started = time.perf_counter()
    report = RecoverReport(source, target)
    with NewFile(disk, dice, target) as new, Evidence(disk, source, chosen.uuid) as evidence:
        report.originals = evidence.hashes()
        meta = choose_meta(evidence, chosen.older_meta, chosen.limits)
        survey = survey_pages(evidence, _phase(progress, "reading pages"))
        database = SalvagedDatabase(evidence, survey, meta, chosen.limits)
        page_size = evidence.page_size or StorageOptions().page_size_bytes
        making = _Making(disk, clock or Clock(), dice, new.path, page_size)
        making.fill(database, report, progress)
        _describe(report, database, evidence)
        if evidence.hashes() != report.originals:
            raise _changed(source)
        new.give_name()
    report.seconds = time.perf_counter() - started
    return report


class _Making:
    """The new file under its temporary name."""

    def __init__(
        self, io: Io, clock: Clock, randomness: Randomness, path: str, page_size: int
    ) -> None:
        self._path = path
        options = StorageOptions(
            page_size_bytes=page_size,
            durability="off",
            background=False,
            flight_recorder=False,
            max_transaction_bytes=_NO_LIMIT_BYTES,
        )
        self._engine = StorageEngine.open(path, options, io, clock, randomness)

    def fill(self, database: SalvagedDatabase, report: RecoverReport, progress: Progress) -> None:
        """Write every collection, check the result and close it."""
        done = 0
        tell = _phase(progress, "writing documents")

        def advance() -> None:
            nonlocal done
            done += 1
            if tell is not None and done % 256 == 0:
                tell(done, 0)

        try:
            rebuilder = Rebuilder(self._engine, advance)
            for found in database.collections():
                outcome = _outcome_of(found)
                documents = SalvagedCollection(database, found, outcome).documents()
                rebuilder.add(outcome, found.entry, documents)
                report.collections.append(outcome)
            self._engine.checkpoint()
            self._check(_phase(progress, "checking the new file"))
        finally:
            self._engine.close()

    def _check(self, progress: Callable[[int, int], None] | None) -> None:
        report = self._engine.check(progress)
        with self._engine.begin_read() as txn:
            report.problems += check_catalog(txn, QueryFilters())
        require_sound(report, self._path)


def _outcome_of(found: FoundCollection) -> CollectionOutcome:
    entry = found.entry
    if entry is not None:
        return CollectionOutcome(entry.database, entry.name)
    outcome = CollectionOutcome(_UNNAMED_DATABASE, f"tree_{found.record_tree}")
    outcome.name_is_known = False
    return outcome


def _describe(report: RecoverReport, database: SalvagedDatabase, evidence: Evidence) -> None:
    log = database.log
    report.generation = database.generation
    report.lsn = log.last_lsn
    report.last_commit_us = log.last_commit_us
    report.commits_replayed = log.commits
    report.lost_commits = log.lost
    report.notes = list(dict.fromkeys([*database.notes, *log.notes]))
    report.catalog_is_complete = database.catalog_is_complete
    report.damaged_pages = sorted(database.source.damaged)
    if evidence.io.refused_bytes:
        report.notes.append("the disk could not read everything; copy the files to another one")


def _changed(path: str) -> LockedError:
    return LockedError(
        "ORIGINAL_CHANGED",
        f"{path} or its log was changed while it was being read, so what was read may not belong "
        "together; the new file was removed",
        "see to it that nothing writes to the files, and recover again",
        {"path": path},
    )


def _phase(progress: Progress, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)
