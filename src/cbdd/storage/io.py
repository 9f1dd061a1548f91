"""Every system call on a file, the clock and the dice, each behind one small class.

A test can be the disk, the clock and the dice by subclassing `Io`, `Clock` and `Randomness`;
nothing else in this package touches the operating system.

Locks are open-file-description byte locks on the database file itself: the kernel releases them
when the last descriptor of the open file goes, so a dead process leaves nothing to clean. They do
not exclude threads of one process from each other (they share the descriptor); the engine has its
own mutexes for that. After a fork the child only closes its descriptors: an explicit unlock there
would release the parent's lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.errors import DiskFaultError, DiskFullError, NotADatabaseError, ReadOnlyError, UsageError
from cbdd.storage.brief_calls import BRIEF, MOST_BYTES, MOST_WRITTEN, WAY_SECONDS
from cbdd.storage.file_system import covering_type

PATH_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNSUPPORTED_ERRNOS = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
READ_ONLY_ERRNOS = (errno.EROFS, errno.EACCES, errno.EPERM)
UNKNOWN_MACHINE = bytes(16)

_SET_LOCK: Final[int] = getattr(fcntl, "F_OFD_SETLK", 0)
# Bound once: compiled, looking a name up in a module takes as long as some of the calls.
thread_id: Final[Callable[[], int]] = threading.get_ident
"""Id of the thread that asks."""
_EXCLUSIVE: Final[int] = fcntl.F_WRLCK
_SHARED: Final[int] = fcntl.F_RDLCK
_UNLOCKED: Final[int] = fcntl.F_UNLCK
_TIME_NS: Final[Callable[[], int]] = time.time_ns
_FULL_SYNC: Final[int] = getattr(fcntl, "F_FULLFSYNC", 0)
_LOCK_REQUESTS: Final[dict[tuple[int, int], bytes]] = {}
"""Requests by kind and byte, a few hundred: packing one costs as much as asking."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Io:
    """The real disk. Methods are thin: one call, no retries, `OSError` as it comes."""

    def open(self, path: str, create: bool, read_only: bool) -> int:
        """Open a file and return its descriptor, never one of 0, 1, 2.

        :param create: create it, mode 0600, and fail with `FileExistsError` when it exists.
        """
        flags = os.O_CLOEXEC | (os.O_RDONLY if read_only else os.O_RDWR)
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        fd = os.open(path, flags, 0o600)
        if fd > 2:
            return fd
        moved: int = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(fd)
        return moved

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Read up to ``length`` bytes; fewer may come back, none at the end of the file."""
        if length <= MOST_BYTES:
            return BRIEF.pread(fd, length, offset)
        return os.pread(fd, length, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write and return how many bytes were taken, which may be fewer than given."""
        if len(data) <= MOST_WRITTEN:
            return BRIEF.pwrite(fd, data, offset)
        return os.pwrite(fd, data, offset)

    def size(self, fd: int) -> int:
        """Size of an open file in bytes."""
        return os.fstat(fd).st_size

    def truncate(self, fd: int, size: int) -> None:
        """Set the size of an open file."""
        os.ftruncate(fd, size)

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """Reserve zero-filled space so that later writes there change no metadata."""
        os.posix_fallocate(fd, offset, length)

    def sync(self, fd: int) -> None:
        """Make the contents of a file durable."""
        if _FULL_SYNC:  # macOS: fsync alone stops at the drive's cache
            fcntl.fcntl(fd, _FULL_SYNC)
        else:
            os.fdatasync(fd)

    def start_writing(self, fd: int, end: int) -> None:
        """Have the disk begin with a file's first bytes; a sync that follows has less to wait for.

        Advice: nothing is waited for, and where it cannot be given, nothing happens.

        :raises OSError: the disk refuses; a sync would, too, and may not say so again.
        """
        problem = BRIEF.start_writing(fd, end)
        if problem:
            raise OSError(problem, os.strerror(problem))

    def sync_directory(self, path: str) -> None:
        """Make the directory entries of ``path`` durable."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def drop_cache(self, fd: int) -> None:
        """Forget clean cached pages so that the next read asks the disk; advice only."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def unlink(self, path: str) -> None:
        """Remove a directory entry."""
        os.unlink(path)

    def rename(self, source: str, target: str) -> None:
        """Rename within one directory, replacing the target."""
        os.rename(source, target)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name; fails with `FileExistsError` when the name is taken."""
        os.link(source, target)

    def copy_mode(self, source: int, target: int) -> None:
        """Give an open file the permissions of another, and its owner where that is allowed."""
        status = os.fstat(source)
        if hasattr(os, "fchown"):
            try:
                os.fchown(target, status.st_uid, status.st_gid)
            except PermissionError:
                os.fchmod(target, stat.S_IMODE(status.st_mode) & 0o700)
                return  # another's file: what its group may do is not for ours
        os.fchmod(target, stat.S_IMODE(status.st_mode))

    def make_directory(self, path: str) -> None:
        """Make a directory that only its owner may look into; fails when the name is taken."""
        os.mkdir(path, 0o700)

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def list_directory(self, path: str) -> list[str]:
        """Names in a directory, in no order."""
        return os.listdir(path)

    def path_identity(self, path: str) -> tuple[int, int, int, int] | None:
        """(device, inode, links, size) of what ``path`` names, or None when nothing is there."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino, status.st_nlink, status.st_size)

    def identity(self, fd: int) -> tuple[int, int, int, int]:
        """(device, inode, links, size) of an open file."""
        status = os.fstat(fd)
        return (status.st_dev, status.st_ino, status.st_nlink, status.st_size)

    def place(self, fd: int) -> str:
        """Where an open file is named now, as the kernel tells it; empty where it does not.

        The same text as before means that the file was neither removed nor renamed nor replaced,
        which costs less to find out than asking what the path names.
        """
        try:
            return BRIEF.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            return ""

    def is_regular(self, path: str) -> bool:
        """Whether ``path`` names a plain file."""
        return os.path.isfile(path)

    def resolve(self, path: str) -> str:
        """Absolute path with symbolic links followed."""
        return os.path.realpath(path)

    def lock(self, fd: int, offset: int, exclusive: bool) -> bool:
        """Try to take a byte lock, without waiting; converts a lock already held."""
        return self._set_lock(fd, _EXCLUSIVE if exclusive else _SHARED, offset)

    def unlock(self, fd: int, offset: int) -> None:
        """Release a byte lock."""
        self._set_lock(fd, _UNLOCKED, offset)

    def _set_lock(self, fd: int, kind: int, offset: int) -> bool:
        if not _SET_LOCK:
            raise UsageError(
                "PLATFORM",
                "this platform has no open-file-description locks",
                "run on Linux 3.15 or later",
            )
        request = _LOCK_REQUESTS.get((kind, offset))
        if request is None:
            request = struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0)
            _LOCK_REQUESTS[(kind, offset)] = request
        try:
            BRIEF.fcntl(fd, _SET_LOCK, request)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def begin_statement(self) -> None:
        """A thread begins to use the file; see `brief_calls.py`."""
        BRIEF.begin()

    def let_others_run(self) -> float:
        """A thread that computes for long lets others have a turn; returns the seconds it took.

        See `brief_calls.py`.
        """
        return BRIEF.give_way()

    def process_id(self) -> int:
        """Id of this process."""
        return os.getpid()

    def file_system_type(self, path: str) -> str:
        """Type of the file system that an absolute path is on, empty when it cannot be told."""
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
                return covering_type(mounts.read(), path)
        except OSError:
            return ""

    def platform(self) -> dict[str, object]:
        """Versions of Python and of the operating system."""
        system = os.uname()
        return {
            "python": f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}",
            "os": f"{system.sysname} {system.release} {system.machine}",
        }

    def machine_identity(self) -> bytes:
        """16 bytes that tell this running machine from all others; zeros when it cannot be told."""
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as identity:
                return bytes.fromhex(identity.read().strip().replace("-", ""))[:16].ljust(16, b"\0")
        except (OSError, ValueError):
            return UNKNOWN_MACHINE


