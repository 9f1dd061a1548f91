"""What a diagnosis says: findings, and the verdict that follows from them.

Verdicts, which are the exit codes of `cbdd doctor`: 0 healthy, 1 a warning, 2 repairable without
loss, 3 data is lost or at risk, 4 the file cannot be opened.
"""

from __future__ import annotations

from typing import Any, Final

from cbdd.codes import CODES, INFO, SEV_1, SEV_2, SEV_3

HEALTHY: Final = 0
WARNING: Final = 1
REPAIRABLE: Final = 2
AT_RISK: Final = 3
CANNOT_OPEN: Final = 4
VERDICTS: Final = {
    HEALTHY: "healthy",
    WARNING: "usable, with a warning",
    REPAIRABLE: "can be repaired without loss",
    AT_RISK: "data is lost or at risk",
    CANNOT_OPEN: "cannot be opened",
}

BY_SEVERITY: Final = {SEV_1: AT_RISK, SEV_2: REPAIRABLE, SEV_3: WARNING, INFO: HEALTHY}


class Finding:
    """One fault, or one kind of fault in one place.

    ``where`` has what is known of: pages, database, collection, index, documents (how many cannot
    be read), pids, and what an error says of itself. ``advice`` says what to do in words;
    ``commands`` can be typed as they are.
    """

    def __init__(
        self,
        code: str,
        severity: str,
        message: str,
        where: dict[str, object] | None = None,
        commands: list[str] | None = None,
    ) -> None:
        self.code = code
        self.severity = severity
        self.message = message
        self.where: dict[str, object] = where or {}
        self.commands: list[str] = commands or []
        known = CODES.get(code)
        self.advice = known.next_step if known else ""

    def to_dict(self) -> dict[str, object]:
        """The finding for JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "where": self.where,
            "advice": self.advice,
            "commands": self.commands,
        }


class Diagnosis:
    """Everything found about one file, the worst first."""

    def __init__(self, path: str, is_quick: bool) -> None:
        self.path = path
        self.is_quick = is_quick
        self.can_open = True
        self.findings: list[Finding] = []
        self.facts: dict[str, Any] = {}
        self.readable: list[str] = []
        """Collections whose documents can all be read, where some cannot."""
        self.seconds = 0.0

    @property
    def verdict(self) -> int:
        """One of `VERDICTS`."""
        if not self.can_open:
            return CANNOT_OPEN
        return max([BY_SEVERITY[each.severity] for each in self.findings], default=HEALTHY)

    def to_dict(self) -> dict[str, object]:
        """The diagnosis for JSON."""
        return {
            "path": self.path,
            "verdict": self.verdict,
            "verdict_text": VERDICTS[self.verdict],
            "quick": self.is_quick,
            "findings": [finding.to_dict() for finding in self.findings],
            "readable_collections": self.readable,
            "facts": self.facts,
            "seconds": self.seconds,
        }
