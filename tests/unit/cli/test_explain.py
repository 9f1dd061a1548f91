"""What a code means, on the command line."""

from __future__ import annotations

import json

from cbdd.codes import CODES
from tests.unit.cli.conftest import Shop


def test_a_code_is_explained(shop: Shop) -> None:
    result = shop.run("explain", "WAL_HOLE")
    assert result.exit_code == 0
    assert "SEV-1" in result.stdout
    assert "Stop writing" in result.stdout


def test_case_and_dashes_do_not_matter(shop: Shop) -> None:
    assert shop.json("explain", "wal-hole") == CODES["WAL_HOLE"].to_dict()


def test_all_codes_are_listed(shop: Shop) -> None:
    assert shop.run("explain").stdout.count("SEV-1") > 20
    lines = shop.run("explain", "--json").stdout.splitlines()
    assert [json.loads(line)["code"] for line in lines] == list(CODES)


def test_an_unknown_code_is_told_with_what_it_may_be(shop: Shop) -> None:
    result = shop.run("explain", "WAL_HOLES")
    assert result.exit_code == 1
    assert "WAL_HOLE" in result.stderr
    error = json.loads(shop.run("explain", "QQQQ", "--json").stderr)
    assert error["error"]["code"] == "UNKNOWN_CODE"
