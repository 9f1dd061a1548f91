"""Breaking a copy on purpose, by seed: one kind of failure, or a surprise.

    FOLDER/alert.txt      what a consumer writes
    FOLDER/damaged/       the damaged database: what there is to work with
    FOLDER/backup/        a backup from before the damage
    FOLDER/.sealed/       the files before the damage, for the grade
    FOLDER/.sealed.json   what was done, encoded so that a glance does not tell it

The database is made by seed, or a copy of one's own; that one is only read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cbdd.client.connect import connect
from cbdd.codes import INFO
from cbdd.errors import CbddError, UsageError
from cbdd.ops.backup import restore_backup
from cbdd.ops.doctor import diagnose
from cbdd.storage.io import Clock
from cbdd.testing.damage import CLASSES, PATH, Files, Specimen, damages, specimens

NAME: Final = "app.cbdd"
MAX_OWN_BYTES: Final = 256 << 20
"""A database of one's own is damaged in memory, so it may only be so large."""

_HARMLESS: Final = (
    "bit flipped in the shared state",
    "shared state foreign, cut or missing",
    "file or log with a tail",
)
KINDS: Final = {
    name.replace(",", "").replace(" ", "-"): name for name in CLASSES if name not in _HARMLESS
}
"""Kinds of failure that somebody would notice, by the name they have on the command line."""

_TRIES: Final = 40
_OWN_COMMITS: Final = 8


class Scenario:
    """One drill: where it is, and what was done. ``began_us`` is when the alert came."""

    def __init__(self, folder: Path, sealed: dict[str, Any]) -> None:
        self.folder = folder
        self.kind: str = sealed["kind"]
        self.seed: int = sealed["seed"]
        self.began_us: int = sealed["began_us"]
        self.codes: list[str] = sealed["codes"]
        self.verdict: int = sealed["verdict"]
        self.sha256: dict[str, str] = sealed["sha256"]
        """Of each file of the damaged database, by its name."""

    @property
    def database(self) -> Path:
        """The damaged file, which may be missing."""
        return self.folder / "damaged" / NAME

    @property
    def backup(self) -> Path:
        """The backup."""
        return self.folder / "backup"

    @property
    def intact(self) -> Path:
        """The file before the damage."""
        return self.folder / ".sealed" / NAME

    @property
    def store(self) -> Path:
        """Where the incident records of the drill belong."""
        return self.folder / "incidents.cbdd"


def start_drill(
    folder: str,
    seed: int = 1,
    kind: str | None = None,
    database: str | None = None,
    clock: Clock | None = None,
) -> Scenario:
    """Break a copy and write the alert.

    :param folder: a new folder.
    :param kind: one of `KINDS`; None for a surprise.
    :param database: a file of one's own to take a copy of.
    :raises UsageError: DRILL_REFUSED, OUTPUT_EXISTS.
    """
    if kind is not None and kind not in KINDS:
        raise _refused(f"{kind!r} is no kind of failure", f"one of {', '.join(KINDS)}")
    chosen = kind or random.Random(f"drill {seed}").choice(list(KINDS))
    place = Path(folder)
    if os.path.lexists(place):
        raise UsageError("OUTPUT_EXISTS", f"{folder} is there already", "name a new folder")
    sources = _own(database) if database is not None else list(specimens(seed).values())
    random.Random(f"specimen {seed}").shuffle(sources)
    place.mkdir(mode=0o700)
    for specimen in sources:
        _write(place / ".sealed", specimen.files)
        for files in _damaged(specimen, KINDS[chosen], seed):
            _write(place / "damaged", files)
            diagnosis = diagnose(str(place / "damaged" / NAME))
            codes = [each.code for each in diagnosis.findings if each.severity != INFO]
            if codes and any((place / "damaged").iterdir()):
                _take_backup(place)
                sealed = {
                    "kind": chosen,
                    "seed": seed,
                    "began_us": (clock or Clock()).now_us(),
                    "codes": codes,
                    "verdict": diagnosis.verdict,
                    "sha256": hashes_of(place / "damaged"),
                }
                _seal(place, sealed)
                (place / "alert.txt").write_text(_alert(place / "damaged" / NAME))
                return Scenario(place, sealed)
    raise _refused(
        f"with seed {seed} this database cannot be broken by {chosen}",
        "take another seed, another kind, or the database that is made by seed",
    )


