"""Recovering databases with a history: several collections, updates, deletions, drops, indexes.

One to six faults at once, by seed; the report is compared with what was acknowledged, and whatever
is recovered was stored at some time.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from typing import Any

import pytest

from cbdd.errors import CbddError
from cbdd.ops.recovery import RecoverReport, recover_file
from cbdd.ops.recovery.report import AT_LEAST, EXACTLY
from cbdd.storage.meta import SLOT_OFFSETS
from cbdd.testing import SeededRandomness, TickingClock
from cbdd.testing.damage import PAGE_BYTES, PATH
from cbdd.testing.databases import connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo

pytestmark = pytest.mark.damage

SCALE = int(os.environ.get("CBDD_CRASH_SCALE", "1"))
FIRST_SEED = int(os.environ.get("CBDD_DAMAGE_SEED", "0"))
NEW = "/db/new.cbdd"
FIRST_PAGE = 65536 // PAGE_BYTES
COPIES = [offset for slot in SLOT_OFFSETS for offset in slot]
Key = tuple[str, Any]
Files = dict[str, bytes]


class History:
    """What was stored, what is there at the end, and the files."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.model: dict[Key, dict[str, Any]] = {}
        self.versions: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        self._disk = MemoryDisk()
        self._opened = 1
        self._client = connect_on(MemoryIo(self._disk, 1), seed)
        for step in range(self.source.randrange(20, 200)):
            self._live(step, seed)
        if self.source.random() < 0.5:
            self._client.close()
        self.files = self._disk.files()

    def _live(self, step: int, seed: int) -> None:
        source = self.source
        name, number, roll = f"c{source.randrange(4)}", source.randrange(150), source.random()
        things = self._client.shop[name]
        if roll < 0.5:
            pad = "x" * source.choice([3, 30, 300, 3000, 6000])
            document = {"_id": number if source.random() < 0.9 else f"s{number}", "v": step}
            document |= {"pad": pad, "t": [step % 5, step % 7]}
            things.replace_one({"_id": document["_id"]}, document, upsert=True)
            self._note(name, document)
        elif roll < 0.62:
            many = [{"_id": f"m{step}-{n}", "v": n} for n in range(source.randrange(1, 60))]
            things.insert_many(many)
            for document in many:
                self._note(name, document)
        elif roll < 0.75:
            things.delete_one({"_id": number})
            self.model.pop((name, number), None)
        elif roll < 0.8:
            things.delete_many({"v": {"$gt": source.randrange(max(1, step))}})
            left = {(name, document["_id"]) for document in things.find()}
            for key in [key for key in self.model if key[0] == name and key not in left]:
                del self.model[key]
        elif roll < 0.84:
            things.create_index(source.choice([[("v", 1)], [("t", 1), ("v", -1)]]))
        elif roll < 0.86:
            things.drop()
            for key in [key for key in self.model if key[0] == name]:
                del self.model[key]
        elif roll < 0.95:
            self._client.checkpoint()
        else:
            self._client.close()
            self._opened += 1
            self._client = connect_on(
                MemoryIo(self._disk, self._opened), seed * 1000 + self._opened
            )

    def _note(self, name: str, document: dict[str, Any]) -> None:
        self.model[name, document["_id"]] = document
        self.versions[name, document["_id"]].append(document)


