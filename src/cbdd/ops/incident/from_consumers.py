"""Signals from a report of `cbdd consumers run`, and whether consumers have recovered.

What regressed with one release has one cause, unless errors of CBDD with different codes tell of
several.
"""

from __future__ import annotations

from typing import Any, Final

from cbdd.ops.consumers.comparison import OTHER_FAILURE, REGRESSED, VANISHED, Difference
from cbdd.ops.consumers.report import NOT_JUDGED, Report
from cbdd.ops.incident.from_error import code_in
from cbdd.ops.incident.record import Context, FirstFailure, Incident, Signal

KIND: Final = "consumers"
AREA: Final = "consumer"
TESTS: Final = "consumer_tests"
"""The fact of a signal that lists pairs of consumer and test; an empty test is the whole run."""
_MOST_TESTS: Final = 200
_HASH_DIGITS: Final = 16


def signals_from_consumers(report: Report) -> list[Signal]:
    """A signal for each cause; none when nothing regressed."""
    causes: dict[str, list[tuple[str, Difference]]] = {}
    for name, difference in report.regressed():
        causes.setdefault(code_in(difference.outcome.line), []).append((name, difference))
    return [_signal(code, found, report) for code, found in causes.items()]


def _signal(code: str, found: list[tuple[str, Difference]], report: Report) -> Signal:
    release = f"{report.new['version']}:{report.new['sha256'][:_HASH_DIGITS]}"
    names = sorted({name for name, _ in found})
    tests = [[name, difference.test] for name, difference in found][:_MOST_TESTS]
    shown = f"{code}: " if code else ""
    plural = "s" if len(found) > 1 else ""
    return Signal(
        kind=KIND,
        title=f"{shown}{len(found)} test{plural} of {', '.join(names)} fail with "
        f"cbdd {report.new['version']}",
        keys=[
            f"release:{release}:{code or 'tests'}",
            *(f"consumer:{release}:{name}:{test}" for name, test in tests),
        ],
        codes=[[code, ""]] if code else [],
        areas=[AREA],
        context=Context(
            cbdd=report.new["version"],
            wheel_sha256=report.new["sha256"],
            operation=f"{tests[0][0]}: {tests[0][1] or 'the whole run'}",
        ),
        first_failure=FirstFailure(report.started_us, 0, "the run of the consumers' tests"),
        facts={
            TESTS: tests,
            "consumers": names,
            "old": report.old,
            "new": report.new,
        },
    )


def recovery_of(incident: Incident, report: Report) -> dict[str, Any]:
    """Whether the consumers of an incident have recovered with the new wheel of a report.

    They have when each test that an incident's signal names ran again and does not fail, nothing
    else has regressed, and every consumer could be run. ``unseen`` are consumers, and tests of
    theirs, that did not run with the new wheel.
    """
    wanted = {
        (str(name), str(test))
        for each in incident.signals
        for name, test in each.facts.get(TESTS, [])
    }
    failing: set[tuple[str, str]] = set()
    unseen = {name for name, _ in wanted} - {consumer.name for consumer in report.consumers}
    for consumer in report.consumers:
        affected = any(name == consumer.name for name, _ in wanted)
        failing |= {(consumer.name, test) for test in consumer.same_failures}
        if consumer.verdict == NOT_JUDGED or ("" in consumer.same_failures and affected):
            unseen.add(consumer.name)
        for each in consumer.differences:
            test = (consumer.name, each.test)
            if each.kind in (REGRESSED, OTHER_FAILURE) or _fails(each):
                failing.add(test)
            elif each.kind == VANISHED and test in wanted:
                unseen.add(f"{consumer.name}: {each.test}")
    new = {
        (consumer.name, each.test)
        for consumer in report.consumers
        for each in consumer.differences
        if each.kind in (REGRESSED, OTHER_FAILURE)
    }
    regressed = sorted(f"{name}: {test}" for name, test in new - wanted)
    still = sorted(f"{name}: {test}" for name, test in wanted & failing)
    return {
        "old": report.old,
        "new": report.new,
        "still_failing": still,
        "regressed": regressed,
        "unseen": sorted(unseen),
        "recovered": bool(report.consumers) and not (still or regressed or unseen),
    }


def _fails(difference: Difference) -> bool:
    """Whether the test failed in some run with the new wheel."""
    return any(each.is_bad for each in difference.new)
