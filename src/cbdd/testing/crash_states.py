"""Every state of the disk that a crash during a recorded run could leave.

After each recorded call the replayer knows, for every file, what is durable and which changes since
then are pending, and the same for names. From these it builds states of these kinds:

    prefix       the process died: all calls up to here are there
    power        the power went: only what was synced is there
    torn         the last write to a file is there in part: to a sector or a third
    lost         one earlier pending change is not there
    reordered    some pending changes are there, earlier ones are not
    duplicated   one pending write arrived a second time, last
    size         the new length is there, the data behind the old one is zeros
    garbage      where the last write went, or behind the end of the file, there is anything
    tail         zeros behind the end of the file
                 (from torn on, the other files have kept their pending changes or lost them)
    directory    names as after any number of the pending changes, or lacking one; with
                 the data of files synced or not

What it assumes of the disk: changes to a file not synced may survive in any subset and order; once
`sync` has returned, the contents and size of that file are durable; names (create, rename, link,
unlink) are once `sync_directory` has returned, and before that survive in order or with one
missing. It does not assume that a sector is written whole unless the write covers all of it.

Choices among many are made by a source seeded with the seed and the number of the call, so a state
is rebuilt from its name alone. States that are equal byte for byte have equal fingerprints.

Source: Pillai et al., "All File Systems Are Not Created Equal" (2014) for which reorderings matter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import xxhash

from cbdd.testing.memory_disk import MemoryDisk
from cbdd.testing.recording import (
    ACKNOWLEDGE,
    ALLOCATE,
    BEGIN,
    CREATE,
    DATA_CALLS,
    LINK,
    NAME_CALLS,
    RENAME,
    SYNC,
    SYNC_DIRECTORY,
    TRUNCATE,
    UNLINK,
    WRITE,
    Call,
    Recording,
)

SECTOR_BYTES: Final = 512
MOST_SECTOR_CUTS: Final = 3
MOST_LOST: Final = 3
MOST_REORDERED: Final = 3
MOST_NAMES: Final = 4
PREFIX: Final = "prefix"
KINDS: Final = (
    PREFIX,
    "power",
    "torn",
    "lost",
    "reordered",
    "duplicated",
    "size",
    "garbage",
    "tail",
    "directory",
)


class CrashState:
    """What is on the disk after a crash, and what had been promised by then.

    ``name`` says the call, the kind and the choice, and rebuilds it (`Replayer.state`).
    ``begun`` is the newest commit that may be there, ``acknowledged`` the newest that must be.
    ``names`` says which file each path names; without it no file has two names.
    """

    def __init__(
        self,
        call: int,
        kind: str,
        choice: str,
        files: dict[str, bytes],
        names: dict[str, int] | None = None,
    ) -> None:
        self.call = call
        self.kind = kind
        self.choice = choice
        self.files = files
        self.names = dict(names or {})
        self.begun = 0
        self.acknowledged = 0

    @property
    def name(self) -> str:
        """Call, kind and choice, joined by colons."""
        return f"{self.call}:{self.kind}:{self.choice}"

    def fingerprint(self) -> int:
        """Equal for states that are equal byte for byte."""
        digest = xxhash.xxh3_64()
        for path in sorted(self.files):
            data = self.files[path]
            digest.update(f"{path}\0{len(data)}\0".encode())
            digest.update(data)
        return digest.intdigest()

    def disk(self) -> MemoryDisk:
        """A disk in this state."""
        return MemoryDisk.holding(self.files, self.names)


class _File:
    """One file during the replay."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.durable = data
        self.pending: list[Call] = []
        self._image: bytes | None = data

    def apply(self, call: Call) -> None:
        _change(self.data, call)
        self.pending.append(call)
        self._image = None

    def sync(self) -> None:
        self.durable = self.image()
        self.pending = []

    def image(self) -> bytes:
        """What programs see."""
        if self._image is None:
            self._image = bytes(self.data)
        return self._image

    def rebuilt(self, changes: list[Call]) -> bytes:
        """The durable contents with some changes applied."""
        data = bytearray(self.durable)
        for call in changes:
            _change(data, call)
        return bytes(data)


