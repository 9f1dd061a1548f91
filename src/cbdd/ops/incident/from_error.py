"""A signal from an error: an exception, or a traceback that somebody has sent as text.

Of an error are kept: its class, its code, its numbers (page, offset, LSN), and where in CBDD it was
raised. Its message is not: it may hold values or paths.
"""

from __future__ import annotations

import json
import re
import traceback
from types import TracebackType
from typing import Any, Final

from cbdd.codes import CODES, INFO, severity_of
from cbdd.errors import CbddError, UsageError
from cbdd.ops.incident.context import context_here
from cbdd.ops.incident.record import Context, FirstFailure, Signal

KIND: Final = "error"
MAX_TEXT_BYTES: Final = 4 << 20
_FRAME: Final = re.compile(
    r'File "[^"\n]*?[\\/]?(cbdd(?:[\\/]\w+)+)\.(?:py|so)", line (\d+), in (\w+)'
)
_RAISED: Final = re.compile(
    r"^([A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Interrupt))\b(?:: ?(.*))?$"
)
_CODE: Final = re.compile(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")
_PRINTED_CODE: Final = re.compile(r"(?:^|[\w']: )([A-Z][A-Z0-9_]{3,}): ", re.MULTILINE)
_VERSION: Final = re.compile(r"\bcbdd[ =]{1,2}(\d+\.\d+\.\d+\w*)")
_PLACE: Final = re.compile(r"\b(page|offset|lsn|segment)[ =](\d+)")


def signal_from_exception(error: BaseException) -> Signal:
    """An exception that was caught here; release and machine are this process's."""
    frames = [
        (name, line, function)
        for name, line, function in map(_own_frame, _frames_of(error.__traceback__))
        if name
    ]
    code = error.code if isinstance(error, CbddError) else ""
    path = error.details.get("path") if isinstance(error, CbddError) else None
    where = error.details if isinstance(error, CbddError) else {}
    numbers = {name: each for name, each in where.items() if isinstance(each, int)}
    context = context_here(path if isinstance(path, str) else "")
    return _signal(type(error).__name__, code, frames, numbers, context)


def signal_from_text(text: str) -> Signal:
    """A traceback, or what a command printed with ``--json``.

    :raises UsageError: SIGNAL_INVALID, there is no error in it.
    """
    told = _told_by_command(text)
    if told is not None:
        return told
    raised = ""
    message = ""
    for line in text.splitlines():
        found = _RAISED.match(line.strip())
        if found:
            raised, message = found[1].rsplit(".", 1)[-1], found[2] or ""
    frames = [
        (name.replace("\\", "/").replace("/", "."), int(line), function)
        for name, line, function in _FRAME.findall(text)
    ]
    code = code_in(message or text)
    if not raised and not code:
        raise UsageError(
            "SIGNAL_INVALID",
            "there is no error in this text",
            "give the whole traceback, or what the command printed with --json",
        )
    version = _VERSION.search(text)
    context = Context(cbdd=version[1] if version else "")
    numbers = {name: int(value) for name, value in _PLACE.findall(message)}
    return _signal(raised or code, code, frames, numbers, context)


def code_in(text: str) -> str:
    """The first code of CBDD in a text, as errors print it or by itself; empty when none is."""
    named = [*_PRINTED_CODE.findall(text), *_CODE.findall(text)]
    return next((each for each in named if each in CODES), "")


def _told_by_command(text: str) -> Signal | None:
    """The error in the JSON that a command of `cbdd` prints on standard error."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        return None
    details = error.get("details")
    where: dict[str, Any] = details if isinstance(details, dict) else {}
    numbers = {name: each for name, each in where.items() if isinstance(each, int)}
    code = error["code"]
    return _signal(code, code if code in CODES else "", [], numbers, Context())


def _signal(
    raised: str,
    code: str,
    frames: list[tuple[str, int, str]],
    numbers: dict[str, int],
    context: Context,
) -> Signal:
    deepest = frames[-1] if frames else None
    at = f"{deepest[0]}.{deepest[2]}" if deepest else ""
    if not context.operation:
        context.operation = _operation(frames)
    severity = severity_of(code) if code else ""
    areas = [] if code and severity != INFO else [_area(frames)]
    return Signal(
        kind=KIND,
        title=code or f"{raised}{f' in {at}' if at else ''}",
        keys=[f"error:{code or raised}:{at}"],
        codes=[[code, severity]] if code else [],
        areas=areas,
        context=context,
        first_failure=FirstFailure(source="not known from an error: ask when it came first"),
        facts={
            "class": raised,
            "code": code,
            "raised_in": [f"{name}:{line} {function}" for name, line, function in frames[-20:]],
            "where": numbers,
        },
    )


def _operation(frames: list[tuple[str, int, str]]) -> str:
    """The first call into the package: what the program asked for."""
    for name, _, function in frames:
        function = "next" if function == "__next__" else function  # what iterating over one calls
        if name.startswith("cbdd.client") and not function.startswith("_"):
            return f"{name.rsplit('.', 1)[-1]}.{function}"
    return f"{frames[0][0].rsplit('.', 1)[-1]}.{frames[0][2]}" if frames else ""


def _area(frames: list[tuple[str, int, str]]) -> str:
    """The area of the innermost module, by its layer."""
    layers = {"document": "query", "expression": "query", "catalog": "index", "cli": "command_line"}
    for name, _, _ in reversed(frames):
        parts = name.split(".")
        if "recovery" in parts or "wal" in parts:
            return "recovery" if "recovery" in parts else "wal"
        if len(parts) > 1 and parts[1] in ("storage", "index", "query", "client", "ops"):
            return {"ops": "operations"}.get(parts[1], parts[1])
        if len(parts) > 1 and parts[1] in layers:
            return layers[parts[1]]
    return ""


def _frames_of(trace: TracebackType | None) -> list[tuple[str, int, str]]:
    return [(each.filename, each.lineno or 0, each.name) for each in traceback.extract_tb(trace)]


def _own_frame(frame: tuple[str, int, str]) -> tuple[str, int, str]:
    """A frame by the name of its module; an empty name for one that is not of this package."""
    found = re.search(r"(?:^|[\\/])(cbdd(?:[\\/]\w+)+)\.py$", frame[0])
    return (found[1].replace("\\", "/").replace("/", ".") if found else "", frame[1], frame[2])
