"""Settings for the whole suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from cbdd.build_info import build_kind
from cbdd.query.planner import is_planner_on, switch_planner

settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "thorough", settings.get_profile("default"), derandomize=False, max_examples=2000
)
settings.load_profile(os.environ.get("CBDD_HYPOTHESIS_PROFILE", "default"))


def pytest_report_header() -> str:
    planner = "on" if is_planner_on() else "off: every query without a hint is a scan"
    return f"cbdd: {build_kind()}, planner: {planner}"


def pytest_configure() -> None:
    switch_planner(not os.environ.get("CBDD_TEST_PLANNER_OFF"))
    if os.environ.get("CBDD_REQUIRE_COMPILED") and build_kind() != "compiled":
        raise pytest.UsageError("these tests must run against the compiled build")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not is_planner_on():
        plans = pytest.mark.skip(reason="looks at plans or at what they cost")
        for item in items:
            if item.get_closest_marker("plan"):
                item.add_marker(plans)
    if os.environ.get("CBDD_SOAK"):
        return
    skip = pytest.mark.skip(reason="minutes long; run `make soak`")
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many crash states and query cases the run has checked."""
    for counted in ("crash_states", "query_cases"):
        total = sum(
            value
            for reports in terminalreporter.stats.values()
            for report in reports
            if getattr(report, "when", "") == "call"
            for name, value in report.user_properties
            if name == counted
        )
        if total:
            terminalreporter.write_line(f"{counted.replace('_', ' ')} checked: {total}")
