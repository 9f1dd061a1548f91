"""The thread of an open database: interval syncs, checkpoints that are due, idle pins.

It holds no state of its own: if it dies, commits still land in the log, and the next open recovers
them. It sleeps until there is something to do.

A checkpoint shares the interpreter with the statements beside it, and they copy each node that it
is to write. So one that is due because of the log waits for a moment in which no statement begins
and nobody writes. It waits no longer than `LONGEST_SECONDS`, and not at all where the log has grown
to twice its size or memory is what is short: see `checkpoint_is_urgent`. Commits do not wake the
thread meanwhile, because it looks by itself: `is_checkpoint_put_off` is never set when it sleeps
for longer.
"""

from __future__ import annotations

import threading
from typing import Final

from cbdd.errors import CbddError
from cbdd.storage.checkpoint import checkpoint_is_due, checkpoint_is_urgent, run_checkpoint
from cbdd.storage.follow import release_idle_pin
from cbdd.storage.leftovers import release_leftovers
from cbdd.storage.options import NORMAL
from cbdd.storage.state import DatabaseState
from cbdd.storage.sync import sync_to

QUIET_SECONDS: Final = 0.05
"""Without a statement for so long, nobody is in the way of a checkpoint."""
LONGEST_SECONDS: Final = 5.0
"""For which one is put off."""
SHORTEST_SECONDS: Final = 0.001
"""Between two looks where nothing is to be synced."""


class BackgroundThread:
    """Runs `step` until stopped. Owned by the engine."""

    def __init__(self, state: DatabaseState) -> None:
        self._state = state
        self._is_stopping = False
        self._snapshots_seen = -1
        self._last_snapshots = -1  # when a checkpoint that is due was last looked at
        self._busy_at = 0.0
        self._put_off_until = 0.0
        self._interval_from = 0.0
        self._worker = threading.Thread(target=self.run, name="cbdd-background", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._is_stopping = True
        self._state.wake.set()
        if self._worker.is_alive() and self._worker is not threading.current_thread():
            self._worker.join()

    def run(self) -> None:
        """The thread's body."""
        state = self._state
        while not self._is_stopping:
            state.is_background_idle = True
            if state.is_checkpoint_put_off:
                state.is_background_idle = False
                state.wake.wait(self._seconds_to_look())
            elif self._has_interval_work():
                state.is_background_idle = False
                state.wake.wait(state.options.sync_interval_seconds)
            else:
                state.wake.wait()
            state.is_background_idle = False
            state.wake.clear()
            if self._is_stopping or state.is_forked:
                return
            try:
                self.step()
            except (CbddError, OSError, MemoryError) as error:
                state.background_error = str(error)
                facts: dict[str, object] = {"error": str(error)}
                if isinstance(error, CbddError):
                    facts["code"] = error.code
                state.events.record("background_error", facts)
                if not self._is_stopping:
                    state.wake.wait(1.0)

    def step(self) -> None:
        """Do what is due now."""
        state = self._state
        if state.is_closed:
            return
        release_leftovers(state)
        # First: whoever makes one due from here on wakes the thread.
        state.is_checkpoint_put_off = False
        is_due = checkpoint_is_due(state) and not state.is_poisoned
        now = state.clock.monotonic()
        puts_off = is_due and self._puts_off(now)
        state.is_checkpoint_put_off = puts_off
        if puts_off and now - self._interval_from < state.options.sync_interval_seconds:
            return  # it only looked whether there are still statements
        if not puts_off:
            self._put_off_until = 0.0
        if is_due and not puts_off:
            run_checkpoint(state, False)
        self._interval_from = now
        if self._must_sync():
            sync_to(state, state.tip.lsn)
        if self._snapshots_seen == state.snapshots_taken:
            release_idle_pin(state)
        self._snapshots_seen = state.snapshots_taken

    def _puts_off(self, now: float) -> bool:
        """Whether a checkpoint that is due had better wait."""
        state = self._state
        if not self._put_off_until:
            self._put_off_until = now + LONGEST_SECONDS
        if state.writer_thread != 0 or self._last_snapshots != state.snapshots_taken:
            self._busy_at = now
        self._last_snapshots = state.snapshots_taken
        is_busy = now - self._busy_at < QUIET_SECONDS
        return is_busy and now < self._put_off_until and not checkpoint_is_urgent(state)

    def _seconds_to_look(self) -> float:
        """How long to sleep while a checkpoint is put off: no sync is to come late.

        Not even that of a commit while it sleeps, which does not wake it.
        """
        state = self._state
        interval = state.options.sync_interval_seconds
        if not self._must_sync():
            return min(QUIET_SECONDS, max(interval, SHORTEST_SECONDS))
        sync_at = self._interval_from + interval
        return max(0.0, min(QUIET_SECONDS, sync_at - state.clock.monotonic()))

    def _must_sync(self) -> bool:
        state = self._state
        if state.is_poisoned or state.read_only:
            return False
        asked = state.tip.lsn if state.options.durability == NORMAL else state.normal_lsn
        return asked > state.durable_lsn

    def _has_interval_work(self) -> bool:
        return self._must_sync() or (
            self._state.pinned_generation != 0 and not self._state.is_closed
        )
