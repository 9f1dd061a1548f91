"""Room in a freelist run; writing trees is tested with reading them, in test_pager.py."""

from __future__ import annotations

import pytest

from cbdd.storage import StorageEngine, StorageOptions
from cbdd.storage.freelist import ENTRY
from cbdd.storage.page import HEADER_BYTES, run_page_count
from cbdd.storage.page_writer import (
    ENTRIES_IN_A_ROW,
    MOST_ENTRIES_IN_A_ROW,
    freelist_run_bytes,
)
from cbdd.testing import MemoryDisk, MemoryIo, SeededRandomness, TickingClock
from tests.unit.storage.conftest import PATH, fill


@pytest.mark.parametrize("entries", [1, 100, 199, 200, 201, 5000])
def test_a_freelist_run_has_room_for_what_its_own_allocation_adds(entries: int) -> None:
    length = freelist_run_bytes(entries, ENTRY.size, 4096)
    assert length >= (entries + 2) * ENTRY.size
    assert (length + HEADER_BYTES) % 4096 == 0
    assert run_page_count(length, 4096) == run_page_count((entries + 2) * ENTRY.size, 4096)


class Busy(MemoryIo):
    """Whose other threads take so long each time they are let run."""

    seconds = 0.0
    turns = 0

    def let_others_run(self) -> float:
        self.turns += 1
        return self.seconds


@pytest.mark.parametrize("seconds", [0.0, 0.001, 1e9])
def test_others_get_turns_however_long_theirs_are(seconds: float) -> None:
    io = Busy(MemoryDisk())
    options = StorageOptions(background=False, checkpoint_log_bytes=1 << 30)
    engine = StorageEngine.open(PATH, options, io, TickingClock(), SeededRandomness(1))
    entries = 60_000
    fill(engine, 10, {b"%06d" % n: b"" for n in range(entries)})
    io.seconds = seconds
    engine.checkpoint()
    longest = ENTRIES_IN_A_ROW if not seconds else MOST_ENTRIES_IN_A_ROW
    assert io.turns >= entries // (longest + 1000)  # of the last node
    if seconds:
        assert io.turns < entries // (ENTRIES_IN_A_ROW + 1000)
    engine.close()
