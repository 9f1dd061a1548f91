"""Options that cannot work are refused when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from cbdd.errors import UsageError
from cbdd.storage.options import StorageOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"page_size_bytes": 2048},
        {"page_size_bytes": 131072},
        {"page_size_bytes": 5000},
        {"durability": "sometimes"},
        {"durability": "FULL"},
        {"cache_size_bytes": 1000},
        {"checkpoint_log_bytes": 0},
        {"max_transaction_bytes": 0},
        {"salvage": True},
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        StorageOptions(**wrong)
    assert caught.value.code == "OPTION"
    assert caught.value.next_step


@pytest.mark.parametrize("size", [4096, 8192, 16384, 32768, 65536])
def test_every_page_size(size: int) -> None:
    assert StorageOptions(page_size_bytes=size).page_size_bytes == size


def test_defaults_are_those_of_the_documents() -> None:
    options = StorageOptions()
    assert options.durability == "full"
    assert options.cache_size_bytes == 256 << 20
    assert options.checkpoint_log_bytes == 32 << 20
    assert options.page_size_bytes == 8192
    assert StorageOptions(lock_timeout_seconds=3).lock_timeout_seconds == 3.0
