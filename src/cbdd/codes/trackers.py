"""Codes of trackers."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import INCIDENT, INFO, Code

TRACKER_CODES: Final = (
    Code(
        "TRACKER_CONFIG",
        INCIDENT,
        INFO,
        "The tracker is not named as it has to be, or there is no token for it.",
        "See docs/trackers.md for how a tracker is named, and which variable has its token.",
    ),
    Code(
        "TRACKER_UNAVAILABLE",
        INCIDENT,
        INFO,
        "The tracker's service is away or busy. What was to be told is kept.",
        "`cbdd incident sync` sends what waits when it is back.",
    ),
    Code(
        "TRACKER_REFUSED",
        INCIDENT,
        INFO,
        "The tracker's service refuses what it is asked for. What was to be told is kept.",
        "Check the token, its rights and the repository; then `cbdd incident sync`.",
    ),
)
