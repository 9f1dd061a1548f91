"""Reading a disk that cannot read everything: what it refuses is zeros, which never verify."""

from __future__ import annotations

import errno
from typing import Final

from cbdd.storage.io import Io

_SECTOR_BYTES: Final = 512


class PatientIo(Io):
    """The reading half of another `Io`; an area with a bad sector is halved until only that fails.

    ``refused_bytes`` counts what could not be read, each time it was asked for.
    """

    def __init__(self, inner: Io) -> None:
        self.inner = inner
        self.refused_bytes = 0

    def open(self, path: str, create: bool, read_only: bool) -> int:
        """Open for reading; nothing is ever created."""
        assert read_only, "what is damaged is only read"
        assert not create, "what is damaged is only read"
        return self.inner.open(path, False, True)

    def close(self, fd: int) -> None:
        """Close."""
        self.inner.close(fd)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Read, with zeros in the place of what the disk refuses."""
        try:
            return self.inner.pread(fd, length, offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        length = min(length, max(0, self.inner.size(fd) - offset))
        first = max(_SECTOR_BYTES, length // 2 // _SECTOR_BYTES * _SECTOR_BYTES)
        if length <= first:
            self.refused_bytes += length
            return bytes(length)
        return self.pread(fd, first, offset) + self.pread(fd, length - first, offset + first)

    def size(self, fd: int) -> int:
        """Size."""
        return self.inner.size(fd)

    def list_directory(self, path: str) -> list[str]:
        """Names."""
        return self.inner.list_directory(path)

    def path_identity(self, path: str) -> tuple[int, int, int, int] | None:
        """What a path names."""
        return self.inner.path_identity(path)

    def place(self, fd: int) -> str:
        """Where an open file is named."""
        return self.inner.place(fd)

    def identity(self, fd: int) -> tuple[int, int, int, int]:
        """What a descriptor is of."""
        return self.inner.identity(fd)

    def is_regular(self, path: str) -> bool:
        """Whether it is a plain file."""
        return self.inner.is_regular(path)

    def lock(self, fd: int, offset: int, exclusive: bool) -> bool:
        """Lock."""
        return self.inner.lock(fd, offset, exclusive)

    def unlock(self, fd: int, offset: int) -> None:
        """Unlock."""
        self.inner.unlock(fd, offset)

    def machine_identity(self) -> bytes:
        """The machine."""
        return self.inner.machine_identity()
