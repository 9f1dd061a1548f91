"""Recovering: the state that was asked for, what is kept, and what is told of each document."""

from __future__ import annotations

import errno
import random
from typing import Any

import pytest

from cbdd.errors import CbddError, LockedError, UsageError
from cbdd.ops.recovery import CollectionOutcome, RecoverOptions, RecoverReport, recover_file
from cbdd.storage.frame import FRAME_MAGIC_BYTES
from cbdd.storage.io import Io
from cbdd.storage.meta import META_BYTES, SLOT_OFFSETS
from cbdd.storage.node import Node
from cbdd.storage.page import Run, reference_page
from cbdd.testing import SeededRandomness, TickingClock
from cbdd.testing.databases import AnyClient, connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo

PATH = "/db/app.cbdd"
NEW = "/db/new.cbdd"
PAGE_BYTES = 4096
Files = dict[str, bytes]


def recover(
    files: Files, options: RecoverOptions | None = None, new: str = NEW
) -> tuple[RecoverReport, AnyClient]:
    """Recover, and open the new file."""
    disk = MemoryDisk.holding(files)
    report = recover_file(
        PATH,
        new,
        options,
        io=MemoryIo(disk),
        clock=TickingClock(),
        randomness=SeededRandomness(9),
    )
    return report, connect_on(MemoryIo(disk), 5, path=new)


def numbers(client: AnyClient, name: str = "things") -> list[int]:
    return sorted(document["_id"] for document in client.shop[name].find())


def kept_by(fill: Any, close: bool = True, **options: Any) -> Files:
    """The files of a database that a function fills."""
    disk = MemoryDisk()
    client = connect_on(MemoryIo(disk), 1, **options)
    fill(client)
    if close:
        client.close()
    return disk.files()


def flip(files: Files, page: int) -> Files:
    data = bytearray(files[PATH])
    data[page * PAGE_BYTES + 300] ^= 16
    return {**files, PATH: bytes(data)}


def leaves(files: Files, name: str = "things", index: str | None = None) -> list[tuple[int, Node]]:
    """The pages of a tree's leaves, in key order, and what is in them."""
    disk = MemoryDisk.holding(files)
    with connect_on(MemoryIo(disk), 5, read_only=True) as client:
        engine = client._store.engine
        with engine.begin_read() as txn:
            entry = client._store.catalog.find(txn, "shop", name)
            assert entry is not None
            definition = entry.index_named(index) if index else None
            number = definition.tree_id if definition else entry.record_tree
            tree = engine._state.base_trees[number]
        found: list[tuple[int, Node]] = []
        stack: list[object] = [tree.root]
        while stack:
            ref = stack.pop()
            assert isinstance(ref, bytes)
            node = engine._state.pager.load(ref)
            if node.level == 0:
                found.append((reference_page(ref), node))
            stack += reversed(node.children)
        return found


def outcome(report: RecoverReport, name: str = "things") -> CollectionOutcome:
    (found,) = [each for each in report.collections if each.name == name]
    return found


# -- the state -------------------------------------------------------------------------------


def commits(client: AnyClient) -> None:
    client.shop.things.insert_one({"_id": -1})
    client.checkpoint()
    for number in range(20):
        client.shop.things.insert_one({"_id": number})


KILLED = kept_by(commits, close=False)


def test_a_state_is_recovered_to_the_exact_commit() -> None:
    whole, client = recover(KILLED)
    assert numbers(client) == list(range(-1, 20))
    assert whole.is_whole
    assert whole.commits_replayed == 20
    last = whole.lsn
    for back in range(21):
        report, client = recover(KILLED, RecoverOptions(to_lsn=last - back))
        assert numbers(client) == list(range(-1, 20 - back))
        assert report.lsn == last - back
        assert report.is_whole


def test_a_state_before_the_checkpoint_comes_from_the_older_meta_page_or_not_at_all() -> None:
    first = recover(KILLED)[0].lsn - 20
    report, client = recover(KILLED, RecoverOptions(older_meta=True, to_lsn=0))
    assert (report.lsn, report.collections) == (0, [])
    assert client.list_database_names() == []
    with pytest.raises(UsageError, match="STATE_GONE.*reaches back"):
        closed = kept_by(lambda client: client.shop.things.insert_one({"_id": 1}))
        recover(closed, RecoverOptions(to_lsn=0))
    assert first > 0


