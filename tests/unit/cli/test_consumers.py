"""`cbdd consumers` on the command line: what is shown, the exit codes, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cbdd.ops.consumers import Report, read_report, trial
from cbdd.ops.consumers.junit import read_junit
from cbdd.ops.environments import Environment
from tests.unit.cli.conftest import Shop
from tests.unit.ops.small_wheels import small_wheel

# The wheel a command runs with is known by the folder its environment was to be built in.
COMMAND = "import os, sys; '{}' in os.getcwd() and sys.exit('no [total]')"


@pytest.fixture
def market(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Two wheels, and consumers that run in the running environment."""
    running = Environment(Path(sys.prefix), [])
    monkeypatch.setattr(trial, "build_environment", lambda *_: running)
    monkeypatch.chdir(shop.folder)
    for version in ("1.0.0", "2.0.0"):
        small_wheel(shop.folder, version)
    small_wheel(shop.folder, name="shop")
    (shop.folder / "tests").mkdir()
    return shop


def name_consumers(market: Shop, **failing_side: str) -> None:
    """Write consumers.toml; each fails on the side that is named, `old`, `new`, `/` or `none`."""
    text = ""
    for name, side in failing_side.items():
        where = "/" if side == "/" else f"/{side}/"
        command = json.dumps(["python", "-c", COMMAND.format(where)])
        text += f'[[consumer]]\nname = "{name}"\npath = "shop-1.0.0-py3-none-any.whl"\n'
        text += f'tests = "tests"\ncommand = {command}\n'
    market.file("consumers.toml", text)


RUN = ["consumers", "run", "--old", "cbdd-1.0.0-py3-none-any.whl", "--offline"]
RUN += ["--new", "cbdd-2.0.0-py3-none-any.whl"]


def test_no_difference_is_exit_code_0_and_a_line_for_each(market: Shop) -> None:
    name_consumers(market, quiet="none", broken="/")
    result = market.run(*RUN)
    assert result.exit_code == 0, result.output
    assert "old: cbdd 1.0.0" in result.stdout
    assert "quiet: no difference" in result.stdout
    assert "fails the same with both: exit code 1: no [total]" in result.stdout
    assert "verdict: no difference" in result.stdout


def test_a_regression_is_exit_code_6(market: Shop) -> None:
    name_consumers(market, quiet="none", worse="new", better="old")
    result = market.run(*RUN, "--jobs", "2", "--junit", "out.xml")
    assert result.exit_code == 6
    [line] = [each for each in result.stdout.splitlines() if "regressed  " in each]
    assert line.split(maxsplit=2) == [
        "worse",
        "regressed",
        "(the whole run)  exit code 1: no [total]",
    ]
    assert "verdict: 1 regressed" in result.stdout
    statuses = {name: each.status for name, each in read_junit(Path("out.xml")).items()}
    assert statuses == {
        "quiet::the same with both wheels": "passed",
        "worse::worse": "failed",
        "better::better": "passed",
    }


def test_another_difference_is_exit_code_7(market: Shop) -> None:
    name_consumers(market, worse="new", better="old")
    result = market.run(*RUN, "--only", "better")
    assert result.exit_code == 7
    assert "repaired" in result.stdout
    assert "worse" not in result.stdout


def test_a_report_as_json_can_be_read_back(market: Shop) -> None:
    name_consumers(market, worse="new")
    facts = market.json(*RUN, exit_code=6)
    saved = market.file("report.json", json.dumps(facts))
    assert isinstance(read_report(saved), Report)
    assert read_report(saved).to_dict() == facts


def test_consumers_are_listed(market: Shop) -> None:
    name_consumers(market, first="none", second="new")
    result = market.run("consumers", "list")
    assert result.exit_code == 0
    assert "first" in result.stdout
    assert "600 s" in result.stdout
    lines = market.run("consumers", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["first", "second"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["consumers", "list", "--consumers", "none.toml"], "CONSUMERS_FILE"),
        ([*RUN, "--only", "nobody"], "CONSUMER_UNKNOWN"),
        ([*RUN[:3], "none.whl", *RUN[4:]], "WHEEL_INVALID"),
        ([*RUN[:3], "shop-1.0.0-py3-none-any.whl", *RUN[4:]], "WHEEL_INVALID"),
        ([*RUN, "--junit", "no-folder/out.xml"], "OPTION"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(market: Shop, arguments: list[str], code: str) -> None:
    name_consumers(market, first="none")
    result = market.run(*arguments, "--json")
    assert result.exit_code == 2, result.output
    assert json.loads(result.stderr)["error"]["code"] == code


def test_a_cancelled_run_ends_what_it_has_started(market: Shop) -> None:
    """A process of its own, as SIGTERM is for the whole of it."""
    pipe = market.folder / "pipe"
    os.mkfifo(pipe)
    command = json.dumps(["sh", "-c", f"exec 9>{pipe}; echo begun >&9; sleep 600"])
    name_consumers(market, slow="none")
    text = (market.folder / "consumers.toml").read_text()
    market.file("consumers.toml", re.sub("command = .*", lambda _: f"command = {command}", text))
    process = subprocess.Popen(
        [sys.executable, "-m", "cbdd.cli", *RUN], stderr=subprocess.PIPE, text=True
    )
    with pipe.open() as reader:
        assert reader.readline() == "begun\n"
        process.terminate()
        assert reader.read() == ""  # whoever had the other end open has ended
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "cbdd: stopped\n"


def test_packages_that_are_not_installed_are_named(
    market: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("cbdd.ops.consumers")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "defusedxml", None)
    monkeypatch.setitem(sys.modules, "defusedxml.ElementTree", None)
    result = market.run("consumers", "list", "--json")
    assert result.exit_code == 2
    error = json.loads(result.stderr)["error"]
    assert error["code"] == "EXTRA_MISSING"
    assert "pip install 'cbdd[incident]'" in error["message"]
