"""Make the files of tests/format with the release that is installed here.

    python -m scripts.release.kept_files FOLDER

    clean.zip      a database that was closed
    logged.zip     one that was not: two meta pages of different checkpoints, and a log behind them
    expected.json  what must be found in them, see `contents.py`

The documents are the same in every release: all types of BSON, each kind of index, a capped
collection, validators, documents larger than a page. Nothing in them expires.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from scripts.release.contents import describe

import cbdd
from cbdd.storage.version import VERSION

ORDERS: Final = 120
LARGE_BYTES: Final = (9_000, 70_000, 300_000)
_FAR: Final = datetime(2999, 1, 31, 12, 0, 0, 250_000, UTC)
_NAME: Final = "kept.cbdd"
_WHEN: Final = (2026, 1, 1, 0, 0, 0)  # of members: the same files give the same archive
_SCHEMA: Final = {"bsonType": "object", "required": ["name"], "properties": {"age": {"minimum": 0}}}


def values() -> Iterator[tuple[str, Any]]:
    """One value and more of each type."""
    yield "double", 1.5
    yield "whole double", 2.0
    yield "negative zero", -0.0
    yield "infinity", float("inf")
    yield "not a number", float("nan")
    yield "string", "käse \u2603 \U0001f600"
    yield "string with a zero", "a\0b"
    yield "empty string", ""
    yield "document", {"b": 1, "a": {"c": [1, {"d": None}]}}
    yield "empty document", {}
    yield "array", [1, "a", [2, []], {"x": 3}]
    yield "empty array", []
    yield "binary", b"\x00\xff" * 8
    yield "user binary", Binary(b"cbdd", 128)
    yield "md5 binary", Binary(bytes(16), 5)
    yield "uuid", Binary.from_uuid(UUID("12345678-1234-5678-1234-567812345678"))
    yield "object id", ObjectId("65f0c0ffee00000000000001")
    yield "true", True
    yield "false", False
    yield "date", datetime(2026, 1, 31, 23, 59, 59, 999_000, UTC)
    yield "early date", datetime(1, 1, 1, tzinfo=UTC)
    yield "null", None
    yield "regex", Regex("^a.*b$", "imx")
    yield "reference", DBRef("orders", 7, "shop")
    yield "code", Code("function () { return 1; }")
    yield "code with scope", Code("return x", {"x": 1})
    yield "int32", -(2**31)
    yield "timestamp", Timestamp(1_700_000_000, 42)
    yield "int64", Int64(2**63 - 1)
    yield "small int64", Int64(5)
    yield "decimal", Decimal128("9.99999999999999999999999999999999E+6144")
    yield "decimal with zeros", Decimal128("1.50")
    yield "decimal not a number", Decimal128("NaN")
    yield "least", MinKey()
    yield "greatest", MaxKey()


def fill(client: cbdd.Client[Any]) -> None:
    """The first part, which is in a checkpoint."""
    shop = client["shop"]
    types = shop["types"]
    types.insert_many([{"_id": name, "value": value} for name, value in values()])
    types.create_index("value")
    orders = shop["orders"]
    orders.create_index("number", unique=True)
    orders.create_index([("customer", 1), ("total", -1)])
    orders.create_index("tags")
    orders.create_index("total", name="paid", partialFilterExpression={"is_paid": True})
    orders.create_index("coupon", sparse=True)
    orders.create_index([("region", "hashed")])
    orders.create_index([("attributes.$**", 1)])
    orders.create_index("expires", expireAfterSeconds=3600)
    orders.create_index("note", hidden=True)
    orders.insert_many([order(number) for number in range(ORDERS)])
    newest = shop.create_collection("newest", capped=True, size=8192, max=20)
    newest.insert_many([{"_id": number, "text": "x" * number} for number in range(50)])
    people = shop.create_collection("people", validator={"$jsonSchema": _SCHEMA})
    people.insert_many([{"_id": 1, "name": "ada", "age": 36}, {"_id": 2, "name": "bob"}])
    shop.create_collection(
        "stock",
        validator={"amount": {"$gte": 0}},
        validationLevel="moderate",
        validationAction="error",
    ).insert_one({"_id": "tea", "amount": 3})
    large = client["archive"]["large"]
    large.insert_many([{"_id": size, "text": "0123456789" * (size // 10)} for size in LARGE_BYTES])
    shop.create_collection("empty")
    shop["gone"].insert_many([{"_id": number} for number in range(300)])
    shop.drop_collection("gone")


def order(number: int) -> dict[str, Any]:
    """One order; the same number gives the same order."""
    made: dict[str, Any] = {
        "_id": number,
        "number": Int64(number) if number % 3 else number,
        "customer": ("ada", "bob", "eve")[number % 3],
        "total": (number, float(number), Decimal128(f"{number}.50"))[number % 3],
        "tags": ["a", "b", "c", number][number % 4 :],
        "is_paid": number % 2 == 0,
        "region": ("north", "south")[number % 2],
        "attributes": {"size": number % 7, "color": {"name": ("red", "blue")[number % 2]}},
        "note": f"order {number}",
    }
    if number % 5 == 0:
        made["coupon"] = f"{chr(97 + number % 7)}-{number}"
    if number % 10 == 0:
        made["expires"] = _FAR
    return made


def change(client: cbdd.Client[Any], start: int) -> None:
    """A later part: inserts, updates, deletes, a transaction, an index; different by ``start``."""
    orders = client["shop"]["orders"]
    orders.insert_many([order(number) for number in range(start, start + 20)])
    orders.update_many({"customer": "bob"}, {"$inc": {"total": 1}, "$push": {"tags": "d"}})
    orders.delete_many({"number": {"$gte": start + 15}})
    client["archive"]["large"].insert_one({"_id": f"from {start}", "text": "ab" * 20_000})
    client["shop"]["newest"].insert_one({"_id": start, "text": "late"})
    with client.start_session() as session, session.start_transaction():
        orders.update_one({"_id": 1}, {"$set": {"seen": start}}, session=session)
        client["shop"]["stock"].update_one({"_id": "tea"}, {"$inc": {"amount": 1}}, session=session)
    client["shop"]["people"].create_index(f"from{start}")


def write_clean(folder: Path) -> None:
    """A database that was closed; its two meta pages name the same trees."""
    with cbdd.connect(folder / _NAME) as client:
        fill(client)
        change(client, 1000)
    (folder / f"{_NAME}-events").unlink(missing_ok=True)


def write_logged(folder: Path) -> None:
    """A database as a crash leaves it: two checkpoints, and commits that are only in the log."""
    working = folder / "working"
    working.mkdir()
    with cbdd.connect(working / _NAME) as client:
        fill(client)
        client.checkpoint()
        change(client, 1000)
        client.checkpoint()
        change(client, 2000)
        for path in sorted(working.iterdir()):
            if not path.name.endswith(("-shm", "-events")):
                (folder / path.name).write_bytes(path.read_bytes())
    for path in working.iterdir():
        path.unlink()
    working.rmdir()


def pack(folder: Path, target: Path) -> None:
    """Every file of a folder into one archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.iterdir()):
            member = zipfile.ZipInfo(path.name, _WHEN)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, path.read_bytes(), compresslevel=9)


def unpack(source: Path, folder: Path) -> Path:
    """The files of an archive; returns the path of the database."""
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder)
    return folder / _NAME


def described(source: Path, folder: Path) -> dict[str, object]:
    """What is in a copy of a packed database, and how it had to be opened."""
    path = unpack(source, folder)
    with cbdd.connect(path) as client:
        facts = client.statistics()
        opening = client.recovery_report
        return {
            "min_reader": facts["min_reader"],
            "min_writer": facts["min_writer"],
            "commits_redone": opening.commits_redone,
            "findings": [finding.code for finding in opening.findings],
            **describe(client),
        }


def main(folder: Path) -> int:
    """Make the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, object] = {}
    for name, write in (("clean", write_clean), ("logged", write_logged)):
        with tempfile.TemporaryDirectory() as written, tempfile.TemporaryDirectory() as read:
            write(Path(written))
            pack(Path(written), folder / f"{name}.zip")
            files[name] = described(folder / f"{name}.zip", Path(read))
    expected = {"version": VERSION, "files": files}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
