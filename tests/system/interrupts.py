"""Ctrl-C at every bytecode and MemoryError at every allocation of an operation.

    python -m tests.system.interrupts --all | --step 7 [--seed 1] [--operation insert]

An operation is run again and again, each time with the next instruction (or allocation) failing,
until it gets through. After each failure the same handle must take a write, the contents must be
those before or after the operation as a whole, nothing may stay pinned or locked, and a second
process must be able to commit. Compiled code has no bytecodes, and where memory runs out inside it
the compiler's runtime may end the process: there each allocation is tried in a process of its own,
and what it leaves on disk is judged as after a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import cbdd
from cbdd.build_info import build_kind
from cbdd.errors import CbddError
from cbdd.testing import MemoryDisk, MemoryIo, connect_on
from tests.unit.client.test_interrupts import Interruption, is_in_del

QUIET = 12
LONGEST_SECONDS = 20


class StuckError(BaseException):
    """Something waits for a lock that nobody will release."""


class AnywhereInterruption(Interruption):
    """Raises KeyboardInterrupt before the n-th instruction in any file of the package."""

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if "/cbdd/" not in frame.f_code.co_filename or is_in_del(frame):
            return self._trace
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            self._step(frame)
        return self._trace

    def _instruction(self, code: Any, offset: int) -> None:
        frame = sys._getframe(1)
        if "/cbdd/" in code.co_filename and not is_in_del(frame):
            self._step(frame)


@contextlib.contextmanager
def deadline(where: str) -> Iterator[None]:
    """Fail rather than hang."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise StuckError(where)

    signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def insert(client: Any, number: int) -> None:
    client.shop.things.insert_one({"_id": number, "n": number})


def insert_many(client: Any, number: int) -> None:
    client.shop.things.insert_many([{"_id": number}, {"_id": number + 0.5, "pad": "x" * 2000}])


def transaction(client: Any, number: int) -> None:
    with client.start_session() as session, session.start_transaction():
        client.shop.things.insert_one({"_id": number, "n": 1}, session=session)
        client.shop.things.insert_one({"_id": number + 0.5}, session=session)


def checkpoint(client: Any, number: int) -> None:
    client.shop.things.insert_one({"_id": number})
    client.checkpoint()


OPERATIONS: dict[str, Callable[[Any, int], None]] = {
    "insert": insert,
    "insert_many": insert_many,
    "transaction": transaction,
    "checkpoint": checkpoint,
}


class Subject:
    """A database, the handle that is interrupted, and what may be in it."""

    def __init__(self, name: str, durability: str) -> None:
        self.name = name
        self.operate = OPERATIONS[name]
        self.disk = MemoryDisk()
        self.options = {"durability": durability, "lock_timeout_seconds": 1.0}
        self.client = connect_on(MemoryIo(self.disk, 1), 1, **self.options)
        self.client.shop.things.create_index("n")
        self.client.shop.things.insert_one({"_id": -1, "ticks": 0})
        self.known = {-1}
        self.counts: Counter[str] = Counter()

    def ids(self, client: Any) -> set[float]:
        return {document["_id"] for document in client.shop.things.find({}, {"_id": 1})}

    def judge(self, number: int, is_done: bool, where: str) -> None:
        """The handle works, and what happened happened as a whole."""
        try:
            with deadline(where):
                things = self.client.shop.things
                assert things.update_one({"_id": -1}, {"$inc": {"ticks": 1}}).modified_count == 1
                found = self.ids(self.client)
        except CbddError as error:
            raise AssertionError(f"{where}: the handle is stuck: {error}") from error
        new = {float(number)} | (
            {number + 0.5} if self.name in ("insert_many", "transaction") else set()
        )
        allowed = [self.known | new] if is_done else [self.known, self.known | new]
        assert found in allowed, f"{where}: {sorted(found ^ self.known)} of {sorted(new)}"
        self.known = found
        assert not self.client._store.engine._state.pins, f"{where}: a snapshot stays pinned"
        self.counts["judged"] += 1
        if self.counts["judged"] % 10 == 0:
            with deadline(where), connect_on(MemoryIo(self.disk, 2), 2, **self.options) as other:
                other.shop.things.delete_many({"_id": {"$gte": 0}})
                assert self.ids(other) == {-1}, where
            self.known = {-1}
            with deadline(where):  # removes the segments that interrupted ones have left
                self.client.checkpoint()
        if self.counts["judged"] % 40 == 0:
            assert self.client.check().is_clean, where

    def finish(self) -> None:
        self.client.close()
        with connect_on(MemoryIo(self.disk, 3), 3, **self.options) as client:
            assert client.check().is_clean
            assert self.ids(client) == self.known


