"""Looking at parts of a file: what is shown is what is there, and no values unasked."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import cbdd
from cbdd.errors import UsageError
from cbdd.ops.inspection import compare_files, dump_log, verify_log, view_page
from cbdd.storage.frame import FRAME_MAGIC_BYTES
from cbdd.testing.damage import CLASSES, PATH, damages, specimens
from cbdd.testing.databases import connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo
from tests.damage.test_dropped import PAGE_BYTES, damage, make

SECRET = "hunter2"


def killed(path: Path) -> None:
    """A file with two commits in its log, as a killed process leaves it."""
    for suffix, data in killed_files().items():
        Path(f"{path}{suffix}").write_bytes(data)


def killed_files() -> dict[str, bytes]:
    disk = MemoryDisk()
    client = connect_on(MemoryIo(disk), 1)
    client.shop.things.insert_one({"_id": 0, "pass": SECRET})
    client.shop.things.create_index("pass")
    client.checkpoint()
    client.shop.things.insert_one({"_id": SECRET, "pass": SECRET})
    client.shop.things.delete_one({"_id": 0})
    return {name.removeprefix(PATH): data for name, data in disk.files().items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "shop.cbdd"
    killed(made)
    return made


def last_log(path: Path) -> Path:
    return max(path.parent.glob("*-wal-*"))


def test_frames_are_shown_with_what_they_change(path: Path) -> None:
    rows = [row for row in dump_log(str(path)) if row["segment"] == int(last_log(path).name[-6:])]
    assert [row["kind"] for row in rows] == ["commit", "commit"]
    first, second = rows
    assert (first["lsn"] + 1, first["operation"]) == (second["lsn"], "insert")
    assert first["durable"]
    assert {tree["name"]: tree["puts"] for tree in first["trees"]} == {
        "shop.things": 1,
        "shop.things _id_": 1,
        "shop.things pass_1": 1,
    }
    assert {tree["name"]: tree["deletes"] for tree in second["trees"]} == {
        "shop.things": 1,
        "shop.things _id_": 1,
        "shop.things pass_1": 1,
    }


def test_values_are_shown_only_when_asked_for(path: Path) -> None:
    pages = path.stat().st_size // PAGE_BYTES

    def everything(values: bool) -> str:
        shown: list[Any] = list(dump_log(str(path), values=values))
        shown += [view_page(str(path), page, values=values, hexdump=True) for page in range(pages)]
        return json.dumps(shown)

    hidden = everything(False)
    assert SECRET not in hidden
    assert SECRET.encode().hex() not in hidden
    assert SECRET in everything(True)


def test_a_whole_log_a_torn_tail_and_a_hole_are_told_apart(path: Path) -> None:
    assert verify_log(str(path))["code"] == ""
    log = last_log(path)
    data = bytearray(log.read_bytes())
    first = data.find(FRAME_MAGIC_BYTES)
    second = data.find(FRAME_MAGIC_BYTES, first + 4)
    Path(f"{path}-shm").unlink()
    torn = bytearray(data)
    torn[second + 120] ^= 1
    torn[1024:2072] = bytes(1048)  # the marks
    log.write_bytes(torn)
    found = verify_log(str(path))
    assert (found["code"], len(found["damaged"]), found["lost_commits"]) == ("WAL_TORN_TAIL", 1, [])
    hole = bytearray(data)
    hole[first + 120] ^= 1
    log.write_bytes(hole)
    found = verify_log(str(path))
    assert found["code"] == "WAL_HOLE"
    assert found["damaged"][0]["offset"] == first
    kinds = [row["kind"] for row in dump_log(str(path))]
    assert kinds[-2:] == ["damage", "commit"]
    log.unlink()
    assert verify_log(str(path))["code"] == "WAL_MISSING"


def test_pages_of_every_kind_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "shop.cbdd"
    make(path)
    with cbdd.connect(path) as client:
        client.shop.things.insert_one({"_id": -1, "pad": "x" * 50_000})
    count = path.stat().st_size // PAGE_BYTES
    rows = [view_page(str(path), page) for page in range(count)]
    kinds = {row["kind"] for row in rows}
    assert kinds >= {"meta region", "leaf", "branch", "overflow run", "freelist run"}
    copies = [copy for row in rows for copy in row.get("copies", [])]
    assert [copy["status"] for copy in copies] == ["valid"] * 4
    assert copies[0]["meta"]["page_size"] == PAGE_BYTES
    leaf = next(row for row in rows if row["kind"] == "leaf" and row["of"] == "shop.things")
    assert leaf["verifies"]
    assert len(leaf["leaf"]) == leaf["entries"]
    branch = next(row for row in rows if row["kind"] == "branch")
    assert all(rows[child["page"]]["verifies"] for child in branch["children"] if child["page"])
    with pytest.raises(UsageError):
        view_page(str(path), count)


def test_a_damaged_page_is_shown_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "shop.cbdd"
    make(path)
    before = path.read_bytes()
    damage(path, None, 0)
    after = path.read_bytes()
    (page,) = [n // PAGE_BYTES for n in range(len(after)) if n >= 65536 and before[n] != after[n]]
    row = view_page(str(path), page)
    assert (row["kind"], row["verifies"]) == ("leaf", False)
    assert "leaf" not in row


# -- two files -------------------------------------------------------------------------------


def test_a_difference_is_found_without_reading_what_is_shared(tmp_path: Path) -> None:
    path, copy = tmp_path / "shop.cbdd", tmp_path / "copy.cbdd"
    make(path)
    copy.write_bytes(path.read_bytes())
    with cbdd.connect(path) as client:
        client.shop.things.update_one({"_id": 7}, {"$set": {"k": "new"}})
        client.shop.things.delete_one({"_id": 3000})
        client.shop.things.insert_one({"_id": "x"})
        client.shop.others.drop()
        client.shop.fresh.insert_many([{"_id": n} for n in range(5)])
        client.shop.things.create_index("z")
    with cbdd.connect(copy, read_only=True) as old, cbdd.connect(path, read_only=True) as new:
        found = compare_files(old, new)
        assert compare_files(old, old).is_empty
        back = compare_files(new, old)
    rows = {each.namespace: each.to_dict() for each in found.collections}
    assert rows["shop.things"] == {
        "collection": "shop.things",
        "state": "changed",
        "definition_differs": True,
        "added": 1,
        "removed": 1,
        "changed": 1,
    }
    assert (rows["shop.fresh"]["state"], rows["shop.fresh"]["added"]) == ("added", 5)
    assert (rows["shop.others"]["state"], rows["shop.others"]["removed"]) == ("removed", 10)
    assert found.pages_read < 20
    assert {each.state for each in back.collections} == {"changed", "added", "removed"}


@pytest.mark.parametrize("seed", range(12))
def test_a_difference_is_that_of_the_documents(seed: int) -> None:
    source = random.Random(seed)
    disk = MemoryDisk()
    model: dict[int, int] = {}

    def change(client: Any, times: int) -> None:
        for _ in range(times):
            number = source.randrange(400)
            if number in model and source.random() < 0.4:
                client.shop.things.delete_one({"_id": number})
                del model[number]
            else:
                model[number] = source.randrange(5)
                document = {"_id": number, "v": model[number], "pad": "x" * (number % 97 * 60)}
                client.shop.things.replace_one({"_id": number}, document, upsert=True)

    with connect_on(MemoryIo(disk), seed) as client:
        client.shop.things.insert_one({"_id": -1})
        change(client, source.choice([0, 10, 300]))
    before = dict(model)
    old_disk = MemoryDisk.holding(disk.files())
    with connect_on(MemoryIo(disk), seed + 1) as client:
        change(client, source.choice([0, 3, 200]))
        with connect_on(MemoryIo(old_disk), 5, read_only=True) as old:
            (found,) = compare_files(old, client).collections or [None]
    rows = found.to_dict() if found else {"added": 0, "removed": 0, "changed": 0}
    print(f"seed {seed}")
    assert rows["added"] + rows["removed"] >= len(model.keys() ^ before.keys())
    assert (not found) == (model == before)


@pytest.mark.parametrize("name", CLASSES)
def test_no_damage_is_too_much(name: str) -> None:
    """Whatever is in the files, what is shown is shown and errors have codes."""
    for specimen in specimens().values():
        for damaged in damages(specimen, name, 1, 1):
            io = MemoryIo(MemoryDisk.holding(damaged.files))
            for look in (
                lambda io=io: list(dump_log(PATH, io)),
                lambda io=io: verify_log(PATH, io),
                lambda io=io: [view_page(PATH, page, io) for page in range(14, 40)],
            ):
                try:
                    look()
                except cbdd.CbddError as error:
                    assert error.code
