"""`find`, `stats`, `info`, `check`, `checkpoint` and the commands for indexes."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path

import pytest

import cbdd
from cbdd.storage.io import Io
from cbdd.storage.version import VERSION
from tests.unit.cli.conftest import DOCUMENTS, Shop


def test_version_says_compiled_or_interpreted(shop: Shop) -> None:
    result = shop.run("--version")
    assert result.stdout.startswith(f"cbdd {VERSION} (")
    assert ("compiled" in result.stdout) != ("interpreted" in result.stdout)


def test_help_tells_the_exit_codes(shop: Shop) -> None:
    assert "Exit codes" in shop.run("--help").stdout


def test_find_prints_a_document_on_each_line_with_json(full_shop: Shop) -> None:
    result = full_shop.run("find", full_shop.path, "items", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == DOCUMENTS


def test_find_takes_filter_sort_projection_and_bounds(full_shop: Shop) -> None:
    arguments = ['{"qty": {"$gt": 3}}', "--sort", '{"_id": -1}', "--projection", '{"qty": 1}']
    arguments += ["--skip", "1", "--limit", "2", "--json"]
    result = full_shop.run("find", full_shop.path, "items", *arguments)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found == [{"_id": 14, "qty": 4}, {"_id": 9, "qty": 4}]


def test_find_counts(full_shop: Shop) -> None:
    arguments = ["find", full_shop.path, "items", '{"qty": 1}', "--count"]
    assert full_shop.run(*arguments).stdout == "4\n"
    assert full_shop.json(*arguments) == {"count": 4}


@pytest.mark.plan
def test_find_explains_the_plan(full_shop: Shop) -> None:
    explained = full_shop.json("find", full_shop.path, "items", '{"qty": 1}', "--explain")
    assert "IXSCAN" in json.dumps(explained["queryPlanner"]["winningPlan"])


def test_find_prints_readable_json_for_people(full_shop: Shop) -> None:
    result = full_shop.run("find", full_shop.path, "items", '{"_id": 3}')
    assert json.loads(result.stdout) == DOCUMENTS[3]
    assert result.stdout.startswith("{\n  ")


def test_dates_out_of_range_can_be_shown(shop: Shop) -> None:
    source = shop.file("a.jsonl", '{"_id": {"$date": {"$numberLong": "999999999999999"}}}')
    assert shop.run("import", shop.path, "items", source).exit_code == 0
    assert "999999999999999" in shop.run("find", shop.path, "items").stdout


def test_stats_count_documents_bytes_and_indexes(full_shop: Shop) -> None:
    facts = full_shop.json("stats", full_shop.path)
    (database,) = facts["databases"]
    (collection,) = database["collections"]
    assert collection["documents"] == 20
    assert collection["document_bytes"] > 20 * 50
    assert [index["name"] for index in collection["indexes"]] == ["_id_", "qty_1_name_-1"]
    text = full_shop.run("stats", full_shop.path).stdout
    assert "shop.items" in text
    assert "qty, -name (unique)" in text


def test_stats_of_an_empty_file_say_so(shop: Shop) -> None:
    cbdd.connect(shop.path).close()
    assert "no collections" in shop.run("stats", shop.path).stdout


def test_info_tells_versions_format_log_and_recovery(full_shop: Shop) -> None:
    facts = full_shop.json("info", full_shop.path)
    assert facts["cbdd_version"] == facts["writer_version"] == VERSION
    assert facts["is_clean"] is True
    assert facts["opening"]["was_clean"] is True
    text = full_shop.run("info", full_shop.path).stdout
    for word in ("format", "checkpoint", "root checksum", "log", "last recovery"):
        assert word in text


def test_check_of_a_sound_file_finds_nothing(full_shop: Shop) -> None:
    report = full_shop.json("check", full_shop.path)
    assert report["is_clean"] is True
    assert report["problems"] == []
    assert "no problem found" in full_shop.run("check", full_shop.path).stdout


def test_check_of_a_damaged_file_names_the_damage_and_ends_with_3(full_shop: Shop) -> None:
    path = Path(full_shop.path)
    data = bytearray(path.read_bytes())
    for offset in range(65536 + 100, len(data), 8192):
        data[offset] ^= 0xFF
    path.write_bytes(bytes(data))
    result = full_shop.run("check", full_shop.path)
    assert result.exit_code == 3
    assert "CHECKSUM" in result.output
    assert path.read_bytes() == bytes(data)


def test_checkpoint_empties_the_log(full_shop: Shop) -> None:
    facts = full_shop.json("checkpoint", full_shop.path)
    assert facts["log_bytes_after"] == 0 or facts["log_bytes_after"] < 65536
    assert full_shop.run("checkpoint", full_shop.path).exit_code == 0


def test_indexes_are_made_listed_and_removed(full_shop: Shop) -> None:
    made = full_shop.json("create-index", full_shop.path, "items", "at.n:-1,name")
    assert made["name"] == "at.n_-1_name_1"
    listed = full_shop.run("indexes", full_shop.path, "items").stdout
    assert "-at.n, name" in listed
    assert full_shop.json("drop-index", full_shop.path, "items", made["name"])
    assert made["name"] not in full_shop.run("indexes", full_shop.path, "items").stdout


def test_a_unique_index_that_cannot_be_built_changes_nothing(full_shop: Shop) -> None:
    result = full_shop.run("create-index", full_shop.path, "items", "qty", "--unique")
    assert result.exit_code == 1
    assert "E11000" in result.stderr
    assert "\nqty_1 " not in full_shop.run("indexes", full_shop.path, "items").stdout


def test_reading_commands_change_nothing(full_shop: Shop) -> None:
    before = {path.name: path.read_bytes() for path in full_shop.folder.iterdir()}
    for command in ("find", "export", "indexes"):
        assert full_shop.run(command, full_shop.path, "items").exit_code == 0
    for command in ("stats", "info", "check"):
        assert full_shop.run(command, full_shop.path).exit_code == 0
    assert {path.name: path.read_bytes() for path in full_shop.folder.iterdir()} == before


def test_index_with_options(full_shop: Shop) -> None:
    made = full_shop.json(
        "create-index", full_shop.path, "items", "qty",
        "--options", '{"partialFilterExpression": {"qty": {"$gt": 1}}, "hidden": true}',
    )  # fmt: skip
    assert made["name"] == "qty_1"
    listed = full_shop.run("indexes", full_shop.path, "items").stdout
    assert "partialFilterExpression" in listed and "hidden" in listed


def test_index_with_wrong_options_is_refused(full_shop: Shop) -> None:
    result = full_shop.run("create-index", full_shop.path, "items", "qty", "--options", '{"x": 1}')
    assert result.exit_code != 0
    assert "x" in result.stderr and "Traceback" not in result.stderr


class NetworkIo(Io):
    def file_system_type(self, path: str) -> str:
        return "nfs4"


def test_commands_warn_of_a_network_file_system(
    full_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cbdd, "connect", functools.partial(cbdd.connect, io=NetworkIo()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = full_shop.run("find", full_shop.path, "items", "--count")
    assert result.stdout == "20\n"
    assert result.stderr.startswith("cbdd: SEV-3 NETWORK_FILE_SYSTEM: ")
    assert "NETWORK_FILE_SYSTEM" in full_shop.run("info", full_shop.path).stdout
    assert "NETWORK_FILE_SYSTEM" in full_shop.run("checkpoint", full_shop.path).stderr
