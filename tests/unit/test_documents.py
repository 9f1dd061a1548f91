"""The byte tables of the documents are those of the code: each field is found where they say."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
import xxhash
from pymongo.errors import OperationFailure

from cbdd.expression.parser import is_expression_operator
from cbdd.expression.registry import NAMED, POSITIONAL, UNSUPPORTED
from cbdd.query import Update, parse_filter
from cbdd.query.operators import OPERATORS, UNSUPPORTED_OPERATORS
from cbdd.query.update_parser import MODIFIERS
from cbdd.storage.frame import (
    ANNOTATION,
    CHANGES,
    COMMIT,
    CREATE_TREE,
    DROP_TREE,
    FLAG_DURABLE,
    FRAMES_OFFSET,
    MARK_OFFSETS,
    MAX_PAYLOAD_BYTES,
    PART,
    SEAL,
    SegmentHeader,
    TreeChanges,
    encode_commit,
    encode_frame,
    encode_mark,
)
from cbdd.storage.io import Io
from cbdd.storage.locks import LOCK_BASE, SLOT_BASE
from cbdd.storage.meta import (
    CHECKSUM_OFFSET,
    FORMAT,
    HEADER_REGION_BYTES,
    META_BLOCK_BYTES,
    META_BYTES,
    SLOT_OFFSETS,
    Meta,
)
from cbdd.storage.node import Limits, Node, encode_node
from cbdd.storage.page import (
    HEADER_BYTES,
    IN_RUN,
    LEAF,
    MAX_PAGE_SIZE,
    MIN_PAGE_SIZE,
    Run,
    reference,
    seal_page,
    with_checksum,
)
from cbdd.storage.shm import SHM_BYTES, Published, SharedState

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| (\d+) \| (\d+) \| (.+?) \|$", re.MULTILINE)
ANY = b"any"  # a field whose bytes the caller does not know

Fields = list[tuple[int, int, str]]


def section(document: str, heading: str) -> str:
    text = (DOCS / document).read_text()
    assert f"\n## {heading}\n" in text
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def table(document: str, heading: str) -> Fields:
    """(offset, size, name) of each row; the name is what stands before ``:`` or a code sample."""
    rows = ROW.findall(section(document, heading))
    assert rows
    return [(int(at), int(size), re.split(r":| `", name)[0]) for at, size, name in rows]


def assert_matches(fields: Fields, data: bytes, expected: dict[str, list[bytes]]) -> None:
    """Every row of the table holds its value, and the rows cover the bytes without a gap."""
    at = 0
    left = {name: list(values) for name, values in expected.items()}
    for offset, size, name in fields:
        assert offset == at, f"{name}: a gap or an overlap before offset {offset}"
        at = offset + size
        assert left.get(name), f"{name} is not known here"
        value = left[name].pop(0)
        assert len(value) == size or value is ANY, f"{name}: {size} bytes in the table"
        assert value is ANY or data[offset:at] == value, f"{name} is not at offset {offset}"
    assert at == len(data)
    assert not [name for name, values in left.items() if values]


def u8(value: int) -> bytes:
    return bytes([value])


def u16(value: int) -> bytes:
    return struct.pack("<H", value)


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def digest(data: bytes, seed: int = 0) -> bytes:
    return u64(xxhash.xxh3_64_intdigest(data, seed))


def test_meta_page() -> None:
    meta = Meta()
    meta.min_reader, meta.min_writer, meta.page_size = 3, 4, 16384
    meta.uuid, meta.generation, meta.is_clean = bytes(range(16)), 5, True
    meta.page_count, meta.checkpoint_lsn = 6, 7
    meta.directory_page, meta.directory_checksum, meta.directory_count = 8, 9, 10
    meta.freelist_page, meta.freelist_length, meta.freelist_checksum = 11, 12, 13
    meta.first_segment, meta.first_salt, meta.next_segment = 14, 15, 16
    meta.timeline, meta.written_us, meta.created_us, meta.chain = 17, 18, 19, 20
    meta.may_ignore, meta.must_not_write, meta.must_not_read = 21, 22, 23
    meta.writer_version = "1.2.3"
    data = meta.encode()
    assert len(data) == META_BYTES
    expected = {
        "magic": [bytes.fromhex("89434244440d0a1a")],
        "minimum reader": [u16(3)],
        "minimum writer": [u16(4)],
        "page size in bytes": [u32(16384)],
        "database UUID": [bytes(range(16))],
        "generation": [u64(5)],
        "flags; bit 0": [u64(1)],
        "page count from the start of the file, the first 64 KiB included": [u64(6)],
        "checkpoint LSN": [u64(7)],
        "directory tree": [u64(8, 9, 10)],
        "freelist": [u64(11, 12, 13)],
        "first log segment needed": [u64(14, 15)],
        "next segment": [u64(16)],
        "timeline": [u64(17)],
        "written": [u64(18)],
        "created": [u64(19)],
        "chain": [u64(20)],
        "feature flags": [u64(21, 22, 23)],
        "version that wrote it, UTF-8, zero-padded": [b"1.2.3".ljust(32, b"\0")],
        "reserved": [bytes(112)],
        "reserved, zero": [bytes(168)],
        "checksum of bytes 0 to 503": [digest(data[:504])],
    }
    assert_matches(table("file-format.md", "Meta page"), data, expected)
    text = section("file-format.md", "Meta page")
    (first, second), (third, fourth) = SLOT_OFFSETS
    assert f"slot 0 at offsets {first} and {second}, slot 1 at {third} and {fourth}" in text
    assert f"A copy is {META_BYTES} bytes, the rest of its {META_BLOCK_BYTES}-byte block" in text
    assert CHECKSUM_OFFSET == 504


def test_file_as_a_whole() -> None:
    text = section("file-format.md", "The file as a whole")
    assert f"`{HEADER_REGION_BYTES} / page size`" in text
    assert HEADER_REGION_BYTES == 64 << 10
    assert (MIN_PAGE_SIZE, MAX_PAGE_SIZE) == (4 << 10, 64 << 10)
    assert (DOCS / "file-format.md").read_text().startswith(f"# File format {FORMAT}\n")


def test_page_header() -> None:
    image = seal_page(LEAF, 2, 3, 4, 5, 6, 7, b"body", 4096)
    seed = 99
    page, _ = with_checksum(image, seed)
    expected = {
        "checksum of everything after it, seeded with the first 8 bytes of the UUID": [
            digest(page[8:], seed)
        ],
        "kind": [u8(1)],
        "compression": [u8(0)],
        "flags, 0": [u16(0)],
        "entries; for a run its number of pages": [u32(2)],
        "page number": [u64(3)],
        "generation that wrote it": [u64(4)],
        "tree id, 0 for the storage layer's own": [u32(5)],
        "level": [u16(6)],
        "prefix": [u16(7)],
        "used": [u32(4)],
        "reserved for nonce and tag": [bytes(28)],
    }
    assert_matches(table("file-format.md", "Page header"), page[:HEADER_BYTES], expected)
    assert f"begins with {HEADER_BYTES} bytes" in section("file-format.md", "Page header")


def test_nodes() -> None:
    text = section("file-format.md", "Nodes")
    limits = Limits(4096)
    leaf = Node(0, 1)
    leaf.keys = [b"key-a", b"key-bb"]
    leaf.values = [b"one", bytes(2000)]
    run = Run(70, 2000, 71)
    image = encode_node(leaf, 9, 1, 2, limits, [run.encode()], [])
    assert "n x (key length u16, value length u16)" in text
    body = u16(1) + u16(3) + u16(2) + u16(65535) + b"key-" + b"aone" + b"bb" + u64(70, 2000, 71)
    assert image[HEADER_BYTES:].rstrip(b"\0") == body.rstrip(b"\0")
    assert f"length of {IN_RUN} means that 24 bytes follow instead: page u64, length u64" in text
    assert "longer than an eighth of a page are kept in runs" in text
    assert "longer than half of a page\nwithout its header, less 64 bytes" in text
    assert (limits.max_key * 8, (limits.max_value + 64) * 2) == (4096, 4096 - HEADER_BYTES)
    assert "where the minimum writer is 1, values longer than a quarter of a page" in text
    assert Limits(4096, 1).max_value * 4 == 4096
    branch = Node(1, 1)
    branch.keys = [b"m"]
    branch.children = [reference(5, 6), reference(7, 8)]
    branch.counts = [3, 4]
    refs = [reference(5, 6), reference(7, 8)]
    image = encode_node(branch, 9, 1, 2, limits, refs, [])
    assert "n x (rest of the key, child page u64, child checksum u64, entries below it u64)" in text
    body = u16(0) + u16(1) + u64(5, 6, 3) + b"m" + u64(7, 8, 4)
    assert image[HEADER_BYTES : HEADER_BYTES + len(body)] == body
    assert not any(image[HEADER_BYTES + len(body) :])


def test_shared_state(tmp_path: Path) -> None:
    io = Io()
    fd = io.open(str(tmp_path / "shm"), True, False)
    shm = SharedState(io, fd, "shm")
    shm.reset(bytes(range(16)), 2, Published(3, 4, 5, 6, 7, 8))
    shm.set_durable(5)
    shm.poison()
    shm.write_slot(0, 11, 12, 13, 14)
    shm.write_slot(255, 21, 22, 23, 24)
    data = io.pread(fd, SHM_BYTES + 1, 0)
    io.close(fd)
    slots = u64(11, 12, 13, 14).ljust(255 * 64, b"\0") + u64(21, 22, 23, 24).ljust(64, b"\0")
    expected = {
        "magic": [b"CBDDSHM1"],
        "database UUID": [bytes(range(16))],
        "epoch": [u64(2)],
        "machine": [io.machine_identity()],
        "reserved": [bytes(16), bytes(8), bytes(3944)],
        "published": [u64(3, 4, 5, 6, 7, 8) + digest(u64(3, 4, 5, 6, 7, 8))],
        "durable": [u64(5) + digest(u64(5))],
        "poison": [u64(1)],
        "256 slots of 64 bytes": [slots],
    }
    assert_matches(table("file-format.md", "Shared state"), data, expected)
    text = section("file-format.md", "Shared state")
    assert "from offset 2^62 on" in text
    assert LOCK_BASE == 2**62
    assert "from 2^62 + 16 one for each slot" in text
    assert SLOT_BASE == 2**62 + 16


def test_segment_header() -> None:
    header = SegmentHeader()
    header.uuid, header.number, header.salt, header.timeline = bytes(range(16)), 2, 3, 4
    header.previous_segment, header.previous_end, header.previous_lsn = 5, 6, 7
    header.previous_chain, header.created_us = 8, 9
    data = header.encode()
    expected = {
        "magic": [b"CBDDWAL1"],
        "format, 1": [u32(1)],
        "reserved, 0": [u32(0)],
        "database UUID": [bytes(range(16))],
        "segment number": [u64(2)],
        "salt": [u64(3)],
        "timeline": [u64(4)],
        "previous segment, 0 for none": [u64(5)],
        "previous end": [u64(6)],
        "previous LSN": [u64(7)],
        "previous chain": [u64(8)],
        "created": [u64(9)],
        "checksum of bytes 0 to 95": [digest(data[:96])],
    }
    assert_matches(table("log-format.md", "Segment header"), data, expected)
    text = section("log-format.md", "Segment header")
    assert f"At {MARK_OFFSETS[0]} and {MARK_OFFSETS[1]} stand two durability marks" in text
    assert f"Frames begin at {FRAMES_OFFSET}" in text
    seed = xxhash.xxh3_64_intdigest(bytes(range(16)) + u64(3, 2))
    assert header.seed() == seed
    assert encode_mark(7, 5000, seed) == u64(7, 5000) + digest(u64(7, 5000), seed)


def test_frame_header() -> None:
    frame = encode_frame(COMMIT, FLAG_DURABLE, 2, 3, 4, 5, b"payload", 1000, 4096)
    payload_checksum = digest(b"payload", 5096)
    expected = {
        "magic": [b"CBFR"],
        "kind": [u8(1)],
        "flags; bit 0": [u8(1)],
        "compression, 0": [u16(0)],
        "LSN": [u64(2)],
        "chain": [u64(3)],
        "durable LSN known when this was written": [u64(4)],
        "wall time in microseconds": [u64(5)],
        "payload length": [u64(7)],
        "reserved for nonce and tag": [bytes(32)],
        "payload checksum": [payload_checksum],
        "header checksum of bytes 0 to 87": [digest(frame[:88], 5096)],
    }
    assert_matches(table("log-format.md", "Frame header"), frame[:96], expected)
    assert frame[96:] == b"payload\0"
    text = section("log-format.md", "Frame header")
    assert f"kind: {COMMIT} commit, {PART} part of a commit, {SEAL} seal" in text
    assert "A commit larger than 4 MiB is several frames" in text
    assert MAX_PAYLOAD_BYTES == 4 << 20


def test_commit_payload() -> None:
    text = section("log-format.md", "Commit payload")
    for tag, name in ((CHANGES, "changes"), (CREATE_TREE, "create tree")):
        assert re.search(rf"^    {tag}  {name}  ", text, re.MULTILINE)
    for tag, name in ((DROP_TREE, "drop tree"), (ANNOTATION, "annotation")):
        assert re.search(rf"^    {tag}  {name}  ", text, re.MULTILINE)
    changes = {1: TreeChanges(1), 2: TreeChanges(2)}
    changes[1].is_dropped = True
    changes[2].is_created = True
    changes[2].entries = {b"k": b"value", b"gone": None}
    payload = encode_commit("insert", changes)
    deleted = int(re.findall(r"a value length of (\d+) deletes", text)[0])
    assert payload == b"".join(
        [
            b"\6insert",
            u8(3) + u32(1),
            u8(2) + u32(2),
            u8(1) + u32(2) + u32(2),
            u32(1) + u32(5) + b"kvalue",
            u32(4) + u32(deleted) + b"gone",
        ]
    )


def operators_in(heading: str, state: str | None = None) -> set[str]:
    """The operators a section of the query language's document names, with a state if given."""
    rows = section("query-language.md", heading).splitlines()
    kept = [row for row in rows if row.startswith("| ") and (state is None or state in row)]
    return {name for row in kept for name in re.findall(r"`(\$\w+)`", row)}


