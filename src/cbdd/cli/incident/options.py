"""Arguments and options that the commands for incidents share."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from cbdd.cli.output import printable
from cbdd.ops.incident.publication import TrackerPublication
from cbdd.ops.incident.store import DEFAULT_PATH, IncidentStore
from cbdd.ops.trackers import Delivery, Outbox, Tracker, TrackerRefusedError, tracker_of
from cbdd.ops.trackers.local import NAME

NumberArgument = Annotated[
    int, typer.Argument(metavar="NUMBER", min=1, help="The incident.", show_default=False)
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="FILE",
        envvar="CBDD_INCIDENTS",
        help="The database with the incident records.",
    ),
]
ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who does this; default: your login name.",
        show_default=False,
    ),
]
DEFAULT_STORE = DEFAULT_PATH


TrackerOption = Annotated[
    str | None,
    typer.Option(
        "--tracker",
        metavar="TRACKER",
        envvar="CBDD_TRACKER",
        help="Where others see it: local, github:OWNER/NAME, gitea:https://HOST/OWNER/NAME; "
        "remembered with the records.",
        show_default=False,
    ),
]
DEFAULT_TRACKER = None
_SETTING = "tracker"
_NO_TOKEN_NEEDED = {"CBDD_TRACKER_TOKEN": "none: only the name is looked at"}


class TrackedStore(IncidentStore):
    """Records that tell a tracker what has changed when they are closed.

    Records belong to one tracker: the one that was named last.

    :param tracker: its specification; None for the one that is remembered, else the local one.
    """

    def __init__(self, path: str, tracker: str | None, must_exist: bool) -> None:
        self._publication = TrackerPublication(self.now_us)
        self.delivery: Delivery | None = None
        super().__init__(path, self._publication, must_exist=must_exist)
        try:
            self.tracker_name = self._remembered(tracker)
        except BaseException:
            self.close()
            raise

    def _remembered(self, tracker: str | None) -> str:
        settings = self.database["settings"]
        known = settings.find_one({"_id": _SETTING})
        if tracker is None:
            return str(known["value"]) if known is not None else NAME
        if known is None or known["value"] != tracker:
            tracker_of(tracker, self.database, _NO_TOKEN_NEEDED)
            settings.replace_one({"_id": _SETTING}, {"value": tracker}, upsert=True)
        return tracker

    @property
    def outbox(self) -> Outbox:
        """What waits to be told."""
        return self._publication.outbox

    def tracker(self) -> Tracker:
        """The tracker that was named."""
        return tracker_of(self.tracker_name, self.database)

    def __exit__(self, *exception: object) -> None:
        """Tell what waits, if nothing went wrong; then close."""
        try:
            if exception[0] is None and self.outbox.waiting():
                self._deliver()
        finally:
            self.close()

    def _deliver(self) -> None:
        try:
            self.delivery = self.outbox.deliver(self.tracker())
        except TrackerRefusedError as error:
            _say(f"cbdd: {error}; {self.outbox.waiting()} messages wait")
            return
        found = self.delivery
        for number, why in found.refused.items():
            _say(f"cbdd: incident {number} was not told: {why}")
        if found.unavailable:
            _say(f"cbdd: {found.unavailable}")
        if found.waiting:
            _say(f"{found.waiting} messages wait; `cbdd incident sync` sends them")


def _say(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")


def store_at(path: str, tracker: str | None, must_exist: bool = True) -> TrackedStore:
    """The records at a path, to be changed."""
    return TrackedStore(path, tracker, must_exist)


def records_at(path: str) -> IncidentStore:
    """The records at a path, to be read."""
    return IncidentStore(path, must_exist=True)


def person(by: str | None) -> str:
    """Who does this."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a machine that knows no name for this user
