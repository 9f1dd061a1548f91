"""`cbdd import`: what is stored, what is refused, and what is said about it."""

from __future__ import annotations

import json
from typing import Any

import bson
import pytest
from bson import json_util
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from tests.unit.cli.conftest import Shop


def test_json_lines_are_stored(shop: Shop) -> None:
    source = shop.file("a.jsonl", '{"_id": 1, "a": "x"}\n\n{"_id": 2}\n')
    result = shop.run("import", shop.path, "items", source)
    assert result.exit_code == 0
    assert "2 documents imported into shop.items" in result.stdout
    assert shop.documents("items") == [{"_id": 1, "a": "x"}, {"_id": 2}]


def test_every_format_gives_the_same_documents(shop: Shop) -> None:
    documents = [{"_id": 1, "a": "x", "n": 5}, {"_id": 2, "a": "y", "n": 7}]
    lines = [json.dumps(document) for document in documents]
    shop.file("a.jsonl", "\n".join(lines))
    shop.file("a.json", "[" + ",".join(lines) + "]")
    shop.file("a.csv", "_id,a,n\n1,x,5\n2,y,7\n")
    shop.file("a.tsv", "_id\ta\tn\n1\tx\t5\n2\ty\t7\n")
    shop.file("a.bson", b"".join(bson.encode(document) for document in documents))
    for ending in ("jsonl", "json", "csv", "tsv", "bson"):
        answer = shop.json("import", shop.path, ending, str(shop.folder / f"a.{ending}"))
        assert answer["inserted"] == 2
        assert shop.documents(ending) == documents


def test_extended_json_keeps_every_type(shop: Shop) -> None:
    document = {
        "_id": ObjectId(),
        "n": Int64(5),
        "price": Decimal128("1.10"),
        "raw": b"\x00\xff",
        "nested": {"list": [Int64(1), 2.0]},
    }
    source = shop.file(
        "a.jsonl", json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS)
    )
    assert shop.run("import", shop.path, "items", source).exit_code == 0
    (stored,) = shop.documents("items")
    assert stored == document
    assert type(stored["n"]) is Int64


def test_standard_input_is_json_lines_unless_said_otherwise(shop: Shop) -> None:
    assert shop.run("import", shop.path, "a", "-", stdin='{"_id": 1}\n').exit_code == 0
    csv = ["import", shop.path, "b", "-", "--format", "csv"]
    assert shop.run(*csv, stdin="_id\n1\n").exit_code == 0
    assert shop.documents("a") == shop.documents("b") == [{"_id": 1}]


def test_a_document_without_id_gets_one(shop: Shop) -> None:
    shop.run("import", shop.path, "items", shop.file("a.bson", bson.encode({"a": 1})))
    (stored,) = shop.documents("items")
    assert list(stored) == ["_id", "a"]
    assert isinstance(stored["_id"], ObjectId)


@pytest.mark.parametrize("batch", ["1", "2", "1000"])
def test_the_first_bad_record_stops_and_what_came_before_stays(shop: Shop, batch: str) -> None:
    source = shop.file("a.jsonl", '{"_id": 1}\n{"_id": 2}\n{bad\n{"_id": 4}\n')
    result = shop.run("import", shop.path, "items", source, "--batch", batch)
    assert result.exit_code == 1
    assert "line 3: not JSON" in result.stderr
    assert shop.documents("items") == [{"_id": 1}, {"_id": 2}]


@pytest.mark.parametrize("batch", ["1", "2", "1000"])
def test_bad_records_are_skipped_by_choice_and_each_is_named(shop: Shop, batch: str) -> None:
    deep: Any = {}
    for _ in range(120):
        deep = {"d": deep}
    lines = ['{"_id": 1}', "[1]", '{"_id": 1, "again": true}', '{"_id": 3}']
    lines += [json.dumps({"_id": 4, "deep": deep}), '{"_id": [5]}', '{"_id": 6}']
    source = shop.file("a.jsonl", "\n".join(lines))
    arguments = ["import", shop.path, "items", source, "--on-error", "skip", "--batch", batch]
    answer = shop.json(*arguments, exit_code=1)
    assert answer["inserted"] == 3
    assert answer["refused"] == 4
    places = {each["place"] for each in answer["errors"]}
    assert places == {"line 2", "line 3", "line 5", "line 6"}
    assert [each["_id"] for each in shop.documents("items")] == [1, 3, 6]


@pytest.mark.parametrize("batch", ["1", "3", "1000"])
def test_a_document_that_cannot_be_stored_stops_like_one_that_cannot_be_read(
    shop: Shop, batch: str
) -> None:
    source = shop.file("a.jsonl", '{"_id": 1}\n{"_id": 2}\n{"_id": 2}\n{"_id": 4}\n{oops\n')
    result = shop.run("import", shop.path, "items", source, "--batch", batch)
    assert result.exit_code == 1
    assert "line 3" in result.stderr
    assert "E11000" in result.stderr
    assert "line 5" not in result.stderr
    assert [each["_id"] for each in shop.documents("items")] == [1, 2]


def test_a_dump_cut_short_gives_its_whole_documents_even_when_skipping(shop: Shop) -> None:
    data = b"".join(bson.encode({"_id": n}) for n in range(3))
    source = shop.file("a.bson", data[:-2])
    arguments = ["import", shop.path, "items", source, "--on-error", "skip"]
    answer = shop.json(*arguments, exit_code=1)
    assert answer["inserted"] == 2
    assert answer["is_stopped"] is True
    assert "too early" in answer["errors"][0]["error"]


def test_drop_replaces_the_collection(full_shop: Shop) -> None:
    source = full_shop.file("a.jsonl", '{"_id": "new"}\n')
    full_shop.run("import", full_shop.path, "items", source, "--drop")
    assert full_shop.documents("items") == [{"_id": "new"}]


def test_drop_waits_until_the_source_was_found(full_shop: Shop) -> None:
    result = full_shop.run("import", full_shop.path, "items", "missing.jsonl", "--drop")
    assert result.exit_code == 1
    assert "missing.jsonl: No such file" in result.stderr
    assert len(full_shop.documents("items")) == 20


def test_nothing_is_created_for_a_source_that_is_not_there(shop: Shop) -> None:
    assert shop.run("import", shop.path, "items", "missing.csv").exit_code == 1
    assert list(shop.folder.iterdir()) == []


def test_a_name_that_tells_no_format_is_wrong_use(shop: Shop) -> None:
    result = shop.run("import", shop.path, "items", shop.file("data", "{}"))
    assert result.exit_code == 2
    assert "--format" in result.stderr


def test_a_folder_is_no_source(shop: Shop) -> None:
    result = shop.run("import", shop.path, "items", str(shop.folder), "--format", "json")
    assert result.exit_code == 1
    assert "directory" in result.stderr


def test_the_database_can_be_named(shop: Shop) -> None:
    source = shop.file("a.jsonl", "{}\n")
    answer = shop.json("import", shop.path, "items", source, "--database", "other")
    assert answer["collection"] == "other.items"


def test_csv_options_reach_the_reader(shop: Shop) -> None:
    source = shop.file("a.csv", "7;01;NA\n")
    arguments = ["--fields", "_id,b,c", "--delimiter", ";", "--text", "b", "--missing", "NA"]
    assert shop.run("import", shop.path, "items", source, *arguments).exit_code == 0
    assert shop.documents("items") == [{"_id": 7, "b": "01"}]
