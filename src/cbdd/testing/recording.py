"""A recording of every call that changes the disk, to be replayed as crashes.

`RecordingIo` wraps any `Io`, the real one or a `MemoryIo`; several may share a `Recording`, as the
processes of one run do. Beside the calls a recording has marks: a commit that begins, and one that
was acknowledged. So each crash state can be held against what had been promised by then.

Files are told apart by numbers of the recording, not by inode, which file systems use again.

Concurrency: a call and its entry are one step under a lock, so the recording has them in an order
that the disk may have seen.
"""

from __future__ import annotations

import threading
from typing import Final

from cbdd.storage.io import Io, read_exact

CREATE: Final = "create"
WRITE: Final = "write"
TRUNCATE: Final = "truncate"
ALLOCATE: Final = "allocate"
SYNC: Final = "sync"
SYNC_DIRECTORY: Final = "sync_directory"
UNLINK: Final = "unlink"
RENAME: Final = "rename"
LINK: Final = "link"
BEGIN: Final = "begin"
ACKNOWLEDGE: Final = "acknowledge"
NAME_CALLS: Final = (CREATE, UNLINK, RENAME, LINK)
DATA_CALLS: Final = (WRITE, TRUNCATE, ALLOCATE)


class Call:
    """One entry: what was called, on which file, with what; or a mark and its number.

    ``offset`` is the offset of a write or allocation and the size of a truncation; ``length`` that
    of an allocation; ``target`` the second path of a rename or link.
    """

    def __init__(self, kind: str, file: int = 0, path: str = "") -> None:
        self.kind = kind
        self.file = file
        self.path = path
        self.target = ""
        self.offset = 0
        self.length = 0
        self.data = b""
        self.number = 0
        self.is_durable = False

    def __repr__(self) -> str:
        if self.kind in (BEGIN, ACKNOWLEDGE):
            return f"{self.kind} {self.number}"
        if self.kind == WRITE:
            return f"write {len(self.data)} at {self.offset} of file {self.file} ({self.path})"
        more = f" -> {self.target}" if self.target else ""
        return f"{self.kind} file {self.file} ({self.path}){more}"


