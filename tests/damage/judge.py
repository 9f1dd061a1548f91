"""Opens damaged files and tells the acceptable outcomes from the silent ones.

Acceptable: every document is there, noted or not; or a `CbddError` with a code, a place and a next
step, of opening or of a read, while every read that returns returns exactly what was acknowledged.
Anything else is an assertion with the place of the damage and the seed.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cbdd.errors import CbddError
from tests.damage.specimen import (
    INDEXES,
    PATH,
    SEED,
    AnyClient,
    Documents,
    Files,
    connect,
    disk_of,
    engine_of,
    files_of,
)

CODE: Final = re.compile(r"[A-Z]+(_[A-Z]+)*\Z")
PLACES: Final = {"path", "page", "offset", "segment", "copies"}


class Verdict:
    """What opening and reading a damaged database came to."""

    def __init__(self) -> None:
        self.refusal: CbddError | None = None
        self.errors: list[CbddError] = []
        self.findings: list[str] = []
        self.problems: list[tuple[str, int]] = []
        self.messages: list[str] = []
        self.bytes_cut = 0
        self.after: Files = {}

    @property
    def code(self) -> str:
        """Code with which opening was refused; empty when it was not."""
        return self.refusal.code if self.refusal else ""

    @property
    def is_whole(self) -> bool:
        """Whether every document was read."""
        return self.refusal is None and not self.errors

    @property
    def is_told(self) -> bool:
        """Whether something was said: an error, a finding or a problem."""
        return bool(self.refusal or self.errors or self.findings or self.problems)

    @property
    def details(self) -> dict[str, object]:
        """Facts of the refusal."""
        return self.refusal.details if self.refusal else {}


def judge(files: Files, expected: Documents, where: str, **options: Any) -> Verdict:
    """Open the files, read everything in every way and compare with what was acknowledged."""
    where = f"seed {SEED}, {where}"
    verdict = Verdict()
    disk = disk_of(files)
    try:
        client = connect(disk, **options)
    except Exception as error:
        verdict.refusal = coded(error, where)
        verdict.after = files_of(disk)
        _require_untouched(files, verdict, where)
        return verdict
    try:
        verdict.findings = [finding.code for finding in client.recovery_report.findings]
        verdict.bytes_cut = client.recovery_report.bytes_cut
        _read_everything(client, expected, where, verdict)
        report = engine_of(client).check()
        verdict.problems = [(problem.code, problem.page) for problem in report.problems]
        verdict.messages = [problem.message for problem in report.problems]
        assert verdict.problems or not verdict.errors, f"{where}: check saw nothing"
        verdict.after = files_of(disk)
    finally:
        try:
            client.close()
        except Exception as error:
            coded(error, where)
    return verdict


def _require_untouched(before: Files, verdict: Verdict, where: str) -> None:
    """A refusal leaves database and log as they were; what is foreign may get another name."""
    contents = list(verdict.after.values())
    for name, data in before.items():
        if name == PATH or "-wal-" in name:
            assert data in contents, f"{where}: {verdict.code} changed {name}"


def coded(error: Exception, where: str) -> CbddError:
    """The error, if it says what, where and what to do next."""
    if not isinstance(error, CbddError):
        raise AssertionError(f"{where}: bare {error!r}") from error
    assert CODE.match(error.code), f"{where}: {error.code!r}"
    assert str(error).startswith(f"{error.code}: "), f"{where}: {error}"
    assert error.next_step, f"{where}: no next step: {error}"
    assert PLACES & set(error.details), f"{where}: no place: {error} {error.details}"
    return error


def _read_everything(client: AnyClient, expected: Documents, where: str, verdict: Verdict) -> None:
    for name, documents in expected.items():
        collection = client.shop[name]
        readings: list[tuple[str, Any, Any]] = [
            ("scan", lambda c=collection: _sorted(c.find()), documents),
            ("count", lambda c=collection: c.count_documents({}), len(documents)),
        ]
        for keys in INDEXES[name]:
            readings.append(
                (
                    f"index {keys}",
                    lambda c=collection, k=keys: _sorted(c.find().hint(k)),
                    documents,
                )
            )
        for what, read, right in readings:
            try:
                found = read()
            except Exception as error:
                verdict.errors.append(coded(error, f"{where}, {what} of {name}"))
            else:
                assert found == right, f"{where}: SILENT, {what} of {name} is wrong"


def _sorted(documents: Any) -> list[dict[str, Any]]:
    return sorted(documents, key=lambda document: document["_id"])
