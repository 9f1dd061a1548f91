"""A report can be saved and read back; what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cbdd.errors import UsageError
from cbdd.ops.consumers import ConsumerReport, Difference, Report, read_report
from cbdd.ops.consumers.outcome import Outcome

SIDE = {"file": "cbdd-1-py3-none-any.whl", "name": "cbdd", "version": "1", "sha256": "00"}


def report(*kinds: str) -> Report:
    old, new = Outcome("passed"), Outcome("failed", "assert 1 == 2")
    differences = [Difference("m::t", kind, [old, old], [new, old]) for kind in kinds]
    consumer = ConsumerReport("shop", differences, ["m::x"], {"failed": 1}, {"failed": 2}, 1.5)
    quiet = ConsumerReport("quiet", [], [""], {}, {}, 0.5, "no network")
    return Report(SIDE, {**SIDE, "version": "2"}, [consumer, quiet], 5, 2.0)


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        ((), "no difference"),
        (("repaired",), "other differences"),
        (("flaky", "other failure"), "other differences"),
        (("repaired", "regressed"), "regressed"),
    ],
)
def test_the_verdict_is_the_worst_there_is(kinds: tuple[str, ...], verdict: str) -> None:
    assert report(*kinds).verdict == verdict


def test_what_was_saved_is_read_back_the_same(tmp_path: Path) -> None:
    saved = report("regressed", "flaky")
    path = tmp_path / "report.json"
    path.write_text(json.dumps(saved.to_dict()))
    again = read_report(path)
    assert again.to_dict() == saved.to_dict()
    [(name, difference)] = again.regressed()
    assert (name, difference.test) == ("shop", "m::t")
    assert difference.outcome.message == "assert 1 == 2"


def changed(**facts: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(report("regressed").to_dict())), **facts}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in changed().items() if key != name}


def with_difference(**facts: Any) -> dict[str, Any]:
    found = changed()
    found["consumers"][0]["differences"][0] |= facts
    return found


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ([], "no report"),
        ({}, "no report"),
        (changed(format=2), "its form is 2, expected 1"),
        (without("format"), "its form is None"),
        (without("consumers"), "lacks 'consumers'"),
        (changed(consumers=5), "not as it was written"),
        (changed(consumers=[5]), "not as it was written"),
        (changed(seconds="long"), "not as it was written"),
        (changed(old={}), "lacks 'file'"),
        (with_difference(kind="worse"), "unknown kind of difference 'worse'"),
        (with_difference(new=[]), "without outcomes"),
        (with_difference(new=[{"status": "odd", "message": ""}]), "odd"),
    ],
)
def test_what_is_no_report_is_refused(facts: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Report.from_dict(facts)
    assert caught.value.code == "CONSUMERS_REPORT"


@pytest.mark.parametrize("text", ["", "[" * 100_000, "\0"])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError, match="no JSON"):
        read_report(tmp_path / "r.json")
    with pytest.raises(UsageError, match="No such file"):
        read_report(tmp_path / "none.json")
