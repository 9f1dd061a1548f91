"""Signals from the JUnit XML of a test run: one for each cause that its failures have.

Failures with the same error of CBDD are of one cause; so are others of one area, by the marker that
the suite writes beside each test, else by its name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from cbdd.errors import UsageError
from cbdd.ops.incident.from_error import code_in
from cbdd.ops.incident.record import Context, FirstFailure, Signal
from cbdd.ops.incident.severity import area_of

KIND: Final = "tests"
AREA_PROPERTY: Final = "area"
MAX_FILE_BYTES: Final = 64 << 20
_MOST_TESTS: Final = 200


@dataclass
class FailedTest:
    """A test that failed: its name as pytest takes it, its area, the code of its error if any."""

    name: str
    area: str
    code: str = ""
    raised: str = ""


@dataclass
class SuiteRun:
    """What a JUnit file says."""

    passed: int = 0
    skipped: int = 0
    failed: list[FailedTest] = field(default_factory=list)
    began_us: int = 0

    @property
    def count(self) -> int:
        """All tests but those that were skipped."""
        return self.passed + len(self.failed)


def read_junit(path: str) -> SuiteRun:
    """Read a JUnit file, which is not trusted: no entities, and only so large.

    :raises UsageError: SIGNAL_INVALID, it is none.
    """
    root = parse_xml(path)
    run = SuiteRun()
    for suite in root.iter("testsuite"):
        began = _time_us(suite.get("timestamp", ""))
        run.began_us = min(filter(None, (run.began_us, began)), default=0)
    for case in root.iter("testcase"):
        failure = next((each for each in case if each.tag in ("failure", "error")), None)
        if failure is not None:
            run.failed.append(_failed(case, failure))
        elif case.find("skipped") is not None:
            run.skipped += 1
        else:
            run.passed += 1
    return run


def parse_xml(path: str) -> Element:
    """Parse an XML file that somebody else has written.

    :raises UsageError: SIGNAL_INVALID; or the library for it is not installed.
    """
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import parse
    except ImportError as error:
        raise UsageError(
            "EXTRA_MISSING",
            "reading JUnit XML needs the package defusedxml",
            'pip install "cbdd[incident]"',
        ) from error
    try:
        if os.stat(path).st_size > MAX_FILE_BYTES:
            raise _invalid(path, f"it is larger than {MAX_FILE_BYTES:,} bytes")
        root: Element | None = parse(path, forbid_dtd=True).getroot()
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise _invalid(path, str(error)) from error
    if root is None or root.tag not in ("testsuites", "testsuite"):
        raise _invalid(path, "it is not the report of a test run")
    return root


def _invalid(path: str, what: str) -> UsageError:
    return UsageError(
        "SIGNAL_INVALID",
        f"{path} is no JUnit XML: {what}",
        "name the file that pytest --junitxml wrote",
        {"path": path},
    )


def signals_from_junit(path: str) -> list[Signal]:
    """A signal for each cause; none when nothing failed.

    :raises UsageError: SIGNAL_INVALID.
    """
    run = read_junit(path)
    causes: dict[str, list[FailedTest]] = {}
    for each in run.failed:
        causes.setdefault(each.code or f"area {each.area or 'unknown'}", []).append(each)
    return [_signal(cause, tests, run) for cause, tests in causes.items()]


def _signal(cause: str, tests: list[FailedTest], run: SuiteRun) -> Signal:
    codes = sorted({each.code for each in tests if each.code})
    first = tests[0].name.rsplit("::", 1)[-1]
    more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
    shown = f"{codes[0]}: " if codes else ""
    return Signal(
        kind=KIND,
        title=f"{shown}{first} fails{more}",
        keys=[f"tests:{cause}", *(f"test:{each.name}" for each in tests[:_MOST_TESTS])],
        codes=[[code, ""] for code in codes],
        areas=sorted({each.area for each in tests}),
        context=Context(operation=f"test {tests[0].name}"),
        first_failure=FirstFailure(run.began_us, 0, "the test run" if run.began_us else ""),
        facts={
            "tests": [each.name for each in tests[:_MOST_TESTS]],
            "failed": len(run.failed),
            "passed": run.passed,
            "errors": sorted({each.raised for each in tests if each.raised}),
        },
    )


def _failed(case: Element, failure: Element) -> FailedTest:
    name = test_id(case)
    text = f"{failure.get('message', '')}\n{failure.text or ''}"
    code = code_in(text)
    raised = re.findall(
        r"^E?\s*(?:[a-z_]\w*\.)*([A-Z]\w*(?:Error|Exception))\b", text, re.MULTILINE
    )
    named = next(
        (
            each.get("value", "")
            for each in case.iter("property")
            if each.get("name") == AREA_PROPERTY
        ),
        "",
    )
    return FailedTest(name, named or area_of(name), code, raised[-1] if raised else "")


def test_id(case: Element) -> str:
    """The name of a test as pytest takes it: its file where the report has it, else the class."""
    classes = case.get("classname", "")
    name = case.get("name", "")
    file = case.get("file", "")
    if not file:
        parts = classes.split(".")
        at = next((i for i, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
        file = "/".join(parts[: at + 1]) + ".py"
        inner = parts[at + 1 :]
        return "::".join([file, *inner, name])
    return f"{file}::{name}"


def _time_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)
