"""Codes of incident records."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import INCIDENT, INFO, Code

RECORD_CODES: Final = (
    Code(
        "NO_INCIDENTS",
        INCIDENT,
        INFO,
        "There are no incident records at this path.",
        "Open an incident with `cbdd incident open`, or name the records with `--store`.",
    ),
    Code(
        "INCIDENT_NOT_FOUND",
        INCIDENT,
        INFO,
        "There is no incident of this number.",
        "`cbdd incident list --all` shows those that are there.",
    ),
    Code(
        "INCIDENT_CLOSED",
        INCIDENT,
        INFO,
        "The incident is closed; it is not changed any more.",
        "Open another; a new signal of the same cause does so by itself.",
    ),
    Code(
        "INCIDENT_FORMAT",
        INCIDENT,
        INFO,
        "A later release has written the incident records.",
        "Use that release, or a later one.",
    ),
    Code(
        "INCIDENT_REFUSED",
        INCIDENT,
        INFO,
        "What was to be done with an incident cannot be done now; the message says why.",
        "`cbdd incident show` says what comes next.",
    ),
    Code(
        "CLOSE_REFUSED",
        INCIDENT,
        INFO,
        "The review of an incident is not complete; the message lists what is missing.",
        "`cbdd incident show` says what to type for each.",
    ),
    Code(
        "EVIDENCE_NOT_FOUND",
        INCIDENT,
        INFO,
        "The incident has no evidence of this name.",
        "`cbdd incident show` lists what it has.",
    ),
    Code(
        "TEST_NOT_FOUND",
        INCIDENT,
        INFO,
        "There is no test file at this path.",
        "Name a test file, or FILE::NAME for one test of it.",
    ),
    Code(
        "NO_GOOD_RELEASE",
        INCIDENT,
        INFO,
        "Of the releases that were given none could be found that is good, or none that is bad.",
        "Name other releases; the message says what came of each.",
    ),
    Code(
        "STILL_DAMAGED",
        INCIDENT,
        INFO,
        "A file that is said to be repaired is not whole.",
        "`cbdd doctor FILE` says what is wrong and what to do.",
    ),
    Code(
        "DRILL_REFUSED",
        INCIDENT,
        INFO,
        "A drill cannot be begun or found like this; the message says why.",
        "`cbdd drill kinds` lists the kinds of failure.",
    ),
    Code(
        "SIGNAL_INVALID",
        INCIDENT,
        INFO,
        "There is no error, test report or consumers' report in what was given.",
        "The message says what is expected.",
    ),
)
