"""The job as it is run: output, exit codes, and what a kill leaves."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from daily_measurements.cli import main
from daily_measurements.store import MeasurementStore

LINES = 1500


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    """A day of two stations, every 40 seconds."""
    path = tmp_path / "day.csv"
    begin = datetime(2024, 5, 1)
    rows = [
        f"{'north' if n % 2 else 'south'},{begin + timedelta(seconds=20 * n)},{n % 40}"
        for n in range(LINES)
    ]
    path.write_text("\n".join(["station,taken_at,celsius", *rows]) + "\n")
    return path


def test_the_summary_of_a_day_is_that_of_its_measurements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database, source = str(tmp_path / "m.cbdd"), tmp_path / "m.csv"
    rows = ["north,2024-05-01T01:00,1", "north,2024-05-01T02:00,4", "south,2024-05-02T01:00,9"]
    source.write_text("\n".join(["station,taken_at,celsius", *rows]) + "\n")
    assert main(["import", database, str(source)]) == 0
    assert "3 new, 0 changed, 0 the same" in capsys.readouterr().out
    assert main(["summary", database, "2024-05-01"]) == 0
    [_, line] = capsys.readouterr().out.splitlines()
    assert line.split() == ["north", "2", "1.0", "2.5", "4.0"]


def test_bad_lines_are_reported_and_the_rest_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database, source = str(tmp_path / "m.cbdd"), tmp_path / "m.csv"
    source.write_text("station,taken_at,celsius\nnorth,never,1\nnorth,2024-05-01T02:00,4\n")
    assert main(["import", database, str(source)]) == 1
    assert f"{source}:2: " in capsys.readouterr().err
    with MeasurementStore(database) as store:
        assert store.count() == 1


@pytest.mark.parametrize(
    "arguments", [["import", "m.cbdd", "none.csv"], ["summary", "none.cbdd", "2024-05-01"]]
)
def test_a_file_that_is_not_there_is_an_error_and_not_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "daily-measurements: " in capsys.readouterr().err
    assert not Path("none.cbdd").exists()


def test_a_job_that_is_killed_is_run_again_and_completes(tmp_path: Path, csv_file: Path) -> None:
    database = str(tmp_path / "m.cbdd")
    command = [sys.executable, "-m", "daily_measurements", "import", database, str(csv_file)]
    job = subprocess.Popen([*command, "--batch", "100"], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    told = [job.stdout.readline() for _ in range(3)]  # three batches are on disk
    job.kill()
    job.communicate()
    assert told[-1].endswith("300 stored\n")
    with MeasurementStore(database) as store:
        assert 300 <= store.count() <= LINES
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{LINES:,} stored" in again.stdout
    with MeasurementStore(database) as store:
        assert store.count() == LINES
