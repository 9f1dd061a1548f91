"""A regression in a release: opened, reproduced, bisected, pinned, validated, closed.

Everything by the command line, with real wheels in environments of their own. In 1.1.0 `$inc`
loses its operand; 1.3.0 repairs it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cbdd
from cbdd.cli.app import app
from tests.package_index import PackageIndex, pack_installed, required_by
from tests.wheels import build_wheel

DEFECT = {
    "src/cbdd/query/update_leaf.py": (
        "multiply(current, operand) if self.is_product else add(current, operand)",
        "multiply(current, operand) if self.is_product else current",
    )
}
TEST = """\
import cbdd


def test_inc_adds(tmp_path):
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        client.a.a.insert_one({"_id": 1, "n": 1})
        client.a.a.update_one({"_id": 1}, {"$inc": {"n": 2}})
        assert client.a.a.find_one() == {"_id": 1, "n": 3}
"""
SUITE = """\
import cbdd
import pytest


@pytest.mark.query
def test_a_filter_finds(tmp_path):
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        client.a.a.insert_one({"_id": 1})
        assert client.a.a.find_one({"_id": 1})
"""
JUNIT = """\
<testsuites><testsuite name="pytest" timestamp="2026-01-31T12:00:00+00:00">
<testcase classname="tests.test_inc" name="test_inc_adds" file="tests/test_inc.py"><properties>
<property name="area" value="query"/></properties>
<failure message="assert 1 == 3">AssertionError</failure></testcase>
</testsuite></testsuites>
"""


class Maintainer:
    """Someone at a command line in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(app, ["incident", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        return result.output

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["incident", *arguments, "--json"])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    build_wheel(folder, "1.0.0")
    build_wheel(folder, "1.1.0", DEFECT)
    build_wheel(folder, "1.2.0", DEFECT)
    return folder


@pytest.fixture
def maintainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maintainer:
    monkeypatch.chdir(tmp_path)
    checkout = tmp_path / "tests"
    checkout.mkdir()
    (checkout / "test_inc.py").write_text(TEST)
    (checkout / "test_filter.py").write_text(SUITE)
    (tmp_path / "junit.xml").write_text(JUNIT)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    query: x\n")
    return Maintainer(tmp_path)


def test_a_regression_is_found_contained_and_repaired(
    wheels: Path, maintainer: Maintainer, tmp_path: Path
) -> None:
    opened = maintainer.json("open", "--from-ci", "junit.xml")
    assert (opened["number"], opened["severity"], opened["is_new"]) == (1, "SEV-2", True)
    maintainer.run("assign", "1", "ada", "--release-maintainer", "grace")
    bad = str(wheels / "cbdd-1.2.0-py3-none-any.whl")

    maintainer.json("reproduce", "1", exit_code=1)  # this installation has no such fault
    found = maintainer.json(
        "reproduce", "1", "--test", "tests/test_inc.py", "--wheel", bad, "--offline"
    )
    assert found["failed"]
    maintainer.run("milestone", "1", "triage-complete", "--text", "$inc loses its operand")

    with cbdd.connect("shop.cbdd") as client:
        client.shop.orders.insert_one({"_id": 1})
    made = maintainer.json(
        "mitigate",
        "1",
        "--wheels",
        str(wheels),
        "--offline",
        "--output",
        "pins",
        "--db",
        "shop.cbdd",
    )
    assert (made["last_good"], made["first_bad"]) == ("1.0.0", "1.1.0")
    assert made["bad"] == ["1.1.0", "1.2.0"]
    assert (made["file"]["reads"], made["file"]["writes"]) == (True, True)
    assert made["file"]["version"] == "1.0.0"
    assert "cbdd==1.0.0" in (tmp_path / "pins" / "constraints.txt").read_text()
    assert 'cbdd = "1.0.0"' in (tmp_path / "pins" / "poetry.toml.txt").read_text()
    assert "SEV-2 incident 1" in (tmp_path / "pins" / "YANK.txt").read_text()
    maintainer.run("milestone", "1", "mitigation-active")
    maintainer.run("milestone", "1", "fix-merged")

    facts = maintainer.json("validate", "1", "--wheel", bad, "--offline", exit_code=1)
    assert facts["regression"]["outcome"] == "failed"
    maintainer.run("milestone", "1", "validation-complete", exit_code=2)
    fixed = str(build_wheel(tmp_path / "fixed", "1.3.0"))
    quick = maintainer.json(
        "validate", "1", "--wheel", fixed, "--offline", "--targeted-only", exit_code=1
    )
    assert quick["regression"]["outcome"] == "passed"
    facts = maintainer.json("validate", "1", "--wheel", fixed, "--offline")
    assert facts["wheel"]["version"] == "1.3.0"
    assert [each["outcome"] for each in facts["targeted"]] == ["passed"]
    assert (facts["full"]["outcome"], facts["full"]["passed"]) == ("passed", 2)
    maintainer.run("milestone", "1", "validation-complete")

    maintainer.run("close", "1", "--root-cause", "the operand was dropped", exit_code=2)
    closed = maintainer.json(
        *("close", "1", "--root-cause", "the operand was dropped"),
        *("--follow-up", "a property test for $inc; ada; 2027-01-31"),
    )
    assert closed["closure"]["blast_radius"]["versions"] == ["1.1.0", "1.2.0"]
    report = maintainer.run("report", "1")
    for told in ("the operand was dropped", "1.0.0", "1.3.0", "ada", "2027-01-31"):
        assert told in report.replace("\\", "")
    assert maintainer.run("list") == "no incidents\n"


def test_releases_are_fetched_from_an_index(
    wheels: Path, maintainer: Maintainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all they depend on; nothing but the index is asked, and its login is told to nobody."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    folder = tmp_path / "index"
    folder.mkdir()
    for name in required_by("cbdd") | required_by("pytest") | {"pytest"}:
        pack_installed(name, folder)
    for wheel in wheels.glob("*.whl"):
        (folder / wheel.name).symlink_to(wheel)
    maintainer.json("open", "--from-ci", "junit.xml")
    with PackageIndex(folder) as index:
        address = index.url.replace("http://", "http://ada:s3cr3t@")
        bad = str(wheels / "cbdd-1.2.0-py3-none-any.whl")
        found = maintainer.json(
            *("reproduce", "1", "--test", "tests/test_inc.py", "--wheel", bad),
            *("--index-url", address),
        )
        assert found["failed"]
        asked = ["--release", "1.2.0", "--release", "1.0.0"]
        made = maintainer.json("mitigate", "1", *asked, "--index-url", address)
        assert (made["last_good"], made["first_bad"]) == ("1.0.0", "1.2.0")
        refused = maintainer.run(
            *("mitigate", "1", "--release", "9.9.9", "--index-url", address), exit_code=2
        )
        assert "9.9.9" in refused
    assert {"/files/cbdd-1.0.0-py3-none-any.whl", "/files/cbdd-1.2.0-py3-none-any.whl"} <= set(
        index.asked
    )
    assert "s3cr3t" not in refused + json.dumps([found, made])
    assert "s3cr3t" not in maintainer.run("report", "1") + maintainer.run("timeline", "1")
