"""How bad an incident is: one published table, of codes and of areas.

What `cbdd doctor` and every error name by a code has the severity of that code (`cbdd.codes`); a
finding may be milder than its code, as `cbdd.ops.doctor` says. A failing test or consumer has the
severity of its area. The worst counts; what is in neither table counts as SEV-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cbdd.codes import CODES, INFO, SEV_1, SEV_2, SEV_3, SEVERITIES

ORDER: Final = (SEV_1, SEV_2, SEV_3)


class Area:
    """A part of the product that a test belongs to.

    ``words``: what the path or name of a test of this area has in it. ``selection``: the arguments
    for pytest that run the tests of this area.
    """

    def __init__(
        self, name: str, severity: str, covers: str, words: str, selection: tuple[str, ...]
    ) -> None:
        self.name = name
        self.severity = severity
        self.covers = covers
        self.words = re.compile(words)
        self.selection = selection


_TABLE: Final = (
    Area(
        "recovery",
        SEV_1,
        "what is there after a crash, a kill or damage; repair and backups",
        r"recover|crash|kill|power_cut|damage|salvage|restore|backup|salvage",
        ("-m", "recovery or crash or damage"),
    ),
    Area(
        "wal",
        SEV_1,
        "the write-ahead log",
        r"wal|frame|archive|follow",
        ("-m", "wal"),
    ),
    Area(
        "transaction_protocol",
        SEV_1,
        "commits, conflicts, isolation, locks, several processes",
        r"transaction|session|isolation|lock|sync|checkpoint|process|history|histories",
        ("-m", "transaction_protocol"),
    ),
    Area(
        "storage",
        SEV_1,
        "pages, trees, free space, the file itself",
        r"unit[./]storage|format|page|btree|meta|freelist",
        ("tests/unit/storage",),
    ),
    Area(
        "index",
        SEV_2,
        "indexes and collections",
        r"unit[./]index|unit[./]catalog|index|key_string|catalog",
        ("-m", "index"),
    ),
    Area(
        "query",
        SEV_2,
        "filters, updates, projections, sorting, plans",
        r"unit[./]query|unit[./]expression|unit[./]document|query|plan|update|compat",
        ("-m", "query"),
    ),
    Area("client", SEV_2, "the API", r"unit[./]client|client", ("tests/unit/client",)),
    Area(
        "operations",
        SEV_2,
        "doctor, inspection, bundles, incidents",
        r"unit[./]ops|doctor|bundle|incident|drill",
        ("tests/unit/ops",),
    ),
    Area(
        "command_line",
        SEV_2,
        "the command line",
        r"unit[./]cli|[./]cli[./]",
        ("tests/unit/cli",),
    ),
    Area(
        "consumer",
        SEV_2,
        "the tests of a consumer's own; of ours, those of what consumers see",
        r"consumer",
        ("tests/unit/client", "tests/compat"),
    ),
    Area(
        "documents",
        SEV_3,
        "documents and examples",
        r"examples|documents|structure|readme|docs",
        ("tests/unit/test_examples.py", "tests/unit/test_documents.py", "tests/examples"),
    ),
)
AREAS: Final = {area.name: area for area in _TABLE}


class Judgement:
    """A severity and why."""

    def __init__(self, severity: str, reasons: list[str]) -> None:
        self.severity = severity
        self.reasons = reasons


def area_of(name: str) -> str:
    """The area of a test by its path or name; empty when none fits.

    >>> area_of("tests.unit.storage.test_wal::test_a_torn_tail")
    'wal'
    """
    for area in AREAS.values():
        if area.words.search(name):
            return area.name
    return ""


def judge(codes: Iterable[tuple[str, str]], areas: Iterable[str]) -> Judgement:
    """The severity of an incident.

    :param codes: of each finding or error its code and the severity that was found, which may be
        milder than that of the code; empty where nothing but the code is known.
    :param areas: of each failing test; one that is empty or unknown counts as the worst.
    """
    found: list[tuple[str, str]] = []
    for code, severity in codes:
        known = CODES.get(code)
        if known is None:
            found.append((SEV_1, f"{code} is in no table, which counts as the worst"))
            continue
        counted = severity if severity in SEVERITIES else known.severity
        if counted == INFO:
            counted = SEV_3
        found.append((counted, f"{code} is {counted}"))
    for name in areas:
        area = AREAS.get(name)
        if area is None:
            found.append((SEV_1, f"area {name or 'unknown'} is in no table: the worst counts"))
        else:
            found.append((area.severity, f"area {name} is {area.severity}"))
    if not found:
        return Judgement(SEV_1, ["nothing tells how bad it is, which counts as the worst"])
    worst = worst_of(severity for severity, _ in found)
    return Judgement(worst, list(dict.fromkeys(text for severity, text in sorted(found))))


def worst_of(severities: Iterable[str]) -> str:
    """The worst of some severities; SEV-3 of none."""
    return min(severities, key=ORDER.index, default=SEV_3)


def to_markdown() -> str:
    """The tables for docs/runbook.md."""
    lines = ["| area of a failing test | severity | covers | its tests |", "|---|---|---|---|"]
    for area in AREAS.values():
        command = " ".join(f'"{each}"' if " " in each else each for each in area.selection)
        lines.append(f"| {area.name} | {area.severity} | {area.covers} | `pytest {command}` |")
    return "\n".join(lines) + "\n"
