"""Recovery: torn tails are cut, holes are refused, foreign logs are set aside."""

from __future__ import annotations

import pytest

from cbdd.errors import CorruptDataError
from cbdd.storage import StorageEngine
from cbdd.storage.frame import FRAMES_OFFSET, MARK_OFFSETS
from cbdd.testing import MemoryIo
from tests.unit.storage.conftest import PATH, Bench, content, fill

pytestmark = pytest.mark.recovery

TREE = 10
LOG = f"{PATH}-wal-000001"
SHM = f"{PATH}-shm"


def crashed(bench: Bench, commits: int = 5, durability: str = "full") -> list[int]:
    """A log of some commits and a crash; returns where each frame begins, the end last."""
    engine = bench.open(durability=durability)
    offsets = [FRAMES_OFFSET]
    for number in range(commits):
        fill(engine, TREE, {b"%d" % number: b"value"})
        offsets.append(engine._state.tip_position.offset)
    bench.crash()
    return offsets


def keys(engine: StorageEngine) -> list[bytes]:
    return sorted(content(engine, TREE))


def refused(bench: Bench, **options: object) -> CorruptDataError:
    before = {name: bytes(inode.data) for name, inode in bench.disk.names.items()}
    with pytest.raises(CorruptDataError) as caught:
        bench.open(**options)
    after = {name: bytes(inode.data) for name, inode in bench.disk.names.items()}
    before.pop(f"{PATH}-events", None)
    after.pop(f"{PATH}-events", None)
    assert sorted(after.values()) == sorted(before.values())
    return caught.value


def test_every_commit_is_redone_and_the_log_is_gone(bench: Bench) -> None:
    crashed(bench)
    engine = bench.open()
    report = engine.recovery_report
    assert (report.was_clean, report.commits_redone, report.last_lsn) == (False, 5, 5)
    assert (report.bytes_cut, report.findings) == (0, [])
    assert report.last_commit_us > 0
    assert keys(engine) == [b"0", b"1", b"2", b"3", b"4"]
    assert LOG not in bench.disk.names
    engine.close()
    assert bench.names() == ["a.cbdd", "a.cbdd-events"]
    assert bench.open().recovery_report.was_clean


def test_an_unsynced_tail_is_cut_and_reported(bench: Bench) -> None:
    offsets = crashed(bench, durability="off")
    bench.disk.names[LOG].data[offsets[3] + 100] ^= 1
    report = bench.open().recovery_report
    assert report.commits_redone == 3
    assert report.bytes_cut > 0
    assert report.frames_dropped == 1  # the one behind the damaged one
    assert [(f.code, f.severity) for f in report.findings] == [("WAL_TORN_TAIL", "SEV-2")]


def test_a_torn_last_frame_is_only_worth_a_note(bench: Bench) -> None:
    offsets = crashed(bench, durability="off")
    bench.disk.names[LOG].data[offsets[4] + 100] ^= 1
    report = bench.open().recovery_report
    assert (report.commits_redone, report.frames_dropped) == (4, 0)
    assert [(f.code, f.severity) for f in report.findings] == [("WAL_TORN_TAIL", "info")]


def without_marks(bench: Bench) -> None:
    for offset in MARK_OFFSETS:
        bench.disk.names[LOG].data[offset : offset + 24] = bytes(24)


@pytest.mark.parametrize("proof", ["marks", "shared state", "a later frame"])
@pytest.mark.parametrize("damaged", [0, 2])
def test_damage_below_what_was_durable_is_a_hole(bench: Bench, proof: str, damaged: int) -> None:
    offsets = crashed(bench)
    bench.disk.names[LOG].data[offsets[damaged] + 100] ^= 1
    if proof != "marks":
        without_marks(bench)
    if proof != "shared state":
        del bench.disk.names[SHM]
    error = refused(bench)
    assert error.code == "WAL_HOLE"
    assert error.details["lsn"] == damaged + 1
    assert error.details["offset"] == offsets[damaged]
    assert refused(bench, read_only=True).code == "WAL_HOLE"
    assert "mode='salvage'" in error.next_step
    salvaged = bench.open(read_only=True, salvage=True)
    if damaged:
        assert keys(salvaged) == [b"0", b"1"]
    assert [f.code for f in salvaged.recovery_report.findings] == ["WAL_HOLE"]
    assert not salvaged.check().is_clean


