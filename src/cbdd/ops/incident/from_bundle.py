"""A signal from somebody else's bundle: the same as from their file, as far as it may be told."""

from __future__ import annotations

from typing import Any, Final

from cbdd.codes import INFO
from cbdd.ops.bundle import read_bundle
from cbdd.ops.incident.from_file import OPERATIONS, cause_keys
from cbdd.ops.incident.record import Context, FirstFailure, Signal
from cbdd.storage.events import severity_of_event

KIND: Final = "bundle"


def signal_from_bundle(path: str) -> Signal:
    """Read a bundle.

    :raises CorruptDataError: BUNDLE_INVALID.
    """
    bundle = read_bundle(path)
    doctor = _object(bundle.members["doctor.json"])
    statistics = _object(bundle.members["statistics.json"])
    listed = bundle.members["events.json"]
    events = [_object(each) for each in listed] if isinstance(listed, list) else []
    findings = [_object(each) for each in _list(doctor.get("findings"))]
    serious = [each for each in findings if each.get("severity") != INFO]
    codes = [[_text(each.get("code")), _text(each.get("severity"))] for each in serious]
    event = next((each for each in events if severity_of_event(each) in ("SEV-1", "SEV-2")), {})
    at_us = _number(event.get("time_us")) or _number(bundle.manifest.get("made_us"))
    facts = _object(doctor.get("facts"))
    identity = _number(facts.get("created_us")) or (
        _number(events[0].get("time_us")) if events else 0
    )
    more = len({code for code, _ in codes}) - 1
    return Signal(
        kind=KIND,
        title=f"{codes[0][0]}{f' and {more} more' if more else ''}" if codes else "a bundle",
        keys=cause_keys(
            str(identity or "unknown"),
            [(_text(each.get("code")), _object(each.get("where"))) for each in serious],
        ),
        codes=codes,
        context=_context(bundle.manifest, statistics, events, event),
        first_failure=FirstFailure(
            at_us if serious else 0,
            _last_before(events, at_us),
            f"flight recorder in the bundle: {event['event']}" if event else "when it was made",
        ),
        facts={
            "verdict": _number(doctor.get("verdict")),
            "findings": findings,
            "format": {
                name: _number(facts[name])
                for name in ("format", "min_reader", "min_writer")
                if name in facts
            },
        },
    )


def _context(
    manifest: dict[str, Any],
    statistics: dict[str, Any],
    events: list[dict[str, Any]],
    event: dict[str, Any],
) -> Context:
    opened: dict[str, Any] = next(
        (each for each in reversed(events) if each.get("event") == "open"), {}
    )
    return Context(
        cbdd=_text(opened.get("cbdd") or statistics.get("writer_version") or manifest.get("cbdd")),
        build=_text(statistics.get("build")),
        python=_text(opened.get("python") or statistics.get("python")),
        os=" ".join(
            each for each in (_text(statistics.get(name)) for name in ("system", "machine")) if each
        ),
        operation=OPERATIONS.get(_text(event.get("event")), ""),
    )


def _last_before(events: list[dict[str, Any]], at_us: int) -> int:
    times = [_number(each.get("time_us")) for each in events if not severity_of_event(each)]
    return max((each for each in times if each < at_us), default=0)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
