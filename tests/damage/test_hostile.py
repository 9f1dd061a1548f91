"""Files made to hurt: every checksum is right and the contents make no sense."""

from __future__ import annotations

import struct

import pytest
import xxhash

from cbdd.errors import CorruptDataError
from cbdd.storage import StorageEngine
from cbdd.storage.frame import (
    COMMIT,
    FRAMES_OFFSET,
    PART,
    SEAL,
    SEAL_PAYLOAD,
    decode_commit,
    decode_frame_header,
    encode_commit,
    encode_frame,
)
from cbdd.storage.free_pages import collect_pages, read_freelist
from cbdd.storage.freelist import FreeRun, malformed_runs, unreached_runs
from cbdd.storage.meta import write_meta
from cbdd.storage.node import Limits, NodeSource, decode_node
from cbdd.storage.page import FREELIST, LEAF, Run, seal_page, with_checksum
from cbdd.storage.wal import LogReader, Position, SegmentSet, list_segments
from cbdd.testing import FaultyIo, MemoryDisk, MemoryIo
from cbdd.testing.workload import PATH, contents_of, forget, open_engine

pytestmark = pytest.mark.damage


class World:
    """A database that was killed: some commits in the file, some in the log."""

    def __init__(self, reserve_bytes: int = 0) -> None:
        self.disk = MemoryDisk()
        engine = self.open(1, reserve_bytes=reserve_bytes)
        for number in range(30):
            self.put(engine, number)
        engine.checkpoint()
        for number in range(30, 40):
            self.put(engine, number)
        engine.checkpoint()
        for number in range(40, 46):
            self.put(engine, number)
        self.contents = contents_of(engine)
        self.meta = engine._state.meta
        self.position = engine._state.tip_position
        self.segment_seed = engine._state.log.segment.seed  # type: ignore[union-attr]
        self.seed = engine._state.pager.seed
        forget(engine)
        engine._state.io.die()  # type: ignore[attr-defined]
        self.disk = MemoryDisk.holding(self.disk.files())

    @staticmethod
    def put(engine: StorageEngine, number: int) -> None:
        with engine.begin_write("put") as txn:
            txn.put(1, b"%04d" % number, b"v" * (number * 40))
            txn.commit("full")

    def open(self, pid: int, **options: object) -> StorageEngine:
        return open_engine(MemoryIo(self.disk, pid), pid, checkpoint_log_bytes=1 << 20, **options)

    def append(self, kind: int, payload: bytes, lsn: int = 0) -> None:
        """A frame with right checksums at the end of the log."""
        at = self.position
        frame = encode_frame(
            kind, 0, lsn or at.lsn + 1, at.chain, 0, 0, payload, self.segment_seed, at.offset
        )
        data = self.disk.names[f"{PATH}-wal-{at.segment:06d}"].data
        data[at.offset : at.offset + len(frame)] = frame


def refusal(world: World) -> str:
    with pytest.raises(CorruptDataError) as raised:
        world.open(2)
    return raised.value.code


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"\x03abc\x07\x01\x00\x00\x00",
        b"\x00\x01\x01\x00\x00\x00\xff\xff\xff\xff",
        b"\x00\x01\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\x7f\xff\xff\xff\x7f",
        b"\x00\x09\xff\xff\xff\xff",
        b"\x00\x01",
    ],
)
def test_a_commit_that_makes_no_sense_is_refused_and_can_be_salvaged(payload: bytes) -> None:
    with pytest.raises(CorruptDataError, match="WAL_MALFORMED"):
        decode_commit(payload)
    world = World()
    world.append(COMMIT, payload)
    before = world.disk.files()
    assert refusal(world) == "WAL_MALFORMED"
    names = [name for name in before if not name.endswith("-shm")]
    assert all(world.disk.files()[name] == before[name] for name in names)
    salvaged = world.open(3, read_only=True, salvage=True)
    assert contents_of(salvaged) == world.contents
    assert [f.code for f in salvaged.recovery_report.findings] == ["WAL_MALFORMED"]
    salvaged.close()


def test_a_commit_to_a_tree_that_does_not_exist_can_be_salvaged() -> None:
    world = World()
    world.append(COMMIT, b"\x00\x01\x63\x00\x00\x00\x01\x00\x00\x00" + b"\1\0\0\0\1\0\0\0kv")
    assert refusal(world) == "WAL_UNKNOWN_TREE"
    salvaged = world.open(3, read_only=True, salvage=True)
    assert contents_of(salvaged) == world.contents
    salvaged.close()


