"""Pages: geometry, checksums, and what is said about a page that is not the right one."""

from __future__ import annotations

import pytest

from cbdd.errors import CorruptDataError
from cbdd.storage.page import (
    HEADER_BYTES,
    LEAF,
    Run,
    decode_run,
    reference,
    reference_page,
    run_page_count,
    seal_page,
    verify,
    with_checksum,
)

SIZE = 4096
SEED = 42


def sealed(page: int, body: bytes = b"body", seed: int = SEED) -> tuple[bytes, int]:
    image = seal_page(LEAF, 1, page, 1, 3, 0, 0, body, SIZE)
    return with_checksum(image, seed)


def code_of(data: bytes, page: int, expected: int) -> str:
    with pytest.raises(CorruptDataError) as caught:
        verify(data, page, expected, SIZE, SEED, SIZE)
    assert caught.value.details["page"] == page
    assert caught.value.details["offset"] == page * SIZE
    return caught.value.code


def test_the_right_page_passes() -> None:
    data, checksum = sealed(20)
    verify(data, 20, checksum, SIZE, SEED, SIZE)


@pytest.mark.parametrize("at", [0, 8, 16, HEADER_BYTES, SIZE - 1])
def test_any_flipped_byte_is_found(at: int) -> None:
    data, checksum = sealed(20)
    flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    if at < 8:  # the page's own copy of the checksum: the parent's is the one that counts
        verify(flipped, 20, checksum, SIZE, SEED, SIZE)
    else:
        assert code_of(flipped, 20, checksum) == "PAGE_CHECKSUM"


def test_each_kind_of_wrong_page_has_its_code() -> None:
    data, checksum = sealed(20)
    other, _ = sealed(21)
    newer, expected = sealed(20, b"newer")
    foreign, _ = sealed(20, seed=SEED + 1)
    assert code_of(data[:100], 20, checksum) == "PAGE_TRUNCATED"
    assert code_of(bytes(SIZE), 20, checksum) == "PAGE_ZEROED"
    assert code_of(other, 20, checksum) == "PAGE_MISDIRECTED"
    assert code_of(data, 20, expected) == "PAGE_STALE"
    assert code_of(foreign, 20, checksum + 1) == "PAGE_CHECKSUM"
    verify(newer, 20, expected, SIZE, SEED, SIZE)


def test_references_and_runs_round_trip() -> None:
    ref = reference(7, 2**64 - 1)
    assert len(ref) == 16
    assert reference_page(ref) == 7
    run = decode_run(b"xx" + Run(5, 6, 7).encode(), 2)
    assert (run.page, run.length, run.checksum) == (5, 6, 7)


@pytest.mark.parametrize(
    ("length", "pages"),
    [(0, 1), (SIZE - HEADER_BYTES, 1), (SIZE - HEADER_BYTES + 1, 2), (16 << 20, 4097)],
)
def test_pages_of_a_run(length: int, pages: int) -> None:
    assert run_page_count(length, SIZE) == pages
