"""What is fuzzed. A target takes bytes; whatever it raises is a failure.

Allowed outcomes are handled inside: success, a coded error, PyMongo's and bson's errors, and the
`TypeError` and `ValueError` that PyMongo's methods document for arguments of a wrong kind.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import bson
import xxhash
from bson.errors import BSONError
from pymongo.errors import PyMongoError

from cbdd.cli.readers.bson_stream import read_bson
from cbdd.cli.readers.csv_rows import CsvOptions, read_csv
from cbdd.cli.readers.json_documents import read_json_documents
from cbdd.cli.readers.json_lines import read_json_lines
from cbdd.document.raw import elements, find_field
from cbdd.document.validate import validate_document
from cbdd.errors import CbddError
from cbdd.storage.frame import (
    FRAMES_OFFSET,
    SegmentHeader,
    decode_commit,
    decode_mark,
    decode_segment_header,
    encode_frame,
)
from cbdd.storage.io import Io
from cbdd.storage.meta import META_BYTES, SLOT_OFFSETS, choose, decode_meta, read_copies
from cbdd.storage.node import Limits, decode_node
from cbdd.storage.page import HEADER_BYTES
from cbdd.storage.pager import Pager
from cbdd.storage.shm import decode_durable, decode_published, is_poisoned
from cbdd.storage.wal import LogReader, Position, SegmentSet, segment_path
from cbdd.testing import MemoryDisk, MemoryIo, connect_on
from cbdd.testing.damage import PATH, Specimen, specimens
from tests.fuzz.grammar import (
    EXPRESSION_OPERATORS,
    FIELDS,
    FILTER_OPERATORS,
    NAMES,
    UPDATE_OPERATORS,
    Source,
    document,
    value,
)

UUID = bytes(range(16))
LIMITS = Limits(4096)


def _pager() -> Pager:
    """A file of a few pages of zeros: runs of a hostile page lead nowhere good."""
    io = MemoryIo(MemoryDisk.holding({"/db/a": bytes(1 << 17)}))
    return Pager(io, io.open("/db/a", False, True), "/db/a", 4096, 1, 1 << 20)


def page(data: bytes) -> None:
    """The page decoder, on pages whose checksum is right."""
    fields = data[:16].ljust(16, b"\0")
    kind, entries, level, skip, used = struct.unpack("<BxHHHI4x", fields)
    body = data[16:4000]
    head = struct.pack(
        "<QBBHIQQIHHI28s",
        *(0, kind % 5, 0, 0, entries % 2100, 20, 1, 1, level % 3, skip % 40, used % 4100, b""),
    )
    image = (head + body).ljust(4096, b"\0")
    assert len(head) == HEADER_BYTES
    try:
        node = decode_node(image, 20, _pager(), LIMITS)
    except CbddError:
        return
    assert len(node.keys) <= 2100


def commit(data: bytes) -> None:
    """The decoder of a commit's payload."""
    try:
        decode_commit(data)
    except CbddError:
        return


def log(data: bytes) -> None:
    """A segment of frames whose checksums are right, and garbage between them."""
    source = Source(data)
    header = SegmentHeader()
    header.uuid, header.number, header.salt = UUID, 1, 9
    image = bytearray(header.encode().ljust(FRAMES_OFFSET, b"\0"))
    lsn, chain = 0, 0
    while not source.is_empty and len(image) < 1 << 16:
        if source.byte() % 8 == 0:
            image += source.take(8 * (source.byte() % 8))
        kind = source.byte() % 5
        lsn += source.byte() % 4 != 0
        payload = source.take(16 if kind == 3 else source.byte())
        frame = encode_frame(
            kind,
            source.byte(),
            lsn,
            chain,
            source.number() & ((1 << 64) - 1),
            0,
            payload,
            header.seed(),
            len(image),
        )
        chain = int.from_bytes(frame[88:96], "little")
        image += frame
    disk = MemoryDisk.holding({segment_path("/db/a", 1): bytes(image)})
    reader = LogReader(
        SegmentSet(MemoryIo(disk), "/db/a", UUID, 1 << 16), Position(1, FRAMES_OFFSET, 0, 0), True
    )
    for _ in range(len(data) + 2):
        frame = reader.next(0, 0)
        if frame is None:
            return
        commit(frame.payload)
    raise AssertionError("the log never ends")


