"""Codes of what follows an incident: releases, environments with one in them, and consumers."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import INCIDENT, INFO, SEV_2, Code

INCIDENT_CODES: Final = (
    Code(
        "EXTRA_MISSING",
        INCIDENT,
        INFO,
        "A command needs packages that are not installed with CBDD alone.",
        "Install them: `pip install 'cbdd[incident]'`.",
    ),
    Code(
        "WHEEL_INVALID",
        INCIDENT,
        INFO,
        "A file cannot be used as a wheel: it is not there, is damaged, or its name and its "
        "METADATA disagree about what it holds.",
        "Name a wheel as it was built or downloaded.",
    ),
    Code(
        "ENVIRONMENT_FAILED",
        INCIDENT,
        INFO,
        "An environment with a release in it could not be built: a package could not be installed, "
        "or one that is required is missing.",
        "The message has what pip said. Without a network, what is missing must be installed where "
        "`cbdd` runs.",
    ),
    Code(
        "ENVIRONMENT_FOREIGN",
        INCIDENT,
        SEV_2,
        "An environment was built, and what it imports as `cbdd` is not the release that was "
        "installed: the version in the wheel's name is not that of its code, or another CBDD comes "
        "first.",
        "Build the wheel again from a clean tree; look for `.pth` files that name another CBDD.",
    ),
    Code(
        "COMMAND_FAILED",
        INCIDENT,
        INFO,
        "A command that was to be run in an environment cannot be started.",
        "Check the command, and that what it needs is installed.",
    ),
    Code(
        "CONSUMERS_FILE",
        INCIDENT,
        INFO,
        "The file that names the consumers has a mistake; the message says which consumer, which "
        "key, what was expected and what found.",
        "Correct the file; docs/consumers.md describes it.",
    ),
    Code(
        "CONSUMER_UNKNOWN",
        INCIDENT,
        INFO,
        "A consumer was named that the file does not have.",
        "`cbdd consumers list` shows those it has.",
    ),
    Code(
        "CONSUMERS_REPORT",
        INCIDENT,
        INFO,
        "A saved report on consumers cannot be read: it is something else, or of a later release.",
        "Name a file that `cbdd consumers run --json` has written, and read it with a release as "
        "new as the one that wrote it.",
    ),
)
