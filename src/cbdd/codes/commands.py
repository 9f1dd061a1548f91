"""Codes of the command line."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import COMMANDS, INFO, Code

COMMAND_CODES: Final = (
    Code(
        "INPUT",
        COMMANDS,
        INFO,
        "What a command was given cannot be used: a bad record, a refused document, a target that "
        "is there already.",
        "The message says what and where.",
    ),
    Code("FILE", COMMANDS, INFO, "A server was named where a file is needed.", "Name a file."),
    Code(
        "DATABASE",
        COMMANDS,
        INFO,
        "No database can be named like this file.",
        "Name one with `--database`.",
    ),
    Code(
        "NAMESPACE_NOT_FOUND",
        COMMANDS,
        INFO,
        "There is no such collection; the message lists those that are there.",
        "Check its name, and `--database`.",
    ),
    Code(
        "NO_EVENTS",
        COMMANDS,
        INFO,
        "The file has no flight recorder beside it (NAME-events).",
        "It is kept from the next opening on, unless with `flight_recorder=False`.",
    ),
    Code(
        "UNKNOWN_CODE",
        COMMANDS,
        INFO,
        "`cbdd explain` was asked about a code that does not exist.",
        "Run `cbdd explain` for the list; a later release may know it.",
    ),
)
