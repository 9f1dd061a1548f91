"""Options for releases: where their wheels are, and where what they need comes from.

What needs the extra ``incident`` is imported where it is used: the other commands work without.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cbdd.cli.output import printable
from cbdd.ops.incident.record import Incident
from cbdd.ops.incident.store import IncidentStore

if TYPE_CHECKING:
    from cbdd.ops.environments import Source
    from cbdd.ops.incident.regression import Regression

OfflineOption = Annotated[
    bool,
    typer.Option("--offline", help="Take what releases need from this installation, no index."),
]
IndexOption = Annotated[
    str | None, typer.Option("--index-url", metavar="URL", help="An index to install from.")
]
ExtraOption = Annotated[
    list[str] | None,
    typer.Option(
        "--extra",
        metavar="NAME",
        help="An extra of the wheel that the tests need, e.g. test; may be repeated.",
        show_default=False,
    ),
]
FolderOption = Annotated[
    str, typer.Option("--tests", metavar="FOLDER", help="The checkout that has the tests.")
]


def source_of(offline: bool, index_url: str | None, find_links: list[str] | None = None) -> Source:
    """Where packages come from."""
    from cbdd.ops.environments import Source

    return Source(offline=offline, index_url=index_url, find_links=find_links or [])


def needed(wheel: str, extras: list[str] | None) -> list[str]:
    """What tests need beside the wheel."""
    from cbdd.ops.wheels import read_wheel, requirements_of_extra

    found = read_wheel(wheel)
    more = [each for name in extras or [] for each in requirements_of_extra(found, name)]
    return ["pytest>=8", *more]


def regression_of(records: IncidentStore, incident: Incident) -> Regression:
    """The test that reproduces an incident, as it was kept."""
    from cbdd.ops.incident.regression import Regression

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
