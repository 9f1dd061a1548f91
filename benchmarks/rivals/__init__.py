"""The databases under test, by name. Those that are not installed are left out."""

from __future__ import annotations

import importlib.util
from typing import Final

from benchmarks.rivals.base import Contestant
from benchmarks.rivals.files import Tiny
from benchmarks.rivals.lightning import Lmdb
from benchmarks.rivals.mongo_like import Cbdd, Mongomock, Monty
from benchmarks.rivals.sqlite import Sqlite

CONTESTANTS: Final[tuple[type[Contestant], ...]] = (Cbdd, Sqlite, Lmdb, Tiny, Monty, Mongomock)


def available(names: list[str] | None) -> list[type[Contestant]]:
    """Those that were asked for and are installed; CBDD is always there."""
    found = [each for each in CONTESTANTS if importlib.util.find_spec(each.package) is not None]
    if names:
        missing = set(names) - {each.name for each in found}
        if missing:
            raise SystemExit(f"not installed or unknown: {', '.join(sorted(missing))}")
        found = [each for each in found if each.name in names or each is Cbdd]
    return found
