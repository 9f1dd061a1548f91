"""Damage to files, one at a time, and the judge that tells acceptable outcomes from silent ones.

`specimens` makes databases with known documents: closed, killed with a log, killed with two
segments of it. `damages` yields damaged copies of one, class by class; `judge` opens a copy for
writing and for reading, reads everything by scan, by index and by count, runs `check`, and says
what came of it:

    intact      every document is there
    recorded    every document is there, and a finding or problem says that something happened
    error       a `CbddError` with a code; every read that returned, returned what is right
    silent      missing or wrong data without an error, or an error without a code

Everything is chosen by seed; a damage is rebuilt from the specimen, its class and its seed.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

import xxhash

from cbdd.errors import CbddError
from cbdd.storage.meta import META_BLOCK_BYTES, META_BYTES, SLOT_OFFSETS
from cbdd.testing.databases import AnyClient, connect_on
from cbdd.testing.memory_disk import MemoryDisk, MemoryIo

PATH: Final = "/db/app.cbdd"
SHM: Final = f"{PATH}-shm"
LOG: Final = f"{PATH}-wal-"
PAGE_BYTES: Final = 4096
HEADER_BYTES: Final = 65536
INTACT: Final = "intact"
RECORDED: Final = "recorded"
ERROR: Final = "error"
SILENT: Final = "silent"
OUTCOMES: Final = (INTACT, RECORDED, ERROR, SILENT)

Files = dict[str, bytes]
Documents = dict[int, dict[str, Any]]


class Specimen:
    """The files of one database at one moment, and the documents acknowledged by then."""

    def __init__(self, name: str, files: Files, documents: Documents) -> None:
        self.name = name
        self.files = files
        self.documents = documents
        self.older: list[Files] = []
        self.foreign: Files = {}

    def segments(self) -> list[str]:
        """Paths of the segments of the log, oldest first."""
        return sorted(name for name in self.files if name.startswith(LOG))

    def used_bytes(self) -> int:
        """Length of the database file without the reserve behind its last page."""
        page_counts = [
            struct.unpack_from("<Q", self.files[PATH], offset + 48)[0]
            for slot in SLOT_OFFSETS
            for offset in slot[:1]
        ]
        return int(max(page_counts)) * PAGE_BYTES

    def with_file(self, name: str, data: bytes | None) -> Files:
        """The files with one replaced, or left out."""
        files = dict(self.files)
        if data is None:
            files.pop(name, None)
        else:
            files[name] = data
        return files


def _document(number: int, source: random.Random) -> dict[str, Any]:
    length = source.choice([10, 200, 200, 900, 4500])
    return {"_id": number, "kind": number % 7, "pad": source.randbytes(length)}


def specimens(seed: int = 1) -> dict[str, Specimen]:
    """``clean``, ``killed`` and ``rotated``, by name; of one seed always the same."""
    made = _make(seed)
    other = _make(seed + 1_000_003)
    for name, specimen in made.items():
        specimen.foreign = other[name].files
    return made


def _make(seed: int) -> dict[str, Specimen]:
    source = random.Random(seed)
    disk = MemoryDisk()
    model: Documents = {}
    older: list[Files] = []
    made: dict[str, Specimen] = {}

    def insert(client: AnyClient, first: int, count: int) -> None:
        documents = [_document(number, source) for number in range(first, first + count)]
        client.shop.things.insert_many(documents)
        model.update({document["_id"]: document for document in documents})

    def keep(name: str) -> None:
        made[name] = Specimen(name, disk.files(), {key: dict(model[key]) for key in model})
        made[name].older = list(older)

    with connect_on(MemoryIo(disk), seed) as client:
        client.shop.things.create_index("kind")
        insert(client, 0, 60)
    older.append(disk.files())
    client = connect_on(MemoryIo(disk), seed + 1)
    for number in range(60, 80, 5):
        insert(client, number, 5)
        client.shop.things.update_many({"kind": number % 7}, {"$inc": {"n": 1}})
        for document in model.values():
            if document["kind"] == number % 7:
                document["n"] = document.get("n", 0) + 1
        client.checkpoint()
        older.append(disk.files())
    client.close()
    keep("clean")
    client = connect_on(MemoryIo(disk), seed + 2)
    for number in range(100, 112):
        insert(client, number, 1)
        older.append(disk.files())
    keep("killed")
    client.checkpoint()
    for number in range(120, 126):
        insert(client, number, 1)
        older.append(disk.files())
    keep("rotated")
    client.close()
    return made


# -- the classes of damage ---------------------------------------------------------------------

Maker = Callable[[Specimen, random.Random], Iterator[Files]]


def flipped(data: bytes, bit: int) -> bytes:
    """The data with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def replaced(data: bytes, offset: int, part: bytes) -> bytes:
    """The data with some bytes replaced."""
    return data[:offset] + part + data[offset + len(part) :]


