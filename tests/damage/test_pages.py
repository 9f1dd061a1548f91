"""Whole pages lost, swapped, stale, or beyond a cut: named with their code and place."""

from __future__ import annotations

import random

import pytest

from tests.damage.judge import Verdict, judge
from tests.damage.layout import Layout
from tests.damage.specimen import (
    HEADER_PAGES,
    PAGE_BYTES,
    PATH,
    SEED,
    history,
    page_of,
    replaced,
)

pytestmark = [pytest.mark.damage, pytest.mark.recovery]
NUMBER_OFFSET = 16
ZEROS = bytes(PAGE_BYTES)


def told_of(verdict: Verdict) -> list[tuple[str, object]]:
    """Codes and pages said by the refusal or by the check; by every error besides."""
    if verdict.refusal is not None:
        return [(verdict.code, verdict.details.get("page"))]
    told = list(verdict.problems)
    for error in verdict.errors:
        found = (error.code, error.details["page"])
        assert any(str(found[1]) in message for message in verdict.messages), found
    return [(code, page) for code, page in told]


def put(data: bytes, page: int, content: bytes) -> bytes:
    return replaced(data, page * PAGE_BYTES, content)


def test_a_zeroed_page_is_found_exactly_when_it_is_in_use() -> None:
    state = history().clean
    layout = Layout(state.files)
    data = state.files[PATH]
    found: set[int] = set()
    for page in range(HEADER_PAGES, len(data) // PAGE_BYTES):
        verdict = judge(state.changed(main=put(data, page, ZEROS)), state.documents, f"page {page}")
        if not verdict.is_told:
            continue
        found.add(page)
        first = layout.first_of[page]
        code = "PAGE_CHECKSUM" if layout.runs.get(first, 1) > 1 else "PAGE_ZEROED"
        message = verdict.messages[0] if verdict.messages else str(verdict.refusal)
        assert f"page {first} at offset {first * PAGE_BYTES}" in message, page
        assert (verdict.problems[0][0] if verdict.problems else verdict.code) == code, page
        if page in layout.nodes:
            assert told_of(verdict) == [(code, page)]
    assert found == set(layout.first_of)
    assert len(found) == len(data) // PAGE_BYTES - HEADER_PAGES - len(layout.free)


def test_a_damaged_page_leaves_other_collections_readable() -> None:
    state = history().clean
    layout = Layout(state.files)
    data = state.files[PATH]
    partly = 0
    for page in layout.nodes:
        verdict = judge(state.changed(main=put(data, page, ZEROS)), state.documents, f"page {page}")
        partly += verdict.refusal is None and 0 < len(verdict.errors) < 6
    assert partly > 15


def test_two_swapped_pages_are_both_named() -> None:
    state = history().clean
    layout = Layout(state.files)
    data = state.files[PATH]
    source = random.Random(SEED)
    for _ in range(60):
        one, other = source.sample(layout.nodes, 2)
        where = f"pages {one} and {other}"
        swapped = put(put(data, one, page_of(data, other)), other, page_of(data, one))
        verdict = judge(state.changed(main=swapped), state.documents, where)
        told = told_of(verdict)
        assert set(told) <= {("PAGE_MISDIRECTED", one), ("PAGE_MISDIRECTED", other)}, where
        # What hangs below a damaged branch cannot be reached, so one may hide the other.
        assert told, f"seed {SEED}, {where}"


def test_a_stale_page_is_named_stale() -> None:
    moments = history()
    layout = Layout(moments.clean.files)
    data = moments.clean.files[PATH]
    stale = 0
    for page in layout.nodes:
        for old in moments.older:
            before = page_of(old, page)
            if not before or before == page_of(data, page):
                continue
            if int.from_bytes(before[NUMBER_OFFSET : NUMBER_OFFSET + 8], "little") != page:
                continue  # the middle of a run
            stale += 1
            changed = moments.clean.changed(main=put(data, page, before))
            verdict = judge(changed, moments.clean.documents, f"page {page}")
            assert told_of(verdict) == [("PAGE_STALE", page)]
    assert stale > 10


def test_a_stale_page_under_a_log_is_found_or_replaced() -> None:
    moments = history()
    for state in (moments.killed, moments.rotated):
        data, old = state.files[PATH], moments.older[2]
        told = 0
        for page in range(HEADER_PAGES, len(old) // PAGE_BYTES):
            changed = put(data, page, page_of(old, page))
            verdict = judge(state.changed(main=changed), state.documents, f"page {page}")
            same = page_of(old, page) == page_of(data, page)
            assert not (same and verdict.is_told), f"page {page}"
            told += verdict.is_told
        assert told > 5


@pytest.mark.parametrize("name", ["clean", "killed"])
def test_a_cut_file_is_refused_wherever_it_is_cut(name: str) -> None:
    state = getattr(history(), name)
    data = state.files[PATH]
    sizes = [page * PAGE_BYTES + more for page in range(len(data) // PAGE_BYTES) for more in (0, 9)]
    for size in [*sizes, 1, 100, 511, 512, len(data) - 1]:
        verdict = judge(state.changed(main=data[:size]), state.documents, f"{name} cut to {size}")
        if size == 0:
            expected = "EMPTY_FILE"
        elif size < 512:  # not one meta page is whole
            expected = "NOT_A_DATABASE"
        else:
            expected = "FILE_TRUNCATED"
            found = (verdict.details["found"], verdict.details["expected"])
            assert found == (size, len(data)), f"{name} cut to {size}"
        assert verdict.code == expected, f"{name} cut to {size}"


def test_a_file_that_is_too_long_is_whole() -> None:
    state = history().clean
    for tail in (ZEROS, b"x", random.Random(SEED).randbytes(9000)):
        verdict = judge(state.changed(main=state.files[PATH] + tail), state.documents, "too long")
        assert not verdict.is_told


@pytest.mark.parametrize("name", ["killed", "rotated"])
def test_a_database_file_that_is_missing_beside_its_log_is_not_made_anew(name: str) -> None:
    state = getattr(history(), name)
    verdict = judge(state.changed(main=None), state.documents, "no file")
    assert verdict.code == "DATABASE_MISSING"
    assert PATH not in verdict.after
