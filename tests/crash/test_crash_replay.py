"""Every crash leaves exactly a prefix of the workload, with all that was acknowledged."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from cbdd.testing import MemoryDisk
from tests.crash.crash_replay import CrashJudge, History, Workload, open_engine

pytestmark = [pytest.mark.crash, pytest.mark.recovery]
SCALE = int(os.environ.get("CBDD_CRASH_SCALE", "1"))


def run(seed: int, steps: int, torn: int, durability: str) -> int:
    disk = MemoryDisk()
    history = History()
    engine = open_engine(disk, seed)
    judge = CrashJudge(history, seed, torn)
    disk.listener = judge
    workload = Workload(engine, history, seed)
    for number in range(steps):
        wanted = durability
        if durability == "mixed":
            wanted = "full" if workload.source.random() < 0.5 else "normal"
        workload.step(wanted)
        if number % 17 == 16:
            engine.checkpoint()
            history.durable = history.acknowledged
    engine.close()
    history.durable = history.acknowledged
    print(f"seed {seed}: {judge.states} crash states over {judge.calls} calls")
    return judge.states


@pytest.mark.parametrize("seed", range(1, 9))
def test_acknowledged_commits_survive_every_crash(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    states = run(seed, 60 * SCALE, 2, "full")
    record_property("crash_states", states)
    assert states > 2000


@pytest.mark.parametrize("seed", range(101, 105))
def test_normal_commits_survive_the_death_of_the_process(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    states = run(seed, 60 * SCALE, 2, "mixed")
    record_property("crash_states", states)
    assert states > 2000