@pytest.mark.parametrize("back", [0, 1])
def test_a_seal_that_names_its_own_or_an_earlier_segment_ends_the_log(back: int) -> None:
    world = World()
    number = world.position.segment - back
    world.append(SEAL, SEAL_PAYLOAD.pack(number, 1), world.position.lsn)
    assert refusal(world) == "WAL_SEGMENT_FOREIGN"


def test_frames_of_unknown_kinds_and_impossible_lengths_are_no_frames() -> None:
    for kind, length in ((0, 5), (4, 5), (SEAL, 17), (SEAL, 15), (COMMIT, (4 << 20) + 1)):
        frame = encode_frame(kind, 0, 1, 0, 0, 0, bytes(length), 7, 4096)
        assert decode_frame_header(frame, 0, 7, 4096) is None, (kind, length)
    for kind, length in ((COMMIT, 4 << 20), (PART, 1), (SEAL, 16)):
        frame = encode_frame(kind, 0, 1, 0, 0, 0, bytes(length), 7, 4096)
        assert decode_frame_header(frame, 0, 7, 4096) is not None


def test_only_canonical_names_are_segments() -> None:
    io = MemoryIo(MemoryDisk())
    good = ["000001", "1000000", "999999999999999999"]
    arabic = "\u0661\u0662\u0663\u0664\u0665\u0666"
    bad = ["1", "0000001", arabic, "9" * 19, "00000x", "-00001", "+00001"]
    for rest in good + bad:
        io.open(f"/db/a-wal-{rest}", True, False)
    assert list_segments(io, "/db", "a") == [1, 1_000_000, 999_999_999_999_999_999]


class CountingIo(FaultyIo):
    """Counts the bytes that are read."""

    read_bytes = 0

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        data = super().pread(fd, length, offset)
        self.read_bytes += len(data)
        return data