def test_filters_of_the_query_language() -> None:
    for name in operators_in("Filters", "| yes"):
        messages = [message_of({name: 1}), message_of({"a": {name: 1}})]
        assert not all("unknown" in message for message in messages), name
    for name in operators_in("Filters", "| refused"):
        refused = f"{name} is not supported"
        assert refused in message_of({name: 1}) or refused in message_of({"a": {name: 1}}), name
    known = {*OPERATORS, *UNSUPPORTED_OPERATORS, "$and", "$or", "$nor", "$not", "$all", "$regex"}
    assert known <= operators_in("Filters")


def message_of(filter: dict[str, Any]) -> str:
    try:
        parse_filter(filter)
    except OperationFailure as error:
        return str(error)
    return ""


def test_expressions_of_the_query_language() -> None:
    rows = section("query-language.md", "Expressions").splitlines()
    refused = {name for row in rows if row.startswith("| refused") for name in names_in(row)}
    known = {name for row in rows if row.startswith("| ") for name in names_in(row)} - refused
    assert refused == set(UNSUPPORTED)
    assert {*POSITIONAL, *NAMED} <= known
    assert all(is_expression_operator(name) for name in known)


def names_in(row: str) -> list[str]:
    return re.findall(r"`(\$\w+)`", row)


def test_updates_of_the_query_language() -> None:
    modifiers = {"$each", "$position", "$slice", "$sort"}
    for name in operators_in("Updates", "| yes") - modifiers:
        with pytest.raises(OperationFailure) as raised:
            Update.compile({name: 5})
        assert "Unknown modifier" not in str(raised.value), name
    assert set(MODIFIERS) <= operators_in("Updates")
