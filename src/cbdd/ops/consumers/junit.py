"""Test reports in JUnit's XML, which pytest writes and continuous integration reads.

What is read comes from outside: entities and document types are refused, the size has a limit, and
what is no report is a `ValueError` that says so.

What is written has a test suite for each consumer and a test case for each difference; a consumer
without one has a single case that passed. Regressed tests and other failures are failures, flaky
and vanished ones are skipped.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from cbdd.ops.consumers.comparison import FLAKY, KINDS, OTHER_FAILURE, REGRESSED, VANISHED
from cbdd.ops.consumers.outcome import ERROR, FAILED, PASSED, SKIPPED, Outcome, worst

if TYPE_CHECKING:
    from cbdd.ops.consumers.comparison import Difference
    from cbdd.ops.consumers.report import ConsumerReport, Report

MOST_BYTES: Final = 64 << 20
_BY_TAG: Final = {"error": ERROR, "failure": FAILED, "skipped": SKIPPED}
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_junit(path: Path) -> dict[str, Outcome]:
    """The outcome of each test of a report, by its name: ``tests.test_orders::test_total``.

    :raises ValueError: it is no such report.
    :raises OSError: it cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    try:
        root = defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from error
    except DefusedXmlException as error:
        raise ValueError(f"it declares what a test report has no use for: {error}") from error
    if root is None or root.tag not in ("testsuites", "testsuite"):
        raise ValueError(f"its root is {'none' if root is None else root.tag!r}, not 'testsuites'")
    found: dict[str, list[Outcome]] = {}
    for case in root.iter("testcase"):
        found.setdefault(_name_of(case), []).append(_outcome_of(case))
    return {name: worst(outcomes) for name, outcomes in found.items()}


def _name_of(case: ElementTree.Element) -> str:
    group, name = case.get("classname", ""), case.get("name", "")
    return f"{group}::{name}" if group and name else name or group or "a test without a name"


def _outcome_of(case: ElementTree.Element) -> Outcome:
    for tag, status in _BY_TAG.items():
        element = case.find(tag)
        if element is not None:
            return Outcome(status, _message_of(element))
    return Outcome(PASSED)


def _message_of(element: ElementTree.Element) -> str:
    """What failed. For an error outside of a test pytest's message only says where, not what."""
    message = element.get("message", "").strip()
    text = (element.text or "").strip()
    if element.tag == "error" and text:
        lines = [line for line in text.splitlines() if line.startswith("E ")]
        told = lines[-1].removeprefix("E ").strip() if lines else text.splitlines()[-1].strip()
        return f"{told}\n{message}" if told not in message else message
    return message or (text.splitlines()[-1].strip() if text else "")


def write_junit(path: str | Path, report: Report) -> None:
    """Write what differs as a test report."""
    root = ElementTree.Element("testsuites", name="cbdd consumers")
    for each in report.consumers:
        root.append(_suite(each))
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("errors", "0")
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _suite(consumer: ConsumerReport) -> ElementTree.Element:
    cases = [_case(consumer, each) for each in consumer.differences] or [_no_difference(consumer)]
    suite = ElementTree.Element("testsuite", name=_plain(consumer.name), errors="0")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("time", f"{consumer.seconds:.3f}")
    suite.extend(cases)
    return suite


def _no_difference(consumer: ConsumerReport) -> ElementTree.Element:
    return ElementTree.Element(
        "testcase", classname=_plain(consumer.name), name="the same with both wheels", time="0"
    )


def _case(consumer: ConsumerReport, difference: Difference) -> ElementTree.Element:
    group, _, name = difference.test.rpartition("::")
    case = ElementTree.Element("testcase", time="0")
    case.set("classname", _plain(f"{consumer.name}.{group}" if group else consumer.name))
    case.set("name", _plain(name or consumer.name))
    outcome = difference.outcome
    message = f"{difference.kind}: {outcome.line}" if outcome.line else difference.kind
    if difference.kind in (REGRESSED, OTHER_FAILURE):
        failure = ElementTree.SubElement(case, "failure", message=_plain(message))
        failure.set("type", difference.kind)
        failure.text = _plain(f"{KINDS[difference.kind]}\n{outcome.message}")
    elif difference.kind in (FLAKY, VANISHED):
        ElementTree.SubElement(case, "skipped", message=_plain(message))
    return case


def _plain(text: str) -> str:
    """Text without what XML cannot hold."""
    return _NO_XML.sub("\ufffd", text)
