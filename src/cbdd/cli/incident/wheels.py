"""Options for releases: where their wheels are, and where what they need comes from."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cbdd.cli.output import printable
from cbdd.ops.environments import Source
from cbdd.ops.incident.record import Incident
from cbdd.ops.incident.regression import Regression
from cbdd.ops.incident.store import IncidentStore

OfflineOption = Annotated[
    bool,
    typer.Option("--offline", help="Take what releases need from this installation, no index."),
]
IndexOption = Annotated[
    str | None, typer.Option("--index-url", metavar="URL", help="An index to install from.")
]
FolderOption = Annotated[
    str, typer.Option("--tests", metavar="FOLDER", help="The checkout that has the tests.")
]


def source_of(offline: bool, index_url: str | None, find_links: list[str] | None = None) -> Source:
    """Where packages come from."""
    return Source(offline=offline, index_url=index_url, find_links=find_links or [])


def regression_of(records: IncidentStore, incident: Incident) -> Regression:
    """The test that reproduces an incident, as it was kept."""
    facts = incident.reproduction
    name = str(facts.get("test", ""))
    tests = [str(each) for each in facts.get("tests", [])]
    if tests:
        return Regression(name, tests=tests)
    return Regression(name, records.evidence_data(incident.number, name))


def say(text: str) -> None:
    """Tell progress on standard error."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()
