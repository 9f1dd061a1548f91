"""Every example in the README and the documents runs, top to bottom, in a fresh folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cbdd.cli.app import app
from cbdd.cli.failures import EXIT_CODES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    # Its commands need two releases: tests/system/test_rollback.py runs them.
    if path.name != "deployment.md"
]
COMMAND = re.compile(r"^ {4,8}cbdd (.*)$", re.MULTILINE)

ORDERS = """\
{"_id": 1, "customer": "ada", "total": 12.5, "items": ["tea", "milk"]}
{"_id": 2, "customer": "ada", "total": 40, "items": ["pot"]}
"""
PEOPLE = "name,zip,born\nada,01234,1815-12-10\nbob,NA,\n"


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if "```python" in path.read_text()],
    ids=lambda path: path.name,
)
def test_the_examples_of_a_document_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_examples(path)


def run_examples(path: Path) -> int:
    """Run the examples of a document one after the other; returns how many there are."""
    examples = re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
    names: dict[str, object] = {"__name__": "example"}
    for example in examples:
        exec(compile(example, path.name, "exec"), names)
    return len(examples)


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if COMMAND.search(path.read_text())],
    ids=lambda path: path.name,
)
def test_the_commands_of_a_document_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.jsonl").write_text(ORDERS)
    (tmp_path / "people.csv").write_text(PEOPLE)
    commands = COMMAND.findall(path.read_text())
    if not any(command.startswith("import ") for command in commands):
        commands.insert(0, "import shop.cbdd orders orders.jsonl")
    run_examples(path)
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, f"cbdd {command}\n{result.output}"


def test_the_exit_codes_in_the_document_are_those_of_the_program() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (.*) \|$", (ROOT / "docs" / "command-line.md").read_text(), re.MULTILINE
    )
    assert {int(code): text for code, text in rows} == EXIT_CODES