def heads(data: bytes) -> None:
    """Meta pages, segment headers, marks and shared state, with right checksums and without."""
    for right in (False, True):
        block = bytearray(data[:META_BYTES].ljust(META_BYTES, b"\0"))
        if right:
            block[:8] = b"\x89CBDD\r\n\x1a"
            check = xxhash.xxh3_64_intdigest(bytes(block[: META_BYTES - 8]))
            block[META_BYTES - 8 :] = check.to_bytes(8, "little")
        image = bytearray(65536)
        for slot in SLOT_OFFSETS:
            for offset in slot:
                image[offset : offset + META_BYTES] = block
        disk_io: Io = MemoryIo(MemoryDisk.holding({"/db/a": bytes(image)}))
        try:
            choose(read_copies(disk_io, disk_io.open("/db/a", False, True)), "/db/a")
        except CbddError:
            pass
        decode_meta(bytes(block), 0)
    padded = data.ljust(200, b"\0")
    decode_segment_header(padded)
    decode_mark(padded, 3)
    decode_published(padded)
    decode_durable(padded)
    is_poisoned(padded)


_SPECIMENS: dict[str, Specimen] = {}


def resealed(data: bytearray, page: int, seed: int) -> None:
    """Make every checksum right again after a page was changed, up to the meta page."""
    for _ in range(12):
        at = page * 4096
        old = bytes(data[at : at + 8])
        new = xxhash.xxh3_64_intdigest(bytes(data[at + 8 : at + 4096]), seed).to_bytes(8, "little")
        data[at : at + 8] = new
        place = data.find(old)
        if place < 0 or old == new:
            return
        data[place : place + 8] = new
        if place < 65536:
            for slot in SLOT_OFFSETS:
                for offset in slot:
                    block = data[offset : offset + META_BYTES]
                    block = block.replace(old, new)
                    check = xxhash.xxh3_64_intdigest(bytes(block[: META_BYTES - 8]))
                    block[META_BYTES - 8 :] = check.to_bytes(8, "little")
                    data[offset : offset + META_BYTES] = block
            return
        page = place // 4096


