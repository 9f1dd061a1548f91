"""What a reader may see while commits wait for their sync."""

from __future__ import annotations

import pytest

from cbdd.errors import ClosedError, DurabilityError, ForkedError
from cbdd.storage.state import PendingCommit, Snapshot
from tests.unit.storage.conftest import Bench

pytestmark = pytest.mark.transaction_protocol


def test_nothing_behind_an_undurable_commit_is_visible(bench: Bench) -> None:
    state = bench.open()._state
    for lsn, must_be_durable in ((1, False), (2, True), (3, False), (4, True)):
        state.pending.append(PendingCommit(lsn, must_be_durable, Snapshot(lsn, 2, {}), []))
    seen = []
    for durable in (0, 1, 2, 3, 4):
        state.durable_lsn = durable
        state.advance_visible()
        seen.append(state.visible.lsn)
    assert seen == [1, 1, 3, 3, 4]
    assert not state.pending
    state.visible = state.tip


def test_owners_are_never_given_twice(bench: Bench) -> None:
    state = bench.open()._state
    owners = [state.next_owner() for _ in range(100)]
    assert len(set(owners)) == 100


def test_dirty_memory_is_never_negative(bench: Bench) -> None:
    state = bench.open()._state
    state.dirty_nodes = -5
    assert state.dirty_bytes() == 0
    state.dirty_nodes, state.dirty_large_bytes = 2, 1000
    assert state.dirty_bytes() == 2 * (8192 + 4096) + 1000
    state.dirty_nodes = state.dirty_large_bytes = 0


def test_what_a_handle_in_a_bad_way_says(bench: Bench) -> None:
    state = bench.open()._state
    state.is_poisoned = True
    with pytest.raises(DurabilityError, match="SYNC_FAILED"):
        state.require_unpoisoned()
    state.is_poisoned = False
    state.is_forked = True
    with pytest.raises(ForkedError):
        state.require_usable()
    state.is_forked = False
    state.is_closed = True
    with pytest.raises(ClosedError):
        state.require_usable()
    state.is_closed = False
    state.require_usable()