def test_a_missing_log_is_not_an_empty_one(bench: Bench) -> None:
    crashed(bench)
    del bench.disk.names[LOG]
    error = refused(bench)
    assert error.code == "WAL_MISSING"


def test_a_damaged_header_is_not_a_missing_log(bench: Bench) -> None:
    crashed(bench)
    bench.disk.names[LOG].data[30] ^= 1
    assert refused(bench).code == "WAL_HEADER_DAMAGED"


def test_a_foreign_log_is_renamed_and_never_applied(bench: Bench) -> None:
    crashed(bench)
    other = Bench()
    crashed(other, 2)
    mine = bench.disk.names[LOG].data
    bench.disk.names[LOG].data = bytearray(other.disk.names[LOG].data)
    bench.disk.names[LOG].data[FRAMES_OFFSET:] = mine[FRAMES_OFFSET:]
    # Another life of this database: its own UUID, another salt.
    from cbdd.storage.frame import decode_segment_header

    header = decode_segment_header(bytes(mine[:104]))
    assert header is not None
    header.salt += 1
    bench.disk.names[LOG].data[:104] = header.encode()
    assert refused(bench).code == "WAL_FOREIGN"
    names = [name for name in bench.names() if ".foreign-" in name]
    assert len(names) == 1
    assert refused(bench).code == "WAL_MISSING"


def test_a_log_newer_than_the_database_file(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"0": b"value"})
    engine.close()
    older = bytes(bench.disk.names[PATH].data)
    engine = bench.open()
    fill(engine, TREE, {b"1": b"value"})
    bench.crash()
    bench.disk.names[PATH].data = bytearray(older)
    assert refused(bench).code == "WAL_NEWER_THAN_META"


def test_a_file_that_is_too_short(bench: Bench) -> None:
    engine = bench.open()
    fill(engine, TREE, {b"0": b"value"})
    engine.close()
    used = engine._state.meta.page_count * 8192
    del bench.disk.names[PATH].data[used - 1 :]
    error = refused(bench)
    assert error.code == "FILE_TRUNCATED"
    assert refused(bench, read_only=True).code == "FILE_TRUNCATED"


def test_a_database_file_that_is_gone_is_not_made_anew(bench: Bench) -> None:
    crashed(bench)
    del bench.disk.names[PATH]
    assert refused(bench).code == "DATABASE_MISSING"
    assert PATH not in bench.disk.names


def test_a_damaged_seal_costs_nothing(bench: Bench) -> None:
    engine = bench.open(durability="full")
    fill(engine, TREE, {b"0": b"value"})
    seal = engine._state.tip_position.offset
    before = bytes(bench.disk.names[PATH].data[:65536])
    engine.checkpoint()
    fill(engine, TREE, {b"1": b"value"})
    bench.crash()
    # The meta page of the checkpoint is lost too, so both segments are needed.
    data = bench.disk.names[PATH].data
    data[:65536] = before
    bench.disk.names[LOG].data[seal + 90] ^= 1
    second = bench.open()
    assert keys(second) == [b"0", b"1"]
    assert [f.code for f in second.recovery_report.findings] == ["WAL_SEAL_DAMAGED"]


def test_recovery_that_dies_anywhere_can_be_repeated(bench: Bench) -> None:
    crashed(bench, 3)
    image = bench.disk
    for calls in range(1, 200):
        disk = image.image()
        io = MemoryIo(disk, pid=5)
        io.calls_to_live = calls
        again = Bench()
        try:
            from cbdd.testing import KilledError, SeededRandomness, TickingClock

            StorageEngine.open(PATH, None, io, TickingClock(), SeededRandomness(1))
        except KilledError:
            pass
        else:
            break
        again.disk = disk.power_cut()
        engine = again.open()
        assert keys(engine) == [b"0", b"1", b"2"]
        engine.close()
    else:
        pytest.fail("recovery did not end")
    assert calls > 20