def _flip_meta(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    while True:
        offset = source.choice([offset for slot in SLOT_OFFSETS for offset in slot])
        bit = (offset * 8) + source.randrange(META_BYTES * 8)
        yield specimen.with_file(PATH, flipped(data, bit))


def _flip_pages(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    while True:
        bit = source.randrange(HEADER_BYTES * 8, specimen.used_bytes() * 8)
        yield specimen.with_file(PATH, flipped(data, bit))


def _flip_log(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    while segments := specimen.segments():
        path = source.choice(segments)
        data = specimen.files[path]
        end = len(data.rstrip(b"\0"))
        yield specimen.with_file(path, flipped(data, source.randrange(end * 8)))


def _flip_last_frame(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    while segments := specimen.segments():
        path = segments[-1]
        data = specimen.files[path]
        end = len(data.rstrip(b"\0"))
        start = data.rfind(b"CBFR", 0, end)
        yield specimen.with_file(path, flipped(data, source.randrange(start * 8, end * 8)))


def _flip_shm(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    while SHM in specimen.files:
        data = specimen.files[SHM]
        yield specimen.with_file(SHM, flipped(data, source.randrange(4096 * 8)))


def _page_of(data: bytes, page: int) -> bytes:
    return data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]


def _random_page(specimen: Specimen, source: random.Random) -> int:
    return source.randrange(HEADER_BYTES // PAGE_BYTES, specimen.used_bytes() // PAGE_BYTES)


def _zeroed_page(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    while True:
        page = _random_page(specimen, source)
        yield specimen.with_file(PATH, replaced(data, page * PAGE_BYTES, bytes(PAGE_BYTES)))


def _garbage_page(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    while True:
        garbage = source.randbytes(source.choice([512, PAGE_BYTES]))
        page = _random_page(specimen, source)
        yield specimen.with_file(PATH, replaced(data, page * PAGE_BYTES, garbage))


def _swapped_pages(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    while True:
        one, two = _random_page(specimen, source), _random_page(specimen, source)
        changed = replaced(data, one * PAGE_BYTES, _page_of(data, two))
        yield specimen.with_file(PATH, replaced(changed, two * PAGE_BYTES, _page_of(data, one)))


def _stale_page(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    while True:
        old = source.choice(specimen.older)[PATH]
        page = _random_page(specimen, source)
        if len(old) >= (page + 1) * PAGE_BYTES:
            changed = replaced(data, page * PAGE_BYTES, _page_of(old, page))
            yield specimen.with_file(PATH, changed)


def _cut_file(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    for page in range(len(data) // PAGE_BYTES):
        yield specimen.with_file(PATH, data[: page * PAGE_BYTES])
    while True:
        yield specimen.with_file(PATH, data[: source.randrange(len(data))])


def _cut_log(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    while segments := specimen.segments():
        path = source.choice(segments)
        data = specimen.files[path]
        yield specimen.with_file(path, data[: source.randrange(len(data.rstrip(b"\0")))])


def _overwritten_log(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    """Zeros or garbage in the middle of the log, as a bad block leaves them."""
    while segments := specimen.segments():
        path = source.choice(segments)
        data = specimen.files[path]
        length = source.choice([8, 512, 4096])
        part = source.choice([bytes(length), source.randbytes(length)])
        offset = source.randrange(len(data.rstrip(b"\0")))
        yield specimen.with_file(path, replaced(data, offset, part)[: len(data)])


def _grown_tail(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    while True:
        path = source.choice([PATH, *specimen.segments()])
        tail = source.choice([bytes(5000), source.randbytes(5000), b"x"])
        yield specimen.with_file(path, specimen.files[path] + tail)


def _missing_log(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    del source
    for path in specimen.segments():
        yield specimen.with_file(path, None)
    if len(specimen.segments()) > 1:
        yield {p: d for p, d in specimen.files.items() if not p.startswith(LOG)}


def _foreign_log(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    del source
    theirs = sorted(name for name in specimen.foreign if name.startswith(LOG))
    for path in specimen.segments():
        for other in theirs:
            yield specimen.with_file(path, specimen.foreign[other])
    if not specimen.segments():  # a log beside a closed database
        for moment in specimen.older:
            for name in moment:
                if name.startswith(LOG):
                    yield {**specimen.files, name: moment[name]}


def _old_log(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    """An earlier copy of the log, with the rest as it is."""
    while specimen.segments():
        moment = source.choice(specimen.older)
        logs = {name: data for name, data in moment.items() if name.startswith(LOG)}
        if logs:
            rest = {p: d for p, d in specimen.files.items() if not p.startswith(LOG)}
            yield {**rest, **logs}


def _old_file(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    """An earlier copy of the database file, with the log as it is."""
    if not specimen.segments():
        return
    while True:
        moment = source.choice(specimen.older)
        if moment[PATH] != specimen.files[PATH]:
            yield specimen.with_file(PATH, moment[PATH])


def _foreign_shm(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    if not specimen.segments():
        return
    theirs = specimen.foreign.get(SHM, b"")
    yield specimen.with_file(SHM, theirs)
    yield specimen.with_file(SHM, None)
    yield specimen.with_file(SHM, b"")
    while True:
        data = specimen.files[SHM]
        yield specimen.with_file(SHM, data[: source.randrange(len(data))])
        yield specimen.with_file(SHM, source.randbytes(len(data)))


def _broken_slots(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    data = specimen.files[PATH]
    blocks = [offset for slot in SLOT_OFFSETS for offset in slot]
    for pattern in range(1, 16):
        for part in (bytes(META_BLOCK_BYTES), source.randbytes(META_BLOCK_BYTES)):
            changed = data
            for index, offset in enumerate(blocks):
                if pattern >> index & 1:
                    changed = replaced(changed, offset, part)
            yield specimen.with_file(PATH, changed)


def _future_header(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    """Minimum reader, minimum writer, feature flags of a release that is not there yet."""
    del source
    data = specimen.files[PATH]
    for field, size in ((8, 2), (10, 2), (176, 8), (184, 8)):
        changed = data
        for slot in SLOT_OFFSETS:
            for offset in slot:
                meta = bytearray(data[offset : offset + META_BYTES])
                meta[field : field + size] = (40).to_bytes(size, "little")
                check = xxhash.xxh3_64_intdigest(bytes(meta[: META_BYTES - 8]))
                meta[META_BYTES - 8 :] = check.to_bytes(8, "little")
                changed = replaced(changed, offset, bytes(meta))
        yield specimen.with_file(PATH, changed)


def _other_file(specimen: Specimen, source: random.Random) -> Iterator[Files]:
    """Something else in the place of the database, or nothing."""
    data = specimen.files[PATH]
    if specimen.segments():
        yield specimen.with_file(PATH, None)
        yield specimen.with_file(PATH, specimen.foreign[PATH])
    yield specimen.with_file(PATH, b"")
    yield specimen.with_file(PATH, b"SQLite format 3\0" + bytes(8192))
    yield specimen.with_file(PATH, source.randbytes(len(data)))
    yield specimen.with_file(PATH, bytes(len(data)))


CLASSES: Final[dict[str, Maker]] = {
    "bit flipped in a meta page": _flip_meta,
    "bit flipped in a page": _flip_pages,
    "bit flipped in the log": _flip_log,
    "bit flipped in the last commit of the log": _flip_last_frame,
    "bit flipped in the shared state": _flip_shm,
    "page zeroed": _zeroed_page,
    "page overwritten": _garbage_page,
    "pages swapped": _swapped_pages,
    "page stale": _stale_page,
    "file cut": _cut_file,
    "log cut": _cut_log,
    "log overwritten": _overwritten_log,
    "file or log with a tail": _grown_tail,
    "log missing": _missing_log,
    "log of another database": _foreign_log,
    "log older than the file": _old_log,
    "file older than the log": _old_file,
    "shared state foreign, cut or missing": _foreign_shm,
    "meta pages broken": _broken_slots,
    "header from the future": _future_header,
    "another file, or none": _other_file,
}


class Damaged:
    """One damaged copy of a specimen."""

    def __init__(self, name: str, number: int, specimen: Specimen, files: Files) -> None:
        self.name = name
        self.number = number
        self.specimen = specimen
        self.files = files

    def __repr__(self) -> str:
        return f"{self.name}, number {self.number}, of the {self.specimen.name} specimen"


def damages(specimen: Specimen, name: str, seed: int = 1, most: int = 100) -> Iterator[Damaged]:
    """Damaged copies of one class, at most so many; fewer where there are no more ways."""
    source = random.Random(f"{seed}:{specimen.name}:{name}")
    for number, files in enumerate(CLASSES[name](specimen, source)):
        if number >= most:
            return
        yield Damaged(name, number, specimen, files)


# -- the judge ---------------------------------------------------------------------------------


class Verdict:
    """What came of one damage: the outcome, the codes, and what was wrong if it was silent."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.wrong: list[str] = []
        self.is_refused = False

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`."""
        if self.wrong:
            return SILENT
        if self.is_refused:
            return ERROR
        return RECORDED if self.codes else INTACT


def judge(files: Files, documents: Documents) -> Verdict:
    """Open the files for writing and for reading, read everything, and compare."""
    verdict = Verdict()
    for read_only in (False, True):
        disk = MemoryDisk.holding(files)
        try:
            client = connect_on(MemoryIo(disk), 5, read_only=read_only)
        except CbddError as error:
            _note(verdict, error)
            continue
        except Exception as error:
            verdict.wrong.append(f"opening raised {error!r}")
            continue
        try:
            _read(client, documents, verdict)
        finally:
            try:
                client.close()
            except CbddError as error:
                _note(verdict, error)
    return verdict


def _note(verdict: Verdict, error: CbddError) -> None:
    verdict.is_refused = True
    verdict.codes.append(error.code)
    if not error.code or not str(error).startswith(f"{error.code}: "):
        verdict.wrong.append(f"an error without a code: {error!r}")


def _read(client: AnyClient, documents: Documents, verdict: Verdict) -> None:
    verdict.codes += [finding.code for finding in client.recovery_report.findings]
    things = client.shop.things

    def by_index() -> Documents:
        return {d["_id"]: d for kind in range(7) for d in things.find({"kind": kind})}

    readings: list[tuple[str, Callable[[], Any], Any]] = [
        ("scan", lambda: {d["_id"]: d for d in things.find()}, documents),
        ("index", by_index, documents),
        ("count", lambda: things.count_documents({}), len(documents)),
    ]
    for what, read, right in readings:
        try:
            found = read()
        except CbddError as error:
            _note(verdict, error)
        except Exception as error:
            verdict.wrong.append(f"{what} raised {error!r}")
        else:
            if found != right:
                verdict.wrong.append(f"{what} is wrong and nothing says so")
    try:
        verdict.codes += [problem.code for problem in client.check().problems]
    except CbddError as error:
        _note(verdict, error)
    except Exception as error:
        verdict.wrong.append(f"check raised {error!r}")
