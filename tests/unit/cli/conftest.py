"""The command line run in this process, on files in a folder of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cbdd
from cbdd.cli.app import app

DOCUMENTS = [
    {"_id": n, "name": f"item {n}", "qty": n % 5, "tags": ["a", "b"][: n % 3], "at": {"n": n}}
    for n in range(20)
]


class Shop:
    """A folder with files, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = str(folder / "shop.cbdd")

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Run a command; a traceback is a failure of the test."""
        result = CliRunner().invoke(app, list(arguments), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        """Run a command with `--json` and read what it says."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file and return its path."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def documents(self, collection: str) -> list[dict[str, Any]]:
        """What is stored."""
        with cbdd.connect(self.path, must_exist=True) as client:
            return list(client.shop[collection].find())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    return Shop(tmp_path)


@pytest.fixture
def full_shop(shop: Shop) -> Shop:
    """A shop with twenty items and an index."""
    with cbdd.connect(shop.path, durability="off") as client:
        client.shop.items.insert_many(DOCUMENTS)
        client.shop.items.create_index([("qty", 1), ("name", -1)], unique=True)
    return shop


@pytest.fixture
def each_command(full_shop: Shop) -> Callable[[str], list[list[str]]]:
    """The arguments of every command, for a file."""
    source = full_shop.file("one.jsonl", '{"a": 1}\n')

    def arguments(path: str) -> list[list[str]]:
        return [
            ["find", path, "items"],
            ["export", path, "items"],
            ["stats", path],
            ["info", path],
            ["check", path],
            ["indexes", path, "items"],
            ["checkpoint", path],
            ["create-index", path, "items", "name"],
            ["drop-index", path, "items", "x"],
            ["import", path, "more", source],
        ]

    return arguments
