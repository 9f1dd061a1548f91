"""Every call on the disk fails, once or from then on: nothing acknowledged is lost.

The n-th call of a workload fails with EIO, ENOSPC or EINTR. Whatever the workload raises must be an
error of ours; after the handle is given up as a crash would, the file opens again with a prefix of
the history that contains every acknowledged commit. A full disk must leave the handle usable.
"""

from __future__ import annotations

import errno
import random

import pytest

from cbdd.errors import CbddError, DiskFullError
from cbdd.storage import StorageEngine
from cbdd.storage.engine import _registry
from cbdd.testing import Fault, KilledError, MemoryDisk, MemoryIo
from tests.crash.crash_replay import (
    SEQUENCE_KEY,
    TREE,
    History,
    Workload,
    contents_of,
    open_engine,
)

pytestmark = [pytest.mark.crash, pytest.mark.recovery]
STEPS = 14


def drop(engine: StorageEngine) -> None:
    """Give a handle up without closing it, as a crash would."""
    io = engine._state.io
    assert isinstance(io, MemoryIo)
    io.die()
    engine._state.is_forked = True  # nothing is released on its behalf
    for key, value in list(_registry.items()):
        if value is engine:
            del _registry[key]


def run_until_failure(disk: MemoryDisk, history: History, seed: int) -> str:
    """Run the workload; returns what was raised, or nothing."""
    engine: StorageEngine | None = None
    try:
        engine = open_engine(disk, seed)
        workload = Workload(engine, history, seed)
        for number in range(STEPS):
            workload.step()
            if number % 6 == 5:
                engine.checkpoint()
        engine.close()
    except CbddError as error:
        return error.code
    finally:
        disk.fault = None
        if engine is not None and not engine.is_closed:
            drop(engine)
    return ""


def count_calls(seed: int) -> int:
    disk = MemoryDisk()
    counter = Fault(1 << 40, errno.EIO, False)
    disk.fault = counter
    run_until_failure(disk, History(), seed)
    return (1 << 40) - counter.left


def judge(disk: MemoryDisk, history: History, where: str) -> None:
    for kind, crashed, at_least in (
        ("process death", disk.image(), history.acknowledged),
        ("power cut", disk.power_cut(), history.durable),
    ):
        if "/db/app.cbdd" not in crashed.names:
            assert at_least == 0, f"{where}, {kind}: the file is gone"
            continue
        engine = open_engine(crashed, 99)
        found = contents_of(engine)
        sequence = int(found[TREE].get(SEQUENCE_KEY, b"0"))
        assert at_least <= sequence < len(history.states), f"{where}, {kind}: {sequence}"
        assert found == history.states[sequence], f"{where}, {kind}: contents differ"
        assert engine.check().is_clean, f"{where}, {kind}"
        engine.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("forever", [False, True], ids=["once", "forever"])
def test_any_failing_call_loses_nothing(number: int, forever: bool) -> None:
    seed = 5
    calls = count_calls(seed)
    fired = 0
    for call in range(1, calls + 1):
        disk = MemoryDisk()
        fault = Fault(call, number, forever)
        disk.fault = fault
        history = History()
        raised = run_until_failure(disk, history, seed)
        fired += bool(fault.fired)
        judge(disk, history, f"seed {seed}, call {call} ({fault.fired}), raised {raised!r}")
    assert fired > calls * 0.9


def test_a_failed_sync_poisons_the_handle_until_it_is_reopened() -> None:
    disk = MemoryDisk()
    engine = open_engine(disk, 1)
    workload = Workload(engine, History(), 1)
    workload.step()
    disk.fault = Fault(1, errno.EIO, False, ("sync",))
    with pytest.raises(CbddError, match="SYNC_FAILED"):
        workload.step()
    with pytest.raises(CbddError, match="SYNC_FAILED"):
        workload.step()
    engine.close()
    again = open_engine(disk, 2)
    assert not again.recovery_report.was_clean
    again.close()


def test_a_full_disk_rolls_back_and_the_handle_stays_usable() -> None:
    disk = MemoryDisk()
    engine = open_engine(disk, 1)
    history = History()
    workload = Workload(engine, history, 1)
    for _ in range(10):
        workload.step()
    before = contents_of(engine)
    disk.capacity = disk.size()
    failures = 0
    for number in range(200):
        try:
            with engine.begin_write("fill") as txn:
                txn.put(TREE, b"fill %d" % number, random.Random(1).randbytes(5000))
                txn.commit()
        except DiskFullError:
            failures += 1
            break
        before = contents_of(engine)
    assert failures
    assert contents_of(engine) == before
    disk.capacity = None
    with engine.begin_write("after") as txn:
        txn.put(TREE, b"after", b"space")
        txn.commit()
    assert engine.check().is_clean
    engine.close()


def test_a_dead_process_makes_no_calls() -> None:
    io = MemoryIo(MemoryDisk())
    io.die()
    with pytest.raises(KilledError):
        io.open("/db/x", True, False)
