"""A full disk: deleting and looking still work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cbdd.client.collection_writes import _delete_in_pieces
from cbdd.errors import DiskFullError

PROGRAM = """
import resource, signal, sys
import cbdd

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, limit = sys.argv[1], int(sys.argv[2])
client = cbdd.connect(path)
things = client.shop.things
things.create_index("n")
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
number = 0
try:
    while True:
        things.insert_many([{"n": number + i, "pad": "x" * 200} for i in range(20)])
        number += 20
except cbdd.DiskFullError as error:
    assert error.code == "DISK_FULL", error
assert number and things.count_documents({}) == number
with client.start_session() as session, session.start_transaction():
    session.abort_transaction()
assert things.delete_one({"n": 0}).deleted_count == 1
wanted = {"n": {"$mod": [3, 1]}}
gone = things.count_documents(wanted)
assert things.delete_many(wanted).deleted_count == gone
assert client.check().is_clean
things.delete_many({"n": {"$lt": number // 2}})
things.insert_one({"n": -1})
left = things.count_documents({})
assert things.delete_many({}).deleted_count == left
things.insert_many([{"n": i, "pad": "x" * 200} for i in range(number // 4)])
client.close()
with cbdd.connect(path) as client:
    assert client.shop.things.count_documents({}) == number // 4
    assert client.check().is_clean
print(number)
"""


@pytest.mark.parametrize("limit", [1 << 20, 3 << 20])
def test_a_file_size_limit_is_lived_with(tmp_path: Path, limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.cbdd"), str(limit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


WITHOUT_TAIL = """
import os, resource, signal, sys
import cbdd

path = sys.argv[1]
with cbdd.connect(path, reserve_bytes=0) as client:
    things = client.shop.things
    things.insert_many([{"_id": i, "pad": "x" * 500} for i in range(2000)])
    client.checkpoint()
    things.delete_many({"_id": {"$gte": 10, "$lt": 1990}})
    client.checkpoint()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = os.path.getsize(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
with cbdd.connect(path) as client:
    assert client.statistics()["free_pages"] > 100, client.statistics()
    assert client.shop.things.delete_many({"_id": 3}).deleted_count == 1
    client.checkpoint()
    assert client.shop.things.delete_many({}).deleted_count == 19
    assert client.check().is_clean
"""


def test_a_file_at_its_limit_without_a_tail_can_still_be_deleted_from(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TAIL, str(tmp_path / "a.cbdd")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_deletes_that_end_half_way_say_how_many_were_made() -> None:
    left = [600]

    def delete(most: int) -> int:
        if left[0] <= 400:
            raise DiskFullError("DISK_FULL", "nothing was changed", "", {"path": "a"})
        left[0] -= 200
        return most

    with pytest.raises(DiskFullError, match="256 documents were deleted") as raised:
        _delete_in_pieces(delete)
    assert raised.value.details == {"path": "a", "deleted": 256}
    with pytest.raises(DiskFullError, match="nothing was changed"):
        _delete_in_pieces(delete)
