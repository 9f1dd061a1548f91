"""The test that shows an incident's fault: run where it is needed, and judged the same everywhere.

It is a file of its own, kept with the incident, or tests of a checkout by their names. It counts as
passed when every test of it passed, as failed when one failed, and as broken when it cannot tell:
nothing ran, or tests could not be collected.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cbdd.errors import UsageError
from cbdd.ops.environments import Environment, plain_variables
from cbdd.ops.incident.from_tests import FailedTest, SuiteRun, read_junit
from cbdd.ops.processes import run_command

PASSED: Final = "passed"
FAILED: Final = "failed"
BROKEN: Final = "broken"
FILE_VARIABLE: Final = "CBDD_INCIDENT_DB"
"""Names the database file that a test is to judge."""
TIMEOUT_SECONDS: Final = 3600.0
_PYTEST_FAILED: Final = 1
_SHOWN: Final = 50


class Outcome:
    """What came of running tests."""

    def __init__(self, state: str, run: SuiteRun, detail: str, seconds: float) -> None:
        self.state = state
        self.run = run
        self.detail = detail
        self.seconds = seconds

    def to_dict(self) -> dict[str, Any]:
        """The outcome for JSON."""
        return {
            "outcome": self.state,
            "passed": self.run.passed,
            "failed": len(self.run.failed),
            "skipped": self.run.skipped,
            "failing": [each.name for each in self.run.failed[:_SHOWN]],
            "detail": self.detail,
            "seconds": round(self.seconds, 1),
        }


class Regression:
    """A test: a file with its content, or names in a checkout."""

    def __init__(self, name: str, source: bytes = b"", tests: Sequence[str] = ()) -> None:
        self.name = name
        self.source = source
        self.tests = list(tests)

    @property
    def sha256(self) -> str:
        """Tells whether it is the same test that failed before and passes now."""
        told = self.source or "\n".join(sorted(self.tests)).encode()
        return hashlib.sha256(told).hexdigest()

    def run(
        self,
        environment: Environment | None = None,
        folder: str | Path | None = None,
        database: str = "",
    ) -> Outcome:
        """Run it.

        :param environment: with the release to judge; this installation when there is none.
        :param folder: the checkout, for tests by their names.
        :param database: a database file for it to judge.
        """
        variables = {FILE_VARIABLE: database} if database else {}
        if not self.source:
            return run_tests(self.tests, environment, folder, variables)
        with tempfile.TemporaryDirectory(prefix="cbdd-test-") as scratch:
            path = Path(scratch) / self.name
            path.write_bytes(self.source)
            return run_tests([self.name], environment, scratch, variables)


def regression_from(path: str) -> Regression:
    """A test of somebody's own: a file, or a name in the working folder.

    :raises UsageError: TEST_NOT_FOUND.
    """
    file, separator, _ = path.partition("::")
    if not os.path.isfile(file):
        raise UsageError("TEST_NOT_FOUND", f"there is no file {file}", "name a test file")
    if separator:
        return Regression(os.path.basename(file), tests=[path])
    with open(file, "rb") as opened:
        return Regression(os.path.basename(file), opened.read())


def run_tests(
    arguments: Sequence[str],
    environment: Environment | None = None,
    folder: str | Path | None = None,
    variables: dict[str, str] | None = None,
) -> Outcome:
    """Run pytest and read what it says of each test.

    :param arguments: tests or options of pytest.
    """
    with tempfile.TemporaryDirectory(prefix="cbdd-run-") as scratch:
        junit = os.path.join(scratch, "junit.xml")
        options = ["-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={junit}"]
        where = Path(folder) if folder is not None else None
        if environment is None:
            command = [sys.executable, "-m", "pytest", *options, *arguments]
            found = {**plain_variables(), **(variables or {})}
            done = run_command(command, where, found, TIMEOUT_SECONDS)
        else:
            command = ["python", "-m", "pytest", *options, *arguments]
            done = environment.run(command, where, TIMEOUT_SECONDS, variables)
        run = read_junit(junit) if os.path.exists(junit) else SuiteRun()
    return Outcome(_judged(done.exit_code, run), run, done.last_line, done.seconds)


def _judged(exit_code: int, run: SuiteRun) -> str:
    if exit_code == _PYTEST_FAILED and run.failed and not _is_collection(run.failed):
        return FAILED
    if exit_code == 0 and run.passed:
        return PASSED
    return BROKEN


def _is_collection(failed: Sequence[FailedTest]) -> bool:
    """Whether nothing ran because tests could not be collected."""
    return all("::" not in each.name or each.name.endswith("::") for each in failed)
