"""The tree: clean, of a version that is new, with a changelog that knows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from packaging.version import InvalidVersion, Version
from scripts.release.plan import Release, ReleaseError, run

CHANGELOG: Final = "CHANGELOG.md"


def check_tree(release: Release) -> dict[str, Any]:
    """The step: whether this tree may become this release."""
    _require_clean(release)
    version = _parsed(release.version)
    tags = tagged_versions(release.root)
    if tags and version <= max(tags):
        raise ReleaseError(
            f"version {version} is not newer than the tag v{max(tags)}; raise it in "
            "src/cbdd/storage/version.py"
        )
    kept = kept_versions(release.root)
    if kept and version < max(kept):
        raise ReleaseError(
            f"version {version} is older than tests/format/{max(kept)}; raise it in "
            "src/cbdd/storage/version.py"
        )
    return {"lines of changes": len(changes_of(release).splitlines())}


def commit_of(root: Path) -> str:
    """The commit the tree is at."""
    return run(["git", "rev-parse", "HEAD"], root).strip()


def tagged_versions(root: Path) -> list[Version]:
    """The versions that tags name, ascending; other tags are none of ours."""
    found: list[Version] = []
    for tag in run(["git", "tag", "--list", "v*"], root).split():
        try:
            found.append(Version(tag.removeprefix("v")))
        except InvalidVersion:
            continue
    return sorted(found)


def kept_versions(root: Path) -> list[Version]:
    """The versions that files are kept of, ascending."""
    folder = root / "tests" / "format"
    return sorted(_parsed(path.name) for path in folder.glob("[0-9]*") if path.is_dir())


def _parsed(text: str) -> Version:
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise ReleaseError(f"{text!r} is no version; correct it") from error
    if str(version) != text:
        raise ReleaseError(f"version {text!r} is to be written {str(version)!r}")
    return version


def _require_clean(release: Release) -> None:
    """What this release itself writes into tests/format is not committed yet."""
    mine = f"tests/format/{release.version}/"
    status = run(["git", "status", "--porcelain", "--untracked-files=all"], release.root)
    changed = [line[3:] for line in status.splitlines() if not line[3:].startswith(mine)]
    if changed:
        raise ReleaseError(
            f"the tree is not clean: {', '.join(changed[:5])}"
            f"{' and more' if len(changed) > 5 else ''}; commit or remove it"
        )


def changes_of(release: Release) -> str:
    """What the changelog says of this version.

    :raises ReleaseError: nothing, or that it is not to be released yet.
    """
    path = release.root / CHANGELOG
    if not path.exists():
        raise ReleaseError(f"{path} is missing")
    heading = re.compile(
        rf"^## {re.escape(release.version)}(?P<rest>(?: [^\n]*)?)\n(?P<body>.*?)(?=^## |\Z)",
        re.MULTILINE | re.DOTALL,
    )
    found = heading.search(path.read_text())
    if found is None:
        raise ReleaseError(
            f"{CHANGELOG} has no section `## {release.version} (date)`; say there what changed"
        )
    if not re.fullmatch(r" \(\d{4}-\d\d-\d\d\)", found["rest"]):
        raise ReleaseError(
            f"{CHANGELOG} says `## {release.version}{found['rest']}`; a release has its date: "
            f"`## {release.version} (2026-01-31)`"
        )
    body = found["body"].strip()
    if not body:
        raise ReleaseError(f"the section {release.version} of {CHANGELOG} is empty")
    return body
