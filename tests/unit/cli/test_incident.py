"""`cbdd incident` on the command line: what is wrong is told, and nothing is opened by mistake."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Shop

TRACE = "cbdd.errors.CorruptDataError: PAGE_CHECKSUM: page 31 is damaged"


@pytest.fixture
def records(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A folder with one open incident."""
    monkeypatch.chdir(shop.folder)
    shop.file("error.txt", TRACE)
    shop.file("junk", "junk")
    assert shop.run("incident", "open", "--exception", "error.txt").exit_code == 0
    return shop


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["open"], 2, "name one signal"),
        (["open", "--db", "a", "--bundle", "b"], 2, "name one signal"),
        (["open", "--db", "https://x"], 2, "not on servers"),
        (["open", "--db", "none.cbdd"], 4, "no such file"),
        (["open", "--exception", "junk"], 2, "SIGNAL_INVALID"),
        (["open", "--bundle", "junk"], 3, "BUNDLE_INVALID"),
        (["open", "--from-ci", "junk"], 2, "SIGNAL_INVALID"),
        (["open", "--from-consumers", "junk"], 2, "CONSUMERS_REPORT"),
        (["open", "--from-issue", "5"], 2, "TRACKER_REFUSED"),
        (["show", "9"], 2, "INCIDENT_NOT_FOUND"),
        (["milestone", "1", "lunch"], 2, "no milestone"),
        (["close", "1"], 2, "CLOSE_REFUSED"),
        (["close", "1", "--follow-up", "bad"], 2, "no follow-up"),
        (["assign", "1"], 2, "nobody was named"),
        (["assign", "1", "x", "--tracker", "jira:1"], 2, "TRACKER_CONFIG"),
        (["classify", "1", "--severity", "SEV-2"], 2, "needs a reason"),
        (["context", "1"], 2, "nothing was given"),
        (["mitigate", "1"], 2, "or --recover"),
        (["validate", "1"], 2, "give --wheel"),
        (["validate", "1", "--db", "x"], 2, "no test was seen to fail"),
        (["reproduce", "1", "--test", "none.py"], 2, "TEST_NOT_FOUND"),
        (["timeline", "1", "--edit", "1"], 2, "belong together"),
        (["report", "1", "--output", "junk"], 1, "there already"),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(
    records: Shop, arguments: list[str], exit_code: int, told: str
) -> None:
    result = records.run("incident", *arguments)
    assert result.exit_code == exit_code, result.output
    assert told in result.output
    assert len(records.json("incident", "show", "1")["timeline"]) == 1


def test_a_list_says_by_its_exit_code_that_something_is_late(records: Shop) -> None:
    late = records.run("incident", "list")
    assert late.exit_code == 8
    assert "OWNER NEEDED" in late.output
    records.run("incident", "assign", "1", "ada")
    assert records.run("incident", "list").exit_code == 0


def test_every_step_is_there_for_programs(records: Shop) -> None:
    shown = records.json("incident", "show", "1")
    assert [each["command"] for each in shown["next_steps"]][0] == "cbdd incident assign 1 NAME"
    told = records.json("incident", "status", "1", "writers are stopped")
    assert told["timeline"][-1]["text"] == "writers are stopped"
    lines = records.run("incident", "timeline", "1", "--json").stdout.splitlines()
    assert [json.loads(each)["line"] for each in lines] == [1, 2]


def test_evidence_is_written_into_a_new_folder(records: Shop) -> None:
    records.run("import", "shop.cbdd", "orders", records.file("o.jsonl", '{"_id": 1}'))
    records.run("incident", "open", "--db", "shop.cbdd")
    assert records.run("incident", "show", "2", "--save", "kept").exit_code == 0
    names = sorted(each.name for each in (records.folder / "kept").iterdir())
    assert names == ["doctor.json", "events.jsonl", "redacted.json"]
    assert (records.folder / "kept" / "doctor.json").stat().st_mode & 0o777 == 0o600
    assert records.run("incident", "show", "2", "--save", "kept").exit_code == 1
