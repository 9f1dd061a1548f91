"""docs/runbook.md as it stands: its commands, in its order, on a database that was damaged."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from scripts.runbook_tables import filled
from typer.testing import CliRunner

import cbdd
from cbdd.cli.app import app
from cbdd.cli.failures import DAMAGED, OVERDUE
from cbdd.ops.bundle import Pseudonyms, collect, write_bundle
from cbdd.ops.incident import milestones, severity
from cbdd.testing.damage import flipped

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"
COMMAND = re.compile(r"^ {4,}(cbdd|make|pytest|pip) (.*)$", re.MULTILINE)
SECTIONS = [
    "Purpose",
    "Signals And Entry Points",
    "Alert Triage Procedure",
    "Diagnostics",
    "Escalation Path",
    "Recovery Actions",
    "Post-Incident Expectations",
]
EXPECTED = {"doctor shop.cbdd": DAMAGED, "incident list": OVERDUE}
"""Exit codes that say what the reader is to see; all other commands end with 0."""
JUNIT = """\
<testsuites><testsuite timestamp="2026-01-31T12:00:00+00:00">
<testcase classname="tests.unit.test_examples" name="test_a"><failure message="x">y</failure>
</testcase></testsuite></testsuites>
"""


def prepare(folder: Path) -> None:
    """A database with a damaged leaf, met by a reader; a bundle of it; a test report."""
    path = folder / "shop.cbdd"
    with cbdd.connect(str(path)) as client:
        client.shop.orders.create_index("total")
        client.shop.orders.insert_many(
            [{"_id": n, "total": n % 7, "text": "x" * 300} for n in range(200)]
        )
    client = cbdd.connect(str(path))
    client.shop.orders.insert_one({"_id": 1000})
    data = path.read_bytes()
    log = next(folder.glob("shop.cbdd-wal-*"))
    kept = log.read_bytes()
    client.close()
    path.write_bytes(flipped(data, data.rfind(b"x" * 300) * 8))
    log.write_bytes(kept)
    with pytest.raises(cbdd.CorruptDataError) as raised, cbdd.connect(str(path)) as client:
        list(client.shop.orders.find())
    (folder / "traceback.txt").write_text(f"cbdd.errors.CorruptDataError: {raised.value}\n")
    (folder / "junit.xml").write_text(JUNIT)
    members = collect(str(path), Pseudonyms(bytes(32)))
    write_bundle(str(folder / "for-support.zip"), members, 1_800_000_000_000_000)


def test_every_command_of_the_runbook_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    told: dict[str, str] = {}
    for program, line in COMMAND.findall(RUNBOOK.read_text()):
        if program != "cbdd":
            continue
        result = CliRunner().invoke(app, shlex.split(line))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == EXPECTED.get(line, 0), f"cbdd {line}\n{result.output}"
        told[line] = result.output
    with cbdd.connect("shop-recovered.cbdd") as client:
        assert client.check().is_clean
        assert client.shop.orders.count_documents({}) > 150
    assert "this belongs to the open incident 1" in told["incident open --bundle for-support.zip"]
    assert (tmp_path / "review.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "evidence" / "test_incident_1.py").exists()


def test_the_runbook_has_the_sections_of_the_document_it_comes_from() -> None:
    headings = re.findall(r"^## (.*)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings[: len(SECTIONS)] == SECTIONS


def test_the_tables_of_the_runbook_are_those_of_the_code() -> None:
    text = RUNBOOK.read_text()
    assert filled(text) == text
    assert severity.to_markdown() in text
    assert milestones.to_markdown() in text


def test_targets_of_make_that_the_runbook_names_are_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [line for program, line in COMMAND.findall(RUNBOOK.read_text()) if program == "make"]
    assert named
    assert not [line for line in named if line.split()[0] not in targets]
