"""The files of a database as they are, opened for reading only, and whose they are.

What the disk cannot read reads as zeros. Nothing here trusts more than it verifies. What every
checksum is seeded with, the UUID, and the size of a page come from a valid meta page. Where none is
left they are looked for in what remains of the damaged ones, in the log, the shared state and the
flight recorder, and are believed once pages verify with them.

Unless it is opened without locks, the files stay locked against opening and closing for as long as
the evidence is open, and nobody may be writing: what is read belongs together, and stays as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from cbdd.errors import CbddError, CorruptDataError, LockedError, NotADatabaseError
from cbdd.ops.recovery.patient_io import PatientIo
from cbdd.storage.events import read_events
from cbdd.storage.frame import SEGMENT_HEADER_BYTES, decode_segment_header
from cbdd.storage.io import Clock, Io, read_exact, translated
from cbdd.storage.locks import OPEN, SLOT_BASE, FileLocks
from cbdd.storage.meta import (
    HEADER_REGION_BYTES,
    MAGIC,
    META_BYTES,
    SLOT_OFFSETS,
    UUID_OFFSET,
    Meta,
    MetaCopy,
    read_copies,
    require_readable,
)
from cbdd.storage.page import (
    MAX_PAGE_SIZE,
    MIN_PAGE_SIZE,
    checksum_of,
)
from cbdd.storage.shm import SLOT_COUNT
from cbdd.storage.wal import list_segments, segment_path

_HASH_BYTES: Final = 1 << 20
_PAGE_SIZE_OFFSET: Final = 12
_UUID_BYTES: Final = 16
_PROBED_PAGES: Final = 512
_SHM_UUID_OFFSET: Final = 8
_LOCK_SECONDS: Final = 30.0


class Evidence:
    """The open files; a context manager. ``fd`` is -1 when the database file itself is gone."""

    def __init__(
        self, io: Io, path: str, uuid: bytes | None = None, is_locked: bool = True
    ) -> None:
        """Open the files and find out whose they are.

        :param uuid: what the caller knows the UUID of the database to be.
        :param is_locked: False to look at files that others may be changing.
        :raises NotADatabaseError: nothing in them is of a database.
        :raises NewerFormatError: a later release wrote them.
        :raises CorruptDataError: META_DAMAGED, nothing tells the UUID.
        :raises LockedError: a process has the database open for writing.
        """
        self.io = PatientIo(io)
        self.path = path
        cut = path.rfind("/")
        self.directory = path[:cut] or "/"
        self.name = path[cut + 1 :]
        self.fd = -1
        self.size = 0
        self.copies: list[MetaCopy] = []
        self.metas: list[Meta] = []
        """The different meta pages that are valid, the newest first."""
        self.uuid = uuid or b""
        self.page_size = 0
        self.segments: list[int] = []
        self._is_locked = is_locked
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Evidence:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database file; its locks go with it."""
        if self.fd >= 0:
            self.io.close(self.fd)
            self.fd = -1

    @property
    def seed(self) -> int:
        """The seed of the checksums of pages."""
        return int.from_bytes(self.uuid[:8], "little")

    def page_count(self) -> int:
        """Pages that are wholly or partly in the file."""
        return (self.size + self.page_size - 1) // self.page_size if self.page_size else 0

    def path_of(self, number: int) -> str:
        """Path of a segment of the log."""
        return segment_path(self.path, number)

    def shared_state_path(self) -> str:
        """Path of the shared state."""
        return f"{self.path}-shm"

    def files(self) -> list[str]:
        """Paths of the database file and its log, those that are there."""
        found = [self.path] if self.fd >= 0 else []
        return found + [self.path_of(number) for number in self.segments]

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file, by its name."""
        found: dict[str, str] = {}
        for path in self.files():
            digest = hashlib.sha256()
            fd = self.io.open(path, False, True) if path != self.path else self.fd
            try:
                offset = 0
                while data := read_exact(self.io, fd, _HASH_BYTES, offset):
                    digest.update(data)
                    offset += len(data)
            finally:
                if fd != self.fd:
                    self.io.close(fd)
            found[path.rpartition("/")[2]] = digest.hexdigest()
        return found

    def _open(self) -> None:
        if self.io.path_identity(self.directory) is None:
            raise NotADatabaseError(
                "NOT_FOUND", f"there is no database at {self.path}", "check the path"
            )
        self.segments = list_segments(self.io, self.directory, self.name)
        try:
            if self.io.path_identity(self.path) is not None:
                if not self.io.is_regular(self.path):
                    raise NotADatabaseError(
                        "NOT_A_FILE", f"{self.path} is not a regular file", "check the path"
                    )
                self.fd = self.io.open(self.path, False, True)
                self.size = self.io.size(self.fd)
                if self._is_locked:
                    self._lock()
        except OSError as error:
            raise translated(error, "open the database", self.path) from error
        if self.fd < 0 and not self.segments:
            raise NotADatabaseError(
                "NOT_FOUND", f"there is no database at {self.path}", "check the path"
            )
        if self.fd >= 0:
            self.copies = read_copies(self.io, self.fd)
        self._take_metas()
        if not self.metas:
            self._find_identity()

    def _lock(self) -> None:
        locks = FileLocks(self.io, self.fd, self.path, Clock())
        locks.acquire(OPEN, False, _LOCK_SECONDS, "a process that is opening or closing it")
        for slot in range(SLOT_COUNT):
            if not locks.try_lock(SLOT_BASE + slot, False):
                raise LockedError(
                    "LOCKED",
                    f"a process has {self.path} open for writing",
                    "close the database in every process (`cbdd doctor` names them), then recover",
                    {"path": self.path, "slot": slot},
                )
            locks.release(SLOT_BASE + slot)

    def _take_metas(self) -> None:
        by_generation: dict[int, Meta] = {}
        for copy in self.copies:
            meta = copy.meta
            if meta is None or (self.uuid and meta.uuid != self.uuid):
                continue
            require_readable(meta, self.path)
            if MIN_PAGE_SIZE <= meta.page_size <= MAX_PAGE_SIZE:
                by_generation.setdefault(meta.generation, meta)
        self.metas = [by_generation[each] for each in sorted(by_generation, reverse=True)]
        if self.metas:
            self.uuid = self.metas[0].uuid
            self.page_size = self.metas[0].page_size

    def _find_identity(self) -> None:
        """Without a valid meta page: try what remains until pages or the log verify."""
        raw = self._raw_copies()
        sizes = _page_sizes(raw)
        best = 0
        for uuid in [self.uuid] if self.uuid else self._uuid_candidates(raw):
            for size in sizes:
                found = self._verifying_pages(uuid, size)
                if found > best:
                    best, self.uuid, self.page_size = found, uuid, size
        if best:
            return
        from_log = self._log_uuids()
        if from_log and (not self.uuid or self.uuid in from_log):
            self.uuid = self.uuid or from_log[0]
            return  # the log alone
        if self.fd >= 0 and self.size == 0:
            raise NotADatabaseError(
                "EMPTY_FILE",
                f"{self.path} is empty: 0 bytes, which CBDD never leaves behind",
                "restore a backup; if it never was a database, remove it",
                {"path": self.path},
            )
        if self.fd >= 0 and not self._looks_like_ours(raw):
            raise NotADatabaseError(
                "NOT_A_DATABASE", f"{self.path} is not a CBDD database", "check the path"
            )
        raise CorruptDataError(
            "META_DAMAGED",
            f"no meta page of {self.path} is left and nothing tells the UUID of the database, "
            "without which no page can be verified",
            "give it with --uuid if you know it (`cbdd info` of a backup shows it), or restore a "
            "backup",
            {"path": self.path},
        )

    def _raw_copies(self) -> list[bytes]:
        if self.fd < 0:
            return []
        offsets = [offset for slot in SLOT_OFFSETS for offset in slot]
        return [read_exact(self.io, self.fd, META_BYTES, offset) for offset in offsets]

    def _looks_like_ours(self, raw: list[bytes]) -> bool:
        """Whether the start of the file was ever one of a database: a magic, or lost altogether."""
        return any(data[: len(MAGIC)] == MAGIC for data in raw) or all(
            not any(data) for data in raw
        )

    def _uuid_candidates(self, raw: list[bytes]) -> Iterator[bytes]:
        """UUIDs that the database may have, each once."""
        known: set[bytes] = set()
        here = slice(UUID_OFFSET, UUID_OFFSET + _UUID_BYTES)
        found = [data[here] for data in raw if len(data) >= here.stop]
        if found:
            columns = [[data[n] for data in found] for n in range(_UUID_BYTES)]
            found.append(bytes(max(set(each), key=each.count) for each in columns))
        for uuid in [*found, *self._log_uuids(), self._shm_uuid(), *self._recorded_uuids()]:
            if len(uuid) == _UUID_BYTES and any(uuid) and uuid not in known:
                known.add(uuid)
                yield uuid

    def _log_uuids(self) -> list[bytes]:
        found: list[bytes] = []
        for number in self.segments:
            data = self._head_of(self.path_of(number), SEGMENT_HEADER_BYTES)
            header = decode_segment_header(data)
            if header is not None and header.uuid not in found:
                found.append(header.uuid)
        return found

    def _shm_uuid(self) -> bytes:
        return self._head_of(self.shared_state_path(), _SHM_UUID_OFFSET + _UUID_BYTES)[
            _SHM_UUID_OFFSET:
        ]

    def _recorded_uuids(self) -> list[bytes]:
        """What the flight recorder says, the newest first."""
        found: list[bytes] = []
        try:
            events = read_events(self.io, f"{self.path}-events")
        except CbddError:
            return found  # one of several places to look in
        for event in reversed(events):
            text = event.get("uuid")
            if isinstance(text, str) and re.fullmatch("[0-9a-f]{32}", text):
                uuid = bytes.fromhex(text)
                if uuid not in found:
                    found.append(uuid)
        return found

    def _head_of(self, path: str, length: int) -> bytes:
        try:
            fd = self.io.open(path, False, True)
        except FileNotFoundError:
            return b""
        try:
            return read_exact(self.io, fd, length, 0)
        finally:
            self.io.close(fd)

    def _verifying_pages(self, uuid: bytes, size: int) -> int:
        """How many of the first pages carry the right checksum."""
        if self.fd < 0:
            return 0
        seed = int.from_bytes(uuid[:8], "little")
        first = HEADER_REGION_BYTES // size
        found = 0
        for page in range(first, min(first + _PROBED_PAGES, self.size // size)):
            data = read_exact(self.io, self.fd, size, page * size)
            number = int.from_bytes(data[16:24], "little")
            if number == page and int.from_bytes(data[:8], "little") == checksum_of(data, seed):
                found += 1
        return found


def _page_sizes(raw: list[bytes]) -> list[int]:
    """Page sizes to try: those that damaged meta pages name first, then the others."""
    named = [
        int.from_bytes(data[_PAGE_SIZE_OFFSET : _PAGE_SIZE_OFFSET + 4], "little") for data in raw
    ]
    possible = [MIN_PAGE_SIZE << power for power in range(5)]
    possible = [size for size in possible if size <= MAX_PAGE_SIZE]
    likely = [size for size in possible if size in named]
    return likely + [size for size in possible if size not in likely]
