"""Recovering damaged files: nothing that verifies is lost, and the report is true to the document.

Every class of damage, on databases that were closed, killed with a log, killed with two segments.
"""

from __future__ import annotations

import os

import pytest

from cbdd.errors import CbddError
from cbdd.ops.recovery import RecoverReport, recover_file
from cbdd.ops.recovery.report import AT_LEAST, EXACTLY
from cbdd.storage.node import Node
from cbdd.storage.page import Run, reference_page, run_page_count
from cbdd.testing import SeededRandomness, TickingClock
from cbdd.testing.damage import (
    CLASSES,
    PAGE_BYTES,
    PATH,
    Damaged,
    Documents,
    Specimen,
    damages,
    specimens,
)
from cbdd.testing.databases import connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo

pytestmark = pytest.mark.damage

SCALE = int(os.environ.get("CBDD_CRASH_SCALE", "1"))
SEED = int(os.environ.get("CBDD_DAMAGE_SEED", "1"))
NEW = "/db/new.cbdd"
REFUSALS = {"NEWER_FORMAT", "NOT_A_DATABASE", "META_DAMAGED", "NOT_FOUND", "EMPTY_FILE"}
PAGE_CLASSES = [
    "bit flipped in a page",
    "page zeroed",
    "page overwritten",
    "pages swapped",
    "file cut",
]
MADE = specimens(SEED)


class Recovered:
    """What came of recovering one damaged copy."""

    def __init__(self, damaged: Damaged) -> None:
        disk = MemoryDisk.holding(damaged.files)
        self.report: RecoverReport | None = None
        self.code = ""
        self.documents: Documents = {}
        try:
            self.report = recover_file(
                PATH,
                NEW,
                io=MemoryIo(disk),
                clock=TickingClock(),
                randomness=SeededRandomness(3),
            )
        except CbddError as error:
            self.code = error.code
        after = disk.files()
        made = after.pop(NEW, None)
        assert (made is None) == (self.report is None)
        assert after == damaged.files, "the original was changed, or something was left behind"
        if made is not None:
            self._read(disk)

    def _read(self, disk: MemoryDisk) -> None:
        assert self.report is not None
        with connect_on(MemoryIo(disk), 5, path=NEW) as client:
            assert client.check().is_clean
            for each in self.report.collections:
                collection = client[each.database][each.name]
                found = {document["_id"]: document for document in collection.find()}
                assert len(found) == each.documents
                assert sorted(collection.index_information()) == sorted(each.indexes)
                self.documents.update(found)

    def ids(self, fate: str) -> set[int]:
        assert self.report is not None
        return {each for outcome in self.report.collections for each in getattr(outcome, fate).ids}


def judge(recovered: Recovered, model: Documents) -> None:
    """The report against what was acknowledged."""
    report = recovered.report
    if report is None:
        assert recovered.code in REFUSALS
        return
    documents = recovered.documents
    if report.is_whole:
        assert documents == model
    is_gap = bool(report.lost_commits)
    doubtful = recovered.ids("stale") | recovered.ids("resurrected")
    for number, document in documents.items():
        if number not in doubtful:
            assert number in model
            assert is_gap or document == model[number]
    if is_gap or not report.catalog_is_complete:
        return
    missing = model.keys() - documents.keys()
    bounds = {each.lost_bound for each in report.collections}
    lost = sum(each.lost.count for each in report.collections)
    if bounds <= {EXACTLY}:
        assert recovered.ids("lost") == missing
        assert lost == len(missing)
    elif AT_LEAST not in bounds:
        assert lost >= len(missing)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("specimen", MADE.values(), ids=list(MADE))
def test_a_report_is_true(specimen: Specimen, name: str) -> None:
    for damaged in damages(specimen, name, SEED, 4 * SCALE):
        try:
            judge(Recovered(damaged), specimen.documents)
        except BaseException:
            print(f"{damaged}, seed {SEED}")
            raise


def pages_of(specimen: Specimen) -> dict[int, set[int]]:
    """The pages that hold each document at the last checkpoint."""
    disk = MemoryDisk.holding(specimen.files)
    found: dict[int, set[int]] = {}
    with connect_on(MemoryIo(disk), 5, read_only=True) as client:
        entry_tree = 0
        engine = client._store.engine
        with engine.begin_read() as txn:
            entry = client._store.catalog.find(txn, "shop", "things")
            assert entry is not None
            entry_tree = entry.record_tree
        state = engine._state
        stack: list[object] = [state.base_trees[entry_tree].root]
        while stack:
            ref = stack.pop()
            assert isinstance(ref, bytes)
            node: Node = state.pager.load(ref)
            stack += node.children
            for value in node.values:
                pages = {reference_page(ref)}
                if isinstance(value, Run):
                    first, count = value.page, run_page_count(value.length, PAGE_BYTES)
                    pages |= set(range(first, first + count))
                    value = state.pager.read_run(value)
                assert isinstance(value, bytes)
                number = int.from_bytes(value[9:13], "little")  # {_id: int32, ...}
                found[number] = pages
    return found


@pytest.mark.parametrize("name", PAGE_CLASSES)
@pytest.mark.parametrize("specimen", MADE.values(), ids=list(MADE))
def test_every_document_on_a_whole_page_is_saved(specimen: Specimen, name: str) -> None:
    homes = pages_of(specimen)
    assert len(homes) > 50
    whole = specimen.files[PATH]
    for damaged in damages(specimen, name, SEED, 6 * SCALE):
        data = damaged.files[PATH]
        recovered = Recovered(damaged)
        if recovered.report is None:
            continue
        for number, pages in homes.items():
            is_whole = all(
                data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
                == whole[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
                for page in pages
            )
            if is_whole:
                assert recovered.documents.get(number) == specimen.documents[number], (
                    f"document {number}: {damaged}, seed {SEED}"
                )


@pytest.mark.parametrize("name", ["bit flipped in the log", "bit flipped in the shared state"])
@pytest.mark.parametrize("specimen", [MADE["killed"], MADE["rotated"]], ids=["killed", "rotated"])
def test_a_flipped_bit_in_the_log_costs_one_commit_at_most(specimen: Specimen, name: str) -> None:
    for damaged in damages(specimen, name, SEED, 8 * SCALE):
        recovered = Recovered(damaged)
        missing = specimen.documents.keys() - recovered.documents.keys()
        assert len(missing) <= 1, f"{damaged}, seed {SEED}"
        assert recovered.report is not None
        assert not missing or recovered.report.lost_commits