def test_a_tail_made_to_be_slow_is_judged_in_linear_time() -> None:
    world = World()
    at = world.position
    data = world.disk.names[f"{PATH}-wal-{at.segment:06d}"].data
    start = at.offset + 8  # a bad frame first
    size = 2 << 20
    data[at.offset :] = b"?" * 8 + bytes(size)
    for offset in range(start, start + size // 2, 96):
        # A right header whose payload, all that follows, is not right.
        frame = encode_frame(COMMIT, 0, 1 << 40, 0, 0, 0, b"", world.segment_seed, offset)
        head = bytearray(frame[:88])
        struct.pack_into("<Q", head, 40, size // 2)
        here = (world.segment_seed + offset) & ((1 << 64) - 1)
        check = xxhash.xxh3_64_intdigest(bytes(head), here).to_bytes(8, "little")
        data[offset : offset + 96] = bytes(head) + check
    io = CountingIo(MemoryIo(world.disk, 2))
    engine = open_engine(io, 2)
    assert contents_of(engine) == world.contents
    assert io.read_bytes < 40 * size
    engine.close()


# -- the list of free pages ----------------------------------------------------------------------


def replace_freelist(world: World, runs: list[tuple[int, int, int]]) -> None:
    """Write another list in the place of the newest one, with right checksums."""
    io = MemoryIo(world.disk, 7)
    fd = io.open(PATH, False, False)
    meta = world.meta
    data = b"".join(struct.pack("<QQI", *run) for run in runs).ljust(meta.freelist_length, b"\0")
    count = -(-(72 + meta.freelist_length) // meta.page_size)
    image = seal_page(
        FREELIST, count, meta.freelist_page, meta.generation, 0, 0, 0, data, count * meta.page_size
    )
    image, checksum = with_checksum(image, world.seed)
    io.pwrite(fd, image, meta.freelist_page * meta.page_size)
    changed = meta.copy()
    changed.freelist_checksum = checksum
    write_meta(io, fd, changed)
    world.meta = changed


BAD_LISTS = {
    "in the header": [(1, 3, 1)],
    "beyond the end": [(1, 1 << 40, 3)],
    "too long": [(1, 20, 1 << 20)],
    "overlapping": [(1, 20, 4), (1, 22, 1)],
    "from the future": [(1 << 50, 20, 1)],
}


@pytest.mark.parametrize("name", [*BAD_LISTS, "flipped"])
def test_a_damaged_list_of_free_pages_is_made_anew(name: str) -> None:
    world = World()
    if name == "flipped":
        world.disk.names[PATH].data[world.meta.freelist_page * 4096 + 80] ^= 1
    else:
        replace_freelist(world, BAD_LISTS[name])
    engine = world.open(2)
    assert contents_of(engine) == world.contents
    assert "FREELIST_REBUILT" in [f.code for f in engine.recovery_report.findings]
    report = engine.check()
    assert report.is_clean, report.to_dict()
    assert read_freelist(engine._state, engine._state.meta)
    for number in range(60):
        world.put(engine, number)
        if number % 7 == 0:
            engine.checkpoint()
    assert engine.check().is_clean
    wanted = contents_of(engine)
    engine.close()
    engine = world.open(3)
    assert contents_of(engine) == wanted
    assert engine.check().is_clean
    engine.close()


def test_a_list_damaged_while_the_file_is_closed_does_not_keep_it_from_being_used() -> None:
    world = World()
    engine = world.open(2)
    engine.close()
    meta = engine._state.meta
    world.disk.names[PATH].data[meta.freelist_page * 4096 + 80] ^= 1
    engine = world.open(3)
    assert [p.code for p in engine.check().problems] == ["PAGE_CHECKSUM"]
    assert engine.statistics()["free_pages"] == -1
    world.put(engine, 99)
    engine.checkpoint()
    assert engine.check().is_clean
    engine.close()


def test_pages_that_overlap_are_told() -> None:
    assert malformed_runs([FreeRun(1, 16, 2), FreeRun(1, 18, 1)], 16, 20, 1) == ""
    assert "overlap" in malformed_runs([FreeRun(1, 16, 2), FreeRun(1, 17, 1)], 16, 20, 1)
    found = unreached_runs(bytearray([1, 0, 0, 1, 0]), 5)
    assert [(run.start, run.count) for run in found] == [(1, 2), (4, 1)]


# -- pages ---------------------------------------------------------------------------------------


def page(entries: int, body: bytes, level: int = 0, kind: int = LEAF) -> bytes:
    return seal_page(kind, entries, 20, 1, 1, level, 0, body, 4096)


@pytest.mark.parametrize(
    "data",
    [
        page(0, b""),
        page(0, b"", 1, 2),
        page(60_000, b"\0" * 40),
        page(1, struct.pack("<HH", 3, 65535) + b"abc"),
        page(1, struct.pack("<HH", 3000, 3000) + b"abc"),
        page(1, struct.pack("<HH", 1, 1) + b"ab", 3),
        page(1, struct.pack("<HH", 1, 1) + b"ab", 0, 9),
    ],
)
def test_a_node_that_makes_no_sense_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptDataError, match="PAGE_MALFORMED"):
        decode_node(data, 20, NodeSource(Limits(4096)), Limits(4096))


def test_a_tree_that_reaches_a_page_again_and_again_is_refused() -> None:
    world = World()
    engine = world.open(2)
    tree = engine._state.tip.trees[1]
    node = engine._state.pager.load(tree.root)
    assert node.level > 0
    first = node.children[0]
    node.children = [first] * 10_000
    with pytest.raises(CorruptDataError, match="PAGE_SHARED"):
        collect_pages(engine._state, tree, [])
    engine._state.pager.forget_all()
    engine.close()


def test_references_no_file_can_have_are_refused_without_memory() -> None:
    world = World()
    engine = world.open(2)
    for run in (Run(20, 1 << 45, 5), Run(1 << 60, 10, 5)):
        with pytest.raises(CorruptDataError):
            engine._state.pager.read_run(run)
    with pytest.raises(CorruptDataError, match="PAGE_OUT_OF_RANGE"):
        engine._state.pager.load((1 << 62).to_bytes(8, "little") + bytes(8))
    engine.close()


def test_every_damaged_copy_of_a_meta_page_is_reported() -> None:
    world = World()
    world.disk.names[PATH].data[32768 : 32768 + 4096] = bytes(4096)
    engine = world.open(2)
    assert "META_COPY_DAMAGED" in [f.code for f in engine.recovery_report.findings]
    assert contents_of(engine) == world.contents
    engine.close()


def test_a_log_reader_never_goes_back() -> None:
    world = World()
    segments = SegmentSet(MemoryIo(world.disk, 5), PATH, world.meta.uuid, 1 << 16)
    at = world.position
    reader = LogReader(segments, Position(at.segment, FRAMES_OFFSET, 0, 0), True)
    assert not reader.enter(at.segment, None)
    assert reader.stop == "foreign"


def test_a_commit_is_read_as_it_was_written() -> None:
    assert decode_commit(encode_commit("name", {})) == ("name", [])
