"""Backups: exactly the state of their LSN, incremental ones too; any commit since, by the log."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest

import cbdd
from cbdd.errors import (
    CbddError,
    CorruptDataError,
    NewerFormatError,
    ReadOnlyError,
    UsageError,
)
from cbdd.ops.backup import RestoreReport, restore_backup, verify_backup
from cbdd.ops.compact import compact_file
from cbdd.ops.inspection import compare_files
from cbdd.storage.backup import MANIFEST, _digest_of
from cbdd.storage.meta import FORMAT
from cbdd.storage.version import VERSION
from cbdd.testing import SeededRandomness, TickingClock
from cbdd.testing.databases import PATH, AnyClient, connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo
from tests.damage.test_dropped import damage, make

ARCHIVE = "/archive"
NEW = "/new/restored.cbdd"
Model = dict[Any, Any]


def lsn_of(client: AnyClient) -> int:
    return client._store.engine._state.tip.lsn


def documents_of(client: AnyClient) -> Model:
    return {
        (name, document["_id"]): document
        for name in client.shop.list_collection_names()
        for document in client.shop[name].find()
    }


def restored(
    disk: MemoryDisk, backup: str, seed: int = 9, **options: Any
) -> tuple[RestoreReport, Model]:
    """What a backup restores to, on a copy of the disk."""
    copy = MemoryDisk.holding(disk.files())
    report = restore_backup(
        backup,
        NEW,
        io=MemoryIo(copy),
        clock=TickingClock(),
        randomness=SeededRandomness(seed),
        **options,
    )
    assert {name for name in copy.files() if name.startswith("/new/")} == {NEW}
    with connect_on(MemoryIo(copy), 5, path=NEW) as client:
        assert client.recovery_report.was_clean
        assert client.check().is_clean
        found = documents_of(client)
        client.shop.more.insert_one({"_id": 0})  # it goes on like any other
    return report, found


class History:
    """A database that lives through much, with its state at each LSN and some backups."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.disk = MemoryDisk()
        self.states: dict[int, Model] = {}
        self.times: dict[int, int] = {}
        self.backups: dict[str, int] = {}
        self.clock = TickingClock()
        self.opened = 0
        self.client = self.open()

    def open(self) -> AnyClient:
        self.opened += 1
        return connect_on(
            MemoryIo(self.disk, self.opened), self.opened, self.clock, archive=ARCHIVE
        )

    def live(self, steps: int) -> None:
        for _ in range(steps):
            roll = self.source.random()
            if roll < 0.08:
                self.client.checkpoint()
            elif roll < 0.13:
                self.client.close()
                self.client = self.open()
            elif roll < 0.2:
                self.back_up()
            else:
                self.change()
            self.note()

    def change(self) -> None:
        shop, number = self.client.shop, self.source.randrange(60)
        roll = self.source.random()
        if roll < 0.5:
            pad = "x" * self.source.choice([5, 50, 2000, 9000])
            shop.things.replace_one({"_id": number}, {"_id": number, "pad": pad}, upsert=True)
        elif roll < 0.75:
            shop.things.delete_one({"_id": number})
        elif roll < 0.85:
            shop[f"c{number % 3}"].insert_one({"_id": self.source.random()})
        elif roll < 0.92:
            shop[f"c{number % 3}"].drop()
        else:
            shop.things.create_index([("pad", 1), (f"f{number % 4}", 1)])

    def back_up(self) -> None:
        name = f"/backups/b{len(self.backups)}"
        base = self.source.choice([None, *self.backups])
        manifest = self.client.backup(name, base)
        self.backups[name] = manifest["lsn"]

    def note(self) -> None:
        lsn = lsn_of(self.client)
        if lsn not in self.states:
            self.states[lsn] = documents_of(self.client)
            self.times[lsn] = self.client._store.engine._state.clock.now_us()


@pytest.mark.parametrize("seed", range(4))
def test_every_backup_and_every_commit_since_can_be_restored(seed: int) -> None:
    print(f"seed {seed}")
    history = History(seed)
    history.live(70)
    history.back_up()
    assert len(history.backups) > 1
    for name, lsn in history.backups.items():
        report, found = restored(history.disk, name)
        assert report.lsn == lsn
        assert found == history.states.get(lsn, found)
        assert verify_backup(name, MemoryIo(history.disk)).manifest["lsn"] == lsn
    for lsn in history.source.sample(sorted(history.states), 12):
        usable = [name for name, of in history.backups.items() if of <= lsn]
        if usable:
            name = history.source.choice(usable)
            report, found = restored(history.disk, name, archive=ARCHIVE, live=PATH, to_lsn=lsn)
            assert (report.lsn, found) == (lsn, history.states[lsn]), f"{name} to LSN {lsn}"
    name = history.source.choice(list(history.backups))
    report, found = restored(history.disk, name, archive=ARCHIVE, live=PATH)
    assert found == documents_of(history.client)
    history.client.close()
    report, found = restored(history.disk, name, archive=ARCHIVE)
    with history.open() as client:
        assert found == documents_of(client)


