"""Disks that fail and disks that are slow.

`FaultyIo` wraps any `Io` and fails the n-th call, once or from then on: with an error number, or by
reading or writing less than asked. `fault_loop` runs a workload once for every call it makes, with
that call failing, and holds what is left after each run against the oracle. The calls of opening,
recovery, checkpoints and closing are calls like others.

What a fault may lead to: the error of a call surfaces as a `CbddError`, or it is made good and
nothing is noticed. In both cases, opened again without faults, the database holds a state of the
history that contains every acknowledged commit. Short reads and writes must not be noticed at all.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Final

from cbdd.errors import CbddError
from cbdd.storage.io import Clock, Io
from cbdd.testing.crash_states import CrashState
from cbdd.testing.memory_disk import MemoryDisk
from cbdd.testing.oracle import Oracle, SilentOutcome
from cbdd.testing.workload import Operation, Run

SHORT_READ: Final = "short read"
SHORT_WRITE: Final = "short write"
FAULT_KINDS: Final = ("EIO", "ENOSPC", "EFBIG", "EINTR", SHORT_READ, SHORT_WRITE)


class FaultyIo(Io):
    """Counts calls and fails one, or all from it on.

    :param kind: one of `FAULT_KINDS`, or the name of another error number.
    :param call: number of the call that fails, 1 for the first; 0 fails none.
    :param forever: whether all later ones fail, too.
    :param methods: names of the methods that are counted; none: all that touch the disk.
    """

    def __init__(
        self,
        inner: Io,
        kind: str = "EIO",
        call: int = 0,
        forever: bool = False,
        methods: tuple[str, ...] = (),
    ) -> None:
        self.inner = inner
        self.kind = kind
        self.call = call
        self.forever = forever
        self.methods = methods
        self.calls = 0
        self.fired = ""
        self.is_on = True

    def _is_hit(self, method: str) -> bool:
        if not self.is_on or (self.methods and method not in self.methods):
            return False
        self.calls += 1
        if not self.call or self.calls < self.call or (self.calls > self.call and not self.forever):
            return False
        self.fired = self.fired or method
        return True

    def _check(self, method: str) -> None:
        if self._is_hit(method) and self.kind not in (SHORT_READ, SHORT_WRITE):
            number = getattr(errno, self.kind)
            raise OSError(number, f"injected {self.kind}")

    def open(self, path: str, create: bool, read_only: bool) -> int:
        """Open."""
        self._check("open")
        return self.inner.open(path, create, read_only)

    def close(self, fd: int) -> None:
        """Close; never fails, since the descriptor is gone in any case."""
        self.inner.close(fd)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Read, or half of it."""
        if self.kind == SHORT_READ:
            if self._is_hit("pread") and length > 1:
                return self.inner.pread(fd, length // 2, offset)
        else:
            self._check("pread")
        return self.inner.pread(fd, length, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write, or half of it."""
        if self.kind == SHORT_WRITE:
            if self._is_hit("pwrite") and len(data) > 1:
                return self.inner.pwrite(fd, data[: len(data) // 2], offset)
        else:
            self._check("pwrite")
        return self.inner.pwrite(fd, data, offset)

    def size(self, fd: int) -> int:
        """Size."""
        self._check("size")
        return self.inner.size(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Truncate."""
        self._check("truncate")
        self.inner.truncate(fd, size)

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """Allocate."""
        self._check("allocate")
        self.inner.allocate(fd, offset, length)

    def sync(self, fd: int) -> None:
        """Sync."""
        self._check("sync")
        self.inner.sync(fd)

    def start_writing(self, fd: int, end: int) -> None:
        """Start writing."""
        self._check("start_writing")
        self.inner.start_writing(fd, end)

    def sync_directory(self, path: str) -> None:
        """Sync a directory."""
        self._check("sync_directory")
        self.inner.sync_directory(path)

    def drop_cache(self, fd: int) -> None:
        """Drop the cache."""
        self._check("drop_cache")
        self.inner.drop_cache(fd)

    def unlink(self, path: str) -> None:
        """Unlink."""
        self._check("unlink")
        self.inner.unlink(path)

    def rename(self, source: str, target: str) -> None:
        """Rename."""
        self._check("rename")
        self.inner.rename(source, target)

    def link(self, source: str, target: str) -> None:
        """Link."""
        self._check("link")
        self.inner.link(source, target)

    def copy_mode(self, source: int, target: int) -> None:
        """Copy the permissions."""
        self._check("copy_mode")
        self.inner.copy_mode(source, target)

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        self._check("make_directory")
        self.inner.make_directory(path)

    def remove_directory(self, path: str) -> None:
        """Remove a directory."""
        self._check("remove_directory")
        self.inner.remove_directory(path)

    def list_directory(self, path: str) -> list[str]:
        """List."""
        self._check("list_directory")
        return self.inner.list_directory(path)

    def path_identity(self, path: str) -> tuple[int, int, int, int] | None:
        """Identity of a path."""
        self._check("path_identity")
        return self.inner.path_identity(path)

    def place(self, fd: int) -> str:
        """Where an open file is named."""
        return self.inner.place(fd)

    def identity(self, fd: int) -> tuple[int, int, int, int]:
        """Identity of an open file."""
        self._check("identity")
        return self.inner.identity(fd)

    def is_regular(self, path: str) -> bool:
        """Whether a plain file."""
        return self.inner.is_regular(path)

    def resolve(self, path: str) -> str:
        """Resolve."""
        return self.inner.resolve(path)

    def lock(self, fd: int, offset: int, exclusive: bool) -> bool:
        """Lock."""
        self._check("lock")
        return self.inner.lock(fd, offset, exclusive)

    def unlock(self, fd: int, offset: int) -> None:
        """Unlock."""
        self._check("unlock")
        self.inner.unlock(fd, offset)

    def process_id(self) -> int:
        """Process id."""
        return self.inner.process_id()

    def file_system_type(self, path: str) -> str:
        """Type of file system."""
        return self.inner.file_system_type(path)

    def platform(self) -> dict[str, object]:
        """Versions of Python and of the operating system."""
        return self.inner.platform()

    def machine_identity(self) -> bytes:
        """Identity of the machine."""
        return self.inner.machine_identity()


class SlowIo(FaultyIo):
    """Every call that touches the disk takes so many seconds on a clock.

    With a `TickingClock` no time passes in the real world; with a `Clock` it does.
    """

    def __init__(self, inner: Io, clock: Clock, seconds: float) -> None:
        super().__init__(inner)
        self._clock = clock
        self._seconds = seconds

    def _is_hit(self, method: str) -> bool:
        self._clock.sleep(self._seconds)
        return False


# -- the loop ----------------------------------------------------------------------------------


class FaultOutcome:
    """What one fault led to: which call failed, and the code of what was raised, if anything."""

    def __init__(self, kind: str, call: int, forever: bool, method: str, code: str) -> None:
        self.kind = kind
        self.call = call
        self.forever = forever
        self.method = method
        self.code = code


def count_calls(operations: list[Operation], seed: int, disk: MemoryDisk | None = None) -> int:
    """How many calls a workload makes."""
    io, _run, _code = _run_with(operations, seed, disk, "EIO", 0, False)
    return io.calls


def fault_loop(
    operations: list[Operation],
    seed: int,
    kinds: tuple[str, ...] = FAULT_KINDS,
    start: Callable[[], tuple[MemoryDisk, Run]] | None = None,
    step: int = 1,
) -> Iterator[FaultOutcome]:
    """Run a workload with each of its calls failing, in every way, and judge what is left.

    :param start: makes the disk to start from and the run that wrote it, a crashed one for
        faults during recovery; else an empty disk.
    :param step: try every so many calls.
    :raises SilentOutcome: an acknowledged commit is gone, or something else than history is there.
    """
    total = count_calls(operations, seed, start()[0] if start else None)
    for kind in kinds:
        for forever in (False, True):
            if forever and kind in (SHORT_READ, SHORT_WRITE):
                continue  # half of half is soon one byte at a time: it works and takes for ever
            for call in range(1, total + 1, step):
                disk, before = start() if start else (MemoryDisk(), None)
                yield _one_fault(operations, seed, disk, before, kind, call, forever)


def _one_fault(
    operations: list[Operation],
    seed: int,
    disk: MemoryDisk,
    before: Run | None,
    kind: str,
    call: int,
    forever: bool,
) -> FaultOutcome:
    io, run, code = _run_with(operations, seed, disk, kind, call, forever, before)
    where = f"seed {seed}, {kind} {'for ever' if forever else 'once'} at call {call} ({io.fired})"
    if kind in (SHORT_READ, SHORT_WRITE) and code:
        raise SilentOutcome(f"{where}: raised {code}")
    oracle = Oracle(run.states, seed)
    for name, image, at_least in (
        ("death", disk.image(), run.acknowledged),
        ("power cut", disk.power_cut(), run.durable),
    ):
        state = CrashState(call, name, where, image.files())
        state.begun = len(run.states) - 1
        state.acknowledged = at_least
        oracle.judge(state)
    return FaultOutcome(kind, call, forever, io.fired, code)


def _run_with(
    operations: list[Operation],
    seed: int,
    disk: MemoryDisk | None,
    kind: str,
    call: int,
    forever: bool,
    before: Run | None = None,
) -> tuple[FaultyIo, Run, str]:
    """Run under one fault until the first error; then the process dies."""
    io = FaultyIo(Io(), kind, call, forever)

    def wrap(inner: Io) -> Io:
        io.inner = inner
        return io

    run = Run(seed, disk, wrap)
    if before is not None:
        run.continue_from(before)
    code = ""
    try:
        run.run(operations)
    except CbddError as error:
        code = error.code
    finally:
        io.is_on = False
        run.abandon()
    return io, run, code
