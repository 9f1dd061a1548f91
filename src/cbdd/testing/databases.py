"""Databases for tests of programs: one that can be crashed anywhere, slow disks, full disks.

All of them live on a disk in memory and are opened with the public client, so a program under test
runs as it is. Nothing touches the real disk, and everything is the same in each run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cbdd.client import Client
from cbdd.storage.io import Clock, Io
from cbdd.testing.crash_states import CrashState, Replayer
from cbdd.testing.deterministic import SeededRandomness, TickingClock
from cbdd.testing.faults import SlowIo
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo
from cbdd.testing.recording import Recording, RecordingIo

PATH: Final = "/db/app.cbdd"
DEFAULTS: Final = {
    "page_size_bytes": 4096,
    "checkpoint_log_bytes": 64 << 10,
    "log_allocation_bytes": 8192,
    "reserve_bytes": 64 << 10,
    "background": False,
    "flight_recorder": False,
}

AnyClient = Client[dict[str, Any]]


def connect_on(io: Io, seed: int = 1, clock: Clock | None = None, **options: Any) -> AnyClient:
    """The public client on an `Io` of one's own, with small defaults that make much happen.

    :param options: those of `cbdd.connect`, and ``path``.
    """
    path = options.pop("path", PATH)
    chosen = {**DEFAULTS, **options}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    return Client(
        path,
        io=io,
        clock=clock or TickingClock(),
        randomness=SeededRandomness(seed),
        **chosen,
    )


class CrashedDatabase:
    """The database after one crash, to be opened and looked at.

    ``name`` says where the crash was; ``acknowledged`` is the newest number that had been passed to
    `CrashingDatabase.acknowledged` by then and must have survived.
    """

    def __init__(self, state: CrashState, seed: int) -> None:
        self.name = state.name
        self.kind = state.kind
        self.acknowledged = state.acknowledged
        self.begun = state.begun
        self._seed = seed
        self._disk = state.disk()

    @property
    def exists(self) -> bool:
        """Whether the file had been created yet."""
        return PATH in self._disk.names

    def connect(self, **options: Any) -> AnyClient:
        """Open what the crash has left. Close it before the next state."""
        return connect_on(MemoryIo(self._disk, 9), self._seed + 1, **options)

    def __repr__(self) -> str:
        return f"crash state {self.name} (seed {self._seed})"


class CrashingDatabase:
    """A database whose every crash state can be looked at.

    >>> from cbdd.testing import CrashingDatabase
    >>> crashing = CrashingDatabase()
    >>> with crashing.connect() as client:
    ...     for number in range(1, 4):
    ...         _ = client.shop.orders.insert_one({"_id": number})
    ...         crashing.acknowledged(number)
    >>> for state in crashing.states():
    ...     with state.connect() as client:
    ...         assert client.shop.orders.count_documents({}) >= state.acknowledged, state
    """

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self._disk = MemoryDisk()
        self._recording = Recording()
        self._opened = 0

    def connect(self, process: int = 1, **options: Any) -> AnyClient:
        """Open the database; every call to the disk is recorded.

        :param process: clients with different numbers are different processes.
        """
        self._opened += 1
        io = RecordingIo(MemoryIo(self._disk, process), self._recording)
        return connect_on(io, self.seed * 1000 + self._opened, **options)

    def begun(self, number: int) -> None:
        """Note that the write with this number begins; from now on it may be found."""
        self._recording.begin(number)

    def acknowledged(self, number: int, is_durable: bool = True) -> None:
        """Note that the write with this number has returned; from now on it must be found.

        :param is_durable: False: it need only survive the death of the process.
        """
        self._recording.acknowledge(number, is_durable)

    def states(self, first: int = 0, last: int | None = None) -> Iterator[CrashedDatabase]:
        """Every state that a crash could have left, each distinct one for each promise once.

        :param first: number of the first call after which to crash; ``last``: of the last.
        """
        seen: set[tuple[int, int]] = set()
        for state in Replayer(self._recording, self.seed).states(first, last):
            key = (state.fingerprint(), state.acknowledged)
            if key not in seen:
                seen.add(key)
                yield CrashedDatabase(state, self.seed)

    def state(self, name: str) -> CrashedDatabase:
        """The state of a name that an earlier run has printed.

        :raises KeyError: there is none.
        """
        return CrashedDatabase(Replayer(self._recording, self.seed).state(name), self.seed)


class SlowDisk:
    """A disk in memory on which every call takes ``seconds`` of real time."""

    def __init__(self, seconds: float = 0.001) -> None:
        self.seconds = seconds
        self.disk = MemoryDisk()

    def connect(self, process: int = 1, **options: Any) -> AnyClient:
        """Open the database on it."""
        io = SlowIo(MemoryIo(self.disk, process), Clock(), self.seconds)
        return connect_on(io, process, Clock(), **options)


class FullDisk:
    """A disk in memory that can be filled and freed at any time."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()

    def connect(self, process: int = 1, **options: Any) -> AnyClient:
        """Open the database on it."""
        return connect_on(MemoryIo(self.disk, process), process, **options)

    def fill(self, left_bytes: int = 0) -> None:
        """Somebody else takes all the space but ``left_bytes``: writes raise `DiskFullError`."""
        self.disk.capacity = self.disk.size() + left_bytes

    def free(self) -> None:
        """There is space again."""
        self.disk.capacity = None
