"""The tests, as whoever installs the release would run them: from the source distribution.

Each runs in a clean environment of its own: the wheel, and a build of the source distribution,
which is interpreted.
"""

from __future__ import annotations

import re
from typing import Any, Final

from scripts.release.build import tree_of
from scripts.release.environments import Environment, make_environment
from scripts.release.plan import Release, ReleaseError

SELECTIONS: Final = {
    "quick": [
        "tests/format",
        "tests/compat",
        "tests/unit/storage",
        "tests/unit/catalog",
        "tests/unit/client/test_client.py",
        "tests/unit/cli/test_commands.py",
        "tests/unit/test_structure.py",
    ],
    "full": ["tests"],
}
WORKERS: Final = "2"
_PASSED: Final = re.compile(r"^(?P<summary>.*\b(?P<count>\d+) passed\b.*)$", re.MULTILINE)


def environment_of(release: Release, name: str) -> Environment:
    """Where a distribution of this release is installed."""
    return Environment(release.output / "environments" / name)


def try_wheel(release: Release) -> dict[str, Any]:
    """The step: the tests against the wheel."""
    return _try(release, "wheel")


def try_sdist(release: Release) -> dict[str, Any]:
    """The step: the tests against what the source distribution builds."""
    return _try(release, "sdist")


def _try(release: Release, name: str) -> dict[str, Any]:
    is_compiled = name == "wheel" and not release.is_pure
    distribution = release.wheel() if name == "wheel" else release.sdist()
    path = environment_of(release, name).path
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = make_environment(path, distribution, release.is_offline)
    environment.require_own("compiled" if is_compiled else "interpreted")
    tree = tree_of(release)
    selection = [each for each in SELECTIONS[release.tests] if (tree / each).exists()]
    if not selection:
        raise ReleaseError(f"{release.sdist().name} has none of the tests {release.tests}")
    variables = {"CBDD_REQUIRE_COMPILED": "1"} if is_compiled else {}
    command = ["-m", "pytest", "-n", WORKERS, "--dist", "loadgroup", "-p", "no:cacheprovider"]
    output = environment.run([*command, *selection], tree, **variables)
    found = _PASSED.search(output)
    if found is None:
        raise ReleaseError(f"{path} has run no test:\n{output[-2000:]}")
    return {"mode": "compiled" if is_compiled else "interpreted", "passed": int(found["count"])}
