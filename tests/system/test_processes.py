"""Forks, replaced files, closed descriptors, clocks, and processes that end without closing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import cbdd
from cbdd.errors import CbddError, ForkedError, ReplacedFileError
from cbdd.storage.io import Clock
from cbdd.testing import MemoryDisk, MemoryIo
from tests.soak.ledger import run

pytestmark = pytest.mark.recovery


def python(program: str, *arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


# -- forks ---------------------------------------------------------------------------------------


def test_a_forked_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")
    client = cbdd.connect(path)
    client.a.b.insert_one({"_id": 1})

    def use(say: Callable[[str], None]) -> None:
        for act in (
            lambda: client.a.b.find_one(),
            lambda: client.a.b.insert_one({}),
            lambda: client.checkpoint(),
        ):
            with pytest.raises(ForkedError):
                act()
        client.close()
        with cbdd.connect(path) as own:
            own.a.b.insert_one({"_id": 2})
        say("done")

    assert run(use) == ["done"]
    client.a.b.insert_one({"_id": 3})
    assert {d["_id"] for d in client.a.b.find()} == {1, 2, 3}
    # The child has not released the parent's locks: nobody else thinks he is alone.
    assert python(
        "import sys, cbdd\nc = cbdd.connect(sys.argv[1])\nprint(c.recovery_report.was_clean,"
        " c.a.b.count_documents({}))\nc.close()",
        path,
    ).split() == ["True", "3"]
    client.a.b.insert_one({"_id": 4})
    client.close()


def test_a_fork_in_the_middle_of_writing_threads_harms_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cbdd")
    client = cbdd.connect(path)
    done = threading.Event()
    written: list[int] = []

    def write(first: int) -> None:
        number = first
        while not done.is_set():
            client.a.b.insert_one({"_id": number})
            written.append(number)
            number += 1

    threads = [threading.Thread(target=write, args=(n * 1_000_000,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert run(lambda say: say("child")) == ["child"]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert client.a.b.count_documents({}) == len(written)
    client.close()
    with cbdd.connect(path) as again:
        assert {d["_id"] for d in again.a.b.find()} == set(written)


# -- files that are changed under an open database -----------------------------------------------


@pytest.mark.parametrize("what", ["unlinked", "renamed", "replaced"])
def test_a_file_that_is_gone_is_noticed_before_the_next_write(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.cbdd"
    client = cbdd.connect(path)
    client.a.b.insert_one({"_id": 1})
    copy = tmp_path / "copy"
    shutil.copyfile(path, copy)
    if what == "unlinked":
        path.unlink()
    elif what == "renamed":
        path.rename(tmp_path / "elsewhere")
    else:
        os.replace(copy, path)
    with pytest.raises(ReplacedFileError):
        client.a.b.insert_one({"_id": 2})
    assert client.a.b.find_one() == {"_id": 1}
    if what == "renamed":
        (tmp_path / "elsewhere").rename(path)
        client.a.b.insert_one({"_id": 2})
        assert client.a.b.count_documents({}) == 2
    client.close()


def test_a_log_that_is_unlinked_while_open_is_never_silent(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    client = cbdd.connect(path)
    client.a.b.insert_one({"_id": 1})
    for log in tmp_path.glob("a.cbdd-wal-*"):
        log.unlink()
    acknowledged = [1]
    try:
        client.a.b.insert_one({"_id": 2})
        acknowledged.append(2)
    except CbddError:
        pass
    try:
        client.close()
        with cbdd.connect(path) as again:
            found = [d["_id"] for d in again.a.b.find()]
    except CbddError as error:
        assert error.code
    else:
        assert set(acknowledged) <= set(found)


def test_a_shared_state_that_is_unlinked_does_not_split_the_world(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.cbdd"
    client = cbdd.connect(path)
    client.a.b.insert_one({"_id": 1})
    (tmp_path / "a.cbdd-shm").unlink()

    def join(say: Callable[[str], None]) -> None:
        try:
            with cbdd.connect(path, lock_timeout_seconds=1) as other:
                other.a.b.insert_one({"_id": 2})
                say("joined")
        except CbddError as error:
            say(error.code)

    said = run(join)[0]
    try:
        client.a.b.insert_one({"_id": 3})
        ours = {1, 3}
    except CbddError:
        ours = {1}
    client.close()
    with cbdd.connect(path) as again:
        found = {d["_id"] for d in again.a.b.find()}
        assert again.check().is_clean
    assert ours | ({2} if said == "joined" else set()) <= found, said


def test_links_lead_to_one_file_or_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cbdd"
    with cbdd.connect(path) as client:
        client.a.b.insert_one({"_id": 1})
    (tmp_path / "soft").symlink_to(path)
    with cbdd.connect(tmp_path / "soft") as soft, cbdd.connect(path) as client:
        soft.a.b.insert_one({"_id": 2})
        assert client.a.b.count_documents({}) == 2
    assert sorted(os.listdir(tmp_path)) == ["a.cbdd", "a.cbdd-events", "soft"]
    os.link(path, tmp_path / "hard")
    with pytest.raises(CbddError, match="HARD_LINKED"):
        cbdd.connect(tmp_path / "hard")


# -- descriptors ---------------------------------------------------------------------------------


def test_with_standard_descriptors_closed_nothing_printed_reaches_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.cbdd"
    python(
        """
        import os, sys
        for fd in (0, 1, 2):
            os.close(fd)
        import cbdd
        client = cbdd.connect(sys.argv[1])
        client.a.b.insert_one({"_id": 1})
        for fd in (0, 1, 2):
            try:
                os.write(fd, b"garbage for a terminal" * 100)
            except OSError:
                pass
        client.a.b.insert_one({"_id": 2})
        client.checkpoint()
        client.close()
        os._exit(0)
        """,
        path,
    )
    with cbdd.connect(path) as client:
        assert client.a.b.count_documents({}) == 2
        assert client.check().is_clean


# -- ends without closing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("raise RuntimeError('end')", 1),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.abort()", -6),
        ("threading.Thread(target=write, daemon=True).start(); time.sleep(0.05)", 0),
    ],
)
def test_a_process_that_ends_anyhow_leaves_what_was_acknowledged(
    tmp_path: Path, end: str, code: int
) -> None:
    path = tmp_path / "a.cbdd"
    program = f"""
