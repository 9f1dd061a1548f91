"""Reports of pytest are read, hostile ones refused, and what we write can be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cbdd.ops.consumers import ConsumerReport, Difference, Report, write_junit
from cbdd.ops.consumers.junit import read_junit
from cbdd.ops.consumers.outcome import Outcome

TESTS = """
import pytest

def test_good(): pass
def test_bad(): assert 1 == 2, "one is not two"
@pytest.mark.skip(reason="not today")
def test_left_out(): pass
@pytest.mark.xfail
def test_known(): assert False
@pytest.fixture
def broken(): raise OSError("no disk")
def test_no_fixture(broken): pass
@pytest.fixture
def late():
    yield
    raise OSError("no end")
def test_bad_end(late): pass
class TestGroup:
    @pytest.mark.parametrize("n", [1, 2])
    def test_some(self, n): assert n == 1
"""


def test_outcomes_of_pytest_are_read(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_broken.py").write_text("import no_such_module_anywhere\n")
    command = [sys.executable, "-m", "pytest", "--junitxml=r.xml", "-p", "no:cacheprovider"]
    command += ["--rootdir=.", "--continue-on-collection-errors"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    found = read_junit(tmp_path / "r.xml")
    assert {name: each.status for name, each in found.items()} == {
        "test_broken": "error",
        "test_some::test_good": "passed",
        "test_some::test_bad": "failed",
        "test_some::test_left_out": "skipped",
        "test_some::test_known": "skipped",
        "test_some::test_no_fixture": "error",
        "test_some::test_bad_end": "error",
        "test_some.TestGroup::test_some[1]": "passed",
        "test_some.TestGroup::test_some[2]": "failed",
    }
    assert found["test_some::test_bad"].line == "AssertionError: one is not two"
    assert found["test_some::test_no_fixture"].line == 'failed on setup with "OSError: no disk"'
    missing = "ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    assert found["test_broken"].line == missing


ENTITIES = '<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><testsuites>&y;</testsuites>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><testsuites>&x;</testsuites>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no XML"),
        ("<testsuites>", "no XML"),
        ("<html></html>", "root is 'html'"),
        (ENTITIES, "no use for"),
        (FILE, "no use for"),
        ("<!DOCTYPE a><testsuites/>", "no use for"),
    ],
)
def test_what_is_no_test_report_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_junit(path)


def test_a_test_that_is_there_twice_has_its_worst_outcome(tmp_path: Path) -> None:
    path = tmp_path / "r.xml"
    case = '<testcase classname="a" name="t">{}</testcase>'
    failed = case.format("<failure>first\nlast</failure>")
    path.write_text(f"<testsuite>{case.format('')}{failed}{case.format('')}</testsuite>")
    assert read_junit(path)["a::t"].to_dict() == {"status": "failed", "message": "last"}


def test_what_is_written_is_read_back_as_failures_where_something_got_worse(
    tmp_path: Path,
) -> None:
    passed, failed = Outcome("passed"), Outcome("failed", "bad \x1b[31m \x00 <text> & more")
    kinds = ["regressed", "other failure", "flaky", "vanished", "new", "repaired"]
    differences = [Difference(f"m.C::{kind}", kind, [passed], [failed]) for kind in kinds]
    differences.append(Difference("", "regressed", [passed], [failed]))
    consumers = [
        ConsumerReport("shop", differences, [], {}, {}, 1.0),
        ConsumerReport("quiet", [], [], {}, {}, 1.0),
    ]
    side = {"file": "", "name": "", "version": "", "sha256": ""}
    write_junit(tmp_path / "out.xml", Report(side, side, consumers, 0, 2.0))
    found = read_junit(tmp_path / "out.xml")
    assert {name: each.status for name, each in found.items()} == {
        "shop.m.C::regressed": "failed",
        "shop.m.C::other failure": "failed",
        "shop.m.C::flaky": "skipped",
        "shop.m.C::vanished": "skipped",
        "shop.m.C::new": "passed",
        "shop.m.C::repaired": "passed",
        "shop::shop": "failed",
        "quiet::the same with both wheels": "passed",
    }
    assert found["shop::shop"].line == "regressed: bad \ufffd[31m \ufffd <text> & more"
    text = (tmp_path / "out.xml").read_text()
    assert 'tests="8" failures="3" skipped="2" errors="0"' in text
