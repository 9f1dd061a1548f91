"""A database file that appears under its name when it is whole, checked and on disk, or never."""

from __future__ import annotations

from collections.abc import Callable

from cbdd.errors import CorruptDataError, UsageError
from cbdd.storage import Clock, Randomness, StorageEngine
from cbdd.storage.check import CheckReport
from cbdd.storage.io import Io, translated
from cbdd.storage.options import StorageOptions


def require_new(io: Io, target: str) -> None:
    """Refuse a name that is taken.

    :raises UsageError: something of this name is there.
    """
    try:
        is_there = io.path_identity(target) is not None
    except OSError as error:
        raise translated(error, "make the new file", target) from error
    if is_there:
        raise taken(target)


def taken(target: str) -> UsageError:
    """The error for a name that is taken."""
    return UsageError(
        "OUTPUT_EXISTS", f"{target} is there already", "name a file that does not exist yet"
    )


def require_sound(report: CheckReport, path: str) -> None:
    """Refuse to hand out a file that does not check clean.

    :raises CorruptDataError: it does not.
    """
    problems = report.problems
    if problems:
        raise CorruptDataError(
            problems[0].code,
            f"the new file has {len(problems)} problems, the first: {problems[0].message}",
            "the new file was removed; please report this, with what led to it",
            {"path": path},
        )


class NewFile:
    """The file under its temporary name; a context manager that leaves nothing unfinished behind.

    ``fd`` is open for writing until `check`.
    """

    def __init__(self, io: Io, clock: Clock, randomness: Randomness, target: str) -> None:
        self._io = io
        self._clock = clock
        self._randomness = randomness
        self._target = target
        self._directory = target[: target.rfind("/")] or "/"
        self._path = f"{target}-unfinished-{randomness.token(6).hex()}"
        self.fd = io.open(self._path, True, False)

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        name = self._path.rpartition("/")[2]
        for entry in self._io.list_directory(self._directory):
            if entry.startswith(name):
                self._io.unlink(f"{self._directory}/{entry}")

    def check(self, progress: Callable[[int, int], None] | None) -> None:
        """Close the file and verify all of it.

        :raises CorruptDataError: something is wrong with it.
        """
        self._close()
        options = StorageOptions(read_only=True)
        engine = StorageEngine.open(self._path, options, self._io, self._clock, self._randomness)
        try:
            require_sound(engine.check(progress), self._target)
        finally:
            engine.close()

    def give_name(self) -> None:
        """Let the file appear under its own name.

        :raises UsageError: somebody else has taken it meanwhile.
        """
        try:
            self._io.link(self._path, self._target)
        except FileExistsError as error:
            raise taken(self._target) from error
        self._io.unlink(self._path)
        self._io.sync_directory(self._directory)

    def _close(self) -> None:
        if self.fd >= 0:
            self._io.close(self.fd)
            self.fd = -1
