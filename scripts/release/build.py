"""Building: the source distribution of the tree, and the wheel of that.

The wheel is built from what the source distribution holds, not from the tree, so a file that is
missing there is noticed. Times in both are those of the commit: the same commit gives the same
members.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

from scripts.release.environments import clean_variables
from scripts.release.plan import Release, ReleaseError, run


def tree_of(release: Release) -> Path:
    """Where the source distribution is unpacked.

    :raises ReleaseError: it is not.
    """
    path = release.output / "tree" / f"cbdd-{release.version}"
    if not path.is_dir():
        raise ReleaseError(f"{path} is missing; run the step sdist again")
    return path


def build_sdist(release: Release) -> dict[str, Any]:
    """The step: build and unpack the source distribution."""
    shutil.rmtree(release.dist, ignore_errors=True)
    shutil.rmtree(release.output / "tree", ignore_errors=True)
    release.dist.mkdir(parents=True)
    _hatchling(release, release.root, "sdist")
    with tarfile.open(release.sdist()) as archive:
        archive.extractall(release.output / "tree", filter="data")
    return {"file": release.sdist().name, "bytes": release.sdist().stat().st_size}


def build_wheel(release: Release) -> dict[str, Any]:
    """The step: build the wheel, with the compiled core unless a pure one is asked for."""
    for old in release.dist.glob("*.whl"):
        old.unlink()
    tree = tree_of(release)
    if release.is_pure:
        _hatchling(release, tree, "wheel")
    else:
        command = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
        # No flags but those of the build itself: the same commit gives the same wheel.
        variables = _variables(release) | {"HATCH_BUILD_HOOKS_ENABLE": "1", "CFLAGS": ""}
        run([sys.executable, *command, release.dist, tree], release.output, variables)
    return {"file": release.wheel().name, "bytes": release.wheel().stat().st_size}


def _hatchling(release: Release, tree: Path, target: str) -> None:
    command = ["-m", "hatchling", "build", "--target", target, "--directory"]
    run([sys.executable, *command, str(release.dist)], tree, _variables(release))


def _variables(release: Release) -> dict[str, str]:
    seconds = run(["git", "show", "--no-patch", "--format=%ct", release.commit], release.root)
    return clean_variables(os.environ) | {"SOURCE_DATE_EPOCH": seconds.strip()}
