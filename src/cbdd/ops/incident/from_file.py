"""A signal from a database file: what doctor finds, when the flight recorder first saw it.

Nothing is asked of the reporter: release, Python, operating system, failing operation and the time
of the first failure are read from the file, its log and its flight recorder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from cbdd.codes import INFO, SEV_1, SEV_2
from cbdd.errors import CbddError
from cbdd.ops.bundle import Pseudonyms, collect, new_key
from cbdd.ops.diagnosis import Diagnosis, Finding
from cbdd.ops.doctor import diagnose
from cbdd.ops.incident.context import context_of_file
from cbdd.ops.incident.record import FirstFailure, Signal
from cbdd.ops.inspection import verify_log
from cbdd.storage.events import read_events, severity_of_event
from cbdd.storage.io import Clock, Io

KIND: Final = "file"
_SERIOUS: Final = (SEV_1, SEV_2)
_GOOD_EVENTS: Final = ("open", "close", "checkpoint")
OPERATIONS: Final = {
    "open_failed": "opening the file",
    "recovery": "recovery at opening",
    "hole": "recovery at opening",
    "damage": "reading a page",
    "sync_failed": "commit: making it durable",
    "checkpoint": "checkpoint",
    "background_error": "checkpoint in the background",
    "relief_failed": "making room on a full disk",
    "archive_failed": "archiving the log",
    "expiry_error": "deleting expired documents",
    "pages_leaked": "checkpoint",
    "freelist_rebuilt": "opening the file",
}
"""What was being done when the flight recorder noted an event."""


def signal_from_file(
    path: str, progress: Callable[[int, int], None] | None = None, clock: Clock | None = None
) -> Signal:
    """Look at a file, which is not changed, and say what an incident needs to know of it."""
    diagnosis = diagnose(path, progress=progress)
    events = _events(diagnosis.path)
    log = _log(diagnosis.path)
    serious = [each for each in diagnosis.findings if each.severity != INFO]
    now_us = (clock or Clock()).now_us()
    first, event = _first_failure(serious, events, log, now_us)
    context = context_of_file(diagnosis.path, events, diagnosis.facts)
    context.operation = OPERATIONS.get(str(event.get("event")), "") or _operation_of(serious)
    identity = _identity(events, diagnosis)
    return Signal(
        kind=KIND,
        title=_title(serious),
        keys=cause_keys(identity, [(each.code, each.where) for each in serious]),
        codes=[[each.code, each.severity] for each in serious],
        context=context,
        first_failure=first,
        facts={
            "path": diagnosis.path,
            "verdict": diagnosis.verdict,
            "findings": [_finding(each) for each in diagnosis.findings],
            "whole": diagnosis.readable,
            "format": {
                name: diagnosis.facts[name]
                for name in ("format", "min_reader", "min_writer")
                if name in diagnosis.facts
            },
            "log": log,
        },
        evidence=_evidence(diagnosis, events),
    )


def cause_keys(identity: str, findings: list[tuple[str, dict[str, object]]]) -> list[str]:
    """What tells that two signals of a file have one cause: the same fault at the same place.

    :param identity: tells this database from others, in files and in bundles alike.
    """
    keys: list[str] = []
    for code, where in findings:
        pages = where.get("pages")
        place = [
            f"{name}={where[name]}"
            for name in ("page", "segment", "offset", "lsn")
            if isinstance(where.get(name), int)
        ]
        if isinstance(pages, list):
            place += [f"page={page}" for page in pages[:50]]
        keys += [f"file:{identity}:{code}:{each}" for each in place or [""]]
    return keys


def _title(serious: list[Finding]) -> str:
    if not serious:
        return "nothing found in the file"
    first = serious[0]
    more = len({each.code for each in serious}) - 1
    return f"{first.code}{f' and {more} more' if more else ''}"


def _events(path: str) -> list[dict[str, Any]]:
    try:
        return read_events(Io(), f"{path}-events")
    except CbddError:
        return []  # the file tells what it can without


def _log(path: str) -> dict[str, Any]:
    try:
        found = verify_log(path)
    except (CbddError, OSError):
        return {}  # there is nothing to tell a database by; doctor says what is wrong
    kept = ("code", "commits", "first_lsn", "last_lsn", "durable_lsn", "last_commit_us")
    return {name: found[name] for name in (*kept, "lost_commits")}


def _identity(events: list[dict[str, Any]], diagnosis: Diagnosis) -> str:
    """What stays the same for one database, in a bundle too, which has no UUID: its creation."""
    created = diagnosis.facts.get("created_us")
    if isinstance(created, int) and created:
        return str(created)
    first = events[0].get("time_us") if events else None
    return str(first) if first else "unknown"


def _first_failure(
    serious: list[Finding], events: list[dict[str, Any]], log: dict[str, Any], now_us: int
) -> tuple[FirstFailure, dict[str, Any]]:
    """When the fault was first met, and the event that tells so (empty when none does)."""
    codes = {each.code for each in serious}
    failures = [each for each in events if severity_of_event(each) in _SERIOUS]
    of_this = [each for each in failures if codes & set(_codes(each))] or failures
    if of_this:
        event = of_this[0]
        at = _time(event)
        code = next(iter(_codes(event)), "")
        source = f"flight recorder: {event.get('event')} {code}".rstrip()
        return FirstFailure(at, _last_good(events, at, log), source), event
    if not serious:
        return FirstFailure(), {}
    last_good = _last_good(events, now_us, log)
    return FirstFailure(now_us, last_good, "found by doctor; nothing met it before"), {}


def _last_good(events: list[dict[str, Any]], before_us: int, log: dict[str, Any]) -> int:
    """The last moment before a failure at which something succeeded: an event, or a commit."""
    times = [
        _time(each)
        for each in events
        if each.get("event") in _GOOD_EVENTS and not severity_of_event(each)
    ]
    times.append(int(log.get("last_commit_us", 0)))
    return max((each for each in times if each < before_us), default=0)


def _codes(event: dict[str, Any]) -> list[str]:
    named = [event.get("code")]
    findings = event.get("findings")
    if isinstance(findings, list):
        named += [each.get("code") for each in findings if isinstance(each, dict)]
    return [each for each in named if isinstance(each, str)]


def _time(event: dict[str, Any]) -> int:
    found = event.get("time_us")
    return found if isinstance(found, int) else 0


def _operation_of(serious: list[Finding]) -> str:
    """What fails where nobody has recorded it: by the place of the worst fault."""
    if not serious:
        return ""
    where = serious[0].where
    if "collection" in where:
        index = f", index {where['index']}" if "index" in where else ""
        return f"reading {where.get('database')}.{where['collection']}{index}"
    return "opening the file"


def _finding(finding: Finding) -> dict[str, Any]:
    found = finding.to_dict()
    pages = finding.where.get("pages")
    if isinstance(pages, list) and len(pages) > 100:
        found["where"] = {**finding.where, "pages": pages[:100], "more_pages": len(pages) - 100}
    return found


def _evidence(diagnosis: Diagnosis, events: list[dict[str, Any]]) -> dict[str, bytes]:
    """What is kept with the incident: for the maintainers in full, and redacted to send on."""
    files = {
        "doctor.json": _encode(diagnosis.to_dict()),
        "events.jsonl": b"".join(_encode(each) + b"\n" for each in events),
        "redacted.json": _encode(collect(diagnosis.path, Pseudonyms(new_key()), diagnosis)),
    }
    return {name: data for name, data in files.items() if data}


def _encode(value: object) -> bytes:
    return json.dumps(value, default=str).encode()
