"""tests/format: a file that this release wrote, kept for every release after it.

Written by the very wheel that is published, in its environment. Once a version has a tag, what is
kept of it is never changed.
"""

from __future__ import annotations

import shutil
from typing import Any, Final

from packaging.version import Version
from scripts.release.build import tree_of
from scripts.release.plan import Release, ReleaseError
from scripts.release.tree import tagged_versions
from scripts.release.trial import environment_of

MAX_BYTES: Final = 300 << 10


def keep_files(release: Release) -> dict[str, Any]:
    """The step: write the files, and put them into the tree."""
    if Version(release.version) in tagged_versions(release.root):
        raise ReleaseError(
            f"{release.version} has a tag: what is kept of it in {release.kept} must not change"
        )
    made = release.output / "kept"
    shutil.rmtree(made, ignore_errors=True)
    command = ["-m", "scripts.release.kept_files", str(made)]
    environment_of(release, "wheel").run(command, tree_of(release))
    size = sum(path.stat().st_size for path in made.iterdir())
    if size > MAX_BYTES:
        raise ReleaseError(f"{made} has {size:,} bytes, allowed are {MAX_BYTES:,}")
    shutil.rmtree(release.kept, ignore_errors=True)
    release.kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, release.kept)
    return {"folder": release.kept.relative_to(release.root).as_posix(), "bytes": size}
