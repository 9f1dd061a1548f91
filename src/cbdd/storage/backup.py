"""Taking a backup: the pages of one checkpoint, copied while others go on writing.

A checkpoint is made, its generation pinned as by a reader, and every page that is reachable from
its meta page copied as it is, verified. Trees are walked from the root, so a page that the backup
this one is based on has already, by number and checksum, is left out with all that is below it:
that is an incremental backup. A backup is a directory:

    pages          page images, one after the other
    index          for each image: page u64, checksum u64, offset in ``pages`` u64, pages u64,
                   little-endian
    manifest.json  written last: what the backup is of, and the SHA-256 of the other two

The manifest (format 1): id, base (id and name of the backup this one is based on, or null), uuid,
page_size, generation, lsn, chain, directory (page, checksum, entries), root_checksum (that of the
directory's root, which names the content of the whole database), pages, taken_us, cbdd,
writer_version, files (name: bytes, sha256), and checksum: the SHA-256 of the rest of it, as JSON
with sorted keys and no spaces.

Invariants: a directory without a manifest is no backup; a backup and those it is based on have
every page of its generation.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any, Final, cast

from cbdd.errors import CorruptDataError, NewerFormatError, ReadOnlyError, UsageError
from cbdd.storage.checkpoint import run_checkpoint
from cbdd.storage.directory import EMPTY_REFERENCE, directory_of
from cbdd.storage.directory import ENTRY as DIRECTORY_ENTRY
from cbdd.storage.follow import acquire_snapshot, release_snapshot
from cbdd.storage.io import Io, read_exact, translated, write_all
from cbdd.storage.meta import Meta, require_readable
from cbdd.storage.node import Node, decode_node
from cbdd.storage.page import (
    REFERENCE,
    Run,
    reference,
    reference_page,
    run_page_count,
)
from cbdd.storage.state import DatabaseState
from cbdd.storage.version import VERSION
from cbdd.storage.yield_point import YIELD_INTERVAL, yield_point

BACKUP_FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PAGES: Final = "pages"
INDEX: Final = "index"
INDEX_ENTRY: Final = struct.Struct("<QQQQ")
MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_CHAIN: Final = 1000
HASH_BYTES: Final = 1 << 20
DIRECTORY_TREE: Final = 0
ATTEMPTS: Final = 100

Progress = Callable[[int, int], None] | None


class Backup:
    """One backup on disk, as its manifest describes it."""

    def __init__(self, path: str, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.id = str(manifest["id"])
        self.uuid = bytes.fromhex(str(manifest["uuid"]))
        self.page_size = int(manifest["page_size"])
        self.generation = int(manifest["generation"])
        self.lsn = int(manifest["lsn"])
        self.pages = int(manifest["pages"])
        base = cast("dict[str, Any] | None", manifest["base"])
        self.base_id = "" if base is None else str(base["id"])
        self.base_name = "" if base is None else str(base["name"])

    def meta(self) -> Meta:
        """A meta page that names the trees of the backup."""
        directory = cast("dict[str, Any]", self.manifest["directory"])
        meta = Meta()
        meta.uuid = self.uuid
        meta.page_size = self.page_size
        meta.generation = self.generation
        meta.checkpoint_lsn = self.lsn
        meta.chain = int(str(self.manifest["chain"]), 16)
        meta.directory_page = int(directory["page"])
        meta.directory_checksum = int(str(directory["checksum"]), 16)
        meta.directory_count = int(directory["entries"])
        meta.writer_version = str(self.manifest["writer_version"])
        # Format 1, where an earlier release has not said it.
        meta.min_reader = int(self.manifest.get("min_reader", 1))
        meta.min_writer = int(self.manifest.get("min_writer", 1))
        meta.must_not_read = int(self.manifest.get("must_not_read", 0))
        meta.must_not_write = int(self.manifest.get("must_not_write", 0))
        return meta


def read_backup(io: Io, path: str) -> Backup:
    """The backup in a directory.

    :raises UsageError: there is none, or it was never finished.
    :raises NewerFormatError: a later release took it.
    :raises CorruptDataError: its manifest makes no sense.
    """
    try:
        if io.path_identity(path) is None:
            raise UsageError("NO_BACKUP", f"there is no backup at {path}", "check the path")
        fd = io.open(f"{path}/{MANIFEST}", False, True)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            "NO_BACKUP",
            f"{path} is no backup, or one that was never finished: it has no {MANIFEST}",
            "take another, or name another",
            {"path": path},
        ) from error
    except OSError as error:
        raise translated(error, "read the backup", path) from error
    try:
        data = read_exact(io, fd, MAX_MANIFEST_BYTES, 0)
    except OSError as error:
        raise translated(error, "read the backup", path) from error
    finally:
        io.close(fd)
    try:
        manifest = json.loads(data)
        if int(manifest["format"]) > BACKUP_FORMAT:
            raise NewerFormatError(
                "NEWER_FORMAT",
                f"the backup {path} has format {manifest['format']}, this release knows "
                f"{BACKUP_FORMAT}",
                f"install cbdd {manifest.get('cbdd')} or later",
                {"path": path},
            )
        if manifest.pop("checksum") != _digest_of(manifest):
            raise ValueError("its checksum is wrong")
        backup = Backup(path, manifest)
        require_readable(backup.meta(), f"what the backup {path} holds", {"path": path})
        return backup
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptDataError(
            "BACKUP_DAMAGED",
            f"the manifest of the backup {path} makes no sense: {type(error).__name__} {error}",
            "use another backup",
            {"path": path},
        ) from error


def _digest_of(manifest: dict[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def backup_chain(io: Io, path: str) -> list[Backup]:
    """A backup and those it is based on, the newest first.

    A base is looked for beside its backup, under the name it had and then under any.

    :raises UsageError: a base is not there.
    """
    chain = [read_backup(io, path)]
    while chain[len(chain) - 1].base_id:
        last = chain[len(chain) - 1]
        base = _find(io, last)
        if base is None or len(chain) >= MAX_CHAIN:
            raise UsageError(
                "BACKUP_BASE_MISSING",
                f"the backup {last.path} is based on {last.base_name}, which is not beside it",
                "put it there",
                {"path": last.path, "base": last.base_name},
            )
        chain.append(base)
    return chain


def _find(io: Io, backup: Backup) -> Backup | None:
    """The backup that another one is based on."""
    directory = backup.path[: backup.path.rfind("/")] or "/"
    others = io.list_directory(directory)
    for name in [backup.base_name, *others]:
        if name in others:
            try:
                found = read_backup(io, f"{directory}/{name}")
            except (UsageError, CorruptDataError, NewerFormatError):
                continue  # something else that lies there
            if found.id == backup.base_id:
                return found
    return None


def read_index(io: Io, backup: Backup) -> list[tuple[bytes, int, int]]:
    """The reference, the offset and the number of pages of each image."""
    path = f"{backup.path}/{INDEX}"
    try:
        fd = io.open(path, False, True)
    except OSError as error:
        raise translated(error, "read the backup", path) from error
    try:
        data = read_exact(io, fd, io.size(fd), 0)
    finally:
        io.close(fd)
    if len(data) != int(backup.manifest["files"][INDEX]["bytes"]):
        raise CorruptDataError(
            "BACKUP_DAMAGED",
            f"{path} has {len(data)} bytes, its manifest says "
            f"{backup.manifest['files'][INDEX]['bytes']}",
            "use another backup",
            {"path": path},
        )
    entries: list[tuple[bytes, int, int]] = []
    for at in range(0, len(data) - INDEX_ENTRY.size + 1, INDEX_ENTRY.size):
        _page, _checksum, offset, pages = INDEX_ENTRY.unpack_from(data, at)
        entries.append((data[at : at + REFERENCE.size], offset, pages))
    return entries


def file_digest(io: Io, path: str) -> tuple[int, str]:
    """Length and SHA-256 of a file."""
    digest = hashlib.sha256()
    fd = io.open(path, False, True)
    try:
        offset = 0
        while True:
            data = read_exact(io, fd, HASH_BYTES, offset)
            if not data:
                return offset, digest.hexdigest()
            digest.update(data)
            offset += len(data)
    finally:
        io.close(fd)


# -- taking one ------------------------------------------------------------------------------


def take_backup(
    state: DatabaseState, target: str, base: str = "", progress: Progress = None
) -> Backup:
    """Copy the newest checkpoint, after making one, to a new directory.

    :param base: the backup that this one is to be based on; what that has is left out.
    :param progress: called now and then with the pages looked at and all pages of the file.
    :raises UsageError: the target is there already, or the base is of another database.
    :raises CorruptDataError: a page is damaged; there is no backup.
    """
    key = state.next_owner()
    try:
        chain = backup_chain(state.io, base) if base else []
        known = _references(state, chain)
        _make_current(state)
        meta = _pinned_meta(state, key)
        try:
            state.io.make_directory(target)
        except FileExistsError as error:
            raise UsageError(
                "OUTPUT_EXISTS",
                f"{target} is there already",
                "name a directory that does not exist",
            ) from error
        writer = BackupWriter(state, target, meta, known, progress)
        try:
            return writer.run(chain[0] if chain else None)
        except BaseException:
            writer.discard()
            raise
    except OSError as error:
        raise translated(error, "take a backup", target) from error
    finally:
        release_snapshot(state, key)


def _references(state: DatabaseState, chain: list[Backup]) -> set[bytes]:
    """What earlier backups have."""
    known: set[bytes] = set()
    for each in chain:
        if each.uuid != state.meta.uuid:
            raise UsageError(
                "BACKUP_FOREIGN",
                f"{each.path} is a backup of another database than {state.path}",
                "name a backup of this one, or none",
                {"path": each.path},
            )
        for ref, _offset, _pages in read_index(state.io, each):
            known.add(ref)
    return known


def _make_current(state: DatabaseState) -> None:
    """Bring everything that is committed into the pages."""
    if not state.read_only:
        run_checkpoint(state, True)
    elif state.tip.lsn != state.meta.checkpoint_lsn:
        raise ReadOnlyError(
            "READ_ONLY",
            f"{state.path} is open for reading and has commits that are only in its log",
            "open it for writing to take a backup",
            {"path": state.path},
        )


def _pinned_meta(state: DatabaseState, key: int) -> Meta:
    """A meta page whose pages nobody reuses until the snapshot ``key`` is released."""
    for _attempt in range(ATTEMPTS):
        snapshot = acquire_snapshot(state, False, key)
        with state.apply_lock:
            meta = state.meta.copy()
        if meta.generation == snapshot.generation:
            return meta
    raise AssertionError("the generation moves all the time")


class BackupWriter:
    """Writes one backup directory."""

    def __init__(
        self, state: DatabaseState, target: str, meta: Meta, known: set[bytes], progress: Progress
    ) -> None:
        self._state = state
        self._io = state.io
        self._target = target
        self._meta = meta
        self._known = known
        self._progress = progress
        self._seen = 0
        self._pages = 0
        self._fds: list[int] = []
        self._offset = 0
        self._index: list[bytes] = []

    def run(self, base: Backup | None) -> Backup:
        """Copy everything; returns the finished backup."""
        fd = self._create(PAGES)
        directory = directory_of(self._meta)
        roots: list[bytes] = []
        if directory.root is not None:
            assert isinstance(directory.root, bytes)
            self._copy_tree(fd, directory.root, roots)
        for root in roots:
            self._copy_tree(fd, root, None)
        self._io.sync(fd)
        index = self._create(INDEX)
        write_all(self._io, index, b"".join(self._index), 0)
        self._io.sync(index)
        manifest = self._manifest(base)
        described = self._create(f"{MANIFEST}-new")
        signed = {**manifest, "checksum": _digest_of(manifest)}
        write_all(self._io, described, json.dumps(signed, indent=1).encode(), 0)
        self._io.sync(described)
        self._close()
        self._io.rename(f"{self._target}/{MANIFEST}-new", f"{self._target}/{MANIFEST}")
        self._io.sync_directory(self._target)
        self._io.sync_directory(self._target[: self._target.rfind("/")] or "/")
        return Backup(self._target, manifest)

    def discard(self) -> None:
        """Remove what there is of an unfinished backup."""
        self._close()
        for name in self._io.list_directory(self._target):
            self._io.unlink(f"{self._target}/{name}")
        self._io.remove_directory(self._target)

    def _create(self, name: str) -> int:
        fd = self._io.open(f"{self._target}/{name}", True, False)
        self._fds.append(fd)
        return fd

    def _close(self) -> None:
        while self._fds:
            self._io.close(self._fds.pop())

    def _copy_tree(self, fd: int, root: bytes, roots: list[bytes] | None) -> None:
        """Copy what the base does not have of a tree.

        :param roots: of the directory tree: receives the roots of the others, wherever they are.
        """
        stack = [root]
        while stack:
            ref = stack.pop()
            is_known = ref in self._known
            if is_known and roots is None:
                continue
            data = self._state.pager.read_page(ref)
            self._tell(1)
            if not is_known:
                self._append(fd, ref, data, 1)
            page = reference_page(ref)
            node = decode_node(data, page, self._state.pager, self._state.pager.limits)
            for child in node.children:
                assert isinstance(child, bytes)
                stack.append(child)
            if not is_known:
                self._copy_runs(fd, node)
            if roots is not None and node.level == 0:
                _roots_in(node, roots)

    def _copy_runs(self, fd: int, node: Node) -> None:
        runs: list[Run] = list(node.key_runs or [])
        for value in node.values:
            if isinstance(value, Run):
                runs.append(value)
        for run in runs:
            ref = reference(run.page, run.checksum)
            if ref not in self._known:
                count = run_page_count(run.length, self._state.pager.page_size)
                self._append(fd, ref, self._state.pager.read_run_pages(run), count)
                self._tell(count)

    def _append(self, fd: int, ref: bytes, data: bytes, pages: int) -> None:
        write_all(self._io, fd, data, self._offset)
        self._index.append(ref + self._offset.to_bytes(8, "little") + pages.to_bytes(8, "little"))
        self._offset += len(data)
        self._pages += pages

    def _tell(self, pages: int) -> None:
        before = self._seen // YIELD_INTERVAL
        self._seen += pages
        if self._seen // YIELD_INTERVAL != before:
            yield_point()
            if self._progress is not None:
                self._progress(min(self._seen, self._meta.page_count), self._meta.page_count)

    def _manifest(self, base: Backup | None) -> dict[str, Any]:
        meta = self._meta
        files: dict[str, Any] = {}
        for name in (PAGES, INDEX):
            length, digest = file_digest(self._io, f"{self._target}/{name}")
            files[name] = {"bytes": length, "sha256": digest}
        based: dict[str, Any] | None = None
        if base is not None:
            based = {"id": base.id, "name": base.path[base.path.rfind("/") + 1 :]}
        checksum = f"{meta.directory_checksum:016x}"
        return {
            "format": BACKUP_FORMAT,
            "id": self._state.randomness.token(16).hex(),
            "base": based,
            "uuid": meta.uuid.hex(),
            "page_size": meta.page_size,
            "generation": meta.generation,
            "lsn": meta.checkpoint_lsn,
            "chain": f"{meta.chain:016x}",
            "directory": {
                "page": meta.directory_page,
                "checksum": checksum,
                "entries": meta.directory_count,
            },
            "root_checksum": checksum,
            "pages": self._pages,
            "taken_us": self._state.clock.now_us(),
            "cbdd": VERSION,
            "writer_version": meta.writer_version,
            "min_reader": meta.min_reader,
            "min_writer": meta.min_writer,
            "must_not_read": meta.must_not_read,
            "must_not_write": meta.must_not_write,
            "files": files,
        }


def _roots_in(node: Node, roots: list[bytes]) -> None:
    """The roots that a leaf of the directory names."""
    for value in node.values:
        if isinstance(value, bytes) and len(value) == DIRECTORY_ENTRY.size:
            root = value[: REFERENCE.size]
            if root != EMPTY_REFERENCE:
                roots.append(root)
