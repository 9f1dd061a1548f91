"""Wheels with a planted defect and the consumers of examples/: exactly what breaks is told.

The slow way, as a maintainer would do it: wheels are built, environments are made, and the
consumers' own tests run in them, the service with its worker processes too. Tests that kill
something are left out, as they take the longest; tests/examples runs them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.wheels import build_wheel

pytestmark = pytest.mark.xdist_group("consumers_system")  # one fixture for all of them

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "consumers"
FOLDERS = {"orders-service": "orders_service", "daily-measurements": "daily_measurements"}
NO_LONGER_UNIQUE = {
    "src/cbdd/catalog/writer.py": (
        "if not txn.insert(definition.tree_id, keys.keys[at], value):",
        "if txn.put(definition.tree_id, keys.keys[at], value) is not None:",
    )
}
CAUGHT_BY = {
    "orders-service": [
        "tests.test_app::test_the_same_order_twice_is_a_conflict",
        "tests.test_service::test_a_number_is_taken_once_whichever_worker_is_asked",
        "tests.test_store::test_a_number_is_taken_once",
    ],
    "daily-measurements": ["tests.test_store::test_no_second_document_gets_past_the_index"],
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good release, one whose unique indexes refuse nothing, and one that has the fix."""
    folder = tmp_path_factory.mktemp("wheels")
    return {
        "good": build_wheel(folder, "5.0.0"),
        "broken": build_wheel(folder, "5.1.0", NO_LONGER_UNIQUE),
        "fixed": build_wheel(folder, "5.1.1"),
    }


@pytest.fixture
def consumers(tmp_path: Path) -> Path:
    """A file that names the consumers of examples/."""
    path = tmp_path / "consumers.toml"
    path.write_text(
        "".join(
            f"[[consumer]]\nname = '{name}'\npath = '{EXAMPLES / folder}'\n"
            "command = \"python -m pytest -k 'not killed'\"\n"
            for name, folder in FOLDERS.items()
        )
    )
    return path


def run(exit_code: int, consumers: Path, old: Path, new: Path, *options: str) -> dict[str, Any]:
    """Run the command in a process of its own and read its report."""
    command = [sys.executable, "-m", "cbdd.cli", "consumers", "run", "--offline", "--json"]
    command += ["--old", str(old), "--new", str(new), "--consumers", str(consumers), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def told(report: dict[str, Any], kind: str) -> dict[str, list[str]]:
    """The tests with one kind of difference, by consumer; there must be no other kind."""
    found: dict[str, list[str]] = {}
    for consumer in report["consumers"]:
        assert {each["kind"] for each in consumer["differences"]} == {kind}, consumer
        assert not consumer["same_failures"]
        found[consumer["name"]] = [each["test"] for each in consumer["differences"]]
    return found


def test_a_defect_is_caught_by_the_tests_that_depend_on_what_it_breaks(
    wheels: dict[str, Path], consumers: Path
) -> None:
    report = run(6, consumers, wheels["good"], wheels["broken"], "--jobs", "2")
    assert told(report, "regressed") == CAUGHT_BY
    assert [report[side]["version"] for side in ("old", "new")] == ["5.0.0", "5.1.0"]


def test_a_fixed_release_is_seen_to_repair_its_consumers(
    wheels: dict[str, Path], consumers: Path
) -> None:
    name = "daily-measurements"
    report = run(7, consumers, wheels["broken"], wheels["fixed"], "--only", name)
    assert told(report, "repaired") == {name: CAUGHT_BY[name]}
    assert report["consumers"][0]["new_counts"] == {"passed": 15}