def harmed(files: Files, source: random.Random) -> Files:
    """The files with some faults."""
    files = dict(files)
    for _ in range(source.choice([1, 1, 1, 2, 3, 6])):
        data = bytearray(files[PATH])
        pages = min(int.from_bytes(data[48:56], "little"), len(data) // PAGE_BYTES)
        kind = source.choice(["flip", "zero", "swap", "meta", "metas", "log", "cut"])
        if kind in ("flip", "zero", "swap") and pages > FIRST_PAGE:
            start = source.randrange(FIRST_PAGE, pages) * PAGE_BYTES
            end = start + PAGE_BYTES
            if kind == "flip":
                data[start + source.randrange(PAGE_BYTES)] ^= 1 << source.randrange(8)
            elif kind == "zero":
                data[start:end] = bytes(PAGE_BYTES)
            else:
                other = source.randrange(FIRST_PAGE, pages) * PAGE_BYTES
                mine, theirs = data[start:end], data[other : other + PAGE_BYTES]
                data[start:end] = theirs
                data[other : other + PAGE_BYTES] = mine
        elif kind == "meta":
            data[source.choice(COPIES) + source.randrange(512)] ^= 255
        elif kind == "metas":
            for offset in COPIES:
                data[offset + source.randrange(32, 500)] ^= 255
        elif kind == "cut":
            data = data[: source.randrange(65536, len(data) + 1)]
        elif kind == "log":
            for name in [each for each in files if "-wal-" in each][-1:]:
                log = bytearray(files[name])
                log[source.randrange(len(bytes(log).rstrip(b"\0")))] ^= 1 << source.randrange(8)
                files[name] = bytes(log)
        files[PATH] = bytes(data)
    return files


class Outcome:
    """The report and the documents of the new file, by collection and `_id`."""

    def __init__(self, files: Files) -> None:
        disk = MemoryDisk.holding(files)
        self.report: RecoverReport = recover_file(
            PATH,
            NEW,
            io=MemoryIo(disk, 50),
            clock=TickingClock(),
            randomness=SeededRandomness(3),
        )
        after = disk.files()
        after.pop(NEW)
        assert after == files
        self.documents: dict[Key, dict[str, Any]] = {}
        with connect_on(MemoryIo(disk, 51), 5, path=NEW) as client:
            for each in self.report.collections:
                for document in client[each.database][each.name].find():
                    self.documents[each.name, document["_id"]] = document

    def keys(self, fate: str) -> set[Key]:
        return {
            (each.name, identity)
            for each in self.report.collections
            for identity in getattr(each, fate).ids
        }


def judge(history: History, outcome: Outcome) -> None:
    report, documents = outcome.report, outcome.documents
    if report.is_whole:
        assert documents == history.model
    are_named = all(each.name_is_known for each in report.collections)
    is_doubtful = bool(report.lost_commits) or not are_named or not report.catalog_is_complete
    older = outcome.keys("stale") | outcome.keys("resurrected")
    for key, document in documents.items():
        if are_named:
            assert document in history.versions[key], f"{key} never was so"
        if not is_doubtful and key not in older:
            assert history.model.get(key) == document, f"{key} is not as it was"
    if is_doubtful:
        return
    missing = history.model.keys() - documents.keys()
    bounds = {each.lost_bound for each in report.collections}
    if bounds <= {EXACTLY}:
        assert outcome.keys("lost") == missing
    elif AT_LEAST not in bounds:
        assert sum(each.lost.count for each in report.collections) >= len(missing)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 16 * SCALE))
def test_a_database_with_a_history_is_recovered_truly(seed: int) -> None:
    print(f"seed {seed}")
    history = History(seed)
    try:
        outcome = Outcome(harmed(history.files, history.source))
    except CbddError as error:
        assert error.code in ("META_DAMAGED", "NOT_A_DATABASE")
        return
    judge(history, outcome)


def test_a_record_id_that_was_used_again_does_not_bring_back_the_deleted() -> None:
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk, 1), 1) as client:
        things = client.shop.things
        things.insert_many([{"_id": n, "pad": "x" * 300} for n in range(5)])
        client.checkpoint()
        things.delete_one({"_id": 4})
        things.insert_one({"_id": "other", "pad": "x" * 300})
        client.checkpoint()
        store = client._store
        with store.begin_read() as txn:
            entry = store.catalog.find(txn, "shop", "things")
            assert entry is not None
            root = txn._tree(entry.record_tree).root
            page = int.from_bytes((root if isinstance(root, bytes) else root.ref)[:8], "little")  # type: ignore[attr-defined]
    files = disk.files()
    data = bytearray(files[PATH])
    data[page * PAGE_BYTES + 200] ^= 1
    outcome = Outcome({**files, PATH: bytes(data)})
    assert outcome.keys("stale") == {("things", n) for n in range(4)}
    assert outcome.keys("lost") == {("things", "other")}
    assert ("things", 4) not in outcome.documents
