"""The benchmarks run, in tiny sizes; what they measure is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import one_operation
from benchmarks.__main__ import KINDS, ROWS, main
from benchmarks.documents import Workload
from benchmarks.instructions import judge
from benchmarks.one_operation import OPERATIONS
from benchmarks.rivals import CONTESTANTS


def test_every_row_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    asked = ["--kind", "small", "--documents", "40", "--rounds", "1", "--rivals", "sqlite3"]
    markdown = tmp_path / "bench.md"
    asked += ["--tiny", "--json", str(path), "--markdown", str(markdown)]
    assert main(asked) == 0
    assert "| get by `_id` | " in markdown.read_text()
    report = json.loads(path.read_text())
    rows = report["kinds"]["small"]["rows"]
    assert [each["row"] for each in rows] == [row.name for row in ROWS]
    assert all(each["medians"]["cbdd"] > 0 for each in rows)
    told = capsys.readouterr().out
    assert all(row.name in told for row in ROWS)
    assert report["machine"]["versions"]["sqlite3"]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_whose_instructions_are_counted_runs(name: str) -> None:
    program = Path(one_operation.__file__)
    done = subprocess.run(
        [sys.executable, str(program), name, "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_documents_are_the_same_for_the_same_seed(kind: str) -> None:
    first, again = Workload(kind, 30), Workload(kind, 30)
    assert first.documents == again.documents
    assert len({each["key"] for each in first.documents}) == 30
    assert sorted(each["rank"] for each in first.documents) == list(range(30))
    more = first.more(40)
    assert not {each["_id"] for each in more} & {each["_id"] for each in first.documents}


@pytest.mark.parametrize(
    ("now", "more", "less"), [(1100, 0, 0), (1101, 1, 0), (900, 0, 0), (899, 0, 1)]
)
def test_a_tenth_more_instructions_is_too_many(now: int, more: int, less: int) -> None:
    told = judge({"get": now}, {"get": 1000})
    assert (len(told[0]), len(told[1])) == (more, less)
    assert judge({"new": 1}, {})[0] == ["new: nothing is on record"]


def test_contestants_agree_about_the_answers(tmp_path: Path) -> None:
    workload = Workload("small", 50)
    answers = []
    for kind in CONTESTANTS:
        if kind.name not in ("cbdd", "sqlite3"):
            continue
        database = kind(str(tmp_path / kind.name), "normal", ("key", "rank"))
        database.insert_many(workload.documents)
        database.increment(3)
        database.delete(7)
        first = workload.documents[3]
        answers.append(
            [
                database.get(3),
                database.get(7),
                database.by_key(first["key"]),
                sorted(each["_id"] for each in database.by_rank(10, 20)),
                sorted(each["_id"] for each in database.scores_above(0.5)),
                database.read_all(),
                [each["_id"] for each in database.sorted_by("score", 5)],
                database.count_ranks(5, 25),
                [each["_id"] for each in database.skip_ranks(5, 3, 4)],
                database.update_many(0.5),
            ]
        )
        database.close()
    assert answers[0] == answers[1]
