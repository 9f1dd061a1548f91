"""`wal`, `page`, `tree` and `diff` on the command line, without values unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import cbdd
from cbdd.cli.failures import BAD_INPUT, BAD_USAGE, CANNOT_OPEN, DAMAGED
from tests.damage.test_dropped import damage, make
from tests.unit.cli.conftest import Shop
from tests.unit.ops.inspection.test_inspection import SECRET, killed, last_log


@pytest.fixture
def used(shop: Shop) -> Shop:
    killed(Path(shop.path))
    return shop


def test_the_log_is_shown(used: Shop) -> None:
    shown = used.run("wal", "dump", used.path).stdout
    assert "commit LSN" in shown
    assert "shop.things _id_: 1 puts" in shown
    lines = used.run("wal", "dump", used.path, "--json").stdout.splitlines()
    assert all(json.loads(line)["kind"] in ("commit", "seal") for line in lines)
    assert "the log is whole" in used.run("wal", "verify", used.path).stdout


def test_a_lost_log_is_damage_and_says_what_to_do(used: Shop) -> None:
    last_log(Path(used.path)).unlink()
    result = used.run("wal", "verify", used.path)
    assert result.exit_code == DAMAGED
    assert f"cbdd recover {used.path} --output NEW" in result.stdout
    assert used.json("wal", "verify", used.path, exit_code=DAMAGED)["code"] == "WAL_MISSING"


def test_a_closed_file_has_no_log(shop: Shop) -> None:
    make(Path(shop.path))
    assert "there is no log" in shop.run("wal", "dump", shop.path).stdout
    assert "there is no log" in shop.run("wal", "verify", shop.path).stdout


def test_a_page_is_shown(used: Shop) -> None:
    meta = used.run("page", used.path, "0").stdout
    assert "meta page copy at offset 0: valid" in meta
    facts = used.json("page", used.path, "16")
    assert facts["kind"] in ("leaf", "branch", "overflow run", "freelist run", "empty")
    assert "000000  " in used.run("page", used.path, "16", "--hex").stdout
    assert used.run("page", used.path, "99999").exit_code == BAD_USAGE


def test_the_shape_of_a_tree_is_shown(shop: Shop) -> None:
    make(Path(shop.path))
    facts = shop.json("tree", shop.path, "things", "k_1")
    assert facts["depth"] == len(facts["levels"]) > 1
    assert facts["entries"] == facts["levels"][-1]["entries"]
    assert all(0 < each["least_fill"] <= each["fill"] <= 1 for each in facts["levels"])
    assert "leaves" in shop.run("tree", shop.path, "things").stdout
    assert shop.run("tree", shop.path, "things", "none").exit_code == BAD_INPUT
    damage(Path(shop.path), "k_1", 0)
    assert (
        len(shop.json("tree", shop.path, "things", "k_1", exit_code=DAMAGED)["damaged_pages"]) == 1
    )


def test_two_files_are_compared(shop: Shop) -> None:
    make(Path(shop.path))
    copy = f"{shop.folder}/copy.cbdd"
    shutil.copy(shop.path, copy)
    assert "nothing differs" in shop.run("diff", copy, shop.path).stdout
    with cbdd.connect(shop.path) as client:
        client.shop.things.update_one({"_id": 1}, {"$set": {"pass": SECRET}})
    result = shop.run("diff", copy, shop.path)
    assert (result.exit_code, SECRET in result.stdout) == (1, False)
    assert f"'pass': '{SECRET}'" in shop.run("diff", copy, shop.path, "--values").stdout
    (row,) = shop.json("diff", copy, shop.path, exit_code=1)["collections"]
    assert (row["added"], row["removed"], row["changed"]) == (0, 0, 1)


@pytest.mark.parametrize("command", [["wal", "dump"], ["wal", "verify"], ["page"], ["diff"]])
def test_what_is_not_there_is_told(shop: Shop, command: list[str]) -> None:
    more = {"page": ["1"], "diff": [shop.path]}.get(command[0], [])
    result = shop.run(*command, shop.path, *more)
    assert result.exit_code == CANNOT_OPEN
    assert "NOT_FOUND" in result.output
