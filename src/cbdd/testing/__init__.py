"""Tools to test a database, and programs that use one, against crashes and faults."""

from cbdd.testing.crash_states import KINDS, CrashState, Replayer
from cbdd.testing.databases import (
    CrashedDatabase,
    CrashingDatabase,
    FullDisk,
    SlowDisk,
    connect_on,
)
from cbdd.testing.deterministic import SeededRandomness, TickingClock
from cbdd.testing.faults import (
    FAULT_KINDS,
    FaultOutcome,
    FaultyIo,
    SlowIo,
    count_calls,
    fault_loop,
)
from cbdd.testing.memory_disk import CrashListener, Fault, Inode, KilledError, MemoryDisk, MemoryIo
from cbdd.testing.oracle import Oracle, RefusedRecovery, SilentOutcome, Tally, judge_run
from cbdd.testing.recording import Call, Recording, RecordingIo
from cbdd.testing.reproduction import (
    Failure,
    find_failure,
    program,
    reproduce,
    run_operations,
    shrink,
)
from cbdd.testing.workload import Run, make_operations, open_engine

__all__ = [
    "FAULT_KINDS",
    "KINDS",
    "Call",
    "CrashListener",
    "CrashState",
    "CrashedDatabase",
    "CrashingDatabase",
    "Failure",
    "Fault",
    "FaultOutcome",
    "FaultyIo",
    "FullDisk",
    "Inode",
    "KilledError",
    "MemoryDisk",
    "MemoryIo",
    "Oracle",
    "Recording",
    "RecordingIo",
    "RefusedRecovery",
    "Replayer",
    "Run",
    "SeededRandomness",
    "SilentOutcome",
    "SlowDisk",
    "SlowIo",
    "Tally",
    "TickingClock",
    "connect_on",
    "count_calls",
    "fault_loop",
    "find_failure",
    "judge_run",
    "make_operations",
    "open_engine",
    "program",
    "reproduce",
    "run_operations",
    "shrink",
]
