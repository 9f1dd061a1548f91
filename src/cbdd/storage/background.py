"""The thread of an open database: interval syncs, checkpoints that are due, idle pins.

It holds no state of its own: if it dies, commits still land in the log, and the next open recovers
them. It sleeps until there is something to do.
"""

from __future__ import annotations

import threading

from cbdd.errors import CbddError
from cbdd.storage.checkpoint import checkpoint_is_due, run_checkpoint
from cbdd.storage.follow import release_idle_pin
from cbdd.storage.leftovers import release_leftovers
from cbdd.storage.options import NORMAL
from cbdd.storage.state import DatabaseState
from cbdd.storage.sync import sync_to


class BackgroundThread:
    """Runs `step` until stopped. Owned by the engine."""

    def __init__(self, state: DatabaseState) -> None:
        self._state = state
        self._is_stopping = False
        self._snapshots_seen = -1
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
            if self._has_interval_work():
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
        if checkpoint_is_due(state) and not state.is_poisoned:
            run_checkpoint(state, False)
        if self._must_sync():
            sync_to(state, state.tip.lsn)
        if self._snapshots_seen == state.snapshots_taken:
            release_idle_pin(state)
        self._snapshots_seen = state.snapshots_taken

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
