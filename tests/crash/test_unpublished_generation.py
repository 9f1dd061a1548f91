"""A checkpoint that ends after its meta page and before its publication, and the next one.

Others live on from the generation before and take for free what the newer meta page names. Whatever
happens to the next checkpoint, the file must open with everything that was acknowledged.
"""

from __future__ import annotations

import errno
import random

import pytest

from cbdd.errors import CbddError
from cbdd.testing import Fault, KilledError, MemoryDisk
from tests.crash.test_many_processes import TREE, Process, read_all

pytestmark = [pytest.mark.crash, pytest.mark.recovery]
LAST_CALLS = 11  # of a checkpoint: meta page, sync, publication, removal of segments


class Story:
    """Two processes that have checkpointed before, and what must be in the file."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.source = random.Random(1)
        self.model: dict[bytes, bytes] = {}
        self.first = Process(self.disk, 1, 1)
        self.second = Process(self.disk, 2, 2)
        for process in (self.first, self.second):
            self.commit(process, 6)
            self.first.engine.checkpoint()
        self.commit(self.second, 6)

    def commit(self, process: Process, count: int) -> None:
        for _ in range(count):
            changes = {
                b"k%03d" % self.source.randrange(60): self.source.randbytes(300) for _ in range(6)
            }
            with process.engine.begin_write("write") as txn:
                for key, value in changes.items():
                    txn.put(TREE, key, value)
                txn.commit()
            self.model.update(changes)

    def judge(self, disk: MemoryDisk, where: str) -> None:
        last = Process(disk, 3, 3)
        try:
            assert read_all(last) == self.model, where
            assert last.engine.check().is_clean, where
        finally:
            last.engine.close()


def calls_of_checkpoint(story: Story) -> int:
    counter = Fault(1 << 40, errno.EIO, False)
    story.disk.fault = counter
    story.first.engine.checkpoint()
    story.disk.fault = None
    return (1 << 40) - counter.left


CALLS = calls_of_checkpoint(Story())


@pytest.mark.parametrize("first_death", range(CALLS - LAST_CALLS, CALLS))
def test_a_second_process_that_dies_in_the_next_checkpoint_leaves_everything(
    first_death: int,
) -> None:
    for second_death in range(1, CALLS + 20, 3):
        story = Story()
        story.first.io.calls_to_live = first_death
        with pytest.raises(KilledError):
            story.first.engine.checkpoint()
        story.first.bury()
        story.commit(story.second, 3)
        story.second.io.calls_to_live = second_death
        try:
            story.second.engine.checkpoint()
        except KilledError:
            is_over = False
        else:
            is_over = True
        story.second.bury()
        story.judge(story.disk.image(), f"deaths at calls {first_death} and {second_death}")
        if is_over:
            return
    raise AssertionError("the second checkpoint never ended")


@pytest.mark.parametrize("failing", range(CALLS - LAST_CALLS, CALLS))
def test_a_checkpoint_that_failed_late_is_survived_by_the_next_and_a_power_cut(
    failing: int,
) -> None:
    for death in range(1, CALLS + 20, 3):
        story = Story()
        story.disk.fault = Fault(failing, errno.EIO, False)
        try:
            story.first.engine.checkpoint()
        except CbddError:
            pass
        story.disk.fault = None
        try:
            story.commit(story.first, 3)
            story.first.io.calls_to_live = death
            story.first.engine.checkpoint()
        except KilledError:
            is_over = False
        else:
            is_over = True
        story.first.bury()
        story.second.bury()
        where = f"call {failing} failed, death at call {death}"
        story.judge(story.disk.image(), where)
        story.judge(story.disk.power_cut(), where)
        story.judge(story.disk.torn(random.Random(death)), where)
        if is_over:
            return
    raise AssertionError("the second checkpoint never ended")
