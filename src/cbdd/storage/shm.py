"""``NAME-shm``: what the processes that have the file open tell each other.

    offset size  field                  written by
    0      8     magic "CBDDSHM1"       the exclusive opener
    8      16    database UUID          "
    24     8     epoch                  ", random, one for each life of the database
    32     16    machine                ", zeros when it cannot be told
    64     56    published              holder of the writer lock: generation, segment, end offset,
                                        LSN, chain, commit counter, checksum
    128    16    durable                holder of the sync lock: LSN, checksum
    144    8     poison                 anyone: not 0 after a failed sync
    4096   ..    256 slots of 64 bytes  their owners: pid, started (us), pinned generation,
                                        pinned since (us)

On a file system shared between machines the caches of two of them would not agree: whoever finds
another machine than its own in a shared state that is in use stays away.

It is read with ``pread``, never mapped: a truncated file must not kill a process.

Invariants: nothing in it is trusted over the log, but what ``durable`` claims was true when it was
written and stays true, whatever its age. Only the exclusive opener creates or resets it. A slot
belongs to whoever holds its byte lock on the database file.
"""

from __future__ import annotations

import struct
from typing import Final

import xxhash
from librt.strings import BytesWriter
from mypy_extensions import mypyc_attr

from cbdd.errors import CorruptDataError, LockedError
from cbdd.storage.frame import write_u64
from cbdd.storage.io import UNKNOWN_MACHINE, Io, read_exact, write_all

MAGIC: Final = b"CBDDSHM1"
HEADER: Final = struct.Struct("<8s16sQ16s")
STATE_OFFSET: Final = 64
STATE_BYTES: Final = 96
PUBLISHED: Final = struct.Struct("<QQQQQQ")
PUBLISHED_BYTES: Final = 56
DURABLE_OFFSET: Final = 128
DURABLE_BYTES: Final = 16
POISON_OFFSET: Final = 144
SLOTS_OFFSET: Final = 4096
SLOT: Final = struct.Struct("<QQQQ")
SLOT_BYTES: Final = 64
SLOT_COUNT: Final = 256
SHM_BYTES: Final = SLOTS_OFFSET + SLOT_COUNT * SLOT_BYTES


@mypyc_attr(acyclic=True)
class Published:
    """Where the log ends, as published by the last holder of the writer lock."""

    def __init__(
        self, generation: int, segment: int, end: int, lsn: int, chain: int, counter: int
    ) -> None:
        self.generation = generation
        self.segment = segment
        self.end = end
        self.lsn = lsn
        self.chain = chain
        self.counter = counter


class Slot:
    """What a process says of itself; generation 0 pins nothing, times are microseconds."""

    def __init__(self, number: int, pid: int, started: int, pinned: int, since: int) -> None:
        self.number = number
        self.pid = pid
        self.started_us = started
        self.pinned_generation = pinned
        self.pinned_since_us = since


