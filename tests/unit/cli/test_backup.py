"""`cbdd backup` and `cbdd restore`: what they say, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

import cbdd
from cbdd.cli.failures import BAD_USAGE, CANNOT_OPEN, DAMAGED
from tests.unit.cli.conftest import DOCUMENTS, Shop


@pytest.fixture
def filled(shop: Shop) -> Shop:
    with cbdd.connect(shop.path, archive=f"{shop.folder}/archive") as client:
        client.shop.items.insert_many(DOCUMENTS)
    return shop


def test_a_database_is_backed_up_verified_and_restored(filled: Shop) -> None:
    full, more, new = (f"{filled.folder}/{name}" for name in ("full", "more", "new.cbdd"))
    assert "of LSN" in filled.run("backup", filled.path, full).stdout
    with cbdd.connect(filled.path, archive=f"{filled.folder}/archive") as client:
        client.shop.items.insert_one({"_id": "more"})
    facts = filled.json("backup", filled.path, more, "--base", full)
    assert facts["base"]["name"] == "full"
    assert "whole: " in filled.run("backup", "verify", more).stdout
    assert filled.json("backup", "verify", more)["backups"] == [more, full]
    assert "wrote" in filled.run("restore", more, new).stdout
    with cbdd.connect(new) as client:
        assert client.shop.items.count_documents({}) == len(DOCUMENTS) + 1
    again = f"{filled.folder}/again.cbdd"
    facts = filled.json("restore", full, again, "--archive", f"{filled.folder}/archive")
    assert facts["commits_replayed"] == 1
    late = filled.run(
        "restore",
        full,
        f"{filled.folder}/late.cbdd",
        "--archive",
        f"{filled.folder}/archive",
        "--to-time",
        "2999-01-01",
    )
    assert "the log ends before the moment" in late.stdout


def test_a_damaged_backup_is_told(filled: Shop) -> None:
    target = Path(filled.folder, "full")
    filled.run("backup", filled.path, str(target))
    data = bytearray((target / "pages").read_bytes())
    data[-100] ^= 1
    (target / "pages").write_bytes(data)
    result = filled.run("backup", "verify", str(target))
    assert (result.exit_code, "BACKUP_DAMAGED" in result.output) == (DAMAGED, True)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["backup", "{none}", "{new}"], CANNOT_OPEN),
        (["backup", "{path}", "{path}"], BAD_USAGE),
        (["backup", "verify", "{none}"], BAD_USAGE),
        (["backup", "verify", "{path}"], BAD_USAGE),
        (["backup", "verify", "{none}", "--base", "{none}"], BAD_USAGE),
        (["restore", "{none}", "{new}"], BAD_USAGE),
        (["restore", "{none}", "{path}"], BAD_USAGE),
        (["restore", "{none}", "{new}", "--to-time", "soon"], BAD_USAGE),
    ],
)
def test_what_cannot_be_is_refused(filled: Shop, arguments: list[str], exit_code: int) -> None:
    names = {
        "path": filled.path,
        "new": f"{filled.folder}/new",
        "none": f"{filled.folder}/none",
    }
    result = filled.run(*[each.format(**names) for each in arguments])
    assert result.exit_code == exit_code, result.output
    assert not Path(names["new"]).exists()
