"""Wheels of this source tree with another version and, where wanted, with a planted defect.

They are what the tests of consumers, of bisecting and of releases compare. A wheel is built from a
copy of the tree, by the build backend itself: without network, without build isolation and without
the hook that compiles the core, so that it takes about a second.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
VERSION_FILE: Final = "src/cbdd/storage/version.py"
_PARTS: Final = ("pyproject.toml", "README.md", "LICENSE", "src")
_NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")


def build_wheel(
    into: Path, version: str, edits: Mapping[str, tuple[str, str]] | None = None
) -> Path:
    """Build a pure-Python wheel of this tree and return its path.

    :param into: folder of the wheel; made if it is not there.
    :param version: the version the wheel has, in its metadata and in ``VERSION``.
    :param edits: by the path of a file, e.g. ``src/cbdd/client/client.py``: what is replaced in it,
        everywhere it occurs, and by what.
    :raises AssertionError: what is to be replaced is not there, or the build fails.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cbdd-wheel-") as scratch:
        tree = Path(scratch, "tree")
        _copy_tree(tree)
        _set_version(tree / VERSION_FILE, version)
        for name, (old, new) in (edits or {}).items():
            _replace(tree / name, old, new)
        built = _build(tree, Path(scratch, "built"))
        # Named in one step: whoever looks into the folder meanwhile sees no half of a wheel.
        partial = into / f".{built.name}.{os.getpid()}"
        shutil.copyfile(built, partial)
        return partial.rename(into / built.name)


def _copy_tree(tree: Path) -> None:
    tree.mkdir()
    for part in _PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=_NOT_COPIED)
        else:
            shutil.copyfile(ROOT / part, tree / part)


def _set_version(path: Path, version: str) -> None:
    text, count = re.subn(
        r'^VERSION: Final = "[^"]+"$',
        f'VERSION: Final = "{version}"',
        path.read_text(),
        flags=re.MULTILINE,
    )
    assert count == 1, f"{VERSION_FILE} names the version {count} times"
    path.write_text(text)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} does not have what is to be replaced: {old!r}"
    path.write_text(text.replace(old, new))


def _build(tree: Path, into: Path) -> Path:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HATCH_")
    }
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"the wheel was not built:\n{done.stdout}{done.stderr}"
    [wheel] = into.glob("cbdd-*.whl")
    return wheel
