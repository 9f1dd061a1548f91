"""Meta pages broken, of a newer format, or not there at all."""

from __future__ import annotations

import random

import pytest

from cbdd.errors import CorruptDataError, NewerFormatError, NotADatabaseError, ReadOnlyError
from cbdd.storage.meta import (
    FORMAT,
    META_BLOCK_BYTES,
    META_BYTES,
    SLOT_OFFSETS,
    Meta,
    decode_meta,
)
from tests.damage.judge import judge
from tests.damage.layout import newest_meta
from tests.damage.specimen import PATH, SEED, Files, State, flipped, history, replaced

pytestmark = [pytest.mark.damage, pytest.mark.recovery]
STATES = ["early", "clean", "began", "half", "killed", "rotated"]
GARBAGE = random.Random(SEED).randbytes(META_BLOCK_BYTES)


def broken(data: bytes, slot: int, content: bytes) -> bytes:
    """The file with both copies of a slot overwritten."""
    for offset in SLOT_OFFSETS[slot]:
        data = replaced(data, offset, content)
    return data


def rewritten(files: Files, **fields: object) -> bytes:
    """The file with fields of every meta page set, checksums right."""
    data = files[PATH]
    for slot in range(2):
        for offset in SLOT_OFFSETS[slot]:
            meta = decode_meta(data[offset : offset + META_BYTES], slot)
            for name, value in fields.items():
                setattr(meta, name, value)
            data = replaced(data, offset, meta.encode())
    return data


def state_of(name: str) -> State:
    state: State = getattr(history(), name)
    return state


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("content", [bytes(META_BLOCK_BYTES), GARBAGE], ids=["zeros", "garbage"])
@pytest.mark.parametrize("slot", [0, 1])
def test_one_broken_slot_costs_nothing(name: str, content: bytes, slot: int) -> None:
    state = state_of(name)
    data = broken(state.files[PATH], slot, content)
    verdict = judge(state.changed(main=data), state.documents, f"{name}, slot {slot}")
    is_newest = newest_meta(state.files).slot == slot
    if is_newest and name in ("began", "half", "killed"):
        # The slot that is left is the clean one from before the log.
        assert verdict.code == "WAL_NEWER_THAN_META"
        return
    assert verdict.is_whole, f"{verdict.code} {verdict.errors}"
    assert verdict.problems == []
    assert verdict.findings == ["META_COPY_DAMAGED"] * 2


@pytest.mark.parametrize("name", STATES)
def test_one_damaged_copy_of_each_slot_is_noted_and_costs_nothing(name: str) -> None:
    state = state_of(name)
    for first in range(2):
        for second in range(2):
            data = state.files[PATH]
            for offset in (SLOT_OFFSETS[0][first], SLOT_OFFSETS[1][second]):
                data = flipped(data, (offset + 60) * 8)
            verdict = judge(state.changed(main=data), state.documents, f"{name} {first} {second}")
            assert verdict.is_whole
            assert verdict.findings == ["META_COPY_DAMAGED"] * 2


@pytest.mark.parametrize("name", STATES)
def test_both_slots_broken_is_refused(name: str) -> None:
    state = state_of(name)
    data = state.files[PATH]
    for slot in range(2):
        for offset in SLOT_OFFSETS[slot]:
            data = flipped(data, (offset + 100) * 8)
    verdict = judge(state.changed(main=data), state.documents, name)
    assert isinstance(verdict.refusal, CorruptDataError)
    assert verdict.code == "META_DAMAGED"
    assert verdict.details["copies"] == [
        f"offset {offset}: checksum" for slot in range(2) for offset in SLOT_OFFSETS[slot]
    ]


@pytest.mark.parametrize("content", [bytes(META_BLOCK_BYTES), GARBAGE], ids=["zeros", "garbage"])
def test_overwritten_slots_are_no_database(content: bytes) -> None:
    state = state_of("clean")
    data = broken(broken(state.files[PATH], 0, content), 1, content)
    verdict = judge(state.changed(main=data), state.documents, "both overwritten")
    assert isinstance(verdict.refusal, NotADatabaseError)
    assert verdict.code == "NOT_A_DATABASE"


@pytest.mark.parametrize("name", ["clean", "killed"])
@pytest.mark.parametrize("field", [{"min_reader": FORMAT + 1}, {"must_not_read": 1}], ids=str)
def test_a_format_that_cannot_be_read_is_refused(name: str, field: dict[str, int]) -> None:
    state = state_of(name)
    data = rewritten(state.files, writer_version="7.8.9", **field)
    for read_only in (False, True):
        verdict = judge(state.changed(main=data), state.documents, name, read_only=read_only)
        assert isinstance(verdict.refusal, NewerFormatError)
        assert verdict.code == "NEWER_FORMAT"
        assert verdict.details["writer_version"] == "7.8.9"
        assert "7.8.9" in verdict.refusal.next_step


@pytest.mark.parametrize("name", ["clean", "killed", "rotated"])
@pytest.mark.parametrize("field", [{"min_writer": FORMAT + 1}, {"must_not_write": 4}], ids=str)
def test_a_format_that_cannot_be_written_opens_for_reading_only(
    name: str, field: dict[str, int]
) -> None:
    state = state_of(name)
    data = rewritten(state.files, writer_version="7.8.9", **field)
    verdict = judge(state.changed(main=data), state.documents, name)
    assert isinstance(verdict.refusal, ReadOnlyError)
    assert verdict.code == "NEWER_FORMAT_READ_ONLY"
    assert verdict.details["min_writer"] == field.get("min_writer", FORMAT)
    verdict = judge(state.changed(main=data), state.documents, name, read_only=True)
    assert verdict.findings == ["NEWER_FORMAT_READ_ONLY"]
    assert not verdict.problems
    assert not verdict.errors


def test_features_that_may_be_ignored_are() -> None:
    state = state_of("clean")
    data = rewritten(state.files, may_ignore=1 << 40)
    assert not judge(state.changed(main=data), state.documents, "may ignore").is_told


@pytest.mark.parametrize("page_size", [0, 1, 2048, 131072])
def test_an_impossible_page_size_is_refused(page_size: int) -> None:
    state = state_of("clean")
    data = rewritten(state.files, page_size=page_size)
    assert judge(state.changed(main=data), state.documents, "page size").code == "META_MALFORMED"


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"SQLite format 3\0" + bytes(8000),
        bytes(100_000),
        random.Random(SEED).randbytes(300_000),
        Meta().encode()[:8],
    ],
    ids=["text", "sqlite", "zeros", "random", "magic"],
)
def test_another_kind_of_file_is_refused_and_left_alone(content: bytes) -> None:
    for read_only in (False, True):
        verdict = judge({PATH: content}, {}, "other file", read_only=read_only)
        assert isinstance(verdict.refusal, NotADatabaseError)
        assert verdict.code == "NOT_A_DATABASE"
        assert verdict.after == {PATH: content}
