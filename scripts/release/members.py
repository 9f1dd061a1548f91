"""What may be in a wheel and in a source distribution: everything else is there by accident.

Patterns are matched against the whole name of a member. A new kind of file in the tree is to be
added here on purpose, or left out of the distribution in pyproject.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MODULE: Final = r"([a-z][a-z0-9_]*/)*(_{0,2}[a-z][a-z0-9_]*)\.py"
_BINARY: Final = r"\.cpython-3\d+-[a-z0-9_-]+\.so"

WHEEL: Final = (
    rf"cbdd(_pytest)?/{_MODULE}",
    r"cbdd(_pytest)?/py\.typed",
    r"cbdd-[^/]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE)",
)
COMPILED: Final = (
    rf"cbdd/([a-z][a-z0-9_]*/)+[a-z0-9_]+{_BINARY}",
    rf"[0-9a-f]+__mypyc{_BINARY}",
)
SDIST: Final = (
    r"(PKG-INFO|pyproject\.toml|Makefile|LICENSE|\.gitignore)",
    r"(README|CHANGELOG|CONTRIBUTING)\.md",
    rf"src/cbdd(_pytest)?/({_MODULE}|py\.typed)",
    r"docs/[a-z-]+(\.md|\.schema\.json)",
    r"docs/plots/[a-z]+\.png",
    rf"(tests|scripts|examples|benchmarks)/({_MODULE})",
    r"benchmarks/(requirements\.txt|instructions\.json)",
    r"examples/([a-z][a-z0-9_-]*/)+[A-Za-z0-9_.-]+\.(md|toml|txt|yml|json|jsonl|html)",
    r"tests/compat/(golden\.jsonl|files/[a-z0-9.-]+)\.gz",
    r"tests/format/\d[^/]*/(expected\.json|[a-z-]+\.zip)",
    r"tests/fuzz/corpus/[a-z_]+/[A-Za-z0-9_.-]+",
    r"tests/unit/ops/trackers/(README\.md|github_api\.json\.gz|gitea_api\.json)",
    r"\.github/ISSUE_TEMPLATE/[a-z]+\.yml",
    r"\.ci/run",
)
BINARY: Final = re.compile(r".*\.(so|gz|zip|png)|tests/fuzz/corpus/.*")
"""Members that are no text."""


def unexpected(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Names that no pattern allows."""
    allowed = [re.compile(pattern) for pattern in patterns]
    return sorted(name for name in names if not any(each.fullmatch(name) for each in allowed))


def compiled_modules(root: Path) -> list[str]:
    """The modules that pyproject.toml has compiled, as paths in the wheel without suffix."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    hook = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    chosen = {path for pattern in hook["include"] for path in root.glob(pattern)}
    left = {path for pattern in hook["exclude"] for path in root.glob(pattern)}
    return sorted(
        path.relative_to(root / "src").with_suffix("").as_posix() for path in chosen - left
    )


def source_modules(root: Path) -> list[str]:
    """Every file of the packages, as paths in the wheel."""
    source = root / "src"
    return sorted(
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    )