def test_a_moment_is_restored_to_the_commit_before_it() -> None:
    disk = MemoryDisk()
    clock = TickingClock()
    client = connect_on(MemoryIo(disk), 1, clock, archive=ARCHIVE)
    client.shop.things.insert_one({"_id": -1})
    client.backup("/backups/b")
    moments = []
    for number in range(12):
        client.shop.things.insert_one({"_id": number})
        moments.append(clock.now_us())
        if number % 5 == 4:
            client.checkpoint()
    for number, moment in enumerate(moments):
        report, found = restored(disk, "/backups/b", archive=ARCHIVE, live=PATH, to_time_us=moment)
        assert sorted(key[1] for key in found) == list(range(-1, number + 1))
        assert report.stopped_at_limit == (number < 11)
    with pytest.raises(UsageError, match="STATE_GONE"):
        restored(disk, "/backups/b", to_time_us=1)


def test_a_backup_taken_under_load_is_a_state_that_was(tmp_path: Path) -> None:
    path = tmp_path / "shop.cbdd"
    archive = tmp_path / "archive"
    client = cbdd.connect(path, archive=archive, checkpoint_log_bytes=1 << 16, durability="off")
    client.shop.things.insert_one({"_id": 0})
    first = lsn_of(client)
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                client.shop.things.insert_one({"_id": number, "pad": "x" * 500})
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    backups = []
    try:
        for number in range(6):
            base = backups[-1] if number % 3 else None
            target = tmp_path / f"b{number}"
            client.backup(target, base)
            backups.append(target)
    finally:
        stop.set()
        writer.join()
    assert not failures
    client.close()
    for target in backups:
        lsn = verify_backup(str(target)).manifest["lsn"]
        for options in ({}, {"to_lsn": lsn + 1, "archive": str(archive)}):
            new = tmp_path / "new.cbdd"
            report = restore_backup(str(target), str(new), **options)  # type: ignore[arg-type]
            with cbdd.connect(new) as found:
                count = report.lsn - first + 1
                assert [each["_id"] for each in found.shop.things.find()] == list(range(count))
            new.unlink()
            Path(f"{new}-events").unlink()


def test_an_incremental_backup_has_only_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "shop.cbdd"
    make(path)
    with cbdd.connect(path) as client:
        full = client.backup(tmp_path / "full")
        nothing = client.backup(tmp_path / "nothing", tmp_path / "full")
        client.shop.things.update_one({"_id": 9}, {"$set": {"k": "new"}})
        little = client.backup(tmp_path / "little", tmp_path / "nothing")
    assert nothing["pages"] == 0
    assert 0 < little["pages"] < 12 < full["pages"]
    assert little["base"]["name"] == "nothing"
    restore_backup(str(tmp_path / "little"), str(tmp_path / "new.cbdd"))
    with cbdd.connect(path) as client, cbdd.connect(tmp_path / "new.cbdd") as new:
        assert compare_files(client, new).is_empty
        assert client.statistics()["uuid"] != new.statistics()["uuid"]


def test_compaction_does_not_break_the_archive() -> None:
    disk = MemoryDisk()
    client = connect_on(MemoryIo(disk), 1, archive=ARCHIVE)
    client.shop.things.insert_many([{"_id": n} for n in range(50)])
    client.backup("/backups/b")
    client.shop.things.insert_one({"_id": 50})
    client.close()
    compact_file(PATH, io=MemoryIo(disk), clock=TickingClock(), randomness=SeededRandomness(1))
    with connect_on(MemoryIo(disk, 2), 2, archive=ARCHIVE) as client:
        client.shop.things.insert_one({"_id": 51})
        client.backup("/backups/c", "/backups/b")
    for name in ("b", "c"):
        _report, found = restored(disk, f"/backups/{name}", archive=ARCHIVE)
        assert len(found) == 52


# -- what is wrong ---------------------------------------------------------------------------


