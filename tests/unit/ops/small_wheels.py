"""Wheels of a few lines, written by hand: as good as real ones for what only installs them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def small_wheel(
    folder: Path,
    version: str = "1.0.0",
    name: str = "cbdd",
    files: Mapping[str, str | None] | None = None,
    requires: Sequence[str] = (),
    metadata_version: str | None = None,
) -> Path:
    """Write a wheel that has one package, which says its version as CBDD does.

    :param files: more files, by their path in the wheel, or others for those it has; None
        for one it is not to have.
    :param metadata_version: the version METADATA names, where that is not that of the name.
    """
    info = f"{name}-{version}.dist-info"
    told = metadata_version if metadata_version is not None else version
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {told}"]
    lines += [f"Requires-Dist: {each}" for each in requires]
    contents = {
        f"{name}/__init__.py": "",
        f"{name}/storage/__init__.py": "",
        f"{name}/storage/version.py": f'VERSION = "{version}"\n',
        **(files or {}),
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents = {path: text for path, text in contents.items() if text is not None}
    record = "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in [*contents.items(), (f"{info}/RECORD", record)]:
            archive.writestr(each, text)
    return path
