"""What is left to a person: the commands that publish, in the order they are typed."""

from __future__ import annotations

import shlex

from scripts.release.plan import Release, ReleaseError
from scripts.release.sums import SUMS


def commands(release: Release) -> list[str]:
    """The commands.

    :raises ReleaseError: what was built is not for publishing.
    """
    if release.is_pure:
        raise ReleaseError("a pure wheel is not for publishing; run without --pure")
    dist = shlex.quote(str(release.dist))
    version = release.version
    return [
        f"(cd {dist} && sha256sum --check {SUMS})",
        f"git tag --sign v{version} {release.commit} --message 'CBDD {version}'",
        f"git add tests/format/{version}",
        f"git commit --message 'Keep a file that {version} wrote'",
        f"git push origin HEAD v{version}",
        f"python -m twine upload {dist}/*.whl {dist}/*.tar.gz",
    ]