@mypyc_attr(allow_interpreted_subclasses=True)
class Clock:
    """The wall clock, a monotonic clock and sleep."""

    def now_us(self) -> int:
        """Wall time in microseconds since the epoch."""
        return _TIME_NS() // 1000

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def give_way(self) -> None:
        """Wait as long as another thread needs to get its turn; see `brief_calls.py`."""
        self.sleep(WAY_SECONDS)


@mypyc_attr(allow_interpreted_subclasses=True)
class Randomness:
    """Source of identities and salts."""

    def token(self, length: int) -> bytes:
        """Unpredictable bytes."""
        return os.urandom(length)


def register_at_fork(
    before: Callable[[], None], in_parent: Callable[[], None], in_child: Callable[[], None]
) -> None:
    """Have functions called around every fork of this process."""

    def child() -> None:
        BRIEF.forget_threads()
        in_child()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=child)


def read_exact(io: Io, fd: int, length: int, offset: int) -> bytes:
    """Read ``length`` bytes, or fewer only where the file ends."""
    data = io.pread(fd, length, offset)
    while len(data) < length:
        more = io.pread(fd, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def write_all(io: Io, fd: int, data: bytes, offset: int) -> None:
    """Write every byte; short writes are continued, errors are the caller's."""
    written = io.pwrite(fd, data, offset)
    while written < len(data):
        written += io.pwrite(fd, data[written:], offset + written)


def disk_full(
    action: str,
    path: str,
    reason: str = "No space left on device",
    details: dict[str, object] | None = None,
) -> DiskFullError:
    """The error of a disk, quota or file size limit that is used up."""
    return DiskFullError(
        "DISK_FULL",
        f"no space left to {action} ({path}: {reason}); nothing was changed",
        "free space or delete documents, then try again",
        details or {"path": path, "action": action},
    )


def translated(error: OSError, action: str, path: str) -> Exception:
    """The CBDD error that says what an `OSError` means to a user."""
    details: dict[str, object] = {"path": path, "errno": error.errno, "action": action}
    reason = error.strerror or str(error)
    if error.errno in FULL_ERRNOS:
        return disk_full(action, path, reason, details)
    if error.errno in READ_ONLY_ERRNOS:
        return ReadOnlyError(
            "READ_ONLY",
            f"not allowed to {action} ({path}: {reason})",
            "check the permissions of the file and its directory, or open with read_only=True",
            details,
        )
    if error.errno in PATH_ERRNOS:
        return NotADatabaseError(
            "NOT_FOUND", f"there can be no file at {path}: {reason}", "check the path", details
        )
    return DiskFaultError(
        "IO_ERROR",
        f"the operating system failed to {action} ({path}: {reason})",
        "check the disk and the system log; run `cbdd check` before writing again",
        details,
    )
