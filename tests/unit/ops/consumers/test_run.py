"""Consumers with an old and a new wheel: what differs is found, and nothing else is told."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cbdd.errors import UsageError
from cbdd.ops.consumers import Consumer, Report, run, trial
from cbdd.ops.environments import Environment, Source, build_environment
from tests.unit.ops.small_wheels import small_wheel

TESTS = """
import os, sys
from pathlib import Path
from typing import Any
import pytest
from cbdd.storage.version import VERSION
import shop

pytestmark = pytest.mark.xdist_group("consumers_run")  # one fixture for all of them

OLD = VERSION == "1.0.0"

def test_same(): assert shop.__file__
def test_bad_with_both(): assert 1 == 2, "as ever"
def test_regressed(): assert OLD, "not any more"
def test_repaired(): assert not OLD, "not yet"
def test_other(): assert False, "before" if OLD else "after"
def test_vanished():
    if not OLD: pytest.skip("no such feature")
def test_flaky():
    runs = Path({state!r}, f"runs-{{VERSION}}")
    runs.open("a").write("x")
    assert len(runs.read_text()) == 2, "the first time it fails"
if not OLD:
    def test_new(): pass
"""
CRASH = "import os; from cbdd.storage.version import VERSION as v; v == '2.0.0' and os.abort()"


@pytest.fixture(scope="module")
def shown() -> list[tuple[str, int, int]]:
    """What the progress of the run was."""
    return []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, shown: list[tuple[str, int, int]]) -> Report:
    """A run of three consumers; those with the same wheel share an environment, to be quick."""
    folder = tmp_path_factory.mktemp("run")
    tests = folder / "tests"
    tests.mkdir()
    (tests / "test_shop.py").write_text(TESTS.format(state=str(folder)))
    shop = small_wheel(folder, "5.0.0", name="shop", requires=["cbdd"])
    consumers = [
        Consumer("shop", shop, requirements=["pytest>=8"], tests=tests),
        Consumer("daemon", shop, ["python", "-c", CRASH], tests=tests),
        Consumer("stuck", shop, requirements=["no such package"], tests=tests),
    ]
    wheels = [small_wheel(folder, version) for version in ("1.0.0", "2.0.0")]

    def progress(what: str, done: int, total: int) -> None:
        shown.append((what, done, total))

    built: dict[Path, Environment] = {}
    lock = threading.Lock()

    def build(place: Path, requirements: list[str | Path], *rest: Any) -> Environment:
        wheel = Path(requirements[0])
        with lock:
            if wheel not in built or "no such package" in requirements:
                kept = folder / wheel.stem if wheel not in built else place
                built[wheel] = build_environment(kept, [*requirements, "pytest>=8"], *rest)
            return built[wheel]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "build_environment", build)
        return run(*wheels, consumers, Source(offline=True), jobs=2, progress=progress)


def test_every_kind_of_difference_is_found(report: Report) -> None:
    shop = report.consumers[0]
    assert [(each.kind, each.test, each.outcome.line) for each in shop.differences] == [
        ("regressed", "test_shop::test_regressed", "AssertionError: not any more"),
        ("other failure", "test_shop::test_other", "AssertionError: after"),
        ("flaky", "test_shop::test_flaky", "AssertionError: the first time it fails"),
        ("vanished", "test_shop::test_vanished", ""),
        ("new", "test_shop::test_new", ""),
        ("repaired", "test_shop::test_repaired", "AssertionError: not yet"),
    ]
    assert shop.same_failures == ["test_shop::test_bad_with_both"]
    assert shop.old_counts == {"passed": 3, "failed": 4}


def test_a_crash_with_the_new_wheel_is_a_regression(report: Report) -> None:
    [difference] = report.consumers[1].differences
    assert (difference.test, difference.kind) == ("", "regressed")
    assert [each.status for each in difference.old] == ["passed", "passed"]
    assert [each.status for each in difference.new] == ["crashed", "crashed"]


def test_a_consumer_that_cannot_be_installed_with_either_is_no_difference(report: Report) -> None:
    stuck = report.consumers[2]
    assert stuck.differences == []
    assert stuck.same_failures == [""]
    assert "'no such package' is no requirement" in stuck.same_message
    assert stuck.new_counts == {"not installed": 1}


def test_the_report_names_both_wheels_and_survives_saving(report: Report) -> None:
    assert (report.old["version"], report.new["version"]) == ("1.0.0", "2.0.0")
    assert report.verdict == "regressed"
    assert Report.from_dict(report.to_dict()).to_dict() == report.to_dict()


def test_progress_reaches_its_end(report: Report, shown: list[tuple[str, int, int]]) -> None:
    assert report.consumers
    assert {total for _, _, total in shown} == {6}
    assert max(done for _, done, _ in shown) == 6
    assert "shop: what differs, once more" in [what for what, _, _ in shown]


def test_a_wheel_that_is_none_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    wheel = small_wheel(tmp_path, name="other")
    with pytest.raises(UsageError, match="another package"):
        run(wheel, wheel, [])


def test_what_stops_the_run_ends_the_commands_of_all_consumers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One consumer waits for ever; a second is stopped when the first is known to run."""
    running = Environment(Path(sys.prefix), [])
    monkeypatch.setattr(trial, "build_environment", lambda *_: running)
    wheels = [small_wheel(tmp_path, version) for version in ("1.0.0", "2.0.0")]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "tests").mkdir()

    class StopError(Exception):
        pass

    def progress(what: str, done: int, _total: int) -> None:
        if what.startswith("second with") and done:
            raise StopError

    shop = small_wheel(tmp_path, name="shop")
    commands = {"first": f"echo > {pipe}; sleep 600", "second": f"cat {pipe}"}
    consumers = [
        Consumer(name, shop, ["sh", "-c", command], tests=tmp_path / "tests")
        for name, command in commands.items()
    ]
    threads = threading.active_count()
    with pytest.raises(StopError):
        run(*wheels, consumers, Source(offline=True), jobs=2, progress=progress)
    assert threading.active_count() == threads
