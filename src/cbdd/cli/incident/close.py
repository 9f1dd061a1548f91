"""`cbdd incident close`: the review, without which an incident stays open."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.incident.options import (
    DEFAULT_STORE,
    DEFAULT_TRACKER,
    ByOption,
    NumberArgument,
    StoreOption,
    TrackerOption,
    person,
    store_at,
)
from cbdd.cli.output import print_json
from cbdd.ops.incident.corpus import FOLDER, add_to_corpus, corpus_name
from cbdd.ops.incident.lifecycle import Review
from cbdd.ops.incident.lifecycle import close as close_change
from cbdd.ops.incident.record import FollowUp, Incident
from cbdd.ops.incident.store import IncidentStore

CauseOption = Annotated[str, typer.Option("--root-cause", help="What the cause was, in words.")]
RadiusOption = Annotated[
    str,
    typer.Option("--blast-radius", help="What the evidence does not show of what was affected."),
]
FollowUpOption = Annotated[
    list[str] | None,
    typer.Option(
        "--follow-up", metavar="'TEXT; OWNER; DATE'", help="Work that is left; may be repeated."
    ),
]
NoFollowUpOption = Annotated[
    str, typer.Option("--no-follow-ups", metavar="REASON", help="Why nothing is left to do.")
]
CorpusOption = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        metavar="FOLDER",
        help="Where CI finds the tests of closed incidents; default: tests/incidents, if there.",
        show_default=False,
    ),
]
_PARTS = 3


def close(
    number: NumberArgument,
    root_cause: CauseOption = "",
    blast_radius: RadiusOption = "",
    follow_up: FollowUpOption = None,
    no_follow_ups: NoFollowUpOption = "",
    corpus: CorpusOption = None,
    by: ByOption = None,
    store: StoreOption = DEFAULT_STORE,
    tracker: TrackerOption = DEFAULT_TRACKER,
    json: JsonOption = False,
) -> None:
    """Close an incident, which needs root cause, blast radius, regression test and follow-ups.

    The timeline is generated; `cbdd incident timeline` corrects it. The incident's test, if it is
    a file of its own, joins the corpus.
    """
    review = Review(
        root_cause, [_follow_up(each) for each in follow_up or []], no_follow_ups, blast_radius
    )
    with store_at(store, tracker) as records:
        found = records.change(number, close_change(records.now_us(), review, person(by)))
        joined = _join_corpus(records, found, corpus)
    if json:
        print_json(found.to_dict())
    else:
        if joined:
            sys.stdout.write(f"its test joins the corpus: {joined}\n")
        sys.stdout.write(
            f"incident {number} is closed; `cbdd incident report {number}` writes the review\n"
        )


def _join_corpus(records: IncidentStore, incident: Incident, folder: str | None) -> str:
    """Put the incident's test where CI replays it; returns its path, empty when there is none."""
    place = folder or FOLDER
    name = corpus_name(incident)
    if not name or (folder is None and not os.path.isdir(place)):
        return ""
    source = records.evidence_data(incident.number, str(incident.reproduction["test"]))
    return add_to_corpus(place, name, source)


def _follow_up(text: str) -> FollowUp:
    parts = [each.strip() for each in text.rsplit(";", _PARTS - 1)]
    if len(parts) != _PARTS:
        raise CommandError(f"{text!r} is no follow-up: give 'TEXT; OWNER; 2026-01-31'", BAD_USAGE)
    return FollowUp(*parts)