def open_file(data: bytes) -> None:
    """Whole files, pages changed and resealed, logs overwritten; then everything is used."""
    if not _SPECIMENS:
        _SPECIMENS.update(specimens(5))
    source = Source(data)
    specimen = _SPECIMENS[source.choice(["clean", "killed", "rotated"])]
    files = dict(specimen.files)
    image = bytearray(files[PATH])
    seed = int.from_bytes(image[16:24], "little")
    for _ in range(1 + source.byte() % 3):
        number = 16 + source.byte() % (specimen.used_bytes() // 4096 - 16)
        for _ in range(1 + source.byte() % 4):
            at = number * 4096 + 8 + int.from_bytes(source.take(2), "little") % 4000
            part = source.take(source.choice([1, 1, 2, 4, 8]))
            image[at : at + len(part)] = part
        resealed(image, number, seed)
    files[PATH] = bytes(image)
    if source.byte() % 4 == 0:
        for name in specimen.segments():
            segment = bytearray(files[name])
            at = 4096 + source.number() % 4000
            segment[at : at + 8] = source.take(8)
            files[name] = bytes(segment)
    disk = MemoryDisk.holding(files)
    before = set(files)
    for read_only in (True, False):
        try:
            with connect_on(MemoryIo(disk), 3, read_only=read_only) as client:
                _use(client, read_only)
        except (CbddError, PyMongoError, BSONError):
            pass
    made = {name for name in set(disk.names) - before if not name.startswith(PATH)}
    assert not made, f"wrote {made}"


def _use(client: Any, read_only: bool) -> None:
    things = client.shop.things
    acts: list[Callable[[], Any]] = [
        client.list_database_names,
        lambda: list(things.find()),
        lambda: list(things.find({"kind": 3})),
        lambda: things.count_documents({}),
        lambda: things.index_information(),
        client.check,
        client.statistics,
    ]
    if not read_only:
        acts += [
            lambda: things.insert_one({"_id": -1, "kind": 1}),
            lambda: things.delete_many({"kind": 2}),
            client.checkpoint,
        ]
    for act in acts:
        try:
            act()
        except (CbddError, PyMongoError, BSONError):
            continue


def bson_reader(data: bytes) -> None:
    """The validator and the readers of raw BSON; what it accepts, bson reads too."""
    try:
        validate_document(data)
    except (CbddError, PyMongoError, BSONError):
        return
    for _kind, name, _start, _end in elements(data, 0):
        assert find_field(data, 0, name) >= 0
    try:
        bson.decode(data)
    except BSONError as error:
        # Dates beyond what Python can hold are right BSON.
        assert "year" in str(error) or "date" in str(error), error


_CLIENTS: list[Any] = []
ARGUMENT_ERRORS = (CbddError, PyMongoError, BSONError, TypeError, ValueError, OverflowError)


def _collection() -> Any:
    if not _CLIENTS:
        client = connect_on(MemoryIo(MemoryDisk()), 1, max_transaction_bytes=1 << 22)
        client.shop.things.create_index("a")
        _CLIENTS.append(client)
    things = _CLIENTS[0].shop.things
    things.delete_many({})
    things.insert_many(
        [
            {"_id": 1, "a": 5, "b": "text"},
            {"_id": 2, "a": [1, 2, {"b": [{"c": 3}]}], "b": None},
            {"_id": 3, "a": {"b": [1, {"c": 2}], "0": 1.5}, "b": [[1], [2, 3]]},
        ]
    )
    return things


def filters(data: bytes) -> None:
    """Filters, sorts and projections."""
    things = _collection()
    source = Source(data)
    names = [*FIELDS, *FILTER_OPERATORS, *EXPRESSION_OPERATORS]
    filter = document(source, names)
    try:
        list(things.find(filter, max_time_ms=1500))
        things.count_documents(filter)
    except ARGUMENT_ERRORS:
        pass
    try:
        list(things.find({}, document(source, NAMES), sort=[(source.choice(FIELDS), 1)]))
    except ARGUMENT_ERRORS:
        pass


def updates(data: bytes) -> None:
    """Updates, with array filters and upserts."""
    things = _collection()
    source = Source(data)
    update = {
        source.choice(UPDATE_OPERATORS): {
            source.choice(FIELDS): value(source, NAMES) for _ in range(1 + source.byte() % 2)
        }
        for _ in range(1 + source.byte() % 2)
    }
    filter = document(source, [*FIELDS, *FILTER_OPERATORS])
    array_filters = [{"x": value(source, FILTER_OPERATORS)}] if source.byte() % 2 else None
    try:
        things.update_many(
            filter, update, upsert=bool(source.byte() % 2), array_filters=array_filters
        )
    except ARGUMENT_ERRORS:
        pass
    assert _CLIENTS[0].check().is_clean


def csv_reader(data: bytes) -> None:
    """The CSV reader, typed and untyped."""
    try:
        list(read_csv(io.BytesIO(data), CsvOptions()))
    except (CbddError, ValueError):
        return


def json_reader(data: bytes) -> None:
    """The readers of JSON documents and lines."""
    for read in (read_json_documents, read_json_lines):
        try:
            list(read(io.BytesIO(data)))
        except (CbddError, ValueError):
            continue


def bson_stream(data: bytes) -> None:
    """The reader of concatenated BSON documents."""
    try:
        list(read_bson(io.BytesIO(data)))
    except (CbddError, ValueError):
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    "page": page,
    "commit": commit,
    "log": log,
    "heads": heads,
    "open": open_file,
    "bson": bson_reader,
    "filter": filters,
    "update": updates,
    "csv": csv_reader,
    "json": json_reader,
    "bson_stream": bson_stream,
}
