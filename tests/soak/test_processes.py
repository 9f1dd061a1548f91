"""Two writer and two reader processes: no lost update, no torn read, no error but conflicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import processes

pytestmark = [pytest.mark.transaction_protocol]


def test_writers_and_readers_in_processes(tmp_path: Path) -> None:
    totals = processes.run(str(tmp_path / "bank.cbdd"), 4, 1)
    print(totals)
    assert totals["moves"] > 10
    assert totals["reads"] > 10


@pytest.mark.soak
def test_writers_and_readers_for_a_minute(tmp_path: Path) -> None:
    print(processes.run(str(tmp_path / "bank.cbdd"), 60, 7))
