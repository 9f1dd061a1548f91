"""A process that writes to a real file, says what was acknowledged, and kills itself.

Run as ``python -m tests.damage.victim FILE``.
"""

from __future__ import annotations

import os
import signal
import sys

import cbdd

CLOSED_DOCUMENTS = 40
COMMITS = 12


def document(number: int) -> dict[str, object]:
    return {"_id": number, "name": f"item {number}", "qty": number % 5, "bytes": bytes(number * 9)}


def main(path: str) -> None:
    with cbdd.connect(path, background=False, page_size_bytes=4096) as client:
        client.shop.items.create_index([("qty", 1), ("name", -1)])
        client.shop.items.insert_many([document(number) for number in range(CLOSED_DOCUMENTS)])
    client = cbdd.connect(path, background=False)
    for number in range(CLOSED_DOCUMENTS, CLOSED_DOCUMENTS + COMMITS):
        client.shop.items.insert_one(document(number))
        print(number, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
