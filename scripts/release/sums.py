"""SHA256SUMS, in the form that `sha256sum --check` reads."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from scripts.release.plan import Release

SUMS: Final = "SHA256SUMS"


def write_sums(release: Release) -> dict[str, Any]:
    """The step: the sums of both distributions, beside them."""
    files = sorted([release.wheel(), release.sdist()])
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (release.dist / SUMS).write_text("".join(lines))
    return {"file": SUMS, "sums": {line.split()[1]: line.split()[0] for line in lines}}
