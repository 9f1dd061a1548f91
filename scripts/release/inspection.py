"""Reading both distributions before anybody else does: names, texts, metadata, extensions."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename
from scripts.release.members import (
    BINARY,
    COMPILED,
    SDIST,
    WHEEL,
    compiled_modules,
    source_modules,
    unexpected,
)
from scripts.release.plan import Release, ReleaseError, run

MAX_MEMBER_BYTES: Final = 4 << 20
SECRETS: Final = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a token of a code host": re.compile(r"\b(gh[opsu]_[A-Za-z0-9]{36}|github_pat_\w{40,})"),
    "a token of a package index": re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}"),
    "a cloud access key": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "credentials in an address": re.compile(r"\bhttps?://[^\s/:@'\"{}]+:[^\s/:@'\"{}]{8,}@"),
}
_LINK: Final = re.compile(r"\]\((?![a-z]+://|#)([^)]+)\)")


def inspect(release: Release) -> dict[str, Any]:
    """The step: inspect the wheel and the source distribution.

    :raises ReleaseError: with everything that is wrong, not only the first.
    """
    wheel = wheel_members(release.wheel())
    sdist = sdist_members(release.sdist(), f"cbdd-{release.version}")
    wrong = [f"wheel: {each}" for each in wheel_faults(release, wheel)]
    wrong += [f"sdist: {each}" for each in sdist_faults(release, sdist)]
    if wrong:
        raise ReleaseError("the distributions must not be published:\n  " + "\n  ".join(wrong))
    info = f"cbdd-{release.version}.dist-info/METADATA"
    remarks = remarks_on(Metadata.from_email(wheel[info]), release)
    for remark in remarks:
        release.tell(f"    note: {remark}")
    return {"members of the wheel": len(wheel), "of the sdist": len(sdist), "remarks": remarks}


def wheel_members(path: Path) -> dict[str, bytes]:
    """Every file in a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {each: archive.read(each) for each in archive.namelist() if each[-1] != "/"}


def sdist_members(path: Path, folder: str) -> dict[str, bytes]:
    """Every file in a source distribution, named from its one folder.

    :raises ReleaseError: something is outside of the folder, or is no plain file.
    """
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or not member.name.startswith(f"{folder}/"):
                raise ReleaseError(f"{path.name}: {member.name} is no plain file in {folder}/")
            found[member.name.removeprefix(f"{folder}/")] = content.read()
    return found


def wheel_faults(release: Release, members: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a wheel."""
    patterns = WHEEL if release.is_pure else WHEEL + COMPILED
    faults = [f"{name} has no business there" for name in unexpected(members, patterns)]
    info = f"cbdd-{release.version}.dist-info"
    needed = [f"{info}/METADATA", f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"]
    needed += source_modules(release.root)
    faults += [f"{name} is missing" for name in needed if name not in members]
    if not release.is_pure:
        faults += list(_extension_faults(release.root, members))
    faults += list(text_faults(members, release))
    data = members.get(f"{info}/METADATA")
    return faults + (metadata_faults(data, release) if data is not None else [])


def _extension_faults(root: Path, members: Mapping[str, bytes]) -> Iterator[str]:
    there = {name.partition(".cpython-")[0] for name in members if name.endswith(".so")}
    there = {name for name in there if "/" in name}
    expected = set(compiled_modules(root))
    for name in sorted(expected - there):
        yield f"{name} is not compiled"
    for name in sorted(there - expected):
        yield f"{name} is compiled, and pyproject.toml does not say so"


def sdist_faults(release: Release, members: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a source distribution: it must have all that is kept under versions."""
    faults = [f"{name} has no business there" for name in unexpected(members, SDIST)]
    tracked = run(["git", "ls-files", "-z"], release.root).split("\0")
    faults += [f"{name} is missing" for name in tracked if name and name not in members]
    faults += list(text_faults(members, release))
    data = members.get("PKG-INFO")
    return faults + (metadata_faults(data, release) if data is not None else ["no PKG-INFO"])


def text_faults(members: Mapping[str, bytes], release: Release) -> Iterator[str]:
    """Secrets, paths of the machine that built it, and files that are no text or too large."""
    places = {str(release.root), str(release.output)}
    for name, data in members.items():
        if len(data) > MAX_MEMBER_BYTES and not name.endswith(".so"):
            yield f"{name} has {len(data):,} bytes, allowed are {MAX_MEMBER_BYTES:,}"
        if BINARY.fullmatch(name):
            continue
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            yield f"{name} is no UTF-8 text (at byte {error.start})"
            continue
        for place in sorted(places):
            if place != os.sep and place in text:
                yield f"{name} names the folder it was built in"
        for what, pattern in SECRETS.items():
            found = pattern.search(text)
            if found is not None:
                line = text.count("\n", 0, found.start()) + 1
                yield f"{name}, line {line}, holds what looks like {what}"


def metadata_faults(data: bytes, release: Release) -> list[str]:
    """What is wrong with the metadata of a distribution."""
    try:
        found = Metadata.from_email(data)
    except ExceptionGroup as group:
        return [f"metadata: {each}" for each in group.exceptions]
    faults: list[str] = []
    for field, value, expected in (
        ("name", found.name, "cbdd"),
        ("version", str(found.version), release.version),
        ("license", found.license_expression, "Apache-2.0"),
        ("license files", found.license_files, ["LICENSE"]),
        ("description type", found.description_content_type, "text/markdown"),
    ):
        if value != expected:
            faults.append(f"metadata: {field} is {value!r}, not {expected!r}")
    if not found.summary or not (found.description or "").strip():
        faults.append("metadata: summary or description is missing")
    if found.requires_python != SpecifierSet(">=3.11"):
        faults.append(f"metadata: requires-python is {found.requires_python}, not >=3.11")
    for each in found.requires_dist or []:
        if not each.specifier:
            faults.append(f"metadata: {each} has no range of versions")
    return faults


def remarks_on(found: Metadata, release: Release) -> list[str]:
    """What is no fault and yet worth a look."""
    remarks: list[str] = []
    links = sorted(set(_LINK.findall(found.description or "")))
    if links:
        remarks.append(f"{len(links)} links of README.md lead nowhere on a package index")
    if not found.project_urls:
        remarks.append("pyproject.toml has no [project.urls]")
    tags = sorted(str(tag) for tag in parse_wheel_filename(release.wheel().name)[3])
    if any(tag.endswith(f"-linux_{os.uname().machine}") for tag in tags):
        remarks.append(
            f"the wheel is tagged {tags[0]}: indexes want manylinux, see `auditwheel repair`"
        )
    return remarks
