"""A database file that appears under its name when it is whole, checked and on disk, or never."""

from __future__ import annotations

import contextlib
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


def check_file(
    path: str,
    shown: str,
    io: Io,
    clock: Clock,
    randomness: Randomness,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Verify all of a file that nobody knows of yet.

    :param shown: the name it is to get, for the error.
    :raises CorruptDataError: something is wrong with it.
    """
    engine = StorageEngine.open(path, StorageOptions(read_only=True), io, clock, randomness)
    try:
        require_sound(engine.check(progress, skips_unchanged=True), shown)
    finally:
        engine.close()


class NewFile:
    """A name for the file until it is whole; a context manager that leaves nothing else behind."""

    def __init__(self, io: Io, randomness: Randomness, target: str) -> None:
        """
        :raises UsageError: the name it is to get is taken.
        """
        require_new(io, target)
        self._io = io
        self._target = target
        self._directory = target[: target.rfind("/")] or "/"
        self.path = f"{target}-unfinished-{randomness.token(6).hex()}"

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *exception: object) -> None:
        name = self.path.rpartition("/")[2]
        with contextlib.suppress(FileNotFoundError):  # there is no such directory
            for entry in self._io.list_directory(self._directory):
                if entry.startswith(name):
                    self._io.unlink(f"{self._directory}/{entry}")

    def give_name(self) -> None:
        """Let the file, which is closed and on disk, appear under its own name.

        :raises UsageError: somebody else has taken it meanwhile.
        """
        try:
            self._io.link(self.path, self._target)
            self._io.unlink(self.path)
            self._io.sync_directory(self._directory)
        except FileExistsError as error:
            raise taken(self._target) from error
        except OSError as error:
            raise translated(error, "name the new file", self._target) from error
