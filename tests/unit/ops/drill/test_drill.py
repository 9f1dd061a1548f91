"""Drills: every kind breaks something, a script gets through, and what is left out is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cbdd
from cbdd.cli.app import app
from cbdd.cli.drill import walk
from cbdd.errors import UsageError
from cbdd.ops.drill import KINDS, Scenario, grade, load_scenario, start_drill
from cbdd.ops.drill.scenario import hashes_of
from cbdd.ops.incident import IncidentStore, override_severity

CORPUS = Path(__file__).parents[3] / "incidents"
SCALE = int(os.environ.get("CBDD_CRASH_SCALE", "1"))
WALKED = list(KINDS) if SCALE > 1 else ["page-zeroed", "bit-flipped-in-a-meta-page", "file-cut"]


def failed(scenario: Scenario) -> list[str]:
    return [each.name for each in grade(scenario).checks if not each.is_passed]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_breaks_something_the_same_for_a_seed(kind: str, tmp_path: Path) -> None:
    made = [start_drill(str(tmp_path / name), 3, kind) for name in ("a", "b")]
    assert made[0].codes
    assert made[0].sha256 == made[1].sha256 == hashes_of(tmp_path / "b" / "damaged")
    assert failed(made[0]) == ["opened"]
    loaded = load_scenario(str(tmp_path / "a"))
    assert (loaded.kind, loaded.codes) == (kind, made[0].codes)
    for told in (tmp_path / "a" / "alert.txt", tmp_path / "a" / ".sealed.json"):
        assert kind not in told.read_text()


@pytest.mark.parametrize("kind", WALKED)
def test_who_types_what_the_screen_says_gets_the_data_back(kind: str, tmp_path: Path) -> None:
    scenario = start_drill(str(tmp_path / "drill"), 2, kind)
    walk(scenario, is_told=False)
    assert failed(scenario) == []
    assert list((tmp_path / "drill").glob("test_incident_1_*.py"))
    assert [each.name for each in CORPUS.glob("*.py")] == ["__init__.py"]


def test_what_was_left_out_or_done_wrong_is_noticed(tmp_path: Path) -> None:
    scenario = start_drill(str(tmp_path / "drill"), 2, "page-zeroed")
    run = CliRunner().invoke
    store = ["--store", str(scenario.store)]
    run(app, ["incident", "open", "--db", str(scenario.database), *store])
    run(app, ["incident", "assign", "1", "ada", *store])
    with IncidentStore(str(scenario.store)) as records:
        records.change(1, override_severity(records.now_us(), "SEV-3", "it looks harmless"))
    worse = scenario.folder / "worse.cbdd"
    with cbdd.connect(str(worse)) as client:
        client.shop.things.insert_one({"_id": 1})
    run(app, ["incident", "mitigate", "1", "--repaired", str(worse), *store])
    data = bytearray(scenario.database.read_bytes())
    data[-1] ^= 1
    scenario.database.write_bytes(data)
    assert failed(scenario) == [
        "classified",
        "reproduced",
        "triage-complete",
        "mitigation-active",
        "fix-merged",
        "validation-complete",
        "evidence kept",
        "data back",
        "validated",
        "closed",
    ]


def test_a_copy_of_ones_own_database_is_broken_and_the_original_only_read(
    tmp_path: Path,
) -> None:
    own = tmp_path / "own.cbdd"
    with cbdd.connect(str(own)) as client:
        client.mine.notes.insert_many([{"_id": n, "text": "t" * 200} for n in range(200)])
    before = own.read_bytes()
    for kind in ("page-zeroed", "log-missing", "file-cut"):
        scenario = start_drill(str(tmp_path / kind), 1, kind, str(own))
        assert scenario.codes
    assert own.read_bytes() == before
    scenario = load_scenario(str(tmp_path / "page-zeroed"))
    walk(scenario, is_told=False)
    assert failed(scenario) == []


def test_a_drill_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kind of failure"):
        start_drill(str(tmp_path / "a"), 1, "flood")
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="OUTPUT_EXISTS"):
        start_drill(str(tmp_path / "there"))
    with pytest.raises(UsageError, match="no drill"):
        load_scenario(str(tmp_path / "there"))


def test_the_command_line_starts_grades_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = CliRunner().invoke(app, ["drill", "start", "practice", "--kind", "log-missing"])
    assert started.exit_code == 0
    assert "cbdd incident open --db practice/damaged/app.cbdd" in started.output
    graded = CliRunner().invoke(app, ["drill", "grade", "practice"])
    assert graded.exit_code == 1
    assert "0 of 1 drills passed" in graded.output
    ran = CliRunner().invoke(app, ["drill", "run", "kept", "--kind", "page-zeroed", "--json"])
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "kept" / "page-zeroed" / "incidents.cbdd").exists()
    both = CliRunner().invoke(app, ["drill", "run", "--all", "--kind", "file-cut"])
    assert both.exit_code == 2
