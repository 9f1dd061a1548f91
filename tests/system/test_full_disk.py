"""Full disks, tmpfs of several sizes: what helps works, and nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
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


@contextlib.contextmanager
def disk(point: Path, kibibytes: int) -> Iterator[Path]:
    """A tmpfs of so many KiB."""
    point.mkdir()
    options = f"size={kibibytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a tmpfs of so many KiB."""
    with contextlib.ExitStack() as mounted:

        def another(kibibytes: int) -> Path:
            point = tmp_path / f"disk-{len(os.listdir(tmp_path))}"
            return mounted.enter_context(disk(point, kibibytes))

        yield another


def take_all(folder: Path) -> None:
    """Somebody else fills the disk."""
    with open(folder / "other", "wb", buffering=0) as other:
        try:
            while True:
                other.write(bytes(4096))
        except OSError:
            return


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


@pytest.mark.parametrize("has_reader", [False, True], ids=["alone", "reader"])
def test_no_history_on_a_full_disk_keeps_it_from_being_opened(
    tmp_path: Path, has_reader: bool
) -> None:
    """Deletes may use up what is kept for checkpoints; never so that close and open fail."""
    for seed in range(30):
        rng = random.Random(seed)
        with disk(tmp_path / f"disk-{seed}", (1024, 2048, 3072)[seed % 3]) as folder:
            try:
                live_on_a_full_disk(folder / "a.cbdd", rng, has_reader)
            except DiskFullError as error:
                raise AssertionError(f"seed {seed}") from error


def live_on_a_full_disk(path: Path, rng: random.Random, has_reader: bool) -> None:
    """Fill it, remove and change, close; open and close again, three times."""
    small = {"checkpoint_log_bytes": 128 << 10, "cache_size_bytes": 1 << 20}
    reader = None
    with cbdd.connect(path, **small) as client:  # type: ignore[arg-type]
        things = client.shop.things
        things.create_index("k")
        number = 0
        with contextlib.suppress(DiskFullError):
            while True:
                pad = "x" * rng.randrange(10, 3000)
                things.insert_one({"_id": number, "k": number % 7, "pad": pad})
                number += 1
        if has_reader:
            reader = cbdd.connect(path, read_only=True)
            assert reader.shop.things.count_documents({}) == number
        for k in range(rng.randrange(4)):
            for _ in range(rng.randrange(1, 4)):
                with contextlib.suppress(DiskFullError):
                    things.delete_many({"k": k})
                with contextlib.suppress(DiskFullError):
                    things.update_many({"k": 6}, {"$set": {"z": "y" * rng.randrange(300)}})
            if reader is not None and rng.random() < 0.3:
                assert reader.shop.things.count_documents({}) <= number
        left = things.count_documents({})
    for _ in range(3):
        with cbdd.connect(path, **small) as client:  # type: ignore[arg-type]
            assert client.shop.things.count_documents({"k": {"$exists": True}}) == left
            if rng.random() < 0.5:
                with contextlib.suppress(DiskFullError):
                    client.shop.things.insert_one({"pad": "z" * 9000})
    if reader is not None:
        assert reader.shop.things.count_documents({"k": {"$exists": True}}) == left
        reader.close()


def test_an_idle_reader_keeps_nobody_from_opening(mount: Mount) -> None:
    """It has what the last process to close removes open, and there is no other space."""
    folder = mount(4096)
    path = folder / "a.cbdd"
    with cbdd.connect(path, reserve_bytes=0) as client:
        things = client.shop.things
        things.insert_many([{"_id": n, "pad": "x" * 300} for n in range(1000)])
        client.checkpoint()
        things.delete_many({"_id": {"$gte": 10}})  # the file has free pages from now on
    client = cbdd.connect(path, reserve_bytes=0)
    client.shop.things.update_one({"_id": 1}, {"$set": {"pad": "y"}})
    with cbdd.connect(path, read_only=True) as reader:
        assert reader.shop.things.count_documents({}) == 10
        take_all(folder)
        client.close()
        with cbdd.connect(path, reserve_bytes=0) as again:
            assert again.shop.things.find_one(1) == {"_id": 1, "pad": "y"}
        assert reader.shop.things.count_documents({}) == 10


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_somebody_else_may_fill_the_disk(mount: Mount, is_open: bool) -> None:
    folder = mount(4096)
    path = folder / "a.cbdd"

    client = cbdd.connect(path, page_size_bytes=4096)
    documents = [{"_id": n, "kind": n % 5, **DOCUMENT} for n in range(500)]
    client.shop.things.insert_many(documents)
    if not is_open:
        client.close()
    take_all(folder)
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
