"""What a code is: a name, a group, a severity, what it means and what to do next."""

from __future__ import annotations

from typing import Final

SEV_1: Final = "SEV-1"
SEV_2: Final = "SEV-2"
SEV_3: Final = "SEV-3"
INFO: Final = "info"
SEVERITIES: Final = {
    SEV_1: "data is damaged or lost, or may be",
    SEV_2: "the database cannot be used as it should",
    SEV_3: "it can be used, and something wants attention",
    INFO: "nothing is wrong with the file",
}

FILE: Final = "The database file"
LOG: Final = "The log"
PAGE: Final = "Pages and trees"
CATALOG: Final = "Collections and indexes"
PROCESS: Final = "Processes and locks"
DISK: Final = "The disk"
USE: Final = "Use of the API"
COMMANDS: Final = "The command line"
INCIDENT: Final = "Incidents"
GROUPS: Final = (FILE, LOG, PAGE, CATALOG, PROCESS, DISK, USE, COMMANDS, INCIDENT)


class Code:
    """One code. ``meaning`` and ``next_step`` are sentences for people."""

    def __init__(self, name: str, group: str, severity: str, meaning: str, next_step: str) -> None:
        self.name = name
        self.group = group
        self.severity = severity
        self.meaning = meaning
        self.next_step = next_step

    @property
    def severity_text(self) -> str:
        """The severity and what it stands for."""
        return f"{self.severity}: {SEVERITIES[self.severity]}"

    @property
    def group_rank(self) -> int:
        """The place of its group among `GROUPS`."""
        return GROUPS.index(self.group)

    def to_dict(self) -> dict[str, str]:
        """The code for JSON."""
        return {
            "code": self.name,
            "group": self.group,
            "severity": self.severity,
            "meaning": self.meaning,
            "next_step": self.next_step,
        }
