"""Where something happened: what this installation is, what a file's flight recorder says.

The release that met a fault is the one in the flight recorder, which need not be the one that
looks at the file. The SHA-256 of a wheel is known where the installer has noted it, which pip does
for a wheel that was installed by its path; else the hash of RECORD stands for it, which lists the
hash of every file that was installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from cbdd.build_info import build_kind
from cbdd.ops.incident.record import Context
from cbdd.storage.io import Io
from cbdd.storage.version import VERSION

PACKAGE = "cbdd"


def context_here(path: str = "") -> Context:
    """This installation and machine.

    :param path: a file whose file system to name.
    """
    return Context(
        cbdd=VERSION,
        wheel_sha256=wheel_hash(),
        build=build_kind(),
        python=f"{platform.python_implementation().lower()} {platform.python_version()}",
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        file_system=Io().file_system_type(os.path.realpath(path)) if path else "",
    )


def context_of_file(path: str, events: list[dict[str, Any]], facts: Mapping[str, Any]) -> Context:
    """What met the fault in a file: by the last opening in its flight recorder, else its writer.

    What the recorder does not say (the wheel, the build) is taken from this installation when it is
    the same release.
    """
    here = context_here(path)
    opened: dict[str, Any] = next(
        (each for each in reversed(events) if each.get("event") == "open"), {}
    )
    there = Context(
        cbdd=str(opened.get("cbdd") or facts.get("writer_version") or ""),
        python=str(opened.get("python", "")),
        os=str(opened.get("os", "")),
        file_system=here.file_system,
    )
    if there.cbdd in ("", here.cbdd):
        there.fill(here)
    return there


def wheel_hash() -> str:
    """SHA-256 of the installed wheel, or of the list of its files; empty when it has none."""
    try:
        installed = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""
    direct = _direct_hash(installed.read_text("direct_url.json"))
    if direct:
        return direct
    record = installed.read_text("RECORD")
    return f"record:{hashlib.sha256(record.encode()).hexdigest()}" if record else ""


def _direct_hash(text: str | None) -> str:
    try:
        archive = json.loads(text or "{}").get("archive_info", {})
        found = archive.get("hashes", {}).get("sha256", "")
    except (ValueError, AttributeError):
        return ""
    return found if isinstance(found, str) else ""
