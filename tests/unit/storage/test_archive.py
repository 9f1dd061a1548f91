"""The archive has every commit, and a segment stays beside the database until it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

import cbdd
from cbdd.errors import UsageError
from cbdd.storage.archive import archived_segments
from cbdd.storage.frame import FRAMES_OFFSET
from cbdd.storage.io import Io
from cbdd.testing import CrashingDatabase, TickingClock
from cbdd.testing.databases import PATH, AnyClient, connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo

ARCHIVE = "/archive"


def uuid_of(client: AnyClient) -> bytes:
    return client._store.engine._state.meta.uuid


def segments(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("*-wal-*"))


def test_every_segment_with_commits_is_kept_as_it_was(tmp_path: Path) -> None:
    path, archive = tmp_path / "a.cbdd", tmp_path / "archive"
    seen: dict[str, bytes] = {}
    with cbdd.connect(path, archive=archive, background=False) as client:
        uuid = uuid_of(client)
        for number in range(5):
            client.shop.things.insert_one({"_id": number})
            for each in tmp_path.glob("*-wal-*"):
                seen[each.name[-6:]] = each.read_bytes()
            client.checkpoint()
    assert segments(tmp_path) == []
    assert archive.stat().st_mode & 0o777 == 0o700
    numbers = archived_segments(Io(), str(archive), uuid)
    assert numbers == list(range(1, 6))
    for name in segments(archive):
        data = (archive / name).read_bytes()
        before = seen[name[-6:]]
        assert data[FRAMES_OFFSET : FRAMES_OFFSET + 100] == before[FRAMES_OFFSET:][:100]
        assert len(data) < len(before)
        assert len(data) % 8 == 0


def test_a_segment_stays_until_it_can_be_archived(tmp_path: Path) -> None:
    path, archive = tmp_path / "a.cbdd", tmp_path / "archive"
    archive.write_text("in the way")
    with cbdd.connect(path, archive=archive, background=False) as client:
        for number in range(4):
            client.shop.things.insert_one({"_id": number})
            client.checkpoint()
        codes = [finding.code for finding in client.recovery_report.findings]
        assert set(codes) == {"ARCHIVE_FAILED"}
        assert len(segments(tmp_path)) == 5
    left = segments(tmp_path)
    assert len(left) == 4  # the last one was empty
    with cbdd.connect(path, read_only=True) as client:
        assert client.shop.things.count_documents({}) == 4
    archive.unlink()
    with cbdd.connect(path, archive=archive, background=False) as client:
        assert client.shop.things.count_documents({}) == 4
        assert client.recovery_report.findings == []
    assert segments(tmp_path) == []
    assert len(segments(archive)) == 4
    assert "ARCHIVE_FAILED" in Path(f"{path}-events").read_text()


def test_old_segments_go_when_all_their_commits_are_old() -> None:
    disk = MemoryDisk()
    clock = TickingClock()
    options = {"archive": ARCHIVE, "archive_retention_seconds": 100.0}
    with connect_on(MemoryIo(disk), 1, clock, **options) as client:
        uuid = uuid_of(client)
        for number in range(8):
            client.shop.things.insert_one({"_id": number})
            client.checkpoint()
            clock.sleep(30)
    kept = archived_segments(MemoryIo(disk), ARCHIVE, uuid)
    assert kept[-1] == 8
    assert 3 <= len(kept) <= 5


@pytest.mark.crash
def test_no_crash_takes_a_commit_from_the_archive() -> None:
    crashing = CrashingDatabase(seed=2)
    with crashing.connect(archive=ARCHIVE) as client:
        uuid = uuid_of(client)
        for number in range(6):
            crashing.begun(number + 1)
            client.shop.things.insert_one({"_id": number})
            crashing.acknowledged(number + 1)
            if number % 2:
                client.checkpoint()
    states = 0
    for state in crashing.states():
        if not state.exists:
            continue
        states += 1
        with state.connect(archive=ARCHIVE) as client:
            count = client.shop.things.count_documents({})
        assert count >= state.acknowledged, state
        if not count:
            continue
        io = MemoryIo(state._disk)
        numbers = archived_segments(io, ARCHIVE, uuid)
        found = b"".join(
            state._disk.files()[f"{ARCHIVE}/{uuid.hex()}-wal-{number:06d}"] for number in numbers
        )
        for number in range(count):
            document = b"\x0e\0\0\0\x10_id\0" + number.to_bytes(4, "little") + b"\0"
            assert document in found, f"document {number}, {state}"
        assert not [name for name in state._disk.files() if name.startswith(f"{PATH}-wal-")]
    assert states > 50


def test_the_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        cbdd.connect(tmp_path / "a.cbdd", archive_retention_seconds=-1)
    assert not (tmp_path / "a.cbdd").exists()


def test_a_process_without_the_archive_leaves_segments_for_one_that_has_it(tmp_path: Path) -> None:
    path, archive = tmp_path / "a.cbdd", tmp_path / "archive"
    with cbdd.connect(path, archive=archive, background=False) as client:
        client.shop.things.insert_one({"_id": 0})
        uuid = uuid_of(client)
    for number in range(1, 4):
        with cbdd.connect(path, background=False) as client:
            client.shop.things.insert_one({"_id": number})
            client.checkpoint()
            client.shop.things.insert_one({"_id": -number})
            codes = [finding.code for finding in client.recovery_report.findings]
            assert set(codes) <= {"ARCHIVE_PENDING"}
    left = len(segments(tmp_path))
    assert left >= 6
    assert cbdd.connect(path, mode="ro").shop.things.count_documents({}) == 7
    with cbdd.connect(path, archive=archive, background=False):
        pass
    assert segments(tmp_path) == []
    numbers = archived_segments(Io(), str(archive), uuid)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    with cbdd.connect(path, archive=False, background=False) as client:
        client.shop.things.insert_one({"_id": 9})
    with cbdd.connect(path, background=False) as client:
        client.shop.things.insert_one({"_id": 10})
    assert segments(tmp_path) == []
    assert archived_segments(Io(), str(archive), uuid) == numbers


def test_an_archive_whose_place_is_not_there_loses_nothing(tmp_path: Path) -> None:
    path, archive = tmp_path / "a.cbdd", tmp_path / "not mounted" / "archive"
    for number in range(3):
        with cbdd.connect(path, archive=archive, background=False) as client:
            client.shop.things.insert_one({"_id": number})
            client.checkpoint()
            client.shop.things.insert_one({"_id": -number - 1})
            client.checkpoint()
            codes = [finding.code for finding in client.recovery_report.findings]
            assert codes == ["ARCHIVE_FAILED"]  # once, however many segments wait
    left = segments(tmp_path)
    assert len(left) >= 6
    archive.parent.mkdir()
    with cbdd.connect(path, archive=archive, background=False):
        pass
    assert [name[-6:] for name in segments(archive)] == [name[-6:] for name in left]
    assert segments(tmp_path) == []


def test_two_copies_of_a_database_do_not_overwrite_each_other_in_an_archive(
    tmp_path: Path,
) -> None:
    path, copy, archive = tmp_path / "a.cbdd", tmp_path / "b.cbdd", tmp_path / "archive"
    with cbdd.connect(path, background=False) as client:
        client.shop.things.insert_one({"_id": 0})
    copy.write_bytes(path.read_bytes())
    with cbdd.connect(path, archive=archive, background=False) as client:
        client.shop.things.insert_one({"_id": "mine"})
    kept = {each.name: each.read_bytes() for each in archive.iterdir()}
    with cbdd.connect(copy, archive=archive, background=False) as client:
        client.shop.things.insert_one({"_id": "theirs"})
    assert {each.name: each.read_bytes() for each in archive.iterdir()} == kept
    assert len(segments(tmp_path)) == 1
    with cbdd.connect(copy, archive=archive, background=False) as client:
        assert [each.code for each in client.recovery_report.findings] == ["ARCHIVE_FAILED"]
        assert "another" in client.recovery_report.findings[0].message
