"""SIGKILL at random moments: acknowledged statements are exactly there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import kill_loop

pytestmark = [pytest.mark.crash, pytest.mark.recovery]


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_acknowledged_statements_survive_being_killed(tmp_path: Path, durability: str) -> None:
    assert kill_loop.run(str(tmp_path / "app.cbdd"), 6, 20, durability) > 20


@pytest.mark.soak
def test_two_hundred_kills(tmp_path: Path) -> None:
    acknowledged = kill_loop.run(str(tmp_path / "app.cbdd"), 200, 1)
    print(f"{acknowledged} acknowledged statements, 200 kills")