import os, sys, threading, time
import cbdd
client = cbdd.connect(sys.argv[1])
def write():
    number = 10
    while True:
        client.a.b.insert_one({{"_id": number}})
        number += 1
for number in range(5):
    client.a.b.insert_one({{"_id": number}})
{end}
"""
    python(program, path, code=code)
    with cbdd.connect(path) as client:
        found = sorted(d["_id"] for d in client.a.b.find())
        assert found[:5] == list(range(5))
        assert found[5:] == list(range(10, 10 + len(found) - 5))
        assert client.check().is_clean


# -- clocks --------------------------------------------------------------------------------------


class JumpingClock(Clock):
    """A wall clock that somebody sets."""

    def __init__(self) -> None:
        self.offset_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.offset_us


@pytest.mark.parametrize("days", [-4000, -1, 1, 4000, 200_000])
def test_order_does_not_depend_on_the_wall_clock(days: int) -> None:
    clock = JumpingClock()
    disk = MemoryDisk()

    def connect(pid: int) -> cbdd.Client[dict[str, object]]:
        return cbdd.Client("/db/a.cbdd", io=MemoryIo(disk, pid), clock=clock, background=False)

    client = connect(1)
    for number in range(10):
        client.a.b.replace_one({"_id": 1}, {"_id": 1, "n": number}, upsert=True)
        clock.offset_us += days * 86_400_000_000 // 10
    disk = disk.image()  # a kill
    again = connect(2)
    assert again.a.b.find_one() == {"_id": 1, "n": 9}
    again.a.b.insert_one({"_id": 2})
    again.checkpoint()
    clock.offset_us = 0
    again.a.b.insert_one({"_id": 3})
    again.close()
    last = connect(3)
    assert last.a.b.count_documents({}) == 3
    assert last.check().is_clean
    last.close()
    client.close()