def test_a_state_is_recovered_to_a_time() -> None:
    times = []
    for back in range(4):
        report, _client = recover(KILLED, RecoverOptions(to_lsn=recover(KILLED)[0].lsn - back))
        times.append(report.last_commit_us)
    assert times == sorted(times, reverse=True)
    for back, time_us in enumerate(times):
        report, client = recover(KILLED, RecoverOptions(to_time_us=time_us))
        assert numbers(client) == list(range(-1, 20 - back))
        report, client = recover(KILLED, RecoverOptions(to_time_us=time_us - 1))
        assert numbers(client) == list(range(-1, 19 - back))
    with pytest.raises(UsageError, match="STATE_GONE"):
        recover(KILLED, RecoverOptions(to_time_us=1))


def test_the_older_meta_page_with_its_log_has_everything_too() -> None:
    def fill(client: AnyClient) -> None:
        client.shop.things.insert_one({"_id": 0})
        client.checkpoint()
        client.shop.things.insert_one({"_id": 1})
        client.checkpoint()
        client.shop.things.insert_one({"_id": 2})

    report, client = recover(kept_by(fill, close=False), RecoverOptions(older_meta=True))
    assert numbers(client) == [0, 1, 2]
    assert report.commits_replayed == 2


def test_without_any_meta_page_what_tells_the_uuid_is_looked_for() -> None:
    data = bytearray(KILLED[PATH])
    uuid = bytes(data[16:32])
    for slot in SLOT_OFFSETS:
        for offset in slot:
            data[offset : offset + META_BYTES] = bytes(META_BYTES)
    blank = {PATH: bytes(data)}
    with pytest.raises(CbddError) as caught:
        recover(blank)
    assert caught.value.code == "META_DAMAGED"
    assert "--uuid" in str(caught.value)
    report, client = recover(blank, RecoverOptions(uuid=uuid))
    assert numbers(client) == [-1]
    events = b'{"event": "open", "uuid": "' + uuid.hex().encode() + b'"}\n'
    _report, client = recover({**blank, f"{PATH}-events": events})
    assert numbers(client) == [-1]
    report, client = recover({**KILLED, PATH: bytes(data)})
    assert numbers(client) == list(range(-1, 20))
    assert report.is_whole


def last_segment(files: Files) -> str:
    return max(name for name in files if "-wal-" in name)


def frames(data: bytes) -> list[int]:
    """Offsets of the frames of a segment."""
    found: list[int] = []
    at = data.find(FRAME_MAGIC_BYTES)
    while at >= 0:
        found.append(at)
        at = data.find(FRAME_MAGIC_BYTES, at + 4)
    return found


def test_commits_behind_a_hole_are_saved_and_the_gap_is_told() -> None:
    log = last_segment(KILLED)
    data = bytearray(KILLED[log])
    for offset in frames(data)[5:8]:
        data[offset + 100] ^= 1
    damaged = {**KILLED, log: bytes(data)}
    report, client = recover(damaged)
    assert numbers(client) == [*range(-1, 5), *range(8, 20)]
    (lost,) = report.lost_commits
    assert lost.last_lsn == lost.first_lsn + 2
    report, client = recover(damaged, RecoverOptions(to_lsn=lost.first_lsn - 1))
    assert numbers(client) == list(range(-1, 5))
    assert report.is_whole


def test_a_commit_that_may_have_lost_parts_is_left_out() -> None:
    def fill(client: AnyClient) -> None:
        client.shop.things.insert_one({"_id": 0})
        client.checkpoint()
        client.shop.things.insert_one({"_id": 1, "pad": random.Random(1).randbytes(6 << 20)})
        client.shop.things.insert_one({"_id": 7})

    files = kept_by(fill, close=False, checkpoint_log_bytes=1 << 30)
    log = last_segment(files)
    data = bytearray(files[log])
    data[frames(data)[0] + 200] ^= 1
    report, client = recover({**files, log: bytes(data)})
    assert numbers(client) == [0, 7]
    (lost,) = report.lost_commits
    assert lost.last_lsn == lost.first_lsn + 1