class Recording:
    """The calls and marks of one run, in order, and the files there were before it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.base: dict[str, tuple[int, bytes]] = {}
        self.lock = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._next = 1

    def begin(self, number: int) -> None:
        """Mark that commit ``number`` (1 for the first) begins: from now on it may be found."""
        self._mark(BEGIN, number, False)

    def acknowledge(self, number: int, is_durable: bool = True) -> None:
        """Mark that commit ``number`` has returned.

        :param is_durable: whether it was promised to survive a power cut, not only the process.
        """
        self._mark(ACKNOWLEDGE, number, is_durable)

    def _mark(self, kind: str, number: int, is_durable: bool) -> None:
        call = Call(kind)
        call.number = number
        call.is_durable = is_durable
        with self.lock:
            self.calls.append(call)

    def file_at(self, path: str) -> int:
        """Number of the file a path names, 0 for one this recording has not seen."""
        return self._numbers.get(path, 0)

    def created(self, path: str) -> int:
        """Note a new file and return its number."""
        number = self._next
        self._next += 1
        self._numbers[path] = number
        self.calls.append(Call(CREATE, number, path))
        return number

    def found(self, path: str, data: bytes) -> int:
        """Note a file that was there before and return its number."""
        number = self._next
        self._next += 1
        self._numbers[path] = number
        self.base[path] = (number, data)
        return number

    def moved(self, kind: str, path: str, target: str) -> None:
        """Note an unlink, rename or link."""
        number = self._numbers.get(path, 0)
        call = Call(kind, number, path)
        call.target = target
        if kind != LINK:
            self._numbers.pop(path, None)
        if target:
            self._numbers[target] = number
        self.calls.append(call)


class RecordingIo(Io):
    """Passes every call on and records those that change the disk once they have succeeded."""

    def __init__(self, inner: Io | None = None, recording: Recording | None = None) -> None:
        self.inner = inner or Io()
        self.recording = recording or Recording()
        self._files: dict[int, tuple[int, str]] = {}

    def open(self, path: str, create: bool, read_only: bool) -> int:
        """Open; the contents of a file that is new to the recording are read first."""
        recording = self.recording
        with recording.lock:
            fd = self.inner.open(path, create, read_only)
            number = recording.created(path) if create else recording.file_at(path)
            if not number:
                data = read_exact(self.inner, fd, self.inner.size(fd), 0)
                number = recording.found(path, data)
            self._files[fd] = (number, path)
            return fd

    def close(self, fd: int) -> None:
        """Close."""
        self._files.pop(fd, None)
        self.inner.close(fd)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Read."""
        return self.inner.pread(fd, length, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write; what was taken is recorded."""
        with self.recording.lock:
            taken = self.inner.pwrite(fd, data, offset)
            call = self._call(WRITE, fd)
            call.offset = offset
            call.data = bytes(data[:taken])
            return taken

    def size(self, fd: int) -> int:
        """Size."""
        return self.inner.size(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Truncate."""
        with self.recording.lock:
            self.inner.truncate(fd, size)
            self._call(TRUNCATE, fd).offset = size

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """Allocate."""
        with self.recording.lock:
            self.inner.allocate(fd, offset, length)
            call = self._call(ALLOCATE, fd)
            call.offset = offset
            call.length = length

    def sync(self, fd: int) -> None:
        """Sync."""
        with self.recording.lock:
            self.inner.sync(fd)
            self._call(SYNC, fd)

    def start_writing(self, fd: int, end: int) -> None:
        """Start writing; what is not synced may be on disk or not in any case."""
        self.inner.start_writing(fd, end)

    def sync_directory(self, path: str) -> None:
        """Sync a directory."""
        with self.recording.lock:
            self.inner.sync_directory(path)
            self.recording.calls.append(Call(SYNC_DIRECTORY, 0, path))

    def drop_cache(self, fd: int) -> None:
        """Drop the cache."""
        self.inner.drop_cache(fd)

    def unlink(self, path: str) -> None:
        """Unlink."""
        with self.recording.lock:
            self.inner.unlink(path)
            self.recording.moved(UNLINK, path, "")

    def rename(self, source: str, target: str) -> None:
        """Rename."""
        with self.recording.lock:
            self.inner.rename(source, target)
            self.recording.moved(RENAME, source, target)

    def link(self, source: str, target: str) -> None:
        """Link."""
        with self.recording.lock:
            self.inner.link(source, target)
            self.recording.moved(LINK, source, target)

    def copy_mode(self, source: int, target: int) -> None:
        """Copy the permissions; a crash does not take them back in this model."""
        self.inner.copy_mode(source, target)

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        self.inner.make_directory(path)

    def remove_directory(self, path: str) -> None:
        """Remove a directory."""
        self.inner.remove_directory(path)

    def list_directory(self, path: str) -> list[str]:
        """List."""
        return self.inner.list_directory(path)

    def path_identity(self, path: str) -> tuple[int, int, int, int] | None:
        """Identity of a path."""
        return self.inner.path_identity(path)

    def place(self, fd: int) -> str:
        """Where an open file is named."""
        return self.inner.place(fd)

    def identity(self, fd: int) -> tuple[int, int, int, int]:
        """Identity of an open file."""
        return self.inner.identity(fd)

    def is_regular(self, path: str) -> bool:
        """Whether a plain file."""
        return self.inner.is_regular(path)

    def resolve(self, path: str) -> str:
        """Resolve."""
        return self.inner.resolve(path)

    def lock(self, fd: int, offset: int, exclusive: bool) -> bool:
        """Lock."""
        return self.inner.lock(fd, offset, exclusive)

    def unlock(self, fd: int, offset: int) -> None:
        """Unlock."""
        self.inner.unlock(fd, offset)

    def process_id(self) -> int:
        """Process id."""
        return self.inner.process_id()

    def file_system_type(self, path: str) -> str:
        """Type of file system."""
        return self.inner.file_system_type(path)

    def platform(self) -> dict[str, object]:
        """Versions of Python and of the operating system."""
        return self.inner.platform()

    def machine_identity(self) -> bytes:
        """Identity of the machine."""
        return self.inner.machine_identity()

    def _call(self, kind: str, fd: int) -> Call:
        number, path = self._files[fd]
        call = Call(kind, number, path)
        self.recording.calls.append(call)
        return call
