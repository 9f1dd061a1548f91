"""Every file that a release has kept is read, checked and written on by this one.

`tests/format/VERSION` is made by `make release` with the release VERSION itself. The files are
opened for writing, which recovers the one that was not closed, and for reading only, on copies.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, WriteError
from scripts.release.contents import describe
from scripts.release.kept_files import unpack

import cbdd
from cbdd.ops.compact import compact_file
from cbdd.storage.meta import FORMAT

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/expected.json"))
KEPT = [(folder, name) for folder in FOLDERS for name in ("clean", "logged")]


def expected_of(folder: Path, name: str) -> dict[str, Any]:
    files = json.loads((folder / "expected.json").read_text())["files"]
    expected: dict[str, Any] = files[name]
    return expected


def contents_of(expected: dict[str, Any]) -> dict[str, Any]:
    return {part: expected[part] for part in ("check", "collections")}


@pytest.fixture(params=KEPT, ids=lambda kept: f"{kept[0].name}-{kept[1]}")
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder, name = request.param
    return unpack(folder / f"{name}.zip", tmp_path), expected_of(folder, name)


def test_the_first_release_is_kept() -> None:
    assert "0.1.0" in [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_names_the_version_that_wrote_it(folder: Path) -> None:
    assert json.loads((folder / "expected.json").read_text())["version"] == folder.name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 300 << 10
    assert expected_of(folder, "logged")["commits_redone"] > 0


def test_a_kept_file_is_read_as_it_was_written(kept: tuple[Path, dict[str, Any]]) -> None:
    path, expected = kept
    with cbdd.connect(path) as client:
        report = client.recovery_report
        assert report.commits_redone == expected["commits_redone"]
        assert [finding.code for finding in report.findings] == expected["findings"]
        facts = client.statistics()
        assert facts["min_reader"] == expected["min_reader"]
        assert facts["min_writer"] == expected["min_writer"]
        assert describe(client) == contents_of(expected)


def test_a_kept_file_is_read_without_writing_to_it(kept: tuple[Path, dict[str, Any]]) -> None:
    path, expected = kept
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    with cbdd.connect(path, read_only=True) as client:
        assert describe(client) == contents_of(expected)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


def test_a_kept_file_is_written_on(kept: tuple[Path, dict[str, Any]]) -> None:
    path, expected = kept
    count = expected["collections"]["shop.orders"]["count"]
    with cbdd.connect(path) as client:
        orders = client["shop"]["orders"]
        orders.insert_many([{"_id": f"new {each}", "number": -1 - each} for each in range(50)])
        orders.update_many({"customer": "ada"}, {"$set": {"total": 5, "tags": ["new"]}})
        orders.delete_many({"customer": "eve"})
        with pytest.raises(DuplicateKeyError):
            orders.insert_one({"_id": "twice", "number": -1})
        with pytest.raises(WriteError):
            client["shop"]["people"].insert_one({"_id": "nameless"})
        orders.create_index("placed")
        client["shop"]["newest"].insert_many([{"_id": f"new {each}"} for each in range(30)])
        client["archive"]["large"].insert_one({"_id": "new", "text": "z" * 200_000})
        client["archive"]["large"].insert_one({"_id": "half a page", "text": "z" * 3000})
        left = orders.count_documents({})
        assert 0 < left < count + 50
        assert client.check().problems == []
        written = describe(client)
    with cbdd.connect(path) as client:
        assert client.recovery_report.commits_redone == 0
        assert describe(client) == written
        assert client["shop"]["orders"].count_documents({"number": {"$lt": 0}}) == 50
        assert client["shop"]["newest"].count_documents({}) == 20
        facts = client.statistics()
        assert facts["min_reader"] == expected["min_reader"]
        assert facts["min_writer"] == expected["min_writer"]
    compact_file(str(path))
    with cbdd.connect(path) as client:
        assert describe(client) == written
        assert client.check().problems == []
        facts = client.statistics()
        assert (facts["min_reader"], facts["min_writer"]) == (FORMAT, FORMAT)
        large = client["archive"]["large"]
        large.update_one({"_id": "half a page"}, {"$set": {"text": "y" * 3100}})
        assert client.check().problems == []


def test_a_wrong_document_in_a_kept_file_is_noticed(tmp_path: Path) -> None:
    folder = FOLDERS[0]
    path = unpack(folder / "clean.zip", tmp_path)
    with cbdd.connect(path) as client:
        client["shop"]["types"].update_one({"_id": "int32"}, {"$set": {"value": 1.0}})
        found = describe(client)
    expected = contents_of(expected_of(folder, "clean"))
    assert found["collections"]["shop.types"] != expected["collections"]["shop.types"]  # type: ignore[index]
    assert found["collections"]["archive.large"] == expected["collections"]["archive.large"]  # type: ignore[index]
