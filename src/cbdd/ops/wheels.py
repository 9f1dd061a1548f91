"""Wheels: which release is in one, and whether it is what its name says.

A wheel is a zip archive whose name, ``cbdd-1.2.3-py3-none-any.whl``, and whose METADATA both say
which release it is. Whoever installs one goes by the name, so a wheel is read and both are compared
before it is used. Needs the extra ``cbdd[incident]``.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from cbdd.errors import UsageError

OURS: Final = "cbdd"
_MOST_METADATA_BYTES: Final = 16 << 20


class Wheel:
    """A wheel that was read: its place, the release it holds, and the hash of its bytes."""

    def __init__(
        self, path: Path, name: str, version: Version, sha256: str, requires: Iterable[str]
    ) -> None:
        self.path = path
        self.name = name
        self.version = version
        self.sha256 = sha256
        self.requires = tuple(requires)

    def to_dict(self) -> dict[str, str]:
        """The wheel for JSON; without its folder, which means nothing elsewhere."""
        return {
            "file": self.path.name,
            "name": self.name,
            "version": str(self.version),
            "sha256": self.sha256,
        }

    def __repr__(self) -> str:
        return f"Wheel({str(self.path)!r})"


def read_wheel(path: str | Path, name: str | None = None) -> Wheel:
    """Read a wheel and see that its name and its contents agree.

    :param name: the package it must be of, e.g. ``cbdd``; None for any.
    :raises UsageError: ``WHEEL_INVALID``: it is not there, no wheel, or not what it says.
    """
    path = Path(path).absolute()
    try:
        named, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise _invalid(path, f"its name is not that of a wheel: {error}") from error
    metadata = _read_metadata(path)
    told = canonicalize_name(str(metadata.get("Name", "")))
    if told != named:
        raise _invalid(path, "its METADATA names another package", named, told)
    try:
        is_same = Version(str(metadata.get("Version", ""))) == version
    except InvalidVersion:
        is_same = False
    if not is_same:
        found = str(metadata.get("Version", ""))
        raise _invalid(path, "its METADATA names another version", str(version), found)
    if name is not None and named != canonicalize_name(name):
        raise _invalid(path, "it is a wheel of another package", name, named)
    requires = [str(each) for each in metadata.get_all("Requires-Dist", [])]
    for each in requires:
        try:
            Requirement(each)
        except InvalidRequirement as error:
            raise _invalid(path, f"it requires {each!r}, which is no requirement") from error
    return Wheel(path, named, version, sha256_of(path), requires)


def requirements_of_extra(wheel: Wheel, extra: str) -> list[str]:
    """What a wheel needs in addition for one of its extras, e.g. ``test``; nothing if it has none.

    An extra that names others of the same package needs what those need.
    """
    found: list[str] = []
    waiting = [extra]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for text in wheel.requires:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                continue  # needed in any case
            if not marker.evaluate({"extra": name}):
                continue
            if canonicalize_name(requirement.name) == wheel.name:
                waiting += requirement.extras
            else:
                requirement.marker = None
                found.append(str(requirement))
    return list(dict.fromkeys(found))


def list_wheels(folder: str | Path, name: str = OURS) -> list[Wheel]:
    """Every wheel of a package in a folder, the oldest version first.

    Files whose name does not begin with the package's are left alone; one whose name does, and
    that is no good, is an error: whoever looks for a release must not miss one silently.

    :raises UsageError: ``WHEEL_INVALID``.
    """
    folder = Path(folder)
    wanted = canonicalize_name(name)
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise _invalid(folder, f"the folder cannot be read: {error.strerror}") from error
    found = [
        read_wheel(path, name)
        for path in paths
        if path.suffix == ".whl" and canonicalize_name(path.name.partition("-")[0]) == wanted
    ]
    return sorted(found, key=lambda wheel: (wheel.version, wheel.path.name))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_metadata(path: Path) -> Message:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [each for each in archive.namelist() if _is_metadata(each)]
            if len(names) != 1:
                raise _invalid(path, "it has no single METADATA", "1", str(len(names)))
            if archive.getinfo(names[0]).file_size > _MOST_METADATA_BYTES:
                raise _invalid(path, "its METADATA is too large")
            data = archive.read(names[0])
            damaged = archive.testzip()
    except OSError as error:
        raise _invalid(path, f"it cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError) as error:
        raise _invalid(path, f"it is no zip archive that can be read: {error}") from error
    except (zlib.error, EOFError, ValueError) as error:
        raise _invalid(path, f"it is a damaged zip archive: {error}") from error
    if damaged is not None:
        raise _invalid(path, f"{damaged} in it is damaged: its checksum is wrong")
    return BytesParser().parsebytes(data, headersonly=True)


def _is_metadata(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return folder.endswith(".dist-info") and rest == "METADATA"


def _invalid(path: Path, why: str, expected: str = "", found: str = "") -> UsageError:
    facts: dict[str, object] = {"path": str(path)}
    text = f"{path} cannot be used as a wheel: {why}"
    if expected:
        facts |= {"expected": expected, "found": found}
        text += f" (expected {expected}, found {found or 'nothing'})"
    return UsageError("WHEEL_INVALID", text, "name a wheel as it was built or downloaded", facts)
