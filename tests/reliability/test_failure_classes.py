"""One test for each class of failure, named by the number it has in the project's table of them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import cbdd
from cbdd.errors import (
    CbddError,
    CorruptDataError,
    DiskFullError,
    DurabilityError,
    ForkedError,
    LockedError,
    NotADatabaseError,
    ReadOnlyError,
    ReplacedFileError,
)
from cbdd.storage.io import Clock
from cbdd.testing import (
    CrashingDatabase,
    Fault,
    FaultyIo,
    FullDisk,
    KilledError,
    MemoryDisk,
    MemoryIo,
    connect_on,
    damage,
)
from cbdd.testing.damage import LOG, PATH, Specimen, judge, specimens
from tests.soak.ledger import run

pytestmark = pytest.mark.damage


@pytest.fixture(scope="module")
def made() -> dict[str, Specimen]:
    return specimens(77)


def outcomes(specimen: Specimen, name: str, most: int = 12) -> set[str]:
    found = set()
    for damaged in damage.damages(specimen, name, 3, most):
        verdict = judge(damaged.files, specimen.documents)
        assert not verdict.wrong, f"{damaged}: {verdict.wrong}"
        found.add(verdict.outcome)
    return found


def codes(files: dict[str, bytes], specimen: Specimen) -> set[str]:
    verdict = judge(files, specimen.documents)
    assert not verdict.wrong, verdict.wrong
    return set(verdict.codes)


def opened(disk: MemoryDisk, pid: int = 1, **options: Any) -> Any:
    return connect_on(MemoryIo(disk, pid), pid, **options)


def test_row_01_a_failed_sync_poisons_the_handle() -> None:
    disk = MemoryDisk()
    client = opened(disk)
    client.a.b.insert_one({"_id": 1})
    disk.fault = Fault(1, 5, False, ("sync",))
    for number in (2, 3):
        with pytest.raises(DurabilityError):
            client.a.b.insert_one({"_id": number})
    client.close()
    with opened(disk, 2) as again:
        assert {d["_id"] for d in again.a.b.find()} in ({1}, {1, 2})


def test_row_02_a_torn_page_is_found_by_its_parent(made: dict[str, Specimen]) -> None:
    assert outcomes(made["clean"], "page overwritten") <= {"intact", "recorded", "error"}


def test_row_03_misplaced_and_stale_pages_are_found(made: dict[str, Specimen]) -> None:
    assert "error" in outcomes(made["clean"], "pages swapped")
    assert "error" in outcomes(made["clean"], "page stale", 60)


def test_row_04_bit_rot_is_found_and_others_stay_readable(made: dict[str, Specimen]) -> None:
    assert "error" in outcomes(made["clean"], "bit flipped in a page", 30)


def test_row_05_a_torn_tail_is_cut_and_recorded(made: dict[str, Specimen]) -> None:
    specimen = made["killed"]
    name = specimen.segments()[-1]
    data = specimen.files[name]
    end = len(data.rstrip(b"\0")) + 7 & ~7
    files = specimen.with_file(name, damage.replaced(data, end, b"torn" * 20))
    assert codes(files, specimen) == {"WAL_TORN_TAIL"}


def test_row_06_a_hole_in_the_log_is_refused(made: dict[str, Specimen]) -> None:
    specimen = made["killed"]
    name = specimen.segments()[-1]
    data = specimen.files[name]
    first = data.index(b"CBFR", 4096)
    files = specimen.with_file(name, damage.flipped(data, (first + 100) * 8))
    assert codes(files, specimen) == {"WAL_HOLE"}
    disk = MemoryDisk.holding(files)
    with pytest.raises(CorruptDataError):
        opened(disk)
    assert disk.files()[name] == files[name]


def test_row_07_a_log_of_another_database_is_set_aside(made: dict[str, Specimen]) -> None:
    specimen = made["killed"]
    name = specimen.segments()[-1]
    theirs = next(d for n, d in specimen.foreign.items() if n.startswith(LOG))
    disk = MemoryDisk.holding(specimen.with_file(name, theirs))
    with pytest.raises(CorruptDataError, match="WAL_FOREIGN"):
        opened(disk)
    assert theirs in disk.files().values()


def test_row_08_a_missing_log_is_refused(made: dict[str, Specimen]) -> None:
    specimen = made["killed"]
    assert codes(specimen.with_file(specimen.segments()[0], None), specimen) == {"WAL_MISSING"}


def test_row_09_a_log_may_be_longer_than_its_frames(made: dict[str, Specimen]) -> None:
    specimen = made["killed"]
    name = specimen.segments()[-1]
    longer = specimen.with_file(name, specimen.files[name] + bytes(50_000))
    assert judge(longer, specimen.documents).outcome == "intact"


def test_row_10_a_full_disk_rolls_back_and_deleting_works() -> None:
    full = FullDisk()
    with full.connect() as client:
        client.a.b.insert_many([{"_id": n, "x": "y" * 100} for n in range(40)])
        full.fill()
        with pytest.raises(DiskFullError):
            client.a.b.insert_one({"x": bytes(3_000_000)})
        assert client.a.b.delete_many({"_id": {"$lt": 20}}).deleted_count == 20
        client.checkpoint()
        assert client.check().is_clean


def test_row_11_a_failing_read_is_an_error_and_others_go_on(made: dict[str, Specimen]) -> None:
    io = FaultyIo(MemoryIo(MemoryDisk.holding(made["clean"].files)), "EIO", 0, True, ("pread",))
    client = connect_on(io, 5)
    io.call, io.forever = io.calls + 2, False
    with pytest.raises(CbddError, match="IO_ERROR"):
        for _ in range(3):
            list(client.shop.things.find())
    assert {d["_id"] for d in client.shop.things.find()} == set(made["clean"].documents)
    client.close()


def test_row_12_reading_needs_nothing_to_be_writable(made: dict[str, Specimen]) -> None:
    specimen = made["killed"]
    disk = MemoryDisk.holding(specimen.files)
    with opened(disk, read_only=True) as client:
        assert client.shop.things.count_documents({}) == len(specimen.documents)
        with pytest.raises(ReadOnlyError):
            client.shop.things.insert_one({})
    assert disk.files() == specimen.files


def test_row_13_a_cut_file_is_refused(made: dict[str, Specimen]) -> None:
    specimen = made["clean"]
    data = specimen.files[PATH]
    assert codes(specimen.with_file(PATH, data[:100_000]), specimen) == {"FILE_TRUNCATED"}


def test_row_14_an_empty_file_is_not_made_anew(made: dict[str, Specimen]) -> None:
    assert codes(made["killed"].with_file(PATH, b""), made["killed"]) == {"EMPTY_FILE"}


def test_row_15_a_header_from_the_future_names_the_release(made: dict[str, Specimen]) -> None:
    assert outcomes(made["clean"], "header from the future") == {"error"}
    files = next(damage.damages(made["clean"], "header from the future")).files
    with pytest.raises(CbddError, match="install cbdd .* or later"):
        opened(MemoryDisk.holding(files))


def test_row_16_something_else_is_not_a_database(made: dict[str, Specimen]) -> None:
    files = made["clean"].with_file(PATH, b"SQLite format 3\0" * 1000)
    with pytest.raises(NotADatabaseError):
        opened(MemoryDisk.holding(files))


def test_row_17_the_lock_of_a_dead_process_is_free() -> None:
    disk = MemoryDisk()
    client = opened(disk, lock_timeout_seconds=0.1)
    io = client._store.engine._state.io
    io.calls_to_live = 3
    with pytest.raises(KilledError):
        client.a.b.insert_one({})
    client._store.engine._state.is_forked = True
    with opened(disk, 2, lock_timeout_seconds=0.1) as other:
        other.a.b.insert_one({"_id": 1})


def test_row_18_a_second_writer_waits_and_is_told_who() -> None:
    disk = MemoryDisk()
    with opened(disk, 1) as first, opened(disk, 2, lock_timeout_seconds=0.05) as second:
        with first._store.engine.begin_write("long"), pytest.raises(LockedError, match="process 1"):
            second.a.b.insert_one({})
        assert second.a.b.count_documents({}) == 0
        second.a.b.insert_one({})


def test_row_19_opening_twice_shares_one_engine(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    with cbdd.connect(path) as one, cbdd.connect(path) as two:
        assert one._store.engine is two._store.engine  # type: ignore[attr-defined]
        one.a.b.insert_one({})
        assert two.a.b.count_documents({}) == 1


def test_row_20_a_forked_child_must_open_again(tmp_path: Path) -> None:
    with cbdd.connect(tmp_path / "a.cbdd") as client:

        def use(say: Any) -> None:
            with pytest.raises(ForkedError):
                client.a.b.find_one()
            say("refused")

        assert run(use) == ["refused"]
        client.a.b.insert_one({})


def test_row_21_descriptors_below_three_are_never_used(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")

    def use(say: Any) -> None:
        os.close(0)
        client = cbdd.connect(path)
        say(str(client._store.engine._state.fd))  # type: ignore[attr-defined]

    assert int(run(use)[0]) > 2


def test_row_22_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    client = cbdd.connect(path)
    client.a.b.insert_one({})
    path.rename(tmp_path / "b.cbdd")
    with pytest.raises(ReplacedFileError):
        client.a.b.insert_one({})
    (tmp_path / "b.cbdd").rename(path)
    client.close()


def test_row_23_hard_links_are_refused_and_symbolic_ones_followed(tmp_path: Path) -> None:
    cbdd.connect(tmp_path / "a.cbdd").close()
    os.symlink(tmp_path / "a.cbdd", tmp_path / "soft")
    cbdd.connect(tmp_path / "soft").close()
    os.link(tmp_path / "a.cbdd", tmp_path / "hard")
    with pytest.raises(CbddError, match="HARD_LINKED"):
        cbdd.connect(tmp_path / "a.cbdd")


def test_row_24_network_file_systems_are_warned_of() -> None:
    disk = MemoryDisk()
    disk.file_system = "nfs4"
    with pytest.warns(cbdd.NetworkFileSystemWarning, match="nfs4"):
        client = opened(disk)
    client.a.b.insert_one({"_id": 1})
    assert "NETWORK_FILE_SYSTEM" in {f.code for f in client.recovery_report.findings}
    elsewhere = MemoryIo(disk, 2)
    elsewhere.host = b"another machine!"
    with pytest.raises(LockedError, match="OTHER_MACHINE"):
        connect_on(elsewhere, 2)
    with pytest.raises(LockedError, match="OTHER_MACHINE"):
        connect_on(elsewhere, 2, read_only=True)
    client.close()
    with pytest.warns(cbdd.NetworkFileSystemWarning), connect_on(elsewhere, 2) as again:
        assert again.a.b.find_one() == {"_id": 1}


def test_row_25_names_are_synced_before_the_first_acknowledgement() -> None:
    crashing = CrashingDatabase(25)
    with crashing.connect() as client:
        client.a.b.insert_one({"_id": 1})
        crashing.acknowledged(1)
    for state in crashing.states():
        if state.acknowledged:
            assert state.exists, state
            with state.connect() as client:
                assert client.a.b.find_one() == {"_id": 1}, state


def test_row_26_what_a_crash_left_of_a_creation_is_in_nobodys_way() -> None:
    crashing = CrashingDatabase(26)
    crashing.connect().close()
    for state in crashing.states():
        state.connect().close()
        with state.connect() as client:
            client.a.b.insert_one({})
        if ":garbage:" not in state.name:  # what could be anyone's stays
            assert set(state._disk.names) <= {PATH, f"{PATH}-events"}, state


def test_row_27_an_older_whole_state_is_consistent(made: dict[str, Specimen]) -> None:
    """A disk that lies about flushes cannot be seen; what it leaves is one state, whole."""
    old = made["killed"].older[0]
    with opened(MemoryDisk.holding(old)) as client:
        assert client.check().is_clean
        assert client.shop.things.count_documents({}) == 60


def test_row_28_a_file_cut_while_open_raises_and_kills_nobody(made: dict[str, Specimen]) -> None:
    disk = MemoryDisk.holding(made["clean"].files)
    client = opened(disk)
    del disk.names[PATH].data[70_000:]
    with pytest.raises(CorruptDataError):
        list(client.shop.things.find())


def test_row_29_short_reads_and_writes_are_continued() -> None:
    io = FaultyIo(MemoryIo(MemoryDisk()), "short write", 1, True)
    with connect_on(io, 1) as client:
        client.a.b.insert_one({"_id": 1, "x": b"y" * 3000})
        io.kind = "short read"
        assert len(client.a.b.find_one()["x"]) == 3000


def test_row_30_an_interrupt_leaves_the_handle_usable() -> None:
    from tests.system.interrupts import interrupt

    assert interrupt("insert", "full", 499, 9)["interrupted"] > 0


def test_row_31_a_process_that_ends_anyhow_loses_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")

    def use(say: Any) -> None:
        cbdd.connect(path).a.b.insert_one({"_id": 1})
        say("done")  # and it ends without closing

    run(use)
    with cbdd.connect(path) as client:
        assert client.a.b.find_one() == {"_id": 1}


def test_row_32_a_lack_of_memory_leaves_a_whole_commit_or_none() -> None:
    from tests.system import interrupts

    if interrupts.why_no_memory_faults():
        pytest.skip(interrupts.why_no_memory_faults())
    from cbdd.build_info import build_kind

    is_compiled = build_kind() == "compiled"
    exhaust = interrupts.exhaust_apart if is_compiled else interrupts.exhaust
    counts = exhaust("insert", "full", 53, 2)
    assert counts["exhausted"] + counts["ended"] > 1


def test_row_33_order_does_not_depend_on_the_clock() -> None:
    class Backwards(Clock):
        now = 4_000_000_000_000_000

        def now_us(self) -> int:
            self.now -= 60_000_000
            return self.now

    disk = MemoryDisk()
    client = connect_on(MemoryIo(disk, 1), 1, Backwards())
    for number in range(5):
        client.a.b.replace_one({"_id": 1}, {"n": number}, upsert=True)
    with opened(disk.image(), 2) as again:
        assert again.a.b.find_one() == {"_id": 1, "n": 4}
    client.close()


def test_row_34_a_crash_during_recovery_changes_nothing(made: dict[str, Specimen]) -> None:
    specimen = made["rotated"]
    for calls in range(1, 90, 3):
        disk = MemoryDisk.holding(specimen.files)
        io = MemoryIo(disk, 1)
        io.calls_to_live = calls
        try:
            connect_on(io, 1).close()
        except KilledError:
            pass
        assert judge(disk.image().files(), specimen.documents).outcome in ("intact", "recorded")


def test_row_35_a_torn_copy_is_detected(made: dict[str, Specimen]) -> None:
    """The first half of one moment, the second half of a later one."""
    specimen = made["clean"]
    for old in specimen.older:
        data, before = specimen.files[PATH], old[PATH]
        for cut in (81_920, 122_880, 204_800):
            files = specimen.with_file(PATH, before[:cut] + data[cut:])
            verdict = judge(files, specimen.documents)
            if verdict.wrong:  # or it is that older moment as a whole
                with opened(MemoryDisk.holding(files)) as client:
                    assert client.check().is_clean


def test_row_36_unknown_features_are_refused(made: dict[str, Specimen]) -> None:
    specimen = made["clean"]
    found = [codes(d.files, specimen) for d in damage.damages(specimen, "header from the future")]
    assert all(found)
    assert any("NEWER_FORMAT" in one for one in found)


def test_row_37_sync_goes_through_the_drives_cache_where_it_can() -> None:
    source = Path(sys.modules["cbdd"].__file__ or "").parent / "storage" / "io.py"
    assert "F_FULLFSYNC" in source.read_text()


def test_row_38_impossible_lengths_and_references_are_refused() -> None:
    from cbdd.storage.page import Run

    with opened(MemoryDisk()) as client:
        client.a.b.insert_one({})
        client.checkpoint()
        pager = client._store.engine._state.pager
        for run_of in (Run(20, 1 << 45, 5), Run(1 << 60, 10, 5)):
            with pytest.raises(CorruptDataError):
                pager.read_run(run_of)


def test_row_39_an_old_reader_is_visible_with_its_process_and_age() -> None:
    disk = MemoryDisk()
    with opened(disk, 71) as reader, opened(disk, 72) as writer:
        writer.a.b.insert_one({})
        held = reader._store.engine.begin_read()
        for _ in range(3):
            writer.a.b.insert_one({})
            writer.checkpoint()
        found = {p["pid"]: p for p in writer.statistics()["processes"]}
        assert 0 < found[71]["pinned_generation"] < found[72]["pinned_generation"]
        assert found[71]["pinned_since_us"] > 0
        held.close()


def test_every_class_has_its_test() -> None:
    rows = {int(n) for n in re.findall(r"^def test_row_(\d\d)_", Path(__file__).read_text(), re.M)}
    assert rows == set(range(1, 40))
