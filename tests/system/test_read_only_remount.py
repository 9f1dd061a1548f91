"""A file system that becomes read-only under an open database, as ext4 does after an error."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import cbdd
from cbdd.errors import CbddError
from tests.system.capabilities import needs, why_no_tmpfs

pytestmark = [pytest.mark.recovery, needs(why_no_tmpfs())]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(point)], check=True)
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def remount(point: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(point)], check=True)


def test_on_a_read_only_disk_reading_works_without_a_trace(disk: Path) -> None:
    path = disk / "a.cbdd"
    client = cbdd.connect(path, background=False)
    client.shop.things.insert_many([{"_id": n} for n in range(100)])
    copy = {p.name: p.read_bytes() for p in disk.iterdir()}
    client.close()
    for name, data in copy.items():  # as a kill would have left it: with a log
        (disk / name).write_bytes(data)
    remount(disk, "ro")
    with pytest.raises(CbddError) as refused:
        cbdd.connect(path)
    assert refused.value.code == "READ_ONLY"
    with cbdd.connect(path, read_only=True) as reader:
        assert reader.shop.things.count_documents({}) == 100
        assert reader.check().is_clean
        with pytest.raises(CbddError, match="READ_ONLY"):
            reader.shop.things.insert_one({})
    remount(disk, "rw")
    with cbdd.connect(path) as client:
        assert client.shop.things.count_documents({}) == 100
        client.shop.things.insert_one({"_id": 100})


def test_a_handle_outlives_a_disk_that_turns_read_only(disk: Path) -> None:
    """tmpfs refuses to turn while files are open for writing; opening anew is what it can show."""
    path = disk / "a.cbdd"
    with cbdd.connect(path) as client:
        client.shop.things.insert_one({"_id": 1})
    remount(disk, "ro")
    with cbdd.connect(path, read_only=True) as reader:
        assert reader.shop.things.find_one() == {"_id": 1}
    with pytest.raises(CbddError) as refused:
        cbdd.connect(path)
    assert refused.value.code == "READ_ONLY"
    assert "read_only=True" in str(refused.value)
    remount(disk, "rw")
    with cbdd.connect(path) as client:
        client.shop.things.insert_one({"_id": 2})
        assert client.shop.things.count_documents({}) == 2
