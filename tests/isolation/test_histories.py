"""Histories of real threads, processes and crashes show nothing that is forbidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbdd.build_info import build_kind
from cbdd.storage.transaction import WriteTransaction
from cbdd.testing.histories import check_history, forbidden
from tests.isolation.append_workload import run_history
from tests.isolation.run import run_rounds

pytestmark = pytest.mark.transaction_protocol


def test_threads_processes_and_crashes_keep_snapshot_isolation() -> None:
    counts, names, bad = run_rounds(5, 100, 2, 2, 2.5)
    assert not bad, "\n".join(bad)
    assert counts["committed"] > 50
    assert set(names) <= {"G2-item", "G2-item-realtime"}


@pytest.mark.skipif(build_kind() == "compiled", reason="compiled methods cannot be replaced")
def test_commits_without_validation_are_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WriteTransaction, "_validate", lambda self: None)
    history, _kills = run_history(str(tmp_path / "app.cbdd"), 2.0, 1, 1, 4, False)
    found = {anomaly.name for anomaly in forbidden(check_history(history))}
    assert found & {"G-single", "lost-append", "incompatible-order", "G-nonadjacent"}, found
