"""Full disks, tmpfs of several sizes: what helps works, and nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cbdd
from cbdd.errors import CbddError, DiskFullError
from tests.soak.ledger import Child, run
from tests.soak.schema import run_schema
from tests.system.capabilities import needs, why_no_tmpfs

pytestmark = [pytest.mark.recovery, needs(why_no_tmpfs())]
Mount = Callable[[int], Path]
DOCUMENT = {"pad": "x" * 300}


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a tmpfs of so many KiB."""
    points: list[Path] = []

    def mounted(kibibytes: int) -> Path:
        point = tmp_path / f"disk-{len(points)}"
        point.mkdir()
        options = f"size={kibibytes}k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)], check=True)
        points.append(point)
        return point

    yield mounted
    for point in points:
        subprocess.run(["umount", "-l", str(point)], check=True)


def fill(client: cbdd.Client[dict[str, object]], first: int) -> int:
    """Insert until the disk is full; returns the first number that is not there."""
    while True:
        try:
            client.shop.things.insert_one({"_id": first, "kind": first % 5, **DOCUMENT})
        except DiskFullError:
            return first
        first += 1


@pytest.mark.parametrize("kibibytes", [64, 96])
def test_a_disk_too_small_for_an_empty_file_gets_none(mount: Mount, kibibytes: int) -> None:
    folder = mount(kibibytes)
    try:
        with cbdd.connect(folder / "a.cbdd") as client:
            client.shop.things.insert_one(dict(DOCUMENT))
        raise AssertionError("it fits")
    except CbddError as error:
        assert error.code == "DISK_FULL"
    rest = [name for name in os.listdir(folder) if "new" in name]
    assert rest == []


def test_processes_that_are_killed_on_a_full_disk_can_be_started_again(mount: Mount) -> None:
    counts = run_schema(str(mount(3072) / "a.cbdd"), 14, 6)
    assert counts["full"]
    assert counts["kills"] > 5
    assert counts["done"] > 50
    assert counts["read"]


@pytest.mark.parametrize("kibibytes", [1024, 2048, 4096])
def test_what_helps_on_a_full_disk_works(mount: Mount, kibibytes: int) -> None:
    path = mount(kibibytes) / "a.cbdd"
    with cbdd.connect(path, page_size_bytes=4096) as client:
        things = client.shop.things
        things.create_index("kind")
        end = fill(client, 0)
        assert end > 20
        assert things.count_documents({}) == end
        client.checkpoint()
        assert client.check().is_clean
        assert client.statistics()["lsn"]
        assert things.delete_one({"_id": 0}).deleted_count == 1
        gone = things.delete_many({"kind": 3}).deleted_count
        assert gone == len([n for n in range(1, end) if n % 5 == 3])
        client.checkpoint()
    for command in ("check", "info", "stats"):
        done = subprocess.run(
            [sys.executable, "-m", "cbdd.cli", command, str(path), "--json"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
    with cbdd.connect(path) as client:
        things = client.shop.things
        left = {n for n in range(1, end) if n % 5 != 3}
        assert {d["_id"] for d in things.find()} == left
        assert things.delete_many({}).deleted_count == len(left)
        assert fill(client, 0) > 20
        assert client.check().is_clean


@pytest.mark.parametrize("kibibytes", [1024, 3072])
def test_a_killed_process_leaves_a_full_disk_that_recovers(mount: Mount, kibibytes: int) -> None:
    path = mount(kibibytes) / "a.cbdd"

    def write(say: Callable[[str], None]) -> None:
        with cbdd.connect(path, page_size_bytes=4096) as client:
            say(str(fill(client, 0)))
            os.kill(os.getpid(), signal.SIGKILL)

    end = int(Child(write).join()[-1])
    with cbdd.connect(path) as client:
        assert not client.recovery_report.was_clean
        assert client.shop.things.count_documents({}) == end
        assert client.check().is_clean
        assert client.shop.things.delete_many({"kind": 1}).deleted_count > 3


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_somebody_else_may_fill_the_disk(mount: Mount, is_open: bool) -> None:
    folder = mount(4096)
    path = folder / "a.cbdd"

    def take_all() -> None:
        with open(folder / "other", "wb", buffering=0) as other:
            try:
                while True:
                    other.write(bytes(4096))
            except OSError:
                return

    client = cbdd.connect(path, page_size_bytes=4096)
    documents = [{"_id": n, "kind": n % 5, **DOCUMENT} for n in range(500)]
    client.shop.things.insert_many(documents)
    if not is_open:
        client.close()
    take_all()
    if not is_open:
        client = cbdd.connect(path)
    things = client.shop.things
    assert things.count_documents({}) == 500
    assert client.check().is_clean
    assert things.delete_many({"kind": 2}).deleted_count == 100
    client.checkpoint()
    client.close()
    (folder / "other").unlink()
    with cbdd.connect(path) as client:
        client.shop.things.insert_many(documents=[dict(DOCUMENT) for _ in range(500)])
        assert client.shop.things.count_documents({}) == 900
        assert client.check().is_clean


def test_a_full_disk_is_an_answer_not_a_traceback(mount: Mount) -> None:
    folder = mount(1024)
    source = folder.parent / "rows.jsonl"
    source.write_text("".join(json.dumps({"n": n, **DOCUMENT}) + "\n" for n in range(10_000)))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cbdd.cli",
            "import",
            str(folder / "a.cbdd"),
            "rows",
            str(source),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode not in (0, 1), done.stdout
    assert "DISK_FULL" in done.stderr
    assert "Traceback" not in done.stderr
    run(lambda say: say("still here"))
