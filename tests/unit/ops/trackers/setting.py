"""A server, and a tracker that talks to it without waiting between attempts."""

from __future__ import annotations

from typing import Any, Final

from cbdd.ops.trackers import Tracker
from cbdd.ops.trackers.forge import Gitea, GitHub
from cbdd.ops.trackers.service import Service
from tests.unit.ops.trackers.forge_server import TOKEN, ForgeServer

ENVIRONMENT: Final = {"CBDD_TRACKER_TOKEN": TOKEN}
PASSING: Final = ["500", "502", "429", "secondary limit", "drop before", "drop after", "500 after"]


class Setting:
    """A server, a tracker that talks to it, and how long it waited between attempts."""

    def __init__(self, server: ForgeServer) -> None:
        self.server = server
        self.waited: list[float] = []
        kind = GitHub if server.forge.kind == "github" else Gitea
        scheme = "Bearer" if server.forge.kind == "github" else "token"
        service = Service(
            f"http://127.0.0.1:{server.port}{server.forge.prefix}",
            {"Authorization": f"{scheme} {TOKEN}"},
            f"{server.forge.kind}:o/r",
            self.waited.append,
            5.0,
        )
        self.tracker: Tracker = kind(service, "o/r")

    @property
    def issues(self) -> list[dict[str, Any]]:
        return list(self.server.forge.issues.values())