def _change(data: bytearray, call: Call) -> None:
    if call.kind == TRUNCATE:
        del data[call.offset :]
        data.extend(bytes(max(0, call.offset - len(data))))
        return
    if call.kind == ALLOCATE:
        data.extend(bytes(max(0, call.offset + call.length - len(data))))
        return
    data.extend(bytes(max(0, call.offset - len(data))))
    data[call.offset : call.offset + len(call.data)] = call.data


def _part(call: Call, length: int) -> Call:
    """A write of which only the first bytes arrived."""
    part = Call(WRITE, call.file, call.path)
    part.offset = call.offset
    part.data = call.data[:length]
    return part


class Replayer:
    """Builds the crash states of a recording, call by call."""

    def __init__(self, recording: Recording, seed: int = 1) -> None:
        self._calls = list(recording.calls)
        self._base = dict(recording.base)
        self._seed = seed

    def states(self, first: int = 0, last: int | None = None) -> Iterator[CrashState]:
        """Every state of a crash right after each call from ``first`` to ``last``."""
        files = {number: _File(data) for number, data in self._base.values()}
        self._files = files
        self._names = {path: number for path, (number, _data) in self._base.items()}
        self._durable_names = dict(self._names)
        self._name_history: list[dict[str, int]] = []
        begun = acknowledged = durable = 0
        for index, call in enumerate(self._calls):
            if last is not None and index > last:
                return
            if call.kind == BEGIN:
                begun = max(begun, call.number)
                continue
            if call.kind == ACKNOWLEDGE:
                acknowledged = max(acknowledged, call.number)
                if call.is_durable:
                    durable = max(durable, call.number)
                if index < first:
                    continue
            else:
                self._advance(call)
            if index < first:
                continue
            source = random.Random(f"{self._seed}:{index}")
            for state in self._after(index, call, source):
                state.begun = begun
                state.acknowledged = acknowledged if state.kind == PREFIX else durable
                yield state

    def state(self, name: str) -> CrashState:
        """The state of a name.

        :raises KeyError: this recording has none of that name.
        """
        call = int(name.split(":", 1)[0])
        for state in self.states(call, call):
            if state.name == name:
                return state
        raise KeyError(name)

    def describe(self, name: str) -> str:
        """The calls that led to a state, the last ones."""
        call = int(name.split(":", 1)[0])
        lines = [f"{n}: {self._calls[n]!r}" for n in range(max(0, call - 12), call + 1)]
        return "\n".join(lines)

    def _advance(self, call: Call) -> None:
        files, names = self._files, self._names
        if call.kind in DATA_CALLS:
            files[call.file].apply(call)
        elif call.kind == SYNC:
            files[call.file].sync()
        elif call.kind == SYNC_DIRECTORY:
            for path in set(names) | set(self._durable_names):
                if path.rsplit("/", 1)[0] == call.path:
                    self._durable_names.pop(path, None)
                    if path in names:
                        self._durable_names[path] = names[path]
            self._name_history = []
        elif call.kind in NAME_CALLS:
            if call.kind == CREATE:
                files[call.file] = _File()
                names[call.path] = call.file
            elif call.kind == UNLINK:
                names.pop(call.path, None)
            elif call.kind in (RENAME, LINK):
                names[call.target] = names[call.path]
                if call.kind == RENAME:
                    del names[call.path]
            self._name_history.append(dict(names))

    # -- the kinds --------------------------------------------------------------------------

    def _after(self, index: int, call: Call, source: random.Random) -> Iterator[CrashState]:
        seen, synced = self._names, self._durable_names
        yield CrashState(index, PREFIX, "", self._contents(seen, None, b""), seen)
        yield CrashState(index, "power", "", self._durable(synced), synced)
        if call.kind in DATA_CALLS:
            yield from self._of_data(index, call, source)
        elif call.kind in NAME_CALLS:
            yield from self._of_names(index, source)

    def _contents(
        self, names: dict[str, int], changed: int | None, data: bytes
    ) -> dict[str, bytes]:
        """Files as programs see them, one of them with other contents."""
        return {
            path: data if number == changed else self._files[number].image()
            for path, number in names.items()
        }

    def _durable(
        self, names: dict[str, int], changed: int = 0, data: bytes = b""
    ) -> dict[str, bytes]:
        """Files as synced, one of them with other contents."""
        return {
            path: data if number == changed else self._files[number].durable
            for path, number in names.items()
        }

    def _of_data(self, index: int, call: Call, source: random.Random) -> Iterator[CrashState]:
        file = self._files[call.file]
        for kind, choice, data in self._variants(file, call, source):
            # The other files may have kept their pending changes or not.
            names = self._names
            if source.random() < 0.5:
                files = self._contents(names, call.file, data)
            else:
                names = names if source.random() < 0.5 else self._durable_names
                files = self._durable(names, call.file, data)
            yield CrashState(index, kind, choice, files, names)

    def _variants(
        self, file: _File, call: Call, source: random.Random
    ) -> Iterator[tuple[str, str, bytes]]:
        pending = file.pending
        before = pending[:-1]
        if call.kind == WRITE:
            for length in _cuts(call, source):
                yield "torn", str(length), file.rebuilt([*before, _part(call, length)])
            garbage = Call(WRITE, call.file, call.path)
            garbage.offset = call.offset
            garbage.data = source.randbytes(len(call.data))
            yield "garbage", "write", file.rebuilt([*before, garbage])
            yield "tail", "zeros", file.image() + bytes(source.randrange(1, 9000))
            if len(file.data) > len(file.durable):
                tail = source.randbytes(len(file.data) - len(file.durable))
                yield "garbage", "tail", file.durable + tail
        if len(file.data) > len(file.durable):
            yield "size", "", file.durable + bytes(len(file.data) - len(file.durable))
        if not before:
            return
        for lost in source.sample(range(len(before)), min(MOST_LOST, len(before))):
            yield "lost", str(lost), file.rebuilt(pending[:lost] + pending[lost + 1 :])
        yield "reordered", "last", file.rebuilt(pending[-1:])
        for number in range(min(MOST_REORDERED, len(before))):
            kept = [change for change in pending if source.random() < 0.5]
            if kept and kept[-1].kind == WRITE and source.random() < 0.3:
                kept[-1] = _part(kept[-1], source.randrange(len(kept[-1].data) + 1))
            yield "reordered", f"subset {number}", file.rebuilt(kept)
        again = source.randrange(len(before))
        yield "duplicated", str(again), file.rebuilt([*pending, pending[again]])

    def _of_names(self, index: int, source: random.Random) -> Iterator[CrashState]:
        history = [self._durable_names, *self._name_history]
        chosen = history if len(history) <= MOST_NAMES else source.sample(history, MOST_NAMES)
        for names in chosen:
            number = history.index(names)
            yield CrashState(index, "directory", f"{number} synced", self._durable(names), names)
            contents = self._contents(names, None, b"")
            yield CrashState(index, "directory", f"{number} written", contents, names)
        new = [path for path in self._names if path not in self._durable_names]
        for path in source.sample(new, min(2, len(new))):
            names = {other: n for other, n in self._names.items() if other != path}
            yield CrashState(index, "directory", f"without {path}", self._durable(names), names)


def _cuts(call: Call, source: random.Random) -> list[int]:
    """Lengths at which a write is torn: thirds, and sector boundaries of the file."""
    length = len(call.data)
    cuts = {length // 3, length * 2 // 3} - {0}
    first = SECTOR_BYTES - call.offset % SECTOR_BYTES
    sectors = range(first, length, SECTOR_BYTES)
    cuts.update(source.sample(sectors, min(MOST_SECTOR_CUTS, len(sectors))))
    return sorted(cuts)
