"""Replaying a copy of a damaged file, commit by commit, up to the first that breaks something.

The files are copied, and the original is only read. The copy without its log is the base, the state
of the last checkpoint (or a backup, where one is given); it is judged first. Then every commit of
the log is checked before it is applied, see `commit_check`.

    verdict      meaning
    commit       a commit breaks what must hold: CBDD did it, and the operations show how
    base         it was broken before the log begins: replay from an earlier backup
    outside      bytes do not verify: a disk, another program or a copy did it
    unexplained  something is wrong that none of these shows
    sound        nothing is wrong
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cbdd.catalog.entry import CollectionEntry
from cbdd.client import Client
from cbdd.client.connect import connect
from cbdd.codes import CATALOG, CODES, INFO, PAGE
from cbdd.errors import CbddError, NetworkFileSystemWarning
from cbdd.ops.backup import restore_backup
from cbdd.ops.doctor import diagnose
from cbdd.ops.recovery.evidence import Evidence
from cbdd.ops.recovery.log_replay import Commit, LogLimits, replay_log
from cbdd.ops.recovery.log_scan import LogSource
from cbdd.ops.reproduction.commit_check import Break, CommitChecker
from cbdd.storage.backup import read_backup
from cbdd.storage.io import Io
from cbdd.storage.meta import Meta
from cbdd.storage.wal import segment_path

COMMIT: Final = "commit"
BASE: Final = "base"
OUTSIDE: Final = "outside"
UNEXPLAINED: Final = "unexplained"
SOUND: Final = "sound"

_OF_TREES: Final = (PAGE, CATALOG)
"""Groups of codes that say something of the base; that its log is not there is as it should be."""

Progress = Callable[[int, int], None] | None


class TreeState:
    """The trees as they are after the commits applied so far: the base, and what changed."""

    def __init__(self, client: Client[Any]) -> None:
        self._txn = client._store.begin_read()
        self._new: set[int] = set()
        self._dropped: set[int] = set()
        self._changes: dict[int, dict[bytes, bytes | None]] = {}

    def close(self) -> None:
        """Let the base go."""
        self._txn.close()

    def get(self, tree: int, key: bytes) -> bytes | None:
        """The value of a key, None for none."""
        changed = self._changes.get(tree)
        if changed is not None and key in changed:
            return changed[key]
        return self._txn.get(tree, key) if self._is_in_base(tree) else None

    def has_tree(self, tree: int) -> bool:
        """Whether a tree is there."""
        if tree in self._dropped:
            return False
        return tree in self._new or tree in self._changes or self._txn.has_tree(tree)

    def items(self, tree: int) -> Iterator[tuple[bytes, bytes]]:
        """Everything in a tree, in no order."""
        changed = self._changes.get(tree, {})
        if self._is_in_base(tree):
            cursor = self._txn.cursor(tree)
            more = cursor.first()
            while more:
                if cursor.key not in changed:
                    yield cursor.key, cursor.value
                more = cursor.step()
        for key, value in changed.items():
            if value is not None:
                yield key, value

    def apply(self, commit: Commit) -> None:
        """Take up a commit."""
        for change in commit.changes:
            if change.is_dropped or change.is_created:
                self._changes[change.tree] = {}
                self._new.add(change.tree)
            if change.is_dropped:
                self._dropped.add(change.tree)
            if change.is_created:
                self._dropped.discard(change.tree)
            self._changes.setdefault(change.tree, {}).update(change.entries)

    def _is_in_base(self, tree: int) -> bool:
        return tree not in self._new and self._txn.has_tree(tree)


class Replay:
    """What a replay has found."""

    def __init__(self) -> None:
        self.verdict = SOUND
        self.base_lsn = 0
        self.base_codes: list[str] = []
        """What is wrong with the base."""
        self.codes: list[str] = []
        """What doctor says of the file."""
        self.commits = 0
        self.lost_commits: list[str] = []
        self.broken: Commit | None = None
        """The first commit that breaks something."""
        self.breaks: list[Break] = []
        self.history: list[Commit] = []
        """The commits up to it."""

    def to_dict(self) -> dict[str, Any]:
        """The replay for JSON, without names and values."""
        return {
            "verdict": self.verdict,
            "codes": self.codes,
            "base_lsn": self.base_lsn,
            "base_codes": self.base_codes,
            "commits_checked": self.commits,
            "lost_commits": self.lost_commits,
            "first_bad_lsn": self.broken.lsn if self.broken is not None else None,
            "first_bad_time_us": self.broken.time_us if self.broken is not None else None,
            "operations": [self.broken.operation] if self.broken is not None else [],
            "breaks": [{"code": each.code, "what": each.message} for each in self.breaks],
        }


class Copy:
    """A scratch copy of a database: its file without the log, and the log; a context manager."""

    def __init__(self, path: str, backup: str | None, archive: str | None) -> None:
        self._folder = tempfile.mkdtemp(prefix="cbdd-replay-")
        name = os.path.basename(path)
        self.base = os.path.join(self._folder, "base", name)
        self.log = os.path.join(self._folder, "log", name)
        self.uuid = b""
        self.meta: Meta | None = None
        self.segments: list[int] = []
        try:
            os.mkdir(os.path.dirname(self.base))
            os.mkdir(os.path.dirname(self.log))
            self._fill(path, backup, archive)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fill(self, path: str, backup: str | None, archive: str | None) -> None:
        """Copy while nobody can write, and find out where the log begins."""
        with Evidence(Io(), path) as evidence:
            self.uuid = evidence.uuid
            self.meta = evidence.metas[0] if evidence.metas else None
            self.segments = list(evidence.segments)
            if evidence.fd >= 0:
                shutil.copyfile(path, self.base)
            for number in self.segments:
                shutil.copyfile(evidence.path_of(number), self.path_of(number))
            shared = evidence.shared_state_path()
            if os.path.exists(shared):
                shutil.copyfile(shared, self.shared_state_path())
        if backup is not None:
            self._begin_with(backup, archive)

    def _begin_with(self, backup: str, archive: str | None) -> None:
        """Take a backup for the base, and the archived log in addition."""
        restored = f"{self.base}.restored"
        restore_backup(backup, restored)
        os.replace(restored, self.base)
        self.meta = read_backup(Io(), os.path.realpath(backup)).meta()
        if archive is not None:
            prefix = f"{self.uuid.hex()}-wal-"
            for each in Path(archive).iterdir():
                rest = each.name.removeprefix(prefix)
                if each.name.startswith(prefix) and rest.isdigit():
                    number = int(rest)
                    if number not in self.segments:
                        shutil.copyfile(each, self.path_of(number))
                        self.segments.append(number)
            self.segments.sort()

    # -- a `LogSource` -----------------------------------------------------------------------

    @property
    def io(self) -> Io:
        """What the log is read with."""
        return Io()

    def path_of(self, number: int) -> str:
        """Path of a segment."""
        return segment_path(self.log, number)

    def shared_state_path(self) -> str:
        """Path of the shared state that belongs to the log."""
        return f"{self.log}-shm"


def replay(
    path: str,
    backup: str | None = None,
    archive: str | None = None,
    progress: Progress = None,
) -> Replay:
    """Replay a copy of a file; never writes to it.

    :param backup: a backup to begin with, where the file itself holds no state that is whole.
    :param archive: directory of the archived log, for the commits between the two.
    :param progress: told how many commits were checked; the number of all is not known.
    :raises LockedError: a process has it open for writing.
    """
    path = os.path.realpath(path)
    found = Replay()
    findings = [each for each in diagnose(path).findings if each.severity != INFO]
    found.codes = [each.code for each in findings]
    try:
        copy = Copy(path, backup, archive)
    except CbddError as error:
        if error.code == "LOCKED":
            raise
        found.verdict = OUTSIDE
        return found
    with copy:
        _replay(copy, found, progress)
    return found


def _replay(copy: Copy, found: Replay, progress: Progress) -> None:
    meta = copy.meta
    client = open_base(copy)
    if meta is None or client is None:
        found.verdict = OUTSIDE
        return
    with client:
        found.base_lsn = meta.checkpoint_lsn
        problems = [each.code for each in client.check().problems]
        found.base_codes = [each for each in dict.fromkeys(problems) if _group(each) in _OF_TREES]
        if any(_group(code) == PAGE for code in found.base_codes):
            found.verdict = OUTSIDE
            return
        if found.base_codes:
            found.verdict = BASE
            return
        _check_commits(copy, meta, client, found, progress)
    if found.broken is not None:
        found.verdict = COMMIT
    elif found.lost_commits or any(_group(code) != CATALOG for code in found.codes):
        found.verdict = OUTSIDE
    elif found.codes:
        found.verdict = UNEXPLAINED


def _group(code: str) -> str:
    known = CODES.get(code)
    return known.group if known is not None else ""


class _Stop(Exception):
    """The first commit that breaks something was found."""


def _check_commits(
    copy: LogSource, meta: Meta, client: Client[Any], found: Replay, progress: Progress
) -> None:
    state = TreeState(client)
    checker = CommitChecker(entries_of(client))

    def each(commit: Commit) -> None:
        found.history.append(commit)
        found.breaks = checker.check(commit, state)
        found.commits += 1
        if found.breaks:
            found.broken = commit
            raise _Stop
        state.apply(commit)
        if progress is not None:
            progress(found.commits, found.commits)

    try:
        outcome = replay_log(copy, meta, LogLimits(), each)
        found.lost_commits = [str(lost) for lost in outcome.lost]
    except _Stop:
        return  # what follows was done to a state that was broken already
    finally:
        state.close()


def entries_of(client: Client[Any]) -> dict[bytes, CollectionEntry]:
    """The catalog of an open database, by key."""
    store = client._store
    with store.begin_read() as txn:
        return {
            entry.key: entry
            for database in store.catalog.list_databases(txn)
            for entry in store.catalog.list_collections(txn, database)
        }


def open_base(copy: Copy) -> Client[Any] | None:
    """The copy without its log, for reading what verifies; None where it does not open."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NetworkFileSystemWarning)
            return connect(copy.base, must_exist=True, read_only=True, salvage=True)
    except CbddError:
        return None