class SharedState:
    """The ``-shm`` file of one open database."""

    def __init__(self, io: Io, fd: int, path: str) -> None:
        self._io = io
        self.fd = fd
        self.path = path

    def reset(self, uuid: bytes, epoch: int, published: Published) -> None:
        """Start a new life: no slots, everything published is durable."""
        body = bytearray(SHM_BYTES)
        HEADER.pack_into(body, 0, MAGIC, uuid, epoch, self._io.machine_identity())
        write_all(self._io, self.fd, bytes(body), 0)
        self.publish(published)
        self.set_durable(published.lsn)

    def belongs_to(self, uuid: bytes) -> bool:
        """Whether the file is a complete shared state of this database."""
        data = read_exact(self._io, self.fd, HEADER.size, 0)
        if len(data) < HEADER.size or self._io.size(self.fd) < SHM_BYTES:
            return False
        magic, owner, _epoch, _machine = HEADER.unpack(data)
        return bool(magic == MAGIC and owner == uuid)

    def require_same_machine(self) -> None:
        """Refuse a shared state that another machine uses. The caller knows that it is in use.

        :raises LockedError: the database is open on another machine.
        """
        data = read_exact(self._io, self.fd, HEADER.size, 0)
        machine = data[HEADER.size - len(UNKNOWN_MACHINE) :]
        here = self._io.machine_identity()
        if machine != here and UNKNOWN_MACHINE not in (machine, here):
            raise LockedError(
                "OTHER_MACHINE",
                f"another machine has the database of {self.path} open",
                "close it there first; for use from several machines at once, run a server",
                {"path": self.path, "machine": machine.hex(), "this_machine": here.hex()},
            )

    def state(self) -> bytes:
        """The raw state record; equal bytes mean that nothing was published since."""
        data = self._io.pread(self.fd, STATE_BYTES, STATE_OFFSET)
        if len(data) < STATE_BYTES:  # short, or the end of the file
            data = read_exact(self._io, self.fd, STATE_BYTES, STATE_OFFSET)
        if len(data) < STATE_BYTES:
            raise LockedError(
                "SHM_TRUNCATED",
                f"{self.path} was truncated while the database is open",
                "close the database in every process, then open it again",
                {"path": self.path},
            )
        return data

    def publish(self, published: Published) -> bytes:
        """Say where the log ends; returns what was written. The caller holds the writer lock."""
        record = BytesWriter()
        write_u64(record, published.generation)
        write_u64(record, published.segment)
        write_u64(record, published.end)
        write_u64(record, published.lsn)
        write_u64(record, published.chain)
        write_u64(record, published.counter)
        write_u64(record, xxhash.xxh3_64_intdigest(record.getvalue()))
        data = record.getvalue()
        write_all(self._io, self.fd, data, STATE_OFFSET)
        return data

    def set_durable(self, lsn: int) -> bytes:
        """Say what a sync that has returned made durable; returns what was written.

        The caller holds the sync lock.
        """
        body = lsn.to_bytes(8, "little")
        data = body + xxhash.xxh3_64_intdigest(body).to_bytes(8, "little")
        write_all(self._io, self.fd, data, DURABLE_OFFSET)
        return data

    def poison(self) -> None:
        """Tell every process that a sync failed."""
        write_all(self._io, self.fd, (1).to_bytes(8, "little"), POISON_OFFSET)

    def slots(self) -> list[Slot]:
        """The slots in use."""
        data = read_exact(self._io, self.fd, SLOT_COUNT * SLOT_BYTES, SLOTS_OFFSET)
        found: list[Slot] = []
        for number in range(len(data) // SLOT_BYTES):
            fields = SLOT.unpack_from(data, number * SLOT_BYTES)
            if fields[0]:
                found.append(Slot(number, fields[0], fields[1], fields[2], fields[3]))
        return found

    def write_slot(self, slot: int, pid: int, started: int, pinned: int, since: int) -> None:
        """Set a slot. The caller holds its byte lock."""
        data = SLOT.pack(pid, started, pinned, since)
        write_all(self._io, self.fd, data, SLOTS_OFFSET + slot * SLOT_BYTES)


def decode_published(state: bytes) -> Published | None:
    """The published record of a raw state, or None when it was read in the middle of a write."""
    if xxhash.xxh3_64_intdigest(state[:48]).to_bytes(8, "little") != state[48:56]:
        return None
    fields = PUBLISHED.unpack_from(state, 0)
    return Published(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5])


def decode_durable(state: bytes) -> int:
    """The durable LSN of a raw state, -1 when it was read in the middle of a write."""
    at = DURABLE_OFFSET - STATE_OFFSET
    body = state[at : at + 8]
    if xxhash.xxh3_64_intdigest(body).to_bytes(8, "little") != state[at + 8 : at + 16]:
        return -1
    return int.from_bytes(body, "little")


def is_poisoned(state: bytes) -> bool:
    """Whether a sync has failed in this life of the database."""
    at = POISON_OFFSET - STATE_OFFSET
    return state[at : at + 8] != b"\0\0\0\0\0\0\0\0"


def unreadable(path: str) -> CorruptDataError:
    """The error for a shared state that stays invalid."""
    return CorruptDataError(
        "SHM_DAMAGED",
        f"{path} is damaged while the database is open",
        "close the database in every process, then open it again; no data is lost by that",
        {"path": path},
    )


def claimed_durable(io: Io, path: str, uuid: bytes) -> int:
    """What a shared state file left by an earlier life claims; 0 when absent or foreign."""
    try:
        fd = io.open(path, False, True)
    except OSError:
        return 0
    try:
        shared = SharedState(io, fd, path)
        if not shared.belongs_to(uuid):
            return 0
        return max(0, decode_durable(shared.state()))
    finally:
        io.close(fd)
