"""Trackers: where others see an incident, behind one interface."""

from cbdd.ops.trackers.outbox import Delivery, Outbox
from cbdd.ops.trackers.specification import tracker_of
from cbdd.ops.trackers.tracker import (
    TrackedIssue,
    Tracker,
    TrackerRefusedError,
    TrackerUnavailableError,
)

__all__ = [
    "Delivery",
    "Outbox",
    "TrackedIssue",
    "Tracker",
    "TrackerRefusedError",
    "TrackerUnavailableError",
    "tracker_of",
]
