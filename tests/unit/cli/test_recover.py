"""`cbdd recover`: what it says to people and programs, and that what it prints can be typed."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import cbdd
from cbdd.cli.arguments import parse_time
from cbdd.cli.failures import BAD_USAGE, CANNOT_OPEN, DAMAGED
from tests.damage.test_dropped import COUNT, damage, make
from tests.unit.cli.conftest import Shop


@pytest.fixture
def damaged(shop: Shop) -> Shop:
    make(Path(shop.path))
    damage(Path(shop.path), None, 0)
    return shop


def test_what_is_printed_puts_the_new_file_in_place(damaged: Shop) -> None:
    new = f"{damaged.folder}/it's new.cbdd"
    result = damaged.run("recover", damaged.path, "--output", new)
    assert result.exit_code == DAMAGED
    assert "shop.others" in result.stdout
    assert "not everything could be saved" in result.stdout
    commands = [line[4:] for line in result.stdout.splitlines() if line.startswith("  $ ")]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["sh", "-c", command], check=True)
    with cbdd.connect(damaged.path, must_exist=True) as client:
        assert client.check().is_clean
        assert 0 < client.shop.things.count_documents({}) < COUNT
    assert Path(f"{damaged.path}-damaged", "shop.cbdd").exists()
    assert not Path(new).exists()


def test_programs_get_every_id(damaged: Shop) -> None:
    facts = damaged.json(
        "recover", damaged.path, "--output", f"{damaged.folder}/new.cbdd", exit_code=DAMAGED
    )
    things = {each["collection"]: each for each in facts["collections"]}["things"]
    assert things["lost_bound"] == "exactly"
    assert things["lost"]["count"] == len(things["lost"]["ids"]) > 0
    assert things["saved"] + things["lost"]["count"] == COUNT
    with cbdd.connect(f"{damaged.folder}/new.cbdd") as client:
        missing = set(range(COUNT)) - set(client.shop.things.distinct("_id"))
    assert sorted(things["lost"]["ids"]) == sorted(missing)
    assert facts["originals"]["shop.cbdd"]


def test_a_whole_file_is_told_to_be_whole(shop: Shop) -> None:
    make(Path(shop.path))
    result = shop.run("recover", shop.path, "--output", f"{shop.folder}/new.cbdd")
    assert (result.exit_code, "everything is there" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["--to-time", "yesterday"], BAD_USAGE),
        (["--uuid", "12"], BAD_USAGE),
        (["--to-lsn", "0"], BAD_USAGE),
        (["--uuid", "0" * 32], DAMAGED),
    ],
)
def test_what_cannot_be_is_refused(shop: Shop, arguments: list[str], exit_code: int) -> None:
    make(Path(shop.path))
    new = f"{shop.folder}/new.cbdd"
    result = shop.run("recover", shop.path, "--output", new, *arguments)
    assert result.exit_code == exit_code, result.output
    assert not Path(new).exists()


def test_servers_and_missing_files_are_refused(shop: Shop) -> None:
    new = f"{shop.folder}/new.cbdd"
    assert shop.run("recover", "mongodb://x", "--output", new).exit_code == BAD_USAGE
    assert shop.run("recover", shop.path, "--output", new).exit_code == CANNOT_OPEN
    make(Path(shop.path))
    nowhere = shop.run("recover", shop.path, "--output", f"{shop.folder}/no/folder/new.cbdd")
    assert nowhere.exit_code == CANNOT_OPEN
    assert "NOT_FOUND" in nowhere.output
    assert shop.run("recover", shop.path, "--output", shop.path).exit_code == BAD_USAGE


def test_times_are_utc_unless_they_say_otherwise() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    expected = round(moment.timestamp() * 1_000_000)
    assert parse_time("2026-01-31T12:00:00") == expected
    assert parse_time("2026-01-31 13:00:00+01:00") == expected
    assert parse_time("2026-01-31T12:00:00.000001Z") == expected + 1
