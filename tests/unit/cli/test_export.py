"""`cbdd export`: what was stored comes back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

import cbdd
from tests.unit.cli.conftest import DOCUMENTS, Shop

EVERY_TYPE = {
    "_id": ObjectId(),
    "int": 1,
    "long": Int64(2),
    "double": 1.0,
    "infinite": float("inf"),
    "decimal": Decimal128("1.10"),
    "text": 'ü "\n,',
    "bytes": b"\x00\x01",
    "date": datetime(2013, 1, 1, 10, 0, 0, 250_000),
    "bool": True,
    "null": None,
    "pattern": Regex("^a", "i"),
    "stamp": Timestamp(5, 6),
    "nested": {"list": [Int64(1), {"x": 1}], "empty": {}},
}


@pytest.mark.parametrize(
    "arguments",
    [["out.bson"], ["out.jsonl", "--canonical"], ["out.json", "--canonical"]],
    ids=lambda arguments: arguments[0],
)
def test_every_type_survives_the_way_out_and_in(shop: Shop, arguments: list[str]) -> None:
    with cbdd.connect(shop.path) as client:
        client.shop.items.insert_one(dict(EVERY_TYPE))
    target = str(shop.folder / arguments[0])
    assert shop.run("export", shop.path, "items", target, *arguments[1:]).exit_code == 0
    assert shop.run("import", shop.path, "copy", target).exit_code == 0
    assert bson.encode(shop.documents("copy")[0]) == bson.encode(EVERY_TYPE)


def test_lines_go_to_standard_output_and_nothing_else_does(full_shop: Shop) -> None:
    result = full_shop.run("export", full_shop.path, "items")
    assert [json.loads(line) for line in result.stdout.splitlines()] == DOCUMENTS


def test_csv_has_a_column_for_every_field_and_comes_back(shop: Shop) -> None:
    rows = [
        {"_id": 1, "name": "tea", "at": {"city": "Bern", "n": 5}},
        {"_id": 2, "price": 1.5, "ok": True, "day": datetime(2013, 1, 1, tzinfo=UTC)},
    ]
    with cbdd.connect(shop.path) as client:
        client.shop.items.insert_many([dict(row) for row in rows])
    target = shop.folder / "out.csv"
    shop.run("export", shop.path, "items", str(target))
    assert target.read_text().splitlines() == [
        "_id,name,at.city,at.n,price,ok,day",
        "1,tea,Bern,5,,,",
        "2,,,,1.5,true,2013-01-01T00:00:00.000Z",
    ]
    shop.run("import", shop.path, "copy", str(target))
    assert shop.documents("copy") == shop.documents("items")


def test_projection_chooses_the_columns(full_shop: Shop) -> None:
    arguments = ["--format", "csv", "--projection", "qty,name", "--limit", "1"]
    result = full_shop.run("export", full_shop.path, "items", "-", *arguments)
    assert result.stdout.splitlines() == ["qty,name", "0,item 0"]


def test_filter_sort_skip_and_limit_choose_the_documents(full_shop: Shop) -> None:
    arguments = ["--filter", '{"qty": 2}', "--sort", "-_id", "--skip", "1", "--limit", "2"]
    result = full_shop.run("export", full_shop.path, "items", "-", *arguments)
    assert [json.loads(line)["_id"] for line in result.stdout.splitlines()] == [12, 7]


def test_an_empty_result_is_a_valid_file(full_shop: Shop) -> None:
    target = full_shop.folder / "out.json"
    full_shop.run("export", full_shop.path, "items", str(target), "--filter", '{"qty": 99}')
    assert json.loads(target.read_text()) == []


def test_an_export_that_fails_leaves_no_file_and_keeps_an_older_one(full_shop: Shop) -> None:
    target = Path(full_shop.file("out.jsonl", "older"))
    arguments = ["--filter", '{"a": {"$unheard": 1}}']
    result = full_shop.run("export", full_shop.path, "items", str(target), *arguments)
    assert result.exit_code == 1
    assert target.read_text() == "older"
    assert not target.with_name("out.jsonl.part").exists()


def test_a_target_whose_name_tells_no_format_is_wrong_use(full_shop: Shop) -> None:
    for target in ("out", "out.gz", "out.csv.gz"):
        assert full_shop.run("export", full_shop.path, "items", target).exit_code == 2
