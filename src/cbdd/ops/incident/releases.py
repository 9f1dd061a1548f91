"""The releases to try: wheels in a folder, or versions that are fetched from an index."""

from __future__ import annotations

import shutil
import tempfile
from types import TracebackType
from typing import Self

from cbdd.errors import UsageError
from cbdd.ops.environments import Source, run_pip
from cbdd.ops.incident.pins import PACKAGE
from cbdd.ops.wheels import Wheel, list_wheels


class Releases:
    """Wheels, oldest first; a context manager, which removes what was fetched."""

    def __init__(self, wheels: list[Wheel], folder: str = "") -> None:
        self.wheels = wheels
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def releases_of(folder: str | None, versions: list[str], source: Source) -> Releases:
    """The wheels of a folder, or versions of an index.

    :raises UsageError: NO_GOOD_RELEASE: there are none; WHEEL_INVALID, ENVIRONMENT_FAILED.
    """
    if folder is not None:
        wheels = list_wheels(folder)
        if versions:
            wheels = [each for each in wheels if str(each.version) in versions]
        if not wheels:
            raise UsageError(
                "NO_GOOD_RELEASE",
                f"there are no wheels of {PACKAGE} in {folder}",
                "name the folder with the wheels of the releases",
            )
        return Releases(wheels)
    scratch = tempfile.mkdtemp(prefix="cbdd-releases-")
    try:
        for version in versions:
            options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", scratch]
            run_pip(["download", *options, f"{PACKAGE}=={version}"], source)
        return Releases(list_wheels(scratch), scratch)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
