"""One meta slot may be lost at any time: the other one, its pages and its log are still whole."""

from __future__ import annotations

import pytest

from cbdd.errors import CorruptDataError
from cbdd.storage.meta import META_BLOCK_BYTES, SLOT_OFFSETS, read_copies
from cbdd.testing import MemoryDisk, MemoryIo
from cbdd.testing.workload import PATH, contents_of
from tests.crash.crash_replay import (
    CrashJudge,
    History,
    Workload,
    open_engine,
)

pytestmark = [pytest.mark.crash, pytest.mark.recovery]


class LostSlotJudge(CrashJudge):
    """Destroys both copies of the newest slot in every crash state it judges."""

    refused = 0
    survived = 0

    def on_change(self, disk: MemoryDisk) -> None:
        self.calls += 1
        if self.calls % 3:
            return
        image = disk.image()
        was_clean = destroy_newest_slot(image)
        if was_clean is None:
            return
        try:
            engine = open_engine(image, self.seed)
        except CorruptDataError as error:
            # The slot that is left is the clean one from before the first write.
            assert error.code == "WAL_NEWER_THAN_META", f"seed {self.seed}, call {self.calls}"
            assert was_clean, f"seed {self.seed}, call {self.calls}: {error}"
            self.refused += 1
            return
        found = contents_of(engine)
        sequence = int(found[1].get(b"\0sequence", b"0"))
        newest = len(self.history.states) - 1
        assert self.history.acknowledged <= sequence <= newest, f"call {self.calls}: {sequence}"
        assert found == self.history.states[sequence]
        assert engine.check().is_clean
        engine.close()
        self.survived += 1


def destroy_newest_slot(disk: MemoryDisk) -> bool | None:
    """Zero the newest slot; returns whether the other one is clean, None when there is none."""
    io = MemoryIo(disk)
    fd = io.open(PATH, False, True)
    metas = [copy.meta for copy in read_copies(io, fd) if copy.meta is not None]
    newest = max(metas, key=lambda meta: meta.generation)
    others = [meta for meta in metas if meta.slot != newest.slot]
    if not others:
        return None
    for offset in SLOT_OFFSETS[newest.slot]:
        disk.names[PATH].data[offset : offset + META_BLOCK_BYTES] = bytes(META_BLOCK_BYTES)
    return others[0].is_clean


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_older_meta_slot_is_enough(seed: int) -> None:
    disk = MemoryDisk()
    history = History()
    engine = open_engine(disk, seed)
    judge = LostSlotJudge(history, seed, 0)
    disk.listener = judge
    workload = Workload(engine, history, seed)
    for _ in range(60):
        workload.step()
    disk.listener = None
    engine.close()
    assert judge.survived > 100
    assert judge.refused < judge.survived
