"""Finding damage made by seed of which doctor says the same as of a damaged file."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Final

from cbdd.codes import INFO
from cbdd.errors import CbddError
from cbdd.ops.doctor import diagnose
from cbdd.ops.recovery import recover_file
from cbdd.testing.damage import PATH, Damaged, damages, specimens

SEED: Final = 1
_EACH: Final = 6

_LIKELY: Final = {
    "META": ("bit flipped in a meta page", "meta pages broken"),
    "PAGE": ("bit flipped in a page", "page zeroed", "pages swapped", "page overwritten"),
    "WAL": (
        "bit flipped in the log",
        "log missing",
        "log of another database",
        "log older than the file",
        "file older than the log",
        "log cut",
        "log overwritten",
    ),
    "FILE": ("file cut",),
    "EMPTY": ("file cut", "another file, or none"),
    "NOT": ("another file, or none",),
    "DATABASE": ("another file, or none",),
    "NEWER": ("header from the future",),
}
"""Kinds of damage to try first, by the first word of a code."""


def similar_damage(codes: list[str]) -> dict[str, Any] | None:
    """A damaged database with the worst of some codes; all of them if there is one.

    :param codes: as doctor lists them, the worst first.
    """
    best: dict[str, Any] | None = None
    for damaged, found in _candidates(codes):
        if not found or found[0] != codes[0]:
            continue
        if best is None or found == codes:
            best = {
                "specimen": damaged.specimen.name,
                "damage": damaged.name,
                "seed": SEED,
                "number": damaged.number,
                "codes": found,
                "saved": _saved(damaged),
            }
        if found == codes:
            break
    return best


def _candidates(codes: list[str]) -> Any:
    likely = _LIKELY.get(codes[0].partition("_")[0], ())
    for name in likely:
        for specimen in specimens(SEED).values():
            for damaged in damages(specimen, name, SEED, _EACH):
                yield damaged, _codes_of(damaged)


def _codes_of(damaged: Damaged) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="cbdd-specimen-") as folder:
        path = _written(damaged, folder)
        return [each.code for each in diagnose(path).findings if each.severity != INFO]


def _saved(damaged: Damaged) -> int | None:
    with tempfile.TemporaryDirectory(prefix="cbdd-specimen-") as folder:
        try:
            report = recover_file(_written(damaged, folder), os.path.join(folder, "new.cbdd"))
        except CbddError:
            return None
        return sum(each.saved for each in report.collections)


def _written(damaged: Damaged, folder: str) -> str:
    for path, data in damaged.files.items():
        with open(os.path.join(folder, os.path.basename(path)), "wb") as file:
            file.write(data)
    return os.path.join(folder, os.path.basename(PATH))
