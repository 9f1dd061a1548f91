"""Having a database file alone: nobody else has it open, and nobody can open it meanwhile."""

from __future__ import annotations

from cbdd.errors import LockedError, ReplacedFileError
from cbdd.storage import Clock, Randomness, StorageEngine
from cbdd.storage.io import Io, translated
from cbdd.storage.locks import ATTACHED, OPEN, FileLocks
from cbdd.storage.meta import Meta, choose, read_copies, require_writable
from cbdd.storage.options import StorageOptions

_ATTEMPTS = 3


class AloneWithFile:
    """An open, cleanly closed file that is locked against everybody; a context manager.

    Opening recovers the file first if a crash has left it unclean.
    """

    def __init__(
        self, io: Io, clock: Clock, randomness: Randomness, path: str, timeout_seconds: float
    ) -> None:
        """
        :param path: absolute and without symbolic links.
        :raises LockedError: some process has it open.
        """
        self.io = io
        self.path = path
        self.fd = -1
        self.meta = Meta()
        for _attempt in range(_ATTEMPTS):
            self._recover(clock, randomness, timeout_seconds)
            try:
                self._lock(clock, timeout_seconds)
            except BaseException:
                self.close()
                raise
            if self.meta.is_clean:
                return
            self.close()  # somebody came, wrote and died in between
        raise LockedError(
            "LOCKED",
            f"{path} is opened again and again by other processes",
            "close the database in every process, then try again",
            {"path": path},
        )

    def __enter__(self) -> AloneWithFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others have it."""
        if self.fd >= 0:
            self.io.close(self.fd)
            self.fd = -1

    def _recover(self, clock: Clock, randomness: Randomness, timeout_seconds: float) -> None:
        options = StorageOptions(
            must_exist=True, background=False, lock_timeout_seconds=timeout_seconds
        )
        StorageEngine.open(self.path, options, self.io, clock, randomness).close()

    def _lock(self, clock: Clock, timeout_seconds: float) -> None:
        try:
            self.fd = self.io.open(self.path, False, False)
            locks = FileLocks(self.io, self.fd, self.path, clock)
            locks.acquire(OPEN, True, timeout_seconds, "a process that is opening or closing it")
            if not locks.try_lock(ATTACHED, True):
                raise LockedError(
                    "LOCKED",
                    f"another process, or this one, has {self.path} open",
                    "close the database in every process (`cbdd doctor` names them), then try "
                    "again",
                    {"path": self.path},
                )
            named = self.io.path_identity(self.path)
            if named is None or named[:2] != self.io.identity(self.fd)[:2]:
                raise ReplacedFileError(
                    "FILE_REPLACED",
                    f"{self.path} was replaced while it was being opened",
                    "try again",
                    {"path": self.path},
                )
            self.meta = choose(read_copies(self.io, self.fd), self.path)
        except OSError as error:
            raise translated(error, "open the database", self.path) from error
        require_writable(self.meta, self.path)
