"""Dropping what is damaged: people get rid of it, and the file works on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pymongo.errors import DuplicateKeyError
from typer.testing import CliRunner

import cbdd
from cbdd.cli.app import app
from cbdd.cli.failures import DAMAGED
from cbdd.errors import CorruptDataError
from cbdd.storage.node import Node
from cbdd.storage.page import reference_page

pytestmark = pytest.mark.damage

COUNT = 6000
PAGE_BYTES = 4096


def make(path: Path) -> None:
    with cbdd.connect(path, page_size_bytes=PAGE_BYTES) as client:
        client.shop.things.insert_many(
            [{"_id": n, "k": f"{n * 7919 % COUNT:09d}"} for n in range(COUNT)]
        )
        client.shop.things.create_index("k")
        client.shop.others.insert_many([{"_id": n} for n in range(10)])


def damage(path: Path, index: str | None, level: int) -> None:
    """Flip a bit in a page of an index of ``things``, or of its documents."""
    with cbdd.connect(path) as client:
        engine = client._store.engine
        state = engine._state
        with engine.begin_read() as txn:
            entry = client._store.catalog.find(txn, "shop", "things")
            assert entry is not None
            definition = entry.index_named(index) if index else None
            tree = txn._tree(definition.tree_id if definition else entry.record_tree)
        child: object = tree.root
        while True:
            node = child if isinstance(child, Node) else state.pager.load(child)  # type: ignore[arg-type]
            if node.level == level:
                assert node.ref is not None
                page = reference_page(node.ref)
                break
            child = node.children[1]
    data = bytearray(path.read_bytes())
    data[page * PAGE_BYTES + 1000] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("level", [0, 1])
def test_a_damaged_index_can_be_made_again(tmp_path: Path, level: int) -> None:
    path = tmp_path / "a.cbdd"
    make(path)
    damage(path, "k_1", level)
    with cbdd.connect(path) as client:
        things = client.shop.things
        with pytest.raises(CorruptDataError):
            list(things.find({"k": {"$gte": ""}}, hint="k_1"))
        things.drop_index("k_1")
        things.create_index("k")
        client.checkpoint()
        assert things.count_documents({"k": {"$gte": ""}}) == COUNT
        codes = [finding.code for finding in client.recovery_report.findings]
        assert codes == (["PAGE_LEAKED"] if level else [])
    with cbdd.connect(path) as client:
        assert client.recovery_report.was_clean
        problems = [problem.code for problem in client.check().problems]
        assert problems == (["PAGE_LEAKED"] if level else [])
        assert client.shop.things.count_documents({}) == COUNT
        assert client.shop.things.find_one({"k": f"{7919 % COUNT:09d}"}) is not None
    recorded = Path(f"{path}-events").read_text()
    assert ("pages_leaked" in recorded) == bool(level)
    assert "damage" in recorded


@pytest.mark.parametrize("index", ["k_1", "_id_"])
@pytest.mark.parametrize("level", [0, 1])
def test_a_damaged_index_is_made_anew_by_one_command(
    tmp_path: Path, level: int, index: str
) -> None:
    path = tmp_path / "shop.cbdd"
    make(path)
    damage(path, index, level)
    runner = CliRunner()
    checked = runner.invoke(app, ["check", str(path)])
    assert checked.exit_code == DAMAGED
    assert f"SEV-2 index {index} of shop.things" in checked.stdout
    assert f"`cbdd reindex {path} things {index} --database shop`" in checked.stdout
    facts = json.loads(runner.invoke(app, ["check", str(path), "--json"]).stdout)
    where = [(each["namespace"], each["index"]) for each in facts["problems"]]
    assert where == [("shop.things", index)]
    done = runner.invoke(app, ["reindex", str(path), "things", index, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rebuilt"] == [index]
    with cbdd.connect(path) as client:
        things = client.shop.things
        assert [each["name"] for each in things.list_indexes()] == ["_id_", "k_1"]
        assert things.find_one({"_id": 17}) == {"_id": 17, "k": f"{17 * 7919 % COUNT:09d}"}
        assert len(list(things.find({"k": {"$gte": ""}}, hint="k_1"))) == COUNT
        assert {problem.code for problem in client.check().problems} <= {"PAGE_LEAKED"}
        with pytest.raises(DuplicateKeyError):
            things.insert_one({"_id": 17})


def test_documents_are_checked_though_an_index_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    make(path)
    with cbdd.connect(path) as client:
        store = client._store
        with store.engine.begin_write("damage") as txn:
            entry = store.catalog.find(txn, "shop", "things")
            assert entry is not None
            txn.put(entry.record_tree, (5).to_bytes(8, "big"), b"nonsense")
            txn.commit()
    damage(path, "_id_", 0)
    with cbdd.connect(path, read_only=True) as client:
        problems = client.check().problems
    found = {(each.code, each.namespace, each.index) for each in problems}
    assert ("PAGE_CHECKSUM", "shop.things", "_id_") in found
    assert ("RECORD_INVALID", "shop.things", "") in found


@pytest.mark.parametrize("level", [0, 1])
def test_a_damaged_collection_can_be_dropped(tmp_path: Path, level: int) -> None:
    path = tmp_path / "a.cbdd"
    make(path)
    damage(path, None, level)
    with cbdd.connect(path) as client:
        with pytest.raises(CorruptDataError):
            list(client.shop.things.find())
        client.shop.things.drop()
        client.checkpoint()
        client.shop.things.insert_many([{"_id": n} for n in range(COUNT)])
    with cbdd.connect(path) as client:
        assert client.shop.things.count_documents({}) == COUNT
        assert client.shop.others.count_documents({}) == 10
        assert {problem.code for problem in client.check().problems} <= {"PAGE_LEAKED"}