@pytest.fixture
def backed_up() -> MemoryDisk:
    """A full and an incremental backup, and an archive of four segments behind the latter."""
    disk = MemoryDisk()
    client = connect_on(MemoryIo(disk), 1, archive=ARCHIVE)
    client.shop.things.insert_many([{"_id": n, "pad": "x" * 3000} for n in range(40)])
    client.backup("/backups/full")
    client.shop.things.insert_one({"_id": 40})
    client.backup("/backups/little", "/backups/full")
    for number in range(41, 45):
        client.shop.things.insert_one({"_id": number})
        client.checkpoint()
    client.close()
    return disk


def without(disk: MemoryDisk, name: str) -> MemoryDisk:
    return MemoryDisk.holding({n: data for n, data in disk.files().items() if n != name})


def test_every_flipped_bit_of_a_backup_is_found(backed_up: MemoryDisk) -> None:
    source = random.Random(1)
    files = backed_up.files()
    for name in sorted(files):
        if not name.startswith("/backups/"):
            continue
        for _ in range(12):
            data = bytearray(files[name])
            bit = source.randrange(len(data) * 8)
            data[bit // 8] ^= 1 << bit % 8
            damaged = MemoryDisk.holding({**files, name: bytes(data)})
            try:
                verify_backup("/backups/little", MemoryIo(damaged))
            except CbddError as error:
                assert error.code
            else:
                at = data[bit // 8] ^ 1 << bit % 8
                assert at in b" \n", f"{name} bit {bit}: {at}"  # between two tokens
            try:
                _report, found = restored(damaged, "/backups/little")
            except CbddError:
                continue
            assert len(found) == 41


def test_a_gap_in_the_log_ends_a_restore(backed_up: MemoryDisk) -> None:
    archived = sorted(name for name in backed_up.files() if name.startswith(f"{ARCHIVE}/"))
    assert len(archived) > 4
    report, found = restored(backed_up, "/backups/little", archive=ARCHIVE)
    assert len(found) == 45
    disk = without(backed_up, archived[-2])
    with pytest.raises(CorruptDataError, match="ARCHIVE_GAP") as caught:
        restored(disk, "/backups/little", archive=ARCHIVE)
    before = int(str(caught.value.details["lsn"])) - 1
    assert f"--to-lsn {before}" in str(caught.value)
    report, found = restored(disk, "/backups/little", archive=ARCHIVE, to_lsn=before)
    assert (report.lsn, len(found)) == (before, 41 + before - report.backup_lsn)


def test_what_is_not_there_is_told(backed_up: MemoryDisk) -> None:
    def code(*arguments: Any, **options: Any) -> str:
        with pytest.raises(CbddError) as caught:
            restored(*arguments, **options)
        return str(caught.value.code)

    assert code(backed_up, "/backups/none") == "NO_BACKUP"
    assert code(backed_up, "/archive") == "NO_BACKUP"
    assert code(without(backed_up, "/backups/full/manifest.json"), "/backups/little") == (
        "BACKUP_BASE_MISSING"
    )
    assert code(backed_up, "/backups/little", to_lsn=10**6, archive=ARCHIVE) == "STATE_GONE"
    assert code(backed_up, "/backups/little", to_lsn=0) == "STATE_GONE"
    assert code(backed_up, "/backups/little", archive="/nowhere") == "NOT_FOUND"


def test_a_base_is_found_under_another_name(backed_up: MemoryDisk) -> None:
    files = {
        name.replace("/backups/full/", "/backups/renamed/"): data
        for name, data in backed_up.files().items()
    }
    _report, found = restored(MemoryDisk.holding(files), "/backups/little")
    assert len(found) == 41


def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "shop.cbdd"
    make(path)
    (tmp_path / "there").mkdir()
    with cbdd.connect(path) as client:
        for target in (tmp_path / "there", path):
            with pytest.raises(UsageError, match="OUTPUT_EXISTS"):
                client.backup(target)
        with pytest.raises(CbddError, match="NOT_FOUND"):
            client.backup(tmp_path / "no" / "where")
        client.backup(tmp_path / "good")
        with pytest.raises(UsageError, match="OUTPUT_EXISTS"):
            restore_backup(str(tmp_path / "good"), str(path))
        assert client._store.engine._state.pins == {}
    damage(path, None, 0)
    with cbdd.connect(path) as client:
        with pytest.raises(CorruptDataError):
            client.backup(tmp_path / "bad")
        assert client._store.engine._state.pins == {}
    assert not (tmp_path / "bad").exists()


def test_a_base_of_another_database_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with cbdd.connect(tmp_path / f"{name}.cbdd") as client:
            client.shop.things.insert_one({"_id": 1})
            client.backup(tmp_path / name)
    client = cbdd.connect(tmp_path / "a.cbdd")
    with client, pytest.raises(UsageError, match="BACKUP_FOREIGN"):
        client.backup(tmp_path / "c", tmp_path / "b")
    assert not (tmp_path / "c").exists()


def test_a_reader_backs_up_a_closed_file_and_no_other() -> None:
    disk = MemoryDisk()
    writer = connect_on(MemoryIo(disk), 1)
    writer.shop.things.insert_one({"_id": 1})
    files = disk.files()
    writer.close()
    with connect_on(MemoryIo(disk, 2), 2, read_only=True) as reader:
        reader.backup("/backups/b")
    assert len(restored(disk, "/backups/b")[1]) == 1
    reader = connect_on(MemoryIo(MemoryDisk.holding(files), 2), 2, read_only=True)
    with reader, pytest.raises(ReadOnlyError):
        reader.backup("/backups/b")


def test_an_empty_database_can_be_backed_up() -> None:
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk), 1) as client:
        client.backup("/backups/b")
    assert restored(disk, "/backups/b")[1] == {}


