"""A database with known acknowledged documents, closed or killed, as bytes to be damaged.

Built once in a run, on a disk in memory, by the public client; the same bytes in every run. A state
is what a kill leaves at that moment, or what a clean close leaves, with the documents that had been
acknowledged by then.
"""

from __future__ import annotations

import functools
import random
from typing import Any, Final

from cbdd.client import Client
from cbdd.storage import StorageEngine
from cbdd.testing import (
    MemoryDisk,
    MemoryIo,
    SeededRandomness,
    TickingClock,
)

PATH: Final = "/db/shop.cbdd"
SHM: Final = f"{PATH}-shm"
EVENTS: Final = f"{PATH}-events"
PAGE_BYTES: Final = 4096
HEADER_PAGES: Final = 65536 // PAGE_BYTES
SEED: Final = 20_240_229

Files = dict[str, bytes]
Documents = dict[str, list[dict[str, Any]]]
AnyClient = Client[dict[str, Any]]

INDEXES: Final[dict[str, list[list[tuple[str, int]]]]] = {
    "orders": [[("customer", 1), ("total", -1)], [("tags", 1)]],
    "people": [[("email", 1)], [("bio", 1)]],
    "blobs": [[("kind", 1)]],
}


class State:
    """The files of one moment, and the documents acknowledged by then."""

    def __init__(self, files: Files, documents: Documents) -> None:
        self.files = files
        self.documents = documents

    def segments(self) -> list[str]:
        """Paths of the log's segments, oldest first."""
        return sorted(name for name in self.files if "-wal-" in name)

    def changed(self, **files: bytes | None) -> Files:
        """The files with some replaced, or left out where None is given; by what follows PATH."""
        result = dict(self.files)
        for name, data in files.items():
            path = {"main": PATH, "shm": SHM, "events": EVENTS}.get(name, PATH + name)
            if data is None:
                result.pop(path, None)
            else:
                result[path] = data
        return result


class History:
    """The moments of one database, in order."""

    def __init__(self) -> None:
        self.older: list[bytes] = []  # the database file at moments before it was closed
        self.early: State  # closed, before most changes
        self.clean: State  # closed
        self.began: State  # killed after the first commit of a new log
        self.half: State  # killed in the middle of the same segment
        self.killed: State  # killed at its end
        self.rotated: State  # killed after a checkpoint and more commits: two segments


def order(number: int, source: random.Random) -> dict[str, Any]:
    return {
        "_id": number,
        "customer": source.choice(["ada", "bob", "cyd", "dee"]),
        "total": source.randrange(1, 5000) / 4,
        "tags": source.sample(["tea", "pot", "cup", "tin", "milk"], source.randrange(1, 4)),
    }


def person(number: int, source: random.Random) -> dict[str, Any]:
    """Every fifth has an index key that is too long to stay in its node."""
    bio = source.randbytes(400 if number % 5 == 0 else 20).hex()
    return {"_id": f"p{number:04d}", "email": f"{number}@example.org", "bio": bio}


def blob(number: int, source: random.Random) -> dict[str, Any]:
    """Every second is too large to stay in its leaf."""
    length = 900 * (1 + number % 2 * (2 + number % 9))
    return {"_id": number, "kind": number % 3, "bytes": source.randbytes(length)}


class Shop:
    """The client that writes, and the model of what it has been acknowledged."""

    def __init__(self, disk: MemoryDisk, seed: int) -> None:
        self.disk = disk
        self.source = random.Random(seed)
        self.model: dict[str, dict[Any, dict[str, Any]]] = {name: {} for name in INDEXES}
        self.client = connect(disk, seed)

    def reopen(self, seed: int) -> None:
        self.client = connect(self.disk, seed)

    def insert(self, name: str, first: int, count: int) -> None:
        make = {"orders": order, "people": person, "blobs": blob}[name]
        documents = [make(number, self.source) for number in range(first, first + count)]
        self.client.shop[name].insert_many(documents)
        self.model[name].update({document["_id"]: document for document in documents})

    def raise_totals(self, customer: str) -> None:
        self.client.shop.orders.update_many({"customer": customer}, {"$inc": {"total": 1000}})
        for document in self.model["orders"].values():
            if document["customer"] == customer:
                document["total"] += 1000

    def delete(self, name: str, identity: object) -> None:
        assert self.client.shop[name].delete_one({"_id": identity}).deleted_count == 1
        del self.model[name][identity]

    def state(self) -> State:
        """What a kill would leave now."""
        files = self.disk.files()
        documents = {
            name: [dict(model[key]) for key in sorted(model)] for name, model in self.model.items()
        }
        return State(files, documents)


@functools.cache
def history(seed: int = SEED) -> History:
    """The moments of the database of a seed; of another seed, of another database."""
    moments = History()
    shop = Shop(MemoryDisk(), seed)
    for name, indexes in INDEXES.items():
        for keys in indexes:
            shop.client.shop[name].create_index(keys, unique=keys == [("email", 1)])
    shop.insert("orders", 0, 90)
    shop.insert("people", 0, 30)
    shop.insert("blobs", 0, 10)
    shop.client.close()
    moments.early = shop.state()
    shop.reopen(seed + 1)
    shop.raise_totals("ada")
    shop.insert("orders", 100, 60)
    for customer in ("bob", "ada", "cyd", "bob"):
        shop.client.checkpoint()
        moments.older.append(shop.state().files[PATH])
        shop.raise_totals(customer)
    shop.client.checkpoint()
    for number in range(0, 10, 3):
        shop.delete("blobs", number)
    shop.insert("people", 30, 20)
    shop.client.close()
    moments.clean = shop.state()
    shop.reopen(seed + 2)
    _write_logs(shop, moments)
    return moments


def _write_logs(shop: Shop, moments: History) -> None:
    shop.insert("orders", 200, 5)
    moments.began = shop.state()
    shop.raise_totals("bob")
    shop.insert("blobs", 20, 3)
    moments.half = shop.state()
    for number in range(210, 222, 2):
        shop.insert("orders", number, 2)
    shop.delete("people", "p0003")
    shop.insert("people", 60, 10)
    moments.killed = shop.state()
    shop.client.checkpoint()
    shop.insert("orders", 300, 4)
    shop.insert("blobs", 31, 2)
    moments.rotated = shop.state()
    shop.client.close()


def flipped(data: bytes, bit: int) -> bytes:
    """The data with one bit changed."""
    result = bytearray(data)
    result[bit // 8] ^= 1 << bit % 8
    return bytes(result)


def replaced(data: bytes, offset: int, part: bytes) -> bytes:
    """The data with some bytes replaced."""
    return data[:offset] + part + data[offset + len(part) :]


def page_of(data: bytes, page: int) -> bytes:
    """One page of a database file."""
    return data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]


def disk_of(files: Files) -> MemoryDisk:
    """A disk with these files."""
    return MemoryDisk.holding(files)


def files_of(disk: MemoryDisk) -> Files:
    """The files on a disk."""
    return disk.files()


def connect(disk: MemoryDisk, seed: int = 7, **options: Any) -> AnyClient:
    """The public client on a disk in memory."""
    options = {"page_size_bytes": PAGE_BYTES, "background": False, "reserve_bytes": 0, **options}
    return Client(
        PATH,
        io=MemoryIo(disk),
        clock=TickingClock(),
        randomness=SeededRandomness(seed),
        **options,
    )


def engine_of(client: AnyClient) -> StorageEngine:
    """The storage engine under a client."""
    return client._store.engine
