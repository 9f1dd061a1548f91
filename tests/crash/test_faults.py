"""What a failed sync and a full disk do to the handle; any failing call: test_crash_states.py."""

from __future__ import annotations

import errno
import random

import pytest

from cbdd.errors import CbddError, DiskFullError
from cbdd.testing import Fault, KilledError, MemoryDisk, MemoryIo
from cbdd.testing.workload import contents_of
from tests.crash.crash_replay import (
    TREE,
    History,
    Workload,
    open_engine,
)

pytestmark = [pytest.mark.crash, pytest.mark.recovery]


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