def test_a_reader_backs_up_what_others_have_written_since_it_opened() -> None:
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk, 1), 1) as writer:
        writer.shop.things.insert_one({"_id": 1})
    with connect_on(MemoryIo(disk, 2), 2, read_only=True) as reader:
        with connect_on(MemoryIo(disk, 3), 3) as writer:
            writer.shop.things.insert_one({"_id": 2})
        reader.backup("/backups/b")
        writer = connect_on(MemoryIo(disk, 4), 4)
        writer.shop.things.insert_one({"_id": 3})
        with pytest.raises(ReadOnlyError):
            reader.backup("/backups/c")
        writer.checkpoint()
        reader.backup("/backups/d")
        writer.close()
    assert len(restored(disk, "/backups/b")[1]) == 2
    assert len(restored(disk, "/backups/d")[1]) == 3


def newer(disk: MemoryDisk, **fields: int) -> None:
    """Let a later release have written the database, which asks for more."""
    with connect_on(MemoryIo(disk), 3) as client:
        meta = client._store.engine._state.meta
        for name, value in fields.items():
            setattr(meta, name, value)
        client.shop.things.insert_one({"_id": "newer"})


@pytest.mark.parametrize("field", [{"min_writer": FORMAT + 1}, {"must_not_write": 4}], ids=str)
def test_what_must_not_be_written_is_not_written_after_a_backup_and_a_restore(
    field: dict[str, int],
) -> None:
    disk = MemoryDisk()
    newer(disk, **field)
    with connect_on(MemoryIo(disk), 4, read_only=True) as client:
        client.backup("/backup")
    restore_backup("/backup", NEW, io=MemoryIo(disk))
    with pytest.raises(ReadOnlyError) as caught, connect_on(MemoryIo(disk), 5, path=NEW):
        pass
    assert caught.value.code == "NEWER_FORMAT_READ_ONLY"
    with connect_on(MemoryIo(disk), 5, path=NEW, read_only=True) as client:
        assert client.shop.things.find_one() == {"_id": "newer"}


@pytest.mark.parametrize("field", ["min_reader", "must_not_read"])
def test_a_backup_of_what_must_not_be_read_is_not_restored(field: str) -> None:
    disk = MemoryDisk()
    with connect_on(MemoryIo(disk), 3) as client:
        meta = client._store.engine._state.meta
        setattr(meta, field, FORMAT + 1)
        client.shop.things.insert_one({"_id": 1})
        client.backup("/backup")
    with pytest.raises(NewerFormatError) as caught:
        restore_backup("/backup", NEW, io=MemoryIo(disk))
    assert f"cbdd {VERSION} or later" in str(caught.value)
    with pytest.raises(NewerFormatError):
        verify_backup("/backup", io=MemoryIo(disk))


def test_a_backup_of_an_earlier_release_says_nothing_of_formats_and_is_restored(
    tmp_path: Path,
) -> None:
    with cbdd.connect(tmp_path / "shop.cbdd") as client:
        client.shop.things.insert_one({"_id": 1})
        client.backup(str(tmp_path / "backup"))
    path = tmp_path / "backup" / MANIFEST
    manifest = json.loads(path.read_text())
    for name in ("checksum", "min_reader", "min_writer", "must_not_read", "must_not_write"):
        del manifest[name]
    path.write_text(json.dumps({**manifest, "checksum": _digest_of(manifest)}))
    restore_backup(str(tmp_path / "backup"), str(tmp_path / "new.cbdd"))
    with cbdd.connect(tmp_path / "new.cbdd") as client:
        client.shop.things.insert_one({"_id": 2})
        assert client.statistics()["min_writer"] == 1
