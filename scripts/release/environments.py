"""Clean environments: a Python with a release and what that needs, and nothing of this tree.

Offline, an environment borrows what the release needs from the Python that runs the script, and has
of CBDD only what is installed into it: its own packages come first on the path.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.release.plan import ReleaseError, run

_OURS: Final = ("HATCH_", "COVERAGE_", "PYTEST_", "CBDD_", "PYTHONPATH", "VIRTUAL_ENV")
_PLACE: Final = "import cbdd, sys; sys.stdout.write(cbdd.__file__)"


def clean_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables without those that would change what is built or tested."""
    return {name: value for name, value in variables.items() if not name.startswith(_OURS)}


class Environment:
    """A virtual environment in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / "bin" / "python"

    def run(self, arguments: list[str], cwd: Path, **variables: str) -> str:
        """Run its Python; returns the output."""
        return run([self.python, *arguments], cwd, clean_variables(os.environ) | variables)

    def require_own(self, kind: str) -> None:
        """Be sure that what is imported here is what was installed here.

        :param kind: ``compiled`` or ``interpreted``.
        """
        place = Path(self.run(["-c", _PLACE], self.path))
        if not place.is_relative_to(self.path):
            raise ReleaseError(f"{self.path} imports CBDD from {place}, not from itself")
        self.run(["-m", "cbdd.build_info", "--require", kind], self.path)


def make_environment(path: Path, distribution: Path, is_offline: bool) -> Environment:
    """A new environment with a wheel or a source distribution and what its tests need."""
    shutil.rmtree(path, ignore_errors=True)
    made = Environment(path)
    variables = clean_variables(os.environ)
    if not is_offline:
        run([sys.executable, "-m", "venv", path], path.parent, variables)
        run([made.python, "-m", "pip", "install", "--quiet", f"{distribution}[test]"], path)
        return made
    run([sys.executable, "-m", "venv", "--without-pip", path], path.parent, variables)
    borrowed = sysconfig.get_path("purelib")
    [packages] = path.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    install = ["--python", str(made.python), "install", "--quiet", "--no-deps", "--no-index"]
    options = ["--ignore-installed", "--no-build-isolation", "--disable-pip-version-check"]
    words = [sys.executable, "-m", "pip", *install, *options, str(distribution)]
    run(words, path, variables)
    return made
