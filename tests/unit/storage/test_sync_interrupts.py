"""Ctrl-C at every instruction behind a sync that failed."""

from __future__ import annotations

import contextlib
import dis
import errno
import functools
from collections.abc import Callable
from types import FrameType

import pytest

from cbdd.build_info import build_kind
from cbdd.errors import DurabilityError
from cbdd.storage import StorageEngine
from cbdd.testing import Fault
from tests.system.interrupts import AnywhereInterruption
from tests.unit.storage.conftest import Bench, content, fill

pytestmark = pytest.mark.transaction_protocol

TREE = 10


class InterruptionAfterFault(AnywhereInterruption):
    """Counts the instructions of the engine from a failed call on.

    Not the one that makes an exception known to its handler: no signal is served before it.
    """

    def __init__(self, at: int, bench: Bench) -> None:
        super().__init__(at)
        self.bench = bench

    def _step(self, frame: FrameType) -> None:
        fault = self.bench.disk.fault
        if fault is None or not fault.fired or "/testing/" in frame.f_code.co_filename:
            return
        if dis.opname[frame.f_code.co_code[frame.f_lasti]] != "PUSH_EXC_INFO":
            super()._step(frame)


def commit(engine: StorageEngine) -> None:
    fill(engine, TREE, {b"a": b"2"})


@pytest.mark.skipif(build_kind() != "interpreted", reason="compiled code has no bytecodes")
@pytest.mark.parametrize(
    ("work", "which_sync"),
    [(commit, 1), (StorageEngine.checkpoint, 2)],  # the first is that of a new segment
    ids=["commit", "seal"],
)
def test_an_interrupt_right_behind_a_failed_sync_hides_nothing(
    work: Callable[[StorageEngine], object], which_sync: int
) -> None:
    at = 1
    while True:
        bench = Bench()
        here, there = bench.open(pid=1), bench.open(pid=2)
        fill(here, TREE, {b"a": b"1"})
        bench.disk.fault = Fault(which_sync, errno.EIO, False, ("sync",))
        interruption = InterruptionAfterFault(at, bench)
        with contextlib.suppress(DurabilityError):
            interruption.run(functools.partial(work, here))
        assert bench.disk.fault.fired
        for engine in (here, there):
            with pytest.raises(DurabilityError):
                fill(engine, TREE, {b"a": b"3"})
            assert content(engine, TREE)[b"a"] == b"1", interruption.place
            engine.close()
        if not interruption.place:
            break
        at += 1
    assert at > 50
