"""Each test of trackers runs with both services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.ops.trackers.forge_server import ForgeServer
from tests.unit.ops.trackers.setting import Setting


@pytest.fixture(params=["github", "gitea"])
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    with ForgeServer(request.param) as server:
        yield Setting(server)
        assert server.forge.faults == []
