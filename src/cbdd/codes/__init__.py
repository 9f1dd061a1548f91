"""Every code of an error, a finding or a problem: what it means, how bad it is, what to do next.

This table is the one source: `cbdd explain` prints it, docs/codes.md is made from it, and a test
sees to it that no code is raised, reported or noted that is not here, and none is here for nothing.

Severity is that of the incident a code stands for, see `SEVERITIES`. A finding may be milder than
its code: what recovery could put right is a finding of its own severity.
"""

from __future__ import annotations

import shlex
from typing import Final

from cbdd.codes.catalog import CATALOG_CODES
from cbdd.codes.code import (
    CATALOG,
    COMMANDS,
    DISK,
    FILE,
    GROUPS,
    INCIDENT,
    INFO,
    LOG,
    PAGE,
    PROCESS,
    SEV_1,
    SEV_2,
    SEV_3,
    SEVERITIES,
    USE,
    Code,
)
from cbdd.codes.commands import COMMAND_CODES
from cbdd.codes.file import FILE_CODES
from cbdd.codes.incidents import INCIDENT_CODES
from cbdd.codes.log import LOG_CODES
from cbdd.codes.pages import PAGE_CODES
from cbdd.codes.records import RECORD_CODES
from cbdd.codes.running import RUNNING_CODES
from cbdd.codes.trackers import TRACKER_CODES

__all__ = [
    "CATALOG",
    "CODES",
    "COMMANDS",
    "DISK",
    "FILE",
    "GROUPS",
    "INCIDENT",
    "INFO",
    "LOG",
    "PAGE",
    "PROCESS",
    "SEVERITIES",
    "SEV_1",
    "SEV_2",
    "SEV_3",
    "USE",
    "Code",
    "severity_of",
    "to_markdown",
    "with_path",
]

_TABLE: Final = (
    *FILE_CODES,
    *LOG_CODES,
    *PAGE_CODES,
    *CATALOG_CODES,
    *RUNNING_CODES,
    *COMMAND_CODES,
    *RECORD_CODES,
    *INCIDENT_CODES,
    *TRACKER_CODES,
)
CODES: Final = {code.name: code for code in _TABLE}


def severity_of(code: str) -> str:
    """The severity of a code; one that is not in the table counts as the worst."""
    known = CODES.get(code)
    return SEV_1 if known is None else known.severity


def with_path(next_step: str, path: str) -> str:
    """A next step with the file's name in its commands, fit to be typed."""
    return next_step.replace(" FILE", f" {shlex.quote(path)}")


def to_markdown() -> str:
    """The table as the document docs/codes.md."""
    worst_first = "; ".join(f"{name}: {text}" for name, text in SEVERITIES.items())
    lines = [
        "# Codes",
        "",
        "Every error of CBDD itself has a code, and so has everything that opening a file or",
        "`cbdd check` finds. `cbdd explain CODE` prints the same on the command line. Severity is",
        "that of the incident a code stands for.",
        f"{worst_first}.",
    ]
    for group in GROUPS:
        lines += ["", f"## {group}", "", "| code | severity | what it means | what to do next |"]
        lines.append("|---|---|---|---|")
        lines += [
            f"| `{code.name}` | {code.severity} | {code.meaning} | {code.next_step} |"
            for code in CODES.values()
            if code.group == group
        ]
    return "\n".join(lines) + "\n"
