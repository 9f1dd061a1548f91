"""One run of a consumer's tests: whatever ends it is an outcome, and its folder stays as it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cbdd.ops.consumers.definition import Consumer
from cbdd.ops.consumers.outcome import Trial
from cbdd.ops.consumers.trial import (
    Bench,
    NotInstalledError,
    build_package,
    command_of,
    judge,
    set_up,
)
from cbdd.ops.environments import Environment, Source
from cbdd.ops.processes import Completed, Stop
from cbdd.ops.wheels import read_wheel
from tests.unit.ops.small_wheels import small_wheel

RUNNING = Environment(Path(sys.prefix), [])
"""The environment these tests run in: as good as one that was built, where none need be."""


def consumer(folder: Path, *command: str, **options: float) -> Consumer:
    folder.mkdir(exist_ok=True)
    return Consumer("shop", folder, command or ("python", "-m", "pytest"), **options)


def tried(folder: Path, code: str, **options: float) -> Trial:
    """Run Python code as the consumer's command."""
    found = consumer(folder / "shop", "python", "-c", code, **options)
    return Bench(found, RUNNING, folder).run(Stop())


def test_tests_run_in_a_copy_without_caches_and_history(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for name in (".git", "__pycache__", "build", "src"):
        (folder / name).mkdir(parents=True)
    (folder / "test_it.py").write_text(
        "import os\n"
        "def test_copy():\n"
        "    open('left', 'w').close()\n"
        "    assert sorted(os.listdir()) == ['left', 'src', 'test_it.py'], os.listdir()\n"
    )
    (folder / "nowhere").symlink_to("gone")
    bench = Bench(
        consumer(folder, "python", "-Bm", "pytest", "-p", "no:cacheprovider"), RUNNING, tmp_path
    )
    for _ in range(2):
        trial = bench.run(Stop())
        assert trial.is_good, trial.whole.message
        assert trial.counts() == {"passed": 1}
    assert not (folder / "left").exists()


def test_the_exit_code_is_the_outcome_of_a_command_without_a_report(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    assert tried(tmp_path / "good", "print('fine')").is_good
    whole = tried(tmp_path, "print('one'); raise SystemExit('two')").whole
    assert (whole.status, whole.line) == ("failed", "exit code 1: two")


def test_a_signal_is_a_crash(tmp_path: Path) -> None:
    whole = tried(tmp_path, "import os; print('last', flush=True); os.abort()").whole
    assert (whole.status, whole.line) == ("crashed", "SIGABRT: last")


def test_a_run_that_takes_too_long_is_timed_out(tmp_path: Path) -> None:
    whole = tried(tmp_path, "import signal; signal.pause()", timeout_seconds=0.3).whole
    assert whole.status == "timed out"


def test_a_command_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    found = consumer(tmp_path / "shop", "no-such-command-anywhere")
    whole = Bench(found, RUNNING, tmp_path).run(Stop()).whole
    assert whole.status == "failed"
    assert "cannot be started" in whole.message


def test_pytest_is_given_a_place_for_its_report() -> None:
    place = Path("/x/junit.xml")
    assert command_of(Consumer("a", Path("a")), place)[-1] == "--junitxml=/x/junit.xml"
    own = Consumer("a", Path("a"), ("nox", "--", "--xml={junit}", "-m", "pytest"))
    assert command_of(own, place) == ["nox", "--", "--xml=/x/junit.xml", "-m", "pytest"]
    other = Consumer("a", Path("a"), ("make", "test"))
    assert command_of(other, place) == ["make", "test"]


REPORT = '<testsuite><testcase classname="m" name="t">{}</testcase></testsuite>'
FAILURE = '<failure message="no"/>'


@pytest.mark.parametrize(
    ("report", "exit_code", "status", "line"),
    [
        (REPORT.format(""), 0, "passed", ""),
        (REPORT.format(FAILURE), 1, "passed", ""),  # the test says it
        (REPORT.format(""), 1, "failed", "exit code 1: below the limit"),  # e.g. of coverage
        (REPORT.format(""), -11, "crashed", "SIGSEGV: below the limit"),  # after its tests
        ("<testsuite/>", 5, "failed", "exit code 5: below the limit"),
        ("", 0, "failed", "the test report cannot be read"),
        (None, 0, "failed", "no test report was written (exit code 0): below the limit"),
        (None, 4, "failed", "no test report was written (exit code 4): below the limit"),
        (None, -9, "crashed", "SIGKILL: below the limit"),
    ],
)
def test_the_run_as_a_whole_is_told_where_its_tests_do_not_say_it(
    tmp_path: Path, report: str | None, exit_code: int, status: str, line: str
) -> None:
    path = tmp_path / "junit.xml"
    if report is not None:
        path.write_text(report)
    trial = judge(Completed(exit_code, "below the limit\n", 1.0, False), path)
    assert trial.whole.status == status
    assert trial.whole.line.startswith(line)
    assert bool(line) == (trial.whole.line != "")


def test_a_package_that_cannot_be_built_or_installed_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'no'\n")
    source, stop = Source(offline=True), Stop()
    with pytest.raises(NotInstalledError, match="its package cannot be built.*no"):
        build_package(consumer(folder), tmp_path / "scratch", source, stop)
    assert [path.name for path in folder.iterdir()] == ["pyproject.toml"]
    needs = small_wheel(tmp_path, name="shop", requires=["cbdd>=2"])
    cbdd = read_wheel(small_wheel(tmp_path, "1.0.0"))
    with pytest.raises(NotInstalledError, match="shop needs cbdd>=2, found 1"):
        set_up(Consumer("shop", needs), needs, cbdd, tmp_path / "old", source, stop)
