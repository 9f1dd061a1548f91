"""Bundles as files: a ZIP archive with members of fixed names, written once, read with caution.

    manifest.json   format, when it was made, and SHA-256 and length of each of the others
    doctor.json  events.json  structure.json  statistics.json

Reading trusts nothing: the file, each member and the whole may only be so large, a member may not
unpack to much more than it is, names are fixed and never used as paths, and what is read is JSON
that is shown and never run.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from typing import Any, Final

from cbdd.errors import CorruptDataError, UsageError
from cbdd.ops.bundle.content import BUNDLE_FORMAT, MEMBERS
from cbdd.storage.version import VERSION

MANIFEST: Final = "manifest.json"
MAX_FILE_BYTES: Final = 32 << 20
MAX_MEMBER_BYTES: Final = 16 << 20
MAX_TOTAL_BYTES: Final = 48 << 20
MAX_RATIO: Final = 200
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class Bundle:
    """A bundle that was read; its members were verified against the manifest."""

    def __init__(self, path: str, manifest: dict[str, Any], members: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.members = members


def write_bundle(path: str, members: dict[str, Any], made_us: int) -> None:
    """Write a bundle, which only its owner may read.

    :raises UsageError: the file is there already.
    """
    packed = {name: _encode(members[name]) for name in MEMBERS}
    manifest = {
        "format": BUNDLE_FORMAT,
        "kind": "cbdd bundle",
        "cbdd": VERSION,
        "made_us": made_us,
        "members": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in packed.items()
        },
    }
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise UsageError(
            "OUTPUT_EXISTS", f"{path} is there already", "name a file that does not exist yet"
        ) from error
    try:
        with os.fdopen(fd, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in {MANIFEST: _encode(manifest), **packed}.items():
                made.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    except BaseException:
        os.unlink(path)
        raise


def _encode(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def read_bundle(path: str) -> Bundle:
    """Read somebody's bundle.

    :raises CorruptDataError: it is none, not whole, or larger than a bundle is.
    """
    try:
        size = os.stat(path).st_size
        if size > MAX_FILE_BYTES:
            raise _invalid(path, f"it has {size:,} bytes, a bundle has {MAX_FILE_BYTES:,} at most")
        with zipfile.ZipFile(path) as archive:
            packed = _unpack(path, archive)
        manifest = json.loads(packed.pop(MANIFEST))
        listed = manifest["members"]
        for name, data in packed.items():
            facts = listed[name]
            if hashlib.sha256(data).hexdigest() != facts["sha256"]:
                raise _invalid(path, f"{name} is not as the manifest says")
        members = {name: json.loads(data) for name, data in packed.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _invalid(path, str(error)) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _invalid(path, f"{type(error).__name__}: {error}") from error
    return Bundle(path, manifest, members)


def _unpack(path: str, archive: zipfile.ZipFile) -> dict[str, bytes]:
    """The bytes of the members, all of them there and none too large."""
    infos = archive.infolist()
    names = sorted(info.filename for info in infos)
    if names != sorted([MANIFEST, *MEMBERS]):
        raise _invalid(path, "its members are not those of a bundle")
    packed: dict[str, bytes] = {}
    total = 0
    for info in infos:
        most = min(MAX_MEMBER_BYTES, max(1, info.compress_size) * MAX_RATIO)
        if info.file_size > most:
            raise _invalid(path, f"{info.filename} claims {info.file_size:,} bytes")
        with archive.open(info) as member:
            data = member.read(most + 1)
        total += len(data)
        if len(data) > most or total > MAX_TOTAL_BYTES:
            raise _invalid(path, f"{info.filename} unpacks to too much")
        packed[info.filename] = data
    return packed


def _invalid(path: str, what: str) -> CorruptDataError:
    return CorruptDataError(
        "BUNDLE_INVALID",
        f"{path} is no bundle, or a damaged one: {what}",
        "ask the sender for another",
        {"path": path},
    )
