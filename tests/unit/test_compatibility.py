"""docs/compatibility.md names every public name of PyMongo, and tells the truth about refusals."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.database import Database
from pymongo.errors import OperationFailure

import cbdd

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
CLASSES: dict[str, Any] = {
    "Client": pymongo.MongoClient,
    "Database": Database,
    "Collection": Collection,
    "Cursor": Cursor,
}


def rows(section: str) -> dict[str, str]:
    """Return the state of each name in a section's table."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    states: dict[str, str] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 and line.startswith("|"):
            states.update(dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[1]))
    return states


@pytest.mark.parametrize("section", CLASSES)
def test_every_public_name_has_a_row(section: str) -> None:
    states = rows(section)
    public = {name for name in dir(CLASSES[section]) if not name.startswith("_")}
    assert sorted(public - set(states)) == []


@pytest.mark.parametrize("section", ["Database", "Collection"])
def test_what_is_refused_is_refused_and_nothing_else(section: str, tmp_path: Path) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        owner = client.shop if section == "Database" else client.shop.orders
        refused = {name for name, state in rows(section).items() if state.startswith("refused")}
        for name in sorted(refused):
            method = getattr(owner, name)
            needed = [
                each
                for each in inspect.signature(method).parameters.values()
                if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
            ]
            with pytest.raises(OperationFailure, match="not supported by this release") as raised:
                method(*["x"] * len(needed))
            assert raised.value.code == 238
        assert refused >= {"aggregate", "watch"}
