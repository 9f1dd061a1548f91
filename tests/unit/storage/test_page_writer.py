"""Room in a freelist run; writing trees is tested with reading them, in test_pager.py."""

from __future__ import annotations

import pytest

from cbdd.storage.freelist import ENTRY
from cbdd.storage.page import HEADER_BYTES, run_page_count
from cbdd.storage.page_writer import freelist_run_bytes


@pytest.mark.parametrize("entries", [1, 100, 199, 200, 201, 5000])
def test_a_freelist_run_has_room_for_what_its_own_allocation_adds(entries: int) -> None:
    length = freelist_run_bytes(entries, ENTRY.size, 4096)
    assert length >= (entries + 2) * ENTRY.size
    assert (length + HEADER_BYTES) % 4096 == 0
    assert run_page_count(length, 4096) == run_page_count((entries + 2) * ENTRY.size, 4096)
