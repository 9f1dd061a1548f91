"""What opening a database found and did."""

from __future__ import annotations

from typing import Final

NETWORK_FILE_SYSTEM: Final = "NETWORK_FILE_SYSTEM"


class Finding:
    """One thing worth knowing, with a stable code and a severity (info, SEV-3, SEV-2, SEV-1).

    ``details`` has facts for programs: segment, offset, lsn and the like.
    """

    def __init__(self, code: str, severity: str, message: str, details: dict[str, object]) -> None:
        self.code = code
        self.severity = severity
        self.message = message
        self.details = details

    def to_dict(self) -> dict[str, object]:
        """The finding for JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "details": self.details,
        }


class RecoveryReport:
    """What recovery did when this handle was opened.

    ``last_commit_us`` is the wall time of the last commit redone, in microseconds since the epoch,
    0 when there was none. ``bytes_cut`` counts the bytes after the last valid frame that were not
    zero; ``frames_dropped`` the valid frames among them, none of which was ever proven durable.
    """

    def __init__(self) -> None:
        self.was_clean = True
        self.frames_redone = 0
        self.commits_redone = 0
        self.bytes_cut = 0
        self.frames_dropped = 0
        self.last_lsn = 0
        self.last_commit_us = 0
        self.durable_lsn_proven = 0
        self.segments_read = 0
        self.duration_seconds = 0.0
        self.findings: list[Finding] = []

    def add(
        self, code: str, severity: str, message: str, details: dict[str, object] | None = None
    ) -> bool:
        """Note a finding, once: a checkpoint that is tried again meets the same damage.

        :returns: whether it is new.
        """
        for known in self.findings:
            if known.code == code and known.message == message:
                return False
        self.findings.append(Finding(code, severity, message, dict(details or {})))
        return True

    def to_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return {
            "was_clean": self.was_clean,
            "frames_redone": self.frames_redone,
            "commits_redone": self.commits_redone,
            "bytes_cut": self.bytes_cut,
            "frames_dropped": self.frames_dropped,
            "last_lsn": self.last_lsn,
            "last_commit_us": self.last_commit_us,
            "durable_lsn_proven": self.durable_lsn_proven,
            "segments_read": self.segments_read,
            "duration_seconds": self.duration_seconds,
            "findings": [finding.to_dict() for finding in self.findings],
        }
