"""Every consumer with the old and with the new wheel, some at the same time.

Concurrency: each consumer is one job of a pool of threads, which mostly wait for processes. When
anything stops the run, e.g. Ctrl-C, the processes of all jobs are killed and waited for.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from cbdd.ops.consumers.comparison import compare
from cbdd.ops.consumers.definition import Consumer
from cbdd.ops.consumers.outcome import NOT_INSTALLED, Outcome, Trial
from cbdd.ops.consumers.report import ConsumerReport, Report
from cbdd.ops.consumers.trial import Bench, NotInstalledError, build_package, set_up
from cbdd.ops.environments import Source
from cbdd.ops.processes import Stop
from cbdd.ops.wheels import OURS, Wheel, read_wheel
from cbdd.storage import Clock

Progress = Callable[[str, int, int], None]


def run(
    old_wheel: str | Path,
    new_wheel: str | Path,
    consumers: Sequence[Consumer],
    source: Source | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Run every consumer's own tests with both wheels and say what differs.

    :param source: where packages come from; default: what pip is configured for.
    :param jobs: so many consumers at the same time.
    :param progress: called with what is being done, the steps that are done, and all of them.
    :raises UsageError: ``WHEEL_INVALID``. What goes wrong with a consumer is in the report.
    """
    wheels = (read_wheel(old_wheel, OURS), read_wheel(new_wheel, OURS))
    started, started_us = time.perf_counter(), Clock().now_us()
    with tempfile.TemporaryDirectory(prefix="cbdd-consumers-") as scratch:
        everything = _Run(wheels, source or Source(), Path(scratch), len(consumers), progress)
        found = everything.all(consumers, jobs)
    seconds = time.perf_counter() - started
    return Report(wheels[0].to_dict(), wheels[1].to_dict(), found, started_us, seconds)


_LOOK_SECONDS: Final = 0.2
"""A signal may interrupt another thread than this one, which has to look to see it."""


class _Steps:
    """How far the run is; each consumer is one step with each wheel."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._lock = threading.Lock()
        self._total = total
        self._done = 0
        self._progress = progress

    def begin(self, what: str) -> None:
        self._show(what, 0)

    def end(self, what: str) -> None:
        self._show(what, 1)

    def _show(self, what: str, done: int) -> None:
        with self._lock:
            self._done += done
            if self._progress is not None:
                self._progress(what, self._done, self._total)


class _Run:
    def __init__(
        self,
        wheels: tuple[Wheel, Wheel],
        source: Source,
        scratch: Path,
        count: int,
        progress: Progress | None,
    ) -> None:
        self.wheels = wheels
        self.source = source
        self.scratch = scratch
        self.steps = _Steps(2 * count, progress)
        self.stop = Stop()

    def all(self, consumers: Sequence[Consumer], jobs: int) -> list[ConsumerReport]:
        with ThreadPoolExecutor(max_workers=max(jobs, 1), thread_name_prefix="consumer") as pool:
            futures = [pool.submit(self.one, each) for each in consumers]
            try:
                pending: set[Future[ConsumerReport]] = set(futures)
                while pending:
                    ended = wait(pending, _LOOK_SECONDS, FIRST_EXCEPTION)
                    for each in ended.done:
                        each.result()  # raises what it raised, while others may still run
                    pending = ended.not_done
                return [each.result() for each in futures]
            except BaseException:
                for each in futures:
                    each.cancel()
                self.stop.set()
                raise

    def one(self, consumer: Consumer) -> ConsumerReport:
        """One consumer with both wheels; what differs is run once more."""
        started = time.perf_counter()
        scratch = self.scratch / consumer.name
        scratch.mkdir()
        benches: list[Bench] = []
        trials: list[list[Trial]] = []
        package = self._package(consumer, scratch)
        for side, wheel in zip(("old", "new"), self.wheels, strict=True):
            what = f"{consumer.name} with {wheel.version}"
            self.steps.begin(what)
            trials.append([self._trial(consumer, package, wheel, scratch / side, benches)])
            self.steps.end(what)
        old, new = trials
        if compare(old, new) and len(benches) == len(self.wheels):
            self.steps.begin(f"{consumer.name}: what differs, once more")
            for bench, runs in zip(benches, trials, strict=True):
                runs.append(bench.run(self.stop))
        shutil.rmtree(scratch, ignore_errors=True)
        return summarize(consumer.name, old, new, time.perf_counter() - started)

    def _package(self, consumer: Consumer, scratch: Path) -> Path | NotInstalledError:
        self.steps.begin(f"{consumer.name}: building its package")
        try:
            return build_package(consumer, scratch, self.source, self.stop)
        except NotInstalledError as error:
            return error

    def _trial(
        self,
        consumer: Consumer,
        package: Path | NotInstalledError,
        wheel: Wheel,
        scratch: Path,
        benches: list[Bench],
    ) -> Trial:
        try:
            if isinstance(package, NotInstalledError):
                raise package
            bench = set_up(consumer, package, wheel, scratch, self.source, self.stop)
        except NotInstalledError as error:
            return Trial(Outcome(NOT_INSTALLED, str(error)))
        benches.append(bench)
        return bench.run(self.stop)


def summarize(
    name: str, old: Sequence[Trial], new: Sequence[Trial], seconds: float
) -> ConsumerReport:
    """What the runs of one consumer with both wheels say."""
    differences = compare(old, new)
    told = {each.test for each in differences}
    same = [
        test
        for test, outcome in old[0].tests.items()
        if outcome.is_bad
        and test not in told
        and test in new[0].tests
        and new[0].tests[test].is_bad
    ]
    message = ""
    if old[0].whole.is_bad and "" not in told:
        same.insert(0, "")
        message = old[0].whole.line
    return ConsumerReport(
        name, differences, same, old[0].counts(), new[0].counts(), seconds, message
    )
