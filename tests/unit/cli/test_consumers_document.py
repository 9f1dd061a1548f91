"""docs/consumers.md: its commands run, its file can be read, its tables are true."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cbdd.cli.app import app
from cbdd.cli.failures import EXIT_CODES
from cbdd.ops.consumers import read_consumers, trial
from cbdd.ops.consumers.comparison import KINDS
from cbdd.ops.environments import Environment
from tests.unit.ops.small_wheels import small_wheel

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "consumers.md").read_text()
SHOP = '[[consumer]]\nname = "shop"\npath = "shop-1.0.0-py3-none-any.whl"\ntests = "tests"\n'


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the running environment: what building one does is tested beside the module."""
    monkeypatch.setattr(trial, "build_environment", lambda *_: Environment(Path(sys.prefix), []))
    monkeypatch.chdir(tmp_path)
    small_wheel(tmp_path, name="shop")
    for version in ("1.0.0", "1.1.0"):
        small_wheel(tmp_path, version)
    (tmp_path / "tests").mkdir()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "consumers.toml").write_text(SHOP + 'command = ["true"]\n')
    commands = re.findall(r"^    cbdd (.*)$", TEXT, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, f"cbdd {command}\n{result.output}"


def test_its_file_can_be_read(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    for folder in ("orders_service", "billing/tests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "orders_service" / "pyproject.toml").write_text("")
    small_wheel(tmp_path / "wheels", "2.1.0", name="billing")
    (tmp_path / "consumers.toml").write_text(block)
    first, second = read_consumers(tmp_path / "consumers.toml")
    assert first.timeout_seconds == 300
    assert second.command[-2:] == ("-k", "not slow")


def test_its_tables_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (.*?) \| (?:failure|skipped|passed) \|$", TEXT, re.M))
    assert rows == KINDS
    codes = dict(re.findall(r"^\| ([67]) \| (.*) \|$", TEXT, re.MULTILINE))
    assert codes["6"] in EXIT_CODES[6]
    assert set(codes) == {"6", "7"}
