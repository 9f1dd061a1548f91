"""One consumer with one wheel of CBDD: an environment, a copy of its folder, its tests, outcomes.

The consumer's own folder is only read: it is copied for its package to be built, which is done once
for both wheels, and copied anew for each run of its tests. Whatever goes wrong on the way is an
outcome of the run as a whole, since a release that cannot be installed beside a consumer, or makes
its tests hang, is a finding like a test that fails.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cbdd.errors import UsageError
from cbdd.ops.consumers.definition import JUNIT, Consumer
from cbdd.ops.consumers.junit import read_junit
from cbdd.ops.consumers.outcome import (
    CRASHED,
    FAILED,
    NOT_INSTALLED,
    PASSED,
    TIMED_OUT,
    Outcome,
    Trial,
)
from cbdd.ops.environments import Environment, Source, build_environment, run_pip
from cbdd.ops.processes import Completed, Stop
from cbdd.ops.wheels import Wheel, read_wheel

NOT_COPIED: Final = (
    *(".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "node_modules", "build", "dist"),
    *("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "*.egg-info", ".coverage"),
)


class NotInstalledError(Exception):
    """The consumer cannot be installed; says why."""


def build_package(consumer: Consumer, scratch: Path, source: Source, stop: Stop) -> Path:
    """The wheel of a consumer, built from a copy of its folder where it is one.

    :raises NotInstalledError: it cannot be built.
    """
    if consumer.is_wheel:
        return consumer.path
    copy, built = scratch / "package", scratch / "built"
    try:
        _copy(consumer.path, copy)
        arguments = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(copy)]
        if source.offline:  # its build backend is the running interpreter's
            arguments[1:1] = ["--no-build-isolation", "--no-index"]
        run_pip(arguments, source, stop)
        [wheel] = built.glob("*.whl")
    except UsageError as error:
        raise NotInstalledError(f"its package cannot be built: {error.message}") from error
    except (OSError, shutil.Error) as error:
        raise NotInstalledError(f"its folder cannot be copied: {error}") from error
    return wheel


class Bench:
    """A consumer installed beside one wheel of CBDD, on which its tests are run, maybe again."""

    def __init__(self, consumer: Consumer, environment: Environment, scratch: Path) -> None:
        self.consumer = consumer
        self.environment = environment
        self.scratch = scratch
        self.runs = 0

    def run(self, stop: Stop) -> Trial:
        """Run the consumer's tests, in a new copy of its folder."""
        self.runs += 1
        copy = self.scratch / f"run-{self.runs}" / self.consumer.name
        junit = self.scratch / f"junit-{self.runs}.xml"
        try:
            _copy(self.consumer.tests_folder, copy)
        except (OSError, shutil.Error) as error:
            return Trial(Outcome(NOT_INSTALLED, f"its folder cannot be copied: {error}"))
        command = command_of(self.consumer, junit)
        try:
            done = self.environment.run(command, copy, self.consumer.timeout_seconds, stop=stop)
        except UsageError as error:
            return Trial(Outcome(FAILED, error.message))
        return judge(done, junit if has_report(self.consumer) else None)


def set_up(
    consumer: Consumer,
    package: Path,
    wheel: Wheel,
    scratch: Path,
    source: Source,
    stop: Stop,
) -> Bench:
    """Install a consumer beside a wheel.

    :raises NotInstalledError: they cannot be installed together.
    """
    scratch.mkdir()
    try:
        requirements: list[str | Path] = [
            wheel.path,
            read_wheel(package).path,
            *consumer.requirements,
        ]
        environment = build_environment(scratch / "env", requirements, source, stop)
    except UsageError as error:
        # The same failure with another wheel is the same failure.
        raise NotInstalledError(error.message.replace(wheel.path.name, "cbdd.whl")) from error
    return Bench(consumer, environment, scratch)


def has_report(consumer: Consumer) -> bool:
    """Whether its command writes a test report."""
    return any(JUNIT in each for each in consumer.command) or _is_pytest(consumer.command)


def command_of(consumer: Consumer, junit: Path) -> list[str]:
    """The consumer's command with the place of its test report."""
    if any(JUNIT in each for each in consumer.command):
        return [each.replace(JUNIT, str(junit)) for each in consumer.command]
    if not _is_pytest(consumer.command):
        return list(consumer.command)
    return [*consumer.command, f"--junitxml={junit}"]


def _is_pytest(command: Sequence[str]) -> bool:
    return any(Path(each).name in ("pytest", "py.test") for each in command)


def judge(done: Completed, junit: Path | None) -> Trial:
    """Outcomes of a run.

    :param junit: where its test report should be; None where it writes none.
    """
    tests: dict[str, Outcome] = {}
    unread = ""
    if junit is not None:
        try:
            tests = read_junit(junit)
        except FileNotFoundError:
            unread = "no test report was written"
        except (ValueError, OSError) as error:
            unread = f"the test report cannot be read: {error}"
    return Trial(_whole(done, unread, any(each.is_bad for each in tests.values())), tests)


def _whole(done: Completed, unread: str, is_explained: bool) -> Outcome:
    """How the run ended, where the tests do not say it all."""
    says = f": {done.last_line}" if done.last_line else ""
    if done.is_timed_out:
        return Outcome(TIMED_OUT, f"its tests were still running when their time was over{says}")
    if done.signal_name:
        return Outcome(CRASHED, f"{done.signal_name}{says}\n{done.output[-2000:]}")
    if unread:
        return Outcome(
            FAILED, f"{unread} (exit code {done.exit_code}){says}\n{done.output[-2000:]}"
        )
    if done.exit_code != 0 and not is_explained:
        return Outcome(FAILED, f"exit code {done.exit_code}{says}\n{done.output[-2000:]}")
    return Outcome(PASSED)


def _copy(folder: Path, to: Path) -> None:
    """Copy a folder without what does not belong to its sources; links become what they lead to."""
    ignore: Callable[[str, list[str]], set[str]] = shutil.ignore_patterns(*NOT_COPIED)
    shutil.copytree(folder, to, ignore=ignore, ignore_dangling_symlinks=True)
