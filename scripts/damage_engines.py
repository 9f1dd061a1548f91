"""The same commits in CBDD, SQLite, LMDB and RocksDB, and what each says after a fault.

Run as a program it is one step in a process of its own, since some engines die of damage:

    python scripts/damage_engines.py make ENGINE FOLDER [other]   commits, synced; then SIGKILL
    python scripts/damage_engines.py judge ENGINE FOLDER  prints one word and the evidence

The database has CLOSED rows written and closed, then LOGGED more, one commit each, all synced and
acknowledged, and then the process is killed.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

CLOSED, LOGGED = 60, 10
OTHER = 1_000_000 if "other" in sys.argv else 0  # another database has other values


def value_of(number: int) -> bytes:
    """The value of a row; half of them fill more than a page."""
    return random.Random(number + OTHER).randbytes(5000 if number % 2 else 300)


def expected() -> dict[int, bytes]:
    """Every acknowledged row."""
    return {number: value_of(number) for number in range(CLOSED + LOGGED)}


class Engine:
    """One engine: where its files are, how to write, how to read all."""

    name = ""
    module = ""
    has_log = True

    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    def main_file(self, folder: Path) -> Path:
        raise NotImplementedError

    def log_file(self, folder: Path) -> Path | None:
        raise NotImplementedError

    def make(self, folder: Path) -> None:
        """Write CLOSED rows and close, then LOGGED commits; the caller kills the process."""
        raise NotImplementedError

    def read(self, folder: Path) -> tuple[dict[int, bytes], list[str]]:
        """All rows, and what the engine's own check or report says; raises what it raises."""
        raise NotImplementedError


class Cbdd(Engine):
    name, module = "CBDD", "cbdd"

    def main_file(self, folder: Path) -> Path:
        return folder / "a.cbdd"

    def log_file(self, folder: Path) -> Path | None:
        logs = sorted(folder.glob("a.cbdd-wal-*"))
        return logs[-1] if logs else None

    def make(self, folder: Path) -> None:
        import cbdd

        path = self.main_file(folder)
        with cbdd.connect(path, reserve_bytes=0) as client:
            rows = [{"_id": n, "v": value_of(n)} for n in range(CLOSED)]
            client.a.rows.insert_many(rows)
        client = cbdd.connect(path, reserve_bytes=0)
        for number in range(CLOSED, CLOSED + LOGGED):
            client.a.rows.insert_one({"_id": number, "v": value_of(number)})
        self._client: Any = client

    def read(self, folder: Path) -> tuple[dict[int, bytes], list[str]]:
        import cbdd

        with cbdd.connect(self.main_file(folder)) as client:
            rows = {row["_id"]: row["v"] for row in client.a.rows.find()}
            said = [finding.code for finding in client.recovery_report.findings]
            said += [problem.code for problem in client.check().problems]
        return rows, said


class Sqlite(Engine):
    name, module = "sqlite3", "sqlite3"

    def main_file(self, folder: Path) -> Path:
        return folder / "a.db"

    def log_file(self, folder: Path) -> Path | None:
        return folder / "a.db-wal"

    def make(self, folder: Path) -> None:
        db = sqlite3.connect(self.main_file(folder), isolation_level=None)
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("create table rows (id integer primary key, v blob)")
        rows = [(n, value_of(n)) for n in range(CLOSED)]
        db.execute("begin")
        db.executemany("insert into rows values (?, ?)", rows)
        db.execute("commit")
        db.close()
        db = sqlite3.connect(self.main_file(folder), isolation_level=None)
        db.execute("pragma synchronous=full")
        for number in range(CLOSED, CLOSED + LOGGED):
            db.execute("insert into rows values (?, ?)", (number, value_of(number)))
        self._db = db

    def read(self, folder: Path) -> tuple[dict[int, bytes], list[str]]:
        db = sqlite3.connect(self.main_file(folder))
        has_table = db.execute("select count(*) from sqlite_master").fetchone()[0]
        rows = dict(db.execute("select id, v from rows")) if has_table else {}
        said = [row[0] for row in db.execute("pragma integrity_check") if row[0] != "ok"]
        return rows, said


class Lmdb(Engine):
    name, module, has_log = "lmdb", "lmdb", False

    def main_file(self, folder: Path) -> Path:
        return folder / "data.mdb"

    def log_file(self, folder: Path) -> Path | None:
        return None

    def make(self, folder: Path) -> None:
        import lmdb

        env = lmdb.open(str(folder), map_size=1 << 24)
        with env.begin(write=True) as txn:
            for number in range(CLOSED):
                txn.put(b"%06d" % number, value_of(number))
        env.close()
        env = lmdb.open(str(folder), map_size=1 << 24)
        for number in range(CLOSED, CLOSED + LOGGED):
            with env.begin(write=True) as txn:
                txn.put(b"%06d" % number, value_of(number))
        self._env = env

    def read(self, folder: Path) -> tuple[dict[int, bytes], list[str]]:
        import lmdb

        env = lmdb.open(str(folder), map_size=1 << 24)
        with env.begin() as txn:
            return {int(key): bytes(value) for key, value in txn.cursor()}, []


class Rocksdict(Engine):
    name, module = "rocksdict", "rocksdict"

    def main_file(self, folder: Path) -> Path:
        tables = sorted((folder / "db").glob("*.sst"))
        return tables[-1] if tables else folder / "db" / "none.sst"

    def log_file(self, folder: Path) -> Path | None:
        logs = sorted((folder / "db").glob("*.log"))
        return logs[-1] if logs else None

    def make(self, folder: Path) -> None:
        from rocksdict import Options, Rdict, WriteOptions

        db = Rdict(str(folder / "db"), Options(raw_mode=True))
        for number in range(CLOSED):
            db[b"%06d" % number] = value_of(number)
        db.flush()
        db.close()
        db = Rdict(str(folder / "db"), Options(raw_mode=True))
        synced = WriteOptions()
        synced.sync = True
        db.set_write_options(synced)
        for number in range(CLOSED, CLOSED + LOGGED):
            db[b"%06d" % number] = value_of(number)
        self._db = db

    def read(self, folder: Path) -> tuple[dict[int, bytes], list[str]]:
        from rocksdict import Options, Rdict

        db = Rdict(str(folder / "db"), Options(raw_mode=True))
        rows = {int(key): value for key, value in db.items()}
        for number in expected():  # its iterator stops at damage without a word; a get tells
            value = db.get(b"%06d" % number)
            if value is not None:
                rows[number] = value
        return rows, []


ENGINES: list[Engine] = [Cbdd(), Sqlite(), Lmdb(), Rocksdict()]


def engine_of(name: str) -> Engine:
    """The engine of a name."""
    return next(engine for engine in ENGINES if engine.name == name)


def main(what: str, name: str, folder: Path) -> int:
    engine = engine_of(name)
    if what == "make":
        engine.make(folder)
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        rows, said = engine.read(folder)
    except Exception as error:
        print("error", type(error).__name__, str(error)[:200])
        return 0
    right = expected()
    if rows == right:
        print("recorded" if said else "intact", *said[:3])
    elif said:
        print("error", *said[:3])
    else:
        wrong = sum(rows.get(key) != value for key, value in right.items())
        print("silent", f"{wrong} of {len(right)} rows are gone or wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
