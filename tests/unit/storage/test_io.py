"""The real disk: descriptors, locks, short transfers, and what an error means to a user."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cbdd.errors import DiskFaultError, DiskFullError, ReadOnlyError
from cbdd.storage.io import Clock, Io, Randomness, read_exact, translated, write_all


def test_files_are_private_and_created_once(tmp_path: Path) -> None:
    io = Io()
    path = str(tmp_path / "a")
    fd = io.open(path, True, False)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.get_inheritable(fd)
    with pytest.raises(FileExistsError):
        io.open(path, True, False)
    assert io.pwrite(fd, b"hello", 3) == 5
    assert io.size(fd) == 8
    assert io.identity(fd) == io.path_identity(path)
    io.close(fd)
    fd = io.open(path, False, True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        io.pwrite(fd, b"x", 0)
    io.close(fd)
    with pytest.raises(FileNotFoundError):
        io.open(str(tmp_path / "b"), False, False)
    assert io.path_identity(str(tmp_path / "b")) is None


def test_a_database_never_gets_a_standard_descriptor(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.path[:] = {path!r}; from cbdd.storage.io import Io\n"
        "os.close(0); io = Io(); fd = io.open({file!r}, True, False)\n"
        "assert fd > 2, fd\n"
        "assert not os.get_inheritable(fd)\n"
        "try: os.fstat(0)\n"
        "except OSError: pass\n"
        "else: sys.exit('descriptor 0 is in use')"
    )
    import subprocess
    import sys

    program = code.format(path=sys.path, file=str(tmp_path / "a"))
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_byte_locks_exclude_other_descriptors_and_die_with_theirs(tmp_path: Path) -> None:
    io = Io()
    path = str(tmp_path / "a")
    first = io.open(path, True, False)
    second = io.open(path, False, False)
    offset = 1 << 62
    assert io.lock(first, offset, True)
    assert io.lock(first, offset, True)
    assert not io.lock(second, offset, False)
    assert io.lock(second, offset + 1, True)
    assert io.lock(first, offset, False)  # converted
    assert io.lock(second, offset, False)
    assert not io.lock(second, offset, True)
    io.unlock(first, offset)
    assert io.lock(second, offset, True)
    io.close(second)
    assert io.lock(first, offset, True)
    io.close(first)


class Sipping(Io):
    """Transfers at most three bytes a call."""

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        return super().pread(fd, min(length, 3), offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        return super().pwrite(fd, data[:3], offset)


def test_short_transfers_are_continued(tmp_path: Path) -> None:
    io = Sipping()
    fd = io.open(str(tmp_path / "a"), True, False)
    write_all(io, fd, b"0123456789", 5)
    assert read_exact(io, fd, 10, 5) == b"0123456789"
    assert read_exact(io, fd, 100, 5) == b"0123456789"
    assert read_exact(io, fd, 4, 100) == b""
    write_all(io, fd, b"", 0)
    io.close(fd)


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, DiskFullError, "DISK_FULL"),
        (errno.EDQUOT, DiskFullError, "DISK_FULL"),
        (errno.EFBIG, DiskFullError, "DISK_FULL"),
        (errno.EROFS, ReadOnlyError, "READ_ONLY"),
        (errno.EACCES, ReadOnlyError, "READ_ONLY"),
        (errno.EIO, DiskFaultError, "IO_ERROR"),
        (errno.EMFILE, DiskFaultError, "IO_ERROR"),
    ],
)
def test_an_error_of_the_system_says_what_it_means(
    number: int, kind: type[Exception], code: str
) -> None:
    error = translated(OSError(number, os.strerror(number)), "commit", "/x/a.cbdd")
    assert type(error) is kind
    assert isinstance(error, DiskFaultError | ReadOnlyError)
    assert error.code == code
    assert error.next_step
    assert "/x/a.cbdd" in str(error)
    assert error.details["errno"] == number


def test_names_and_directories(tmp_path: Path) -> None:
    io = Io()
    a, b, c = (str(tmp_path / name) for name in "abc")
    fd = io.open(a, True, False)
    io.allocate(fd, 0, 10000)
    assert io.size(fd) == 10000
    io.truncate(fd, 7)
    io.sync(fd)
    io.drop_cache(fd)
    io.close(fd)
    io.link(a, b)
    with pytest.raises(FileExistsError):
        io.link(a, b)
    identity = io.path_identity(b)
    assert identity is not None
    assert identity[2:] == (2, 7)
    io.rename(b, c)
    io.sync_directory(str(tmp_path))
    assert sorted(io.list_directory(str(tmp_path))) == ["a", "c"]
    io.unlink(c)
    os.symlink(a, b)
    assert io.resolve(b) == str(Path(a).resolve())
    assert io.is_regular(a)
    assert not io.is_regular(str(tmp_path))


def test_clock_and_dice() -> None:
    clock = Clock()
    assert clock.now_us() > 1_600_000_000_000_000
    assert clock.monotonic() <= clock.monotonic()
    clock.sleep(0)
    assert len(Randomness().token(16)) == 16
    assert Randomness().token(16) != Randomness().token(16)
    assert Io().process_id() == os.getpid()
