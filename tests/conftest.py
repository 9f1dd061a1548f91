"""Settings for the whole suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from cbdd.build_info import build_kind
from cbdd.ops.incident.from_tests import AREA_PROPERTY
from cbdd.ops.incident.severity import AREAS, area_of
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


MARKED_FOLDERS = {
    "tests/unit/index/": "index",
    "tests/unit/catalog/": "index",
    "tests/unit/query/": "query",
    "tests/unit/expression/": "query",
    "tests/unit/document/": "query",
    "tests/property/test_index": "index",
    "tests/property/test_key": "index",
    "tests/compat/": "query",
    "tests/unit/storage/test_recovery": "recovery",
    "tests/unit/ops/recovery/": "recovery",
    "tests/unit/ops/backup/": "recovery",
    "tests/unit/storage/test_wal": "wal",
    "tests/unit/storage/test_frame": "wal",
    "tests/unit/storage/test_archive": "wal",
    "tests/unit/storage/test_follow": "wal",
}
"""Tests that belong to an area by where they are, so that `pytest -m AREA` runs all of it."""


def mark_areas(items: list[pytest.Item]) -> None:
    """Give each test the marker of its area, and tell the area in a JUnit report."""
    for item in items:
        for folder, marker in MARKED_FOLDERS.items():
            if item.nodeid.startswith(folder):
                item.add_marker(marker)
        marked = [name for name in AREAS if item.get_closest_marker(name)]
        area = marked[0] if marked else area_of(item.nodeid)
        item.user_properties.append((AREA_PROPERTY, area))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_areas(items)
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
