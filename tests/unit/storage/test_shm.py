"""The shared state: whole records or none, slots, and files that are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cbdd.errors import LockedError
from cbdd.storage.io import Io
from cbdd.storage.shm import (
    SHM_BYTES,
    Published,
    SharedState,
    decode_durable,
    decode_published,
    is_poisoned,
    unreadable,
)

UUID = bytes(range(16))


@pytest.fixture
def shm(tmp_path: Path) -> Iterator[SharedState]:
    io = Io()
    shared = SharedState(io, io.open(str(tmp_path / "shm"), True, False), "a-shm")
    shared.reset(UUID, 1, Published(2, 3, 4, 5, 6, 7))
    yield shared
    io.close(shared.fd)


def test_what_is_published_is_read(shm: SharedState) -> None:
    raw = shm.state()
    published = decode_published(raw)
    assert published is not None
    assert (published.generation, published.segment, published.end) == (2, 3, 4)
    assert (published.lsn, published.chain, published.counter) == (5, 6, 7)
    assert decode_durable(raw) == 5  # a new life begins with everything on disk
    assert not is_poisoned(raw)
    shm.set_durable(9)
    shm.poison()
    raw = shm.state()
    assert decode_durable(raw) == 9
    assert is_poisoned(raw)


@pytest.mark.parametrize("at", range(56))
def test_half_a_publication_is_none(shm: SharedState, at: int) -> None:
    raw = shm.state()
    torn = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    assert decode_published(torn) is None
    assert decode_durable(torn) == 5


def test_half_a_durable_lsn_is_none(shm: SharedState) -> None:
    raw = shm.state()
    assert decode_durable(raw[:64] + b"\1" + raw[65:]) == -1


def test_slots(shm: SharedState) -> None:
    assert shm.slots() == []
    shm.write_slot(3, 100, 1, 2, 4)
    shm.write_slot(255, 101, 5, 0, 6)
    shm.write_slot(3, 102, 1, 8, 9)
    found = [(s.number, s.pid, s.started_us, s.pinned_generation) for s in shm.slots()]
    assert found == [(3, 102, 1, 8), (255, 101, 5, 0)]
    shm.write_slot(3, 0, 0, 0, 0)
    assert [slot.number for slot in shm.slots()] == [255]


def test_only_a_whole_file_of_this_database_is_ours(shm: SharedState, tmp_path: Path) -> None:
    assert shm.belongs_to(UUID)
    assert not shm.belongs_to(bytes(16))
    with open(tmp_path / "shm", "r+b") as file:
        file.truncate(SHM_BYTES - 1)
    assert not shm.belongs_to(UUID)
    with open(tmp_path / "shm", "r+b") as file:
        file.truncate(100)
    with pytest.raises(LockedError) as caught:
        shm.state()
    assert caught.value.code == "SHM_TRUNCATED"
    assert unreadable("x").code == "SHM_DAMAGED"