def load_scenario(folder: str) -> Scenario:
    """A drill that was begun.

    :raises UsageError: DRILL_REFUSED: there is none in this folder.
    """
    try:
        text = (Path(folder) / ".sealed.json").read_text()
        return Scenario(Path(folder), json.loads(base64.b64decode(json.loads(text)["sealed"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused(f"there is no drill in {folder}", "begin one: cbdd drill start") from error


def _seal(place: Path, sealed: dict[str, Any]) -> None:
    encoded = base64.b64encode(json.dumps(sealed).encode()).decode()
    (place / ".sealed.json").write_text(json.dumps({"sealed": encoded}))


def _damaged(specimen: Specimen, name: str, seed: int) -> Iterator[Files]:
    for each in damages(specimen, name, seed, _TRIES):
        yield each.files


def _own(path: str) -> list[Specimen]:
    """Copies of somebody's database, which is only read: one closed, one killed with a log."""
    if os.stat(path).st_size > MAX_OWN_BYTES:
        raise _refused(
            f"{path} is larger than {MAX_OWN_BYTES:,} bytes",
            "drill with a smaller one, or with the database that is made by seed",
        )
    made: list[Specimen] = []
    with tempfile.TemporaryDirectory(prefix="cbdd-drill-") as scratch:
        copy = Path(scratch) / NAME
        with connect(path, must_exist=True, read_only=True) as client:
            client.backup(os.path.join(scratch, "backup"))
        restore_backup(os.path.join(scratch, "backup"), str(copy))
        made.append(Specimen("closed", _read(copy), {}))
        with connect(str(copy), must_exist=True, background=False) as client:
            for number in range(_OWN_COMMITS):
                client["drill"]["notes"].insert_one({"_id": number})
            made.append(Specimen("killed", _read(copy), {}))
    for each in made:
        each.foreign = specimens(1)["killed"].files
    return made


def _read(path: Path) -> Files:
    """The files of a database by the names that damage knows them by."""
    return {
        PATH + each.name.removeprefix(path.name): each.read_bytes()
        for each in path.parent.iterdir()
        if _belongs(path.name, each.name)
    }


def _belongs(name: str, other: str) -> bool:
    rest = other.removeprefix(name)
    return other.startswith(name) and (rest == "" or rest.startswith("-wal-"))


def _write(folder: Path, files: Files) -> None:
    """Files in the place of what was in a folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for each in folder.iterdir():
        each.unlink()
    for path, data in files.items():
        target = folder / (NAME + path.removeprefix(PATH))
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)


def _take_backup(place: Path) -> None:
    """A backup of the state before the damage, of a copy: the sealed files stay as they are."""
    scratch = place / ".scratch"
    scratch.mkdir(mode=0o700)
    try:
        for each in (place / ".sealed").iterdir():
            (scratch / each.name).write_bytes(each.read_bytes())
        with connect(str(scratch / NAME), must_exist=True, flight_recorder=False) as client:
            client.backup(str(place / "backup"))
    finally:
        for each in scratch.iterdir():
            each.unlink()
        scratch.rmdir()


def _alert(path: Path) -> str:
    """What a consumer would write: what happens when the file is opened and read."""
    lines = ["A consumer writes: something is wrong with our database."]
    try:
        with connect(str(path), must_exist=True, read_only=True) as client:
            for database in client.list_database_names():
                for name in client[database].list_collection_names():
                    for _ in client[database][name].find():
                        pass
    except CbddError as error:
        lines += ["", "Traceback (most recent call last):", f"{_class(error)}: {error}"]
    else:
        lines.append("We can read it, but our monitoring has reported errors of the disk.")
    return "\n".join([*lines, "", "The file and all that belongs to it: damaged/", ""])


def _class(error: CbddError) -> str:
    return f"{type(error).__module__}.{type(error).__name__}"


def hashes_of(folder: Path) -> dict[str, str]:
    """SHA-256 of the database file and its log in a folder."""
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in sorted(folder.iterdir())
        if _belongs(NAME, each.name)
    }


def _refused(what: str, next_step: str) -> UsageError:
    return UsageError("DRILL_REFUSED", what, next_step)
