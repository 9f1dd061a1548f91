"""The issue templates parse, ask for what the runbook captures, and name commands that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from cbdd.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "ISSUE_TEMPLATE"
TEMPLATES = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted(FOLDER.glob("*.yml"))
    if path.stem != "config"
}
KINDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}
COMMAND = re.compile(r"`(cbdd [^`]*)`")


def fields_of(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["id"]: part for part in template["body"] if part["type"] != "markdown"}


def test_there_is_a_template_for_each_kind_of_issue() -> None:
    assert list(TEMPLATES) == ["bug", "feature", "incident"]
    assert yaml.safe_load((FOLDER / "config.yml").read_text()) == {"blank_issues_enabled": True}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_form(name: str) -> None:
    template = TEMPLATES[name]
    assert set(template) <= {"name", "description", "title", "labels", "body"}
    assert template["name"]
    assert template["description"].endswith(".")
    assert template["labels"] == [name]
    fields = fields_of(template)
    assert any(part.get("validations", {}).get("required") for part in fields.values())
    asked = [part for part in template["body"] if part["type"] != "markdown"]
    assert len(fields) == len(asked)
    for part in template["body"]:
        assert part["type"] in KINDS
        assert set(part) <= {"type", "id", "attributes", "validations"}
        if part["type"] == "markdown":
            assert part["attributes"]["value"]
            continue
        assert re.fullmatch(r"[a-z-]+", part["id"])
        assert part["attributes"]["label"]
        if part["type"] in ("dropdown", "checkboxes"):
            assert len(part["attributes"]["options"]) >= 1


def test_an_incident_asks_for_what_the_runbook_captures() -> None:
    fields = fields_of(TEMPLATES["incident"])
    captured = ["version", "environment", "operation", "first-failure", "bundle"]
    for name in captured:
        assert fields[name]["validations"] == {"required": True}, name
    assert not fields["doctor"].get("validations")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_names_only_commands_that_exist(name: str) -> None:
    named = COMMAND.findall((FOLDER / f"{name}.yml").read_text())
    assert named or name == "feature"
    there = {command.name for command in app.registered_commands}
    there |= {
        group.typer_instance.info.name for group in app.registered_groups if group.typer_instance
    }
    options = {
        option
        for command in typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
        for parameter in command.params
        for option in parameter.opts
    } | {"--version"}
    for command in named:
        words = command.split()
        assert words[1] in there or words[1].startswith("--"), command
        for word in words[1:]:
            assert not word.startswith("--") or word in options, command
        if words[1] in there:
            assert CliRunner().invoke(app, [words[1], "--help"]).exit_code == 0
