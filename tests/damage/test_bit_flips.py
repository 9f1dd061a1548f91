"""One bit, anywhere in the database, its log or its shared state, is found or harmless."""

from __future__ import annotations

import os
import random

import pytest

from cbdd.storage.frame import FRAMES_OFFSET, MARK, MARK_OFFSETS, SEGMENT_HEADER_BYTES
from cbdd.storage.meta import META_BYTES, SLOT_OFFSETS
from tests.damage.judge import Verdict, judge
from tests.damage.layout import Layout, frames_of
from tests.damage.specimen import HEADER_PAGES, PAGE_BYTES, PATH, SEED, SHM, flipped, history

pytestmark = [pytest.mark.damage, pytest.mark.recovery]
CHECKSUM_BYTES = 8
SCALE = int(os.environ.get("CBDD_CRASH_SCALE", "1"))


def sampled_bits(length_bytes: int, count: int, salt: int) -> list[int]:
    """One bit from each of ``count`` equal stretches."""
    source = random.Random(SEED + salt)
    count *= SCALE
    bits = length_bytes * 8
    return [
        source.randrange(bits * n // count, max(bits * (n + 1) // count, bits * n // count + 1))
        for n in range(min(count, bits))
    ]


def used_length(data: bytes) -> int:
    """Bytes up to the last that is not zero, and a little more."""
    return min(len(data), len(data.rstrip(b"\0")) + 64)


def in_meta_copy(byte: int) -> bool:
    return any(0 <= byte - at < META_BYTES for offsets in SLOT_OFFSETS for at in offsets)


def test_a_bit_of_a_closed_database_is_found_exactly_when_it_is_in_use() -> None:
    state = history().clean
    layout = Layout(state.files)
    data = state.files[PATH]
    told = 0
    for bit in sampled_bits(len(data), 400, 1):
        where = f"bit {bit}, page {bit // 8 // PAGE_BYTES}"
        verdict = judge(state.changed(main=flipped(data, bit)), state.documents, where)
        told += verdict.is_told
        page = bit // 8 // PAGE_BYTES
        if bit // 8 - layout.first_of.get(page, 0) * PAGE_BYTES < CHECKSUM_BYTES:
            # A page is held against the checksum in its parent, not against its own.
            assert verdict.is_whole, f"seed {SEED}, {where}"
        elif page in layout.first_of:
            require_page_found(verdict, layout, page, where)
        elif page < HEADER_PAGES and in_meta_copy(bit // 8):
            assert verdict.findings == ["META_COPY_DAMAGED"], f"seed {SEED}, {where}"
            assert verdict.is_whole, f"seed {SEED}, {where}"
        else:
            assert not verdict.is_told, f"seed {SEED}, {where}"
    assert told > 150 * SCALE


def require_page_found(verdict: Verdict, layout: Layout, page: int, where: str) -> None:
    first = layout.first_of[page]
    if first == layout.meta.directory_page:
        found = (verdict.code, verdict.details["page"])
        assert found == ("PAGE_CHECKSUM", first), f"seed {SEED}, {where}"
    else:
        assert not verdict.refusal, f"seed {SEED}, {where}: {verdict.refusal}"
        start = f"page {first} at offset {first * PAGE_BYTES} is damaged"
        assert [code for code, _ in verdict.problems] == ["PAGE_CHECKSUM"], f"seed {SEED}, {where}"
        assert start in verdict.messages[0], f"seed {SEED}, {where}"
        for error in verdict.errors:
            found = (error.code, error.details["page"])
            assert found == ("PAGE_CHECKSUM", first), f"seed {SEED}, {where}"


@pytest.mark.parametrize("name", ["killed", "rotated"])
def test_a_bit_of_a_killed_database_is_found_or_harmless(name: str) -> None:
    state = getattr(history(), name)
    data = state.files[PATH]
    told = 0
    for bit in sampled_bits(len(data), 110, 2):
        where = f"{name}, bit {bit}, page {bit // 8 // PAGE_BYTES}"
        verdict = judge(state.changed(main=flipped(data, bit)), state.documents, where)
        told += verdict.is_told
        assert verdict.code in ("", "PAGE_CHECKSUM"), f"seed {SEED}, {where}: {verdict.code}"
    assert told > 30 * SCALE


@pytest.mark.parametrize("name", ["killed", "rotated"])
def test_a_bit_of_the_log_is_found_exactly_when_it_says_something(name: str) -> None:
    state = getattr(history(), name)
    path = state.segments()[-1]
    data = state.files[path]
    frames = frames_of(data)
    end = frames[-1][0] + frames[-1][1].size()
    refused = 0
    for bit in sampled_bits(used_length(data), 240, 3):
        byte = bit // 8
        where = f"{name}, bit {bit}, byte {byte} of {path}"
        changed = {**state.files, path: flipped(data, bit)}
        verdict = judge(changed, state.documents, where)
        refused += verdict.refusal is not None
        if byte < SEGMENT_HEADER_BYTES:
            assert verdict.code == "WAL_HEADER_DAMAGED", f"seed {SEED}, {where}"
        elif byte < FRAMES_OFFSET:
            assert not verdict.is_told, f"seed {SEED}, {where}: a mark or nothing"
        elif byte >= end:
            assert verdict.findings == ["WAL_TORN_TAIL"], f"seed {SEED}, {where}"
            assert verdict.bytes_cut == byte - end + 1, f"seed {SEED}, {where}"
        else:
            require_hole(verdict, data, byte, where)
    assert refused > 100 * SCALE


def require_hole(verdict: Verdict, segment: bytes, byte: int, where: str) -> None:
    """Refused at the very frame, unless the byte is padding."""
    frames = frames_of(segment)
    offset, frame = [entry for entry in frames if entry[0] <= byte][-1]
    if byte >= offset + 96 + frame.length:
        assert verdict.is_whole, f"seed {SEED}, {where}"
        return
    assert verdict.code == "WAL_HOLE", f"seed {SEED}, {where}"
    found = (verdict.details["lsn"], verdict.details["offset"], verdict.details["expected"])
    assert found == (frame.lsn, offset, frames[-1][1].lsn), f"seed {SEED}, {where}"


def test_a_bit_of_a_segment_kept_for_the_older_meta_page_is_harmless() -> None:
    state = history().rotated
    path = state.segments()[0]
    data = state.files[path]
    for bit in sampled_bits(used_length(data), 40, 4):
        verdict = judge({**state.files, path: flipped(data, bit)}, state.documents, f"bit {bit}")
        assert verdict.is_whole, f"seed {SEED}, bit {bit}"


def test_a_bit_of_the_shared_state_is_harmless_after_a_kill() -> None:
    state = history().killed
    data = state.files[SHM]
    for bit in sampled_bits(160, 60, 5):
        verdict = judge(state.changed(shm=flipped(data, bit)), state.documents, f"bit {bit}")
        assert not verdict.is_told, f"seed {SEED}, bit {bit}"


def test_a_bit_of_a_durability_mark_is_harmless_while_the_shared_state_is_there() -> None:
    state = history().killed
    path = state.segments()[0]
    for offset in MARK_OFFSETS:
        for byte in range(offset, offset + MARK.size, 3):
            data = flipped(state.files[path], byte * 8 + 1)
            verdict = judge({**state.files, path: data}, state.documents, f"mark byte {byte}")
            assert not verdict.is_told, f"seed {SEED}, mark byte {byte}"
