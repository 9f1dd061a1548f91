"""Containing an incident: which release is good, does it read this file, and what to pin.

For a file that was damaged from outside no release is to blame: there the containment is a
recovered file.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cbdd.codes import INFO
from cbdd.errors import UsageError
from cbdd.ops.diagnosis import HEALTHY
from cbdd.ops.doctor import diagnose
from cbdd.ops.environments import Environment, Source, build_environment
from cbdd.ops.incident.bisect import bisect
from cbdd.ops.incident.next_steps import file_of
from cbdd.ops.incident.pins import pins, rollback_steps, yank_reason
from cbdd.ops.incident.record import Incident
from cbdd.ops.incident.regression import Regression
from cbdd.ops.recovery import RecoverReport
from cbdd.ops.wheels import Wheel, requirements_of_extra

Say = Callable[[str], None]

_READING: Final = """
import json, sys, cbdd
from cbdd.storage.version import VERSION
found = {"version": VERSION, "reads": False, "writes": False, "code": ""}
try:
    with cbdd.connect(sys.argv[1], must_exist=True, read_only=True) as client:
        found["problems"] = len(client.check().problems)
        found["reads"] = True
    with cbdd.connect(sys.argv[1], must_exist=True) as client:
        client.checkpoint()
        found["writes"] = True
except Exception as error:
    found["code"] = getattr(error, "code", "") or type(error).__name__
print(json.dumps(found, default=str))
"""


class Mitigation:
    """What was found: facts for the record, and files for consumers."""

    def __init__(self, facts: dict[str, Any], files: dict[str, bytes]) -> None:
        self.facts = facts
        self.files = files


def find_good_release(
    incident: Incident,
    regression: Regression,
    wheels: Sequence[Wheel],
    source: Source,
    folder: str | None = None,
    say: Say | None = None,
    database: str = "",
    extras: Sequence[str] | None = None,
) -> Mitigation:
    """Bisect releases with the incident's test, and prove that the good one reads its file.

    :param wheels: oldest first.
    :param folder: the checkout, for tests by their names.
    :param say: told what is being tried.
    :param database: a file to prove it with; default: that of the incident.
    :param extras: of the wheels, which the test needs.
    :raises UsageError: NO_GOOD_RELEASE; ENVIRONMENT_FAILED.
    """
    with tempfile.TemporaryDirectory(prefix="cbdd-bisect-") as scratch:
        environments: dict[str, Environment] = {}

        def environment_of(wheel: Wheel) -> Environment:
            version = str(wheel.version)
            if version not in environments:
                place = Path(scratch) / version
                requirements: list[str | Path] = [wheel.path, "pytest>=8"]
                for name in extras or ():
                    requirements += requirements_of_extra(wheel, name)
                environments[version] = build_environment(place, requirements, source)
            return environments[version]

        def judge(wheel: Wheel) -> str:
            outcome = regression.run(environment_of(wheel), folder)
            if say is not None:
                say(f"{wheel.version}: {outcome.state}")
            return outcome.state

        found = bisect(wheels, judge)
        facts: dict[str, Any] = {
            "kind": "release",
            "test_sha256": regression.sha256,
            **found.to_dict(lambda wheel: str(wheel.version)),
        }
        if found.first_bad is None:
            raise UsageError(
                "NO_GOOD_RELEASE",
                "the newest of these releases passes the test: " + _tried(facts),
                "name the releases that fail, or look for the cause elsewhere",
                facts,
            )
        if found.last_good is None:
            raise UsageError(
                "NO_GOOD_RELEASE",
                f"none of these releases passes the test: {_tried(facts)}",
                "name earlier releases",
                facts,
            )
        bad_at = found.candidates.index(found.first_bad)
        facts["bad"] = [str(each.version) for each in found.candidates[bad_at:]]
        facts["wheel_sha256"] = found.last_good.sha256
        file = database or file_of(incident)
        if file:
            facts["file"] = read_with(environment_of(found.last_good), file)
    return Mitigation(facts, _files(incident, facts, file))


def _tried(facts: dict[str, Any]) -> str:
    return ", ".join(f"{version} {state}" for version, state in facts["tried"].items()) or "none"


def read_with(environment: Environment, path: str) -> dict[str, Any]:
    """Whether a release reads and writes a file: tried on a copy.

    :returns: version, reads, writes, problems (what its check finds), code of what it raised.
    """
    with tempfile.TemporaryDirectory(prefix="cbdd-copy-") as scratch:
        source = Path(path)
        copy = Path(scratch) / source.name
        for each in source.parent.iterdir():
            rest = each.name.removeprefix(source.name)
            if each.name.startswith(source.name) and (not rest or rest.startswith("-wal-")):
                shutil.copyfile(each, Path(scratch) / each.name)
        done = environment.run(["python", "-c", _READING, str(copy)], Path(scratch))
    try:
        found = json.loads(done.last_line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {"reads": False, "writes": False, "code": f"it ended with {done.exit_code}"}
    return found


def _files(incident: Incident, facts: dict[str, Any], file: str) -> dict[str, bytes]:
    good = facts["last_good"]
    is_readable = bool(facts.get("file", {}).get("writes", True))
    files = pins(good, facts["bad"])
    files["YANK.txt"] = yank_reason(incident, good, facts["bad"]) + "\n"
    files["ROLLBACK.txt"] = rollback_steps(good, file, is_readable)
    return {name: text.encode() for name, text in files.items()}


def recovered(report: RecoverReport, path: str) -> Mitigation:
    """The containment of damage from outside: a recovered file, and what is in it."""
    return Mitigation(
        {
            "kind": "recovery",
            "recovered": path,
            "is_whole": report.is_whole,
            "saved": sum(each.saved for each in report.collections),
            "lost": sum(each.lost.count for each in report.collections),
            "older": sum(each.stale.count for each in report.collections),
            "lost_commits": len(report.lost_commits),
        },
        {},
    )


def repaired(path: str) -> Mitigation:
    """The containment by a file that was repaired in place, or restored from a backup.

    :raises UsageError: STILL_DAMAGED.
    """
    diagnosis = diagnose(path)
    if diagnosis.verdict > HEALTHY:
        codes = ", ".join(each.code for each in diagnosis.findings if each.severity != INFO)
        raise UsageError(
            "STILL_DAMAGED",
            f"{diagnosis.path} is not whole: {codes}",
            f"`cbdd doctor {diagnosis.path}` says what to do",
            {"path": diagnosis.path},
        )
    return Mitigation({"kind": "repair", "recovered": diagnosis.path}, {})