def interrupt(name: str, durability: str, step: int, first: int) -> Counter[str]:
    """Ctrl-C before every ``step``-th instruction of an operation."""
    subject = Subject(name, durability)
    at = first
    while True:
        interruption = AnywhereInterruption(at)
        with deadline(f"{name}, instruction {at}"):
            interruption.run(lambda: subject.operate(subject.client, at))  # noqa: B023
        where = f"{name} ({durability}), instruction {at}, {interruption.place}"
        subject.judge(at, not interruption.place, where)
        if not interruption.place:
            break
        subject.counts["interrupted"] += 1
        at += step
    subject.finish()
    return subject.counts


def exhaust(name: str, durability: str, step: int, first: int) -> Counter[str]:
    """No memory for every ``step``-th allocation of an operation, in this process."""
    capi = importlib.import_module("_testcapi")
    subject = Subject(name, durability)
    at, quiet = first, 0
    while quiet < QUIET:
        is_done = False
        with deadline(f"{name}, allocation {at}"):
            capi.set_nomemory(at, at + 1)
            try:
                subject.operate(subject.client, at)
                is_done = True
            except (MemoryError, SystemError):
                pass
            except CbddError as error:
                capi.remove_mem_hooks()
                raise AssertionError(f"{name}, allocation {at}: {error}") from error
            finally:
                capi.remove_mem_hooks()
        quiet = quiet + 1 if is_done else 0
        subject.counts["exhausted"] += not is_done
        subject.judge(at, is_done, f"{name} ({durability}), allocation {at}")
        at += step
    subject.finish()
    return subject.counts


def exhaust_apart(name: str, durability: str, step: int, first: int) -> Counter[str]:
    """The same, each allocation in a process of its own, on real files."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="cbdd-memory-") as folder:
        path = str(Path(folder) / "app.cbdd")
        options: dict[str, Any] = {"background": False, "durability": durability}
        with cbdd.connect(path, **options) as client:
            client.shop.things.insert_one({"_id": -1})
        at, quiet, known = first, 0, {-1.0}
        while quiet < QUIET:
            status = _fork(path, options, OPERATIONS[name], at)
            is_done = status == 0
            quiet = quiet + 1 if is_done else 0
            counts["ended" if os.WIFSIGNALED(status) else "exhausted"] += not is_done
            assert not os.WIFSIGNALED(status) or os.WTERMSIG(status) == signal.SIGABRT, (
                f"{name}, allocation {at}: signal {os.WTERMSIG(status)}"
            )
            with cbdd.connect(path, **options) as client:
                found = {float(d["_id"]) for d in client.shop.things.find({}, {"_id": 1})}
                both = name in ("insert_many", "transaction")
                new = {float(at)} | ({at + 0.5} if both else set())
                allowed = [known | new] if is_done else [known, known | new]
                assert found in allowed, f"{name}, allocation {at}: {found ^ known}"
                if counts["judged"] % 20 == 0:
                    assert client.check().is_clean
            known = found
            counts["judged"] += 1
            at += step
    return counts


def _fork(path: str, options: dict[str, Any], operate: Callable[[Any, int], None], at: int) -> int:
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            capi = importlib.import_module("_testcapi")
            client = cbdd.connect(path, **options)
            client.shop.things.find_one()
            capi.set_nomemory(at, at + 1)
            operate(client, at)
            code = 0
        except BaseException:  # whatever it is, the files are what counts
            code = 1
        finally:
            os._exit(code)
    _pid, status = os.waitpid(pid, 0)
    return status


def why_no_memory_faults() -> str:
    """Why allocations cannot be made to fail; empty when they can."""
    try:
        capi = importlib.import_module("_testcapi")
    except ImportError:
        return "this interpreter has no _testcapi"
    return "" if hasattr(capi, "set_nomemory") else "_testcapi cannot make allocations fail"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every instruction and allocation")
    parser.add_argument("--step", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1, help="the first instruction")
    parser.add_argument("--operation", choices=OPERATIONS, action="append")
    chosen = parser.parse_args()
    step = 1 if chosen.all else chosen.step
    is_compiled = build_kind() == "compiled"
    reason = why_no_memory_faults()
    for name in chosen.operation or OPERATIONS:
        for durability in ("full", "normal"):
            counts = interrupt(name, durability, step, chosen.seed)
            print(f"{name}, {durability}: {counts['interrupted']} interrupts, {build_kind()}")
            if reason:
                print(f"skipped, no lack of memory: {reason}")
                continue
            run = exhaust_apart if is_compiled else exhaust
            counts = run(name, durability, step, chosen.seed)
            ended = f", {counts['ended']} of them ended the process" if counts["ended"] else ""
            failed = counts["exhausted"] + counts["ended"]
            print(f"{name}, {durability}: {failed} failed allocations{ended}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
