"""`cbdd info`: what the file is, its log, its last recovery."""

from __future__ import annotations

import sys
from typing import Any, Final

from cbdd.build_info import build_kind
from cbdd.cli.arguments import FileArgument, JsonOption
from cbdd.cli.opening import open_for_inspection
from cbdd.cli.output import facts_table, print_json, size_text, stdout_console, time_text
from cbdd.errors import CbddError
from cbdd.storage.events import read_events
from cbdd.storage.io import Io
from cbdd.storage.version import VERSION

_LAST_EVENTS: Final = 5


def info(file: FileArgument, json: JsonOption = False) -> None:
    """Show what the file is: versions, format, meta page, log, the last recovery."""
    with open_for_inspection(file) as client:
        facts = client.statistics()
        opening = client.recovery_report.to_dict()
        events, trouble = _events_of(client.path)
    recoveries = [each for each in events if each.get("event") == "recovery"]
    found = {
        "cbdd_version": VERSION,
        "build": build_kind(),
        "python_version": sys.version.split()[0],
        **facts,
        "opening": opening,
        "last_recovery": recoveries[-1] if recoveries else None,
        "last_events": events[-_LAST_EVENTS:],
    }
    if trouble:
        sys.stderr.write(f"cbdd: {trouble}\n")
    if json:
        print_json(found)
    else:
        _show(found)


def _events_of(path: str) -> tuple[list[dict[str, object]], str]:
    """The events of a file, and why they cannot be read if so: the rest is worth showing."""
    try:
        return read_events(Io(), f"{path}-events"), ""
    except CbddError as error:
        return [], error.message


def _show(found: dict[str, Any]) -> None:
    page = found["page_size_bytes"]
    last = found["last_recovery"]
    opening = found["opening"]
    facts = {
        "file": f"{found['path']}, {size_text(found['file_size_bytes'])}",
        "format": f"{found['format']}; read by format {found['min_reader']} and later, "
        f"written by {found['min_writer']} and later; last written by CBDD "
        f"{found['writer_version']}",
        "this program": f"CBDD {found['cbdd_version']}, {found['build']}, Python "
        f"{found['python_version']}",
        "uuid": found["uuid"],
        "created": time_text(found["created_us"]),
        "pages": f"{found['page_count']:,} of {size_text(page)}, {found['free_pages']:,} free",
        "checkpoint": f"{found['generation']}, {time_text(found['checkpoint_us'])}, up to commit "
        f"{found['checkpoint_lsn']}",
        "root checksum": found["root_checksum"],
        "closed": "cleanly" if found["is_clean"] else "not cleanly, or open: it needs its log",
        "log": f"{size_text(found['log_bytes'])}, last commit {found['lsn']}"
        + (f", {opening['frames_redone']:,} frames read now" if opening["frames_redone"] else ""),
        "open in": ", ".join(f"process {each['pid']}" for each in found["processes"])
        or "no other process",
        "last recovery": "none on record" if last is None else _recovery_text(last),
    }
    console = stdout_console()
    console.print(facts_table(facts))
    for finding in opening["findings"]:
        console.print(
            f"{finding['severity']} {finding['code']}: {finding['message']}", markup=False
        )


def _recovery_text(event: dict[str, Any]) -> str:
    return (
        f"{time_text(event['time_us'])}: {event['commits_redone']:,} commits redone, "
        f"{event['bytes_cut']:,} bytes cut, last commit {time_text(event['last_commit_us'])}, "
        f"{event['duration_seconds']:.3f} s"
    )
