"""Memory stays within the cache budget and a fixed overhead, however large the file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import memory


def test_a_scan_needs_its_cache_and_little_more(tmp_path: Path) -> None:
    path = str(tmp_path / "big.cbdd")
    memory.build(path, 120, 8)
    assert memory.peak_of_scan(path, 8) < 8 + 100


@pytest.mark.soak
def test_a_scan_of_two_gigabytes_with_64_mib_of_cache_stays_under_200_mib(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "big.cbdd")
    memory.build(path, 2048, 64)
    peak = memory.peak_of_scan(path, 64)
    print(f"peak {peak} MiB")
    assert peak < 200