def test_a_log_alone_is_enough_when_it_goes_back_to_the_beginning() -> None:
    files = kept_by(lambda client: client.shop.things.insert_one({"_id": 1}), close=False)
    log = last_segment(files)
    report, client = recover({log: files[log]})
    assert numbers(client) == [1]
    assert report.is_whole
    assert report.collections[0].indexes == ["_id_"]


# -- what is kept ----------------------------------------------------------------------------


def test_definitions_are_kept() -> None:
    def fill(client: AnyClient) -> None:
        things = client.shop.things
        things.create_index("tags", unique=True, sparse=True)
        things.create_index([("a", 1), ("b", -1)], partialFilterExpression={"a": {"$gt": 1}})
        things.create_index("$**")
        things.create_index([("h", "hashed")])
        things.create_index("at", expireAfterSeconds=10)
        things.insert_many([{"_id": n, "tags": [n, n + 0.5], "a": n} for n in range(50)])
        things.insert_one({"_id": 99, "pad": b"x" * 50_000})
        client.shop.create_collection("last", capped=True, size=2000)
        client.shop.last.insert_many([{"_id": n, "pad": "x" * 90} for n in range(40)])
        client.shop.create_collection("sound", validator={"n": {"$gte": 0}})
        client.shop.sound.insert_one({"_id": 1, "n": 1})
        client.other.empty.insert_one({"_id": 0})
        client.other.empty.delete_one({"_id": 0})

    files = kept_by(fill)
    report, client = recover(files)
    assert report.is_whole
    assert report.damaged_pages == report.notes == []
    original = connect_on(MemoryIo(MemoryDisk.holding(files)), 5, read_only=True)
    assert client.list_database_names() == original.list_database_names()
    for database in client.list_database_names():
        mine, theirs = client[database], original[database]
        assert list(mine.list_collections()) == list(theirs.list_collections())
        for name in mine.list_collection_names():
            assert list(mine[name].find()) == list(theirs[name].find())
            assert mine[name].index_information() == theirs[name].index_information()
    assert client.shop.things.find_one({"tags": 3.5})["_id"] == 3  # type: ignore[index]
    client.shop.last.insert_one({"_id": 100, "pad": "x" * 90})
    assert client.shop.last.find_one()["_id"] > original.shop.last.find_one()["_id"]  # type: ignore[index]
    with pytest.raises(Exception, match="failed validation"):
        client.shop.sound.insert_one({"_id": 2, "n": -1})
    assert client.check().is_clean


def test_a_new_file_has_an_identity_of_its_own() -> None:
    disk = MemoryDisk.holding(KILLED)
    recover_file(PATH, NEW, io=MemoryIo(disk))
    files = disk.files()
    assert files[PATH][16:32] != files[NEW][16:32]


# -- what is told of documents ---------------------------------------------------------------


def rewritten(client: AnyClient) -> None:
    """Documents in two versions, the older ones on pages that are free; some deleted."""
    things = client.shop.things
    things.insert_many([{"_id": n, "v": 1, "pad": "x" * 300} for n in range(60)])
    client.checkpoint()
    things.delete_many({"_id": {"$in": [3, 4]}})
    things.update_many({}, {"$set": {"v": 2}})
    client.checkpoint()


REWRITTEN = kept_by(rewritten)


def test_a_damaged_leaf_gives_older_versions_of_what_the_index_knows() -> None:
    page, leaf = leaves(REWRITTEN)[0]
    hit = {int.from_bytes(key, "big") - 1 for key in leaf.keys}
    assert 2 in hit
    report, client = recover(flip(REWRITTEN, page))
    found = {each["_id"]: each["v"] for each in client.shop.things.find()}
    told = outcome(report)
    assert sorted(told.stale.ids) == sorted(hit)
    assert {number for number, version in found.items() if version == 1} == hit
    assert set(found) == set(range(60)) - {3, 4}
    assert (told.lost.count, told.resurrected.count) == (0, 0)
    assert not report.is_whole
    assert report.damaged_pages == [page]


