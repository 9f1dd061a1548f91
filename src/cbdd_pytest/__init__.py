"""Fixtures for tests of programs that use CBDD; installed with the package.

Outside of the package, which pytest would else import at every start of whoever has it installed.

cbdd_database    a client on a temporary file, closed and checked after the test
cbdd_crashing    a `CrashingDatabase`: run something, then look at every crash state
cbdd_slow_disk   a `SlowDisk`: every call to the disk takes time
cbdd_full_disk   a `FullDisk`: fill it, free it
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cbdd.client import Client
    from cbdd.testing.databases import CrashingDatabase, FullDisk, SlowDisk


@pytest.fixture
def cbdd_database(tmp_path: Path) -> Iterator[Client[dict[str, Any]]]:
    """A client on a new file. After the test the file is closed, opened again and checked."""
    from cbdd.client import connect

    path = tmp_path / "test.cbdd"
    client = connect(path)
    try:
        yield client
    finally:
        client.close()
    with connect(path) as again:
        report = again.check()
        assert report.is_clean, report.to_dict()


@pytest.fixture
def cbdd_crashing() -> CrashingDatabase:
    """A database that can be crashed anywhere."""
    from cbdd.testing.databases import CrashingDatabase

    return CrashingDatabase()


@pytest.fixture
def cbdd_slow_disk() -> SlowDisk:
    """A disk on which every call takes a millisecond; change ``seconds`` before connecting."""
    from cbdd.testing.databases import SlowDisk

    return SlowDisk()


@pytest.fixture
def cbdd_full_disk() -> FullDisk:
    """A disk that can be filled and freed."""
    from cbdd.testing.databases import FullDisk

    return FullDisk()
