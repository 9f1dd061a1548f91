"""The flight recorder on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cbdd
from cbdd.cli.failures import CANNOT_OPEN
from tests.unit.cli.conftest import Shop


@pytest.fixture
def used(shop: Shop) -> Shop:
    for number in range(3):
        with cbdd.connect(shop.path) as client:
            client.shop.things.insert_one({"n": number})
    return shop


def names(shop: Shop, *options: str) -> list[str]:
    lines = shop.run("events", shop.path, "--json", *options).stdout.splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_opens_and_closes_are_shown_oldest_first(used: Shop) -> None:
    assert names(used) == ["open", "close"] * 3
    assert names(used, "--last", "1") == ["close"]
    assert "6 events" in used.run("events", used.path).stdout


def test_failures_are_picked(used: Shop) -> None:
    log = Path(f"{used.path}-events")
    with log.open("a") as file:
        file.write(json.dumps({"time_us": 1, "event": "hole", "code": "WAL_HOLE"}) + "\n")
        found = {"findings": [{"code": "META_COPY_DAMAGED"}], "event": "recovery"}
        file.write(json.dumps(found) + "\n")
    assert names(used, "--failures") == ["hole", "recovery"]
    assert "META_COPY_DAMAGED" in used.run("events", used.path).stdout


@pytest.mark.parametrize("content", [b"\x00garbage", b"", b"nonsense"])
def test_the_database_itself_is_not_needed(used: Shop, content: bytes) -> None:
    Path(used.path).write_bytes(content)
    assert len(names(used)) == 6
    Path(used.path).unlink()
    assert len(names(used)) == 6


def test_a_link_is_followed(used: Shop) -> None:
    link = used.folder / "link.cbdd"
    link.symlink_to(used.path)
    assert used.run("events", str(link)).exit_code == 0


def test_what_a_hostile_recorder_holds_cannot_steer_a_terminal(used: Shop) -> None:
    lines = [
        {"time_us": 10**30, "event": "\x1b[2J", "code": "\x1b]0;x\x07", "pid": "\x1b"},
        {"time_us": True, "event": ["[red]x"], "findings": [1, {"code": None}], "x": "\x1b[31m"},
        {"time_us": -1, "event": "a" * 10_000, "y": "b" * 10_000},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"a": 1\n[1]\n"x"\nnull\n'
    Path(f"{used.path}-events").write_bytes(text.encode() + b"\xff\xfe\n")
    result = used.run("events", used.path)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout
    assert "3 events" in result.stdout


def test_nesting_without_end_and_endless_files_are_lived_with(used: Shop) -> None:
    with Path(f"{used.path}-events").open("ab") as file:
        file.write(b"[" * 300_000 + b"\n")
        file.truncate(1 << 36)
        file.seek(1 << 36)
        file.write(b'\n{"event": "last"}\n')
    assert names(used) == ["last"]


def test_no_recorder_is_told_apart_from_no_file(shop: Shop) -> None:
    missing = shop.run("events", shop.path, "--json")
    assert missing.exit_code == CANNOT_OPEN
    assert json.loads(missing.stderr)["error"]["code"] == "NOT_FOUND"
    cbdd.connect(shop.path, flight_recorder=False).close()
    without = shop.run("events", shop.path, "--json")
    assert without.exit_code == CANNOT_OPEN
    assert json.loads(without.stderr)["error"]["code"] == "NO_EVENTS"