def test_without_the_index_older_versions_may_have_been_deleted() -> None:
    page, leaf = leaves(REWRITTEN)[0]
    damaged = flip(REWRITTEN, page)
    for other, _leaf in leaves(REWRITTEN, index="_id_"):
        damaged = flip(damaged, other)
    report, client = recover(damaged)
    told = outcome(report)
    assert told.stale.count == 0
    hit = {int.from_bytes(key, "big") - 1 for key in leaf.keys}
    assert hit | {3, 4} >= set(told.resurrected.ids) >= hit
    assert numbers(client) == sorted(set(range(60)) - {3, 4} | set(told.resurrected.ids))


def test_a_value_that_is_gone_is_lost_by_name() -> None:
    def fill(client: AnyClient) -> None:
        client.shop.things.insert_many(
            [{"_id": f"doc {n}", "pad": "x" * (20_000 if n == 5 else 10)} for n in range(9)]
        )

    files = kept_by(fill)
    (_page, leaf) = leaves(files)[0]
    (run,) = [value for value in leaf.values if isinstance(value, Run)]
    report, client = recover(flip(files, run.page + 1))
    told = outcome(report)
    assert (told.lost.count, told.lost.ids, told.lost_bound) == (1, ["doc 5"], "exactly")
    assert client.shop.things.count_documents({}) == told.documents == told.saved == 8


def test_a_damaged_catalog_leaves_documents_without_a_name() -> None:
    def fill(client: AnyClient) -> None:
        client.shop.things.insert_many([{"_id": n} for n in range(30)])

    files = kept_by(fill)
    disk = MemoryDisk.holding(files)
    with connect_on(MemoryIo(disk), 5, read_only=True) as client:
        root = client._store.engine._state.base_trees[1].root
        assert isinstance(root, bytes)
    data = bytearray(files[PATH])
    start = reference_page(root) * PAGE_BYTES
    data[start : start + PAGE_BYTES] = bytes(PAGE_BYTES)
    report, client = recover({**files, PATH: bytes(data)})
    (told,) = report.collections
    assert not told.name_is_known
    assert not report.catalog_is_complete
    assert sorted(each["_id"] for each in client[told.database][told.name].find()) == list(
        range(30)
    )


def test_of_two_documents_with_one_unique_key_the_later_stays() -> None:
    def fill(client: AnyClient) -> None:
        things = client.shop.things
        things.create_index("email", unique=True)
        things.insert_many([{"_id": n, "email": f"{n}@x"} for n in range(5)])
        client.checkpoint()
        things.insert_one({"_id": 7})
        things.delete_one({"_id": 2})
        things.insert_one({"_id": 9, "email": "2@x"})

    files = kept_by(fill, close=False)
    log = last_segment(files)
    data = bytearray(files[log])
    data[frames(data)[1] + 100] ^= 1  # the deletion
    report, client = recover({**files, log: bytes(data)})
    told = outcome(report)
    assert told.displaced.ids == [2]
    assert numbers(client) == [0, 1, 3, 4, 7, 9]
    assert told.documents == 6
    assert told.indexes == ["_id_", "email_1"]


def test_a_document_that_gives_way_takes_no_other_with_it() -> None:
    def fill(client: AnyClient) -> None:
        things = client.shop.things
        things.create_index("tags", unique=True)
        things.insert_many([{"_id": 1, "tags": [3]}, {"_id": 5, "tags": [5]}])
        client.checkpoint()
        things.insert_one({"_id": 7, "tags": [7]})
        things.delete_one({"_id": 1})
        things.insert_many([{"_id": 2, "tags": [2, 3]}, {"_id": 8, "tags": [8]}])
        things.delete_one({"_id": 2})
        things.insert_one({"_id": 3, "tags": [2]})

    files = kept_by(fill, close=False)
    log = last_segment(files)
    data = bytearray(files[log])
    for deletion in (1, 3):
        data[frames(files[log])[deletion] + 100] ^= 1
    report, client = recover({**files, log: bytes(data)})
    assert outcome(report).displaced.ids == [2]  # by 3, so it is no longer in the way of 1
    assert numbers(client) == [1, 3, 5, 7, 8]


