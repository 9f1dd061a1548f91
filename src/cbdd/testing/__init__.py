"""Tools to test a database, and programs that use one, against crashes and faults."""

from cbdd.testing.deterministic import SeededRandomness, TickingClock
from cbdd.testing.memory_disk import CrashListener, Fault, Inode, KilledError, MemoryDisk, MemoryIo

__all__ = [
    "CrashListener",
    "Fault",
    "Inode",
    "KilledError",
    "MemoryDisk",
    "MemoryIo",
    "SeededRandomness",
    "TickingClock",
]
