"""A bounded part of the kill loop, the power cuts and the soak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import soak
from tests.soak.kills import run_kills
from tests.soak.schema import run_schema
from tests.system.capabilities import needs
from tests.system.power_cuts import run_cuts, why_not

pytestmark = [pytest.mark.crash, pytest.mark.recovery]


def test_acknowledged_commits_survive_sigkills_of_several_processes(tmp_path: Path) -> None:
    counts = run_kills(str(tmp_path / "app.cbdd"), 60, 11, 20)
    assert counts["kills"] >= 20
    assert counts["commits"] > 50
    assert counts["looks"] > 3


def test_a_life_with_full_disks_and_lost_shared_state_loses_nothing() -> None:
    for seed in (3, 4, 5, 6):  # how much is done in the time depends on the machine
        counts = soak.live(12, seed)
        assert counts["commits"] > 20
        if counts["small disks"]:
            return
    raise AssertionError("no life had a small disk")


def test_schemas_changed_by_processes_that_are_killed_stay_sound(tmp_path: Path) -> None:
    counts = run_schema(str(tmp_path / "app.cbdd"), 13, 5)
    assert counts["kills"] > 2
    assert counts["done"] > 100
    assert counts["read"]


@needs(why_not())
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_durable_commits_survive_power_cuts(kind: str) -> None:
    counts, commits = run_cuts(4, 21, kind)
    done = [name for name in counts if not name.startswith("skipped")]
    if not done:
        pytest.skip(f"{kind} cannot be made or mounted here")
    assert commits > 10