# -- refusals --------------------------------------------------------------------------------


def test_nothing_is_overwritten() -> None:
    disk = MemoryDisk.holding({**KILLED, NEW: b"mine"})
    with pytest.raises(UsageError, match="OUTPUT_EXISTS"):
        recover_file(PATH, NEW, io=MemoryIo(disk))
    assert disk.files()[NEW] == b"mine"


def test_a_file_that_is_in_use_is_refused() -> None:
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk), 1) as client:
        client.shop.things.insert_one({"_id": 1})
        with pytest.raises(LockedError):
            recover_file(PATH, NEW, io=MemoryIo(disk))
    assert recover_file(PATH, NEW, io=MemoryIo(disk)).is_whole


class SickIo(MemoryIo):
    """A disk that cannot read one block of the database, and one of the log."""

    def __init__(self, disk: MemoryDisk, bad: dict[str, int]) -> None:
        super().__init__(disk)
        self.bad = bad

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        for path, start in self.bad.items():
            if self.fds[fd] is self.disk.names.get(path):
                if offset < start + 512 and start < offset + length:
                    raise OSError(errno.EIO, "bad sector")
        return super().pread(fd, length, offset)


def test_a_sector_that_cannot_be_read_costs_what_is_in_it() -> None:
    def fill(client: AnyClient) -> None:
        client.shop.things.insert_many([{"_id": n, "pad": "x" * 300} for n in range(200)])
        client.checkpoint()
        for number in range(200, 210):
            client.shop.things.insert_one({"_id": number})

    files = kept_by(fill, close=False)
    page, leaf = leaves(files)[2]
    log = last_segment(files)
    bad = {PATH: page * PAGE_BYTES + 1024, log: frames(files[log])[4] // 512 * 512}
    disk = MemoryDisk.holding(files)
    report = recover_file(
        PATH, NEW, io=SickIo(disk, bad), clock=TickingClock(), randomness=SeededRandomness(9)
    )
    assert page in report.damaged_pages
    told = outcome(report)
    on_page = {int.from_bytes(key, "big") - 1 for key in leaf.keys}
    assert set(told.lost.ids) >= on_page
    with connect_on(MemoryIo(disk), 5, path=NEW) as client:
        found = numbers(client)
    assert set(range(200)) - set(found) == on_page
    assert {200, 201, 209} <= set(found)
    assert report.lost_commits


class ChangingIo(MemoryIo):
    """Somebody writes to the original while it is read."""

    def sync(self, fd: int) -> None:
        super().sync(fd)
        writer = MemoryIo(self.disk)
        other = writer.open(PATH, False, False)
        writer.pwrite(other, b"x", 70_000)
        writer.close(other)


def test_a_change_meanwhile_is_found() -> None:
    disk = MemoryDisk.holding(KILLED)
    with pytest.raises(LockedError, match="ORIGINAL_CHANGED"):
        recover_file(PATH, NEW, io=ChangingIo(disk))
    assert NEW not in disk.files()


@pytest.mark.parametrize("path", ["/nowhere/at/all.cbdd", "/db/none.cbdd"])
def test_what_is_not_there_is_told(path: str) -> None:
    disk = MemoryDisk.holding(KILLED)
    with pytest.raises(CbddError) as caught:
        recover_file(path, NEW, io=MemoryIo(disk))
    assert caught.value.code == "NOT_FOUND"


def test_a_real_file_keeps_its_bytes_and_the_new_one_is_private(tmp_path: Any) -> None:
    for name, data in KILLED.items():
        (tmp_path / name.rpartition("/")[2]).write_bytes(data)
    before = {
        each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in tmp_path.iterdir()
    }
    report = recover_file(str(tmp_path / "app.cbdd"), str(tmp_path / "new.cbdd"), io=Io())
    after = {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in tmp_path.iterdir()}
    assert after.pop("new.cbdd")[0]
    assert after == before
    assert (tmp_path / "new.cbdd").stat().st_mode & 0o777 == 0o600
    assert sorted(report.originals) == sorted(name for name in before if "shm" not in name)
