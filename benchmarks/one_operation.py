"""Do one operation so many times, for whoever counts instructions: `python one_operation.py OP N`.

The file is made and filled in the same way whatever the operation, so what N operations cost is the
difference to none. It ends without closing, which would cost, too.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Final

import cbdd

DOCUMENTS: Final = 1000
Table = cbdd.Collection[dict[str, Any]]


def document(number: int) -> dict[str, Any]:
    """About 200 bytes of BSON."""
    return {
        "_id": number,
        "key": f"{number * 7919 % 1_000_003:016x}",
        "rank": number * 7 % DOCUMENTS,
        "score": number * 13 % DOCUMENTS / DOCUMENTS,
        "n": 0,
        "name": f"name {number:06d}",
        "tags": ["amber", "birch", "coral"],
        "address": {"city": f"city {number % 50}", "zip": number},
    }


KEYS: Final = [document(number)["key"] for number in range(DOCUMENTS)]
OPERATIONS: Final[dict[str, Callable[[Table, int], object]]] = {
    "get by _id": lambda table, n: table.find_one({"_id": n}),
    "get by unique index": lambda table, n: table.find_one({"key": KEYS[n]}),
    "range of 100": lambda table, n: list(table.find({"rank": {"$gte": n, "$lt": n + 100}})),
    "scan selecting 1 %": lambda table, n: list(table.find({"score": {"$gt": 0.99}})),
    "read all": lambda table, n: list(table.find()),
    "count a range": lambda table, n: table.count_documents({"rank": {"$gte": 10, "$lt": 900}}),
    "insert one": lambda table, n: table.insert_one(document(DOCUMENTS + n)),
    "insert many (100)": lambda table, n: table.insert_many(
        [document(DOCUMENTS + 100 * n + each) for each in range(100)]
    ),
    "$inc by _id": lambda table, n: table.update_one({"_id": n}, {"$inc": {"n": 1}}),
    "delete by _id": lambda table, n: table.delete_one({"_id": n}),
}


def main(name: str, times: int) -> None:
    """Fill a file and do it."""
    path = os.path.join(tempfile.mkdtemp(prefix="operation-"), "a.cbdd")
    client: cbdd.Client[dict[str, Any]] = cbdd.connect(
        path, durability="off", background=False, flight_recorder=False
    )
    table = client["bench"]["documents"]
    table.create_index("key", unique=True)
    table.create_index("rank")
    table.insert_many([document(number) for number in range(DOCUMENTS)])
    client.checkpoint()
    work = OPERATIONS[name]
    for number in range(times):
        work(table, number)
    for entry in os.listdir(os.path.dirname(path)):
        os.unlink(os.path.join(os.path.dirname(path), entry))
    os.rmdir(os.path.dirname(path))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
