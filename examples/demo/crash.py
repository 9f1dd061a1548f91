"""A second process writes and is killed with SIGKILL; what it was told is durable must be there.

The writer commits transactions, one after another, and reports each on its standard output only
after the commit has returned. A transaction inserts an entry in `ledger` and raises the counter in
`accounts`, so half a transaction would show. It dies in one of two ways: killed from outside at a
random moment, or, to be in the middle of a commit for certain, by its own hand inside the write of
a log frame, after the first half of the frame.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from typing import Any

import cbdd
from cbdd.storage import Io

DEADLINE_SECONDS = 60.0
FRAMES_BEFORE_TORN = 150
SMALLEST_FRAME_BYTES = 64


class DyingIo(Io):
    """A disk whose process is killed halfway through a write to the log."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left = FRAMES_BEFORE_TORN
        self.log_files: set[int] = set()

    def open(self, path: str, create: bool, read_only: bool) -> int:
        """Open a file and remember those of the log."""
        fd = super().open(path, create, read_only)
        if "-wal-" in path:
            self.log_files.add(fd)
        return fd

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write, and once die in the middle of it."""
        if fd in self.log_files and len(data) > SMALLEST_FRAME_BYTES:
            self.writes_left -= 1
            if self.writes_left <= 0:
                super().pwrite(fd, data[: len(data) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
        return super().pwrite(fd, data, offset)


def write_forever(path: str, dies_inside: bool) -> None:
    """Be the writer: commit, report, until killed."""
    client: Any = cbdd.Client(path, io=DyingIo() if dies_inside else None, must_exist=True)
    database = client.get_default_database()
    ledger, accounts = database.ledger, database.accounts
    number = accounts.find_one({"_id": "total"})["entries"]

    def transaction(session: Any) -> None:
        entry = {"_id": number, "group": number % 7, "text": f"entry {number}"}
        ledger.insert_one(entry, session=session)
        accounts.update_one({"_id": "total"}, {"$inc": {"entries": 1}}, session=session)

    with client.start_session() as session:
        while True:
            number += 1
            session.with_transaction(transaction)
            os.write(1, b"%d\n" % number)


class Round:
    """One life of the writer: what it acknowledged before it was killed."""

    def __init__(self, path: str, dies_inside: bool, source: random.Random) -> None:
        self.how = "inside the write of a commit" if dies_inside else "at a random moment"
        self.acknowledged: list[int] = []
        command = [sys.executable, os.path.abspath(__file__), path, str(int(dies_inside))]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            try:
                self._follow(writer, writer.stdout.fileno(), None if dies_inside else source)
            finally:
                writer.kill()
            self.signal = -writer.wait()

    def _follow(self, writer: Any, pipe: int, source: random.Random | None) -> None:
        """Read acknowledgements; with `source`, kill the writer some time after the first one."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        kill_at: float | None = None
        text = b""
        while time.monotonic() < deadline:
            if select.select([pipe], [], [], 0.002)[0]:
                more = os.read(pipe, 1 << 16)
                if not more:
                    break
                text += more
            if source is not None and text and kill_at is None:
                kill_at = time.monotonic() + source.uniform(0.1, 0.6)
            if kill_at is not None and time.monotonic() >= kill_at:
                writer.send_signal(signal.SIGKILL)
                kill_at = deadline
        whole = text[: text.rfind(b"\n") + 1]
        self.acknowledged = [int(line) for line in whole.split()]


if __name__ == "__main__":
    write_forever(sys.argv[1], sys.argv[2] == "1")
