"""The grade of a drill: what the runbook asks for, and whether the data is back.

The data is judged against the files before the damage: no more may be missing from the repaired
file than recovering the damaged files, or the backup, would have left missing.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import bson

from cbdd.client.connect import connect
from cbdd.codes import SEV_1
from cbdd.errors import CbddError
from cbdd.ops.drill.scenario import NAME, Scenario, hashes_of
from cbdd.ops.incident.lifecycle import failed_before, passes_now
from cbdd.ops.incident.milestones import MILESTONES, duration_text
from cbdd.ops.incident.record import Incident
from cbdd.ops.incident.severity import ORDER, judge
from cbdd.ops.incident.store import IncidentStore
from cbdd.ops.recovery import recover_file

_IN_PLACE: Final = "repair"

Contents = dict[str, dict[bytes, str]]
"""By collection: of each `_id` the SHA-256 of its document."""


class Check:
    """One thing that is asked for, whether it was done, and what tells so."""

    def __init__(self, name: str, is_passed: bool, text: str) -> None:
        self.name = name
        self.is_passed = is_passed
        self.text = text

    def to_dict(self) -> dict[str, Any]:
        """The check for JSON."""
        return {"check": self.name, "passed": self.is_passed, "text": self.text}


class Grade:
    """The outcome of a drill."""

    def __init__(self, scenario: Scenario, checks: list[Check]) -> None:
        self.scenario = scenario
        self.checks = checks

    @property
    def is_passed(self) -> bool:
        """Whether everything was done."""
        return all(each.is_passed for each in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The grade for JSON."""
        return {
            "kind": self.scenario.kind,
            "seed": self.scenario.seed,
            "codes": self.scenario.codes,
            "passed": self.is_passed,
            "checks": [each.to_dict() for each in self.checks],
        }


def grade(scenario: Scenario) -> Grade:
    """Grade what the incident records of a drill say, and the files."""
    incident = _incident_of(scenario)
    if incident is None:
        missing = Check("opened", False, f"no incident of {scenario.database} in {scenario.store}")
        return Grade(scenario, [missing])
    checks = [
        Check("opened", True, f"{_after(scenario, incident.opened_us)} after the alert"),
        _codes(scenario, incident),
        _severity(incident),
        Check("owned", bool(incident.owner), incident.owner or "nobody"),
        Check(
            "escalated",
            not incident.needs_release_maintainer,
            incident.release_maintainer
            or ("nobody was told" if incident.needs_release_maintainer else "not needed"),
        ),
        Check(
            "reproduced",
            failed_before(incident),
            str(incident.reproduction.get("verdict", "no test that failed")),
        ),
        *(_milestone(incident, name) for name in MILESTONES),
        _untouched(scenario, incident),
        _data(scenario, incident),
        Check("validated", passes_now(incident), "the incident's test passes on the repaired file"),
        Check(
            "closed", not incident.is_open, "with a review" if incident.closure else "still open"
        ),
    ]
    return Grade(scenario, checks)


def _incident_of(scenario: Scenario) -> Incident | None:
    if not scenario.store.exists():
        return None
    wanted = str(scenario.database.resolve())
    with IncidentStore(str(scenario.store), must_exist=True) as store:
        for each in store.all():
            if any(signal.facts.get("path") == wanted for signal in each.signals):
                return each
    return None


def _after(scenario: Scenario, at_us: int) -> str:
    return duration_text(at_us - scenario.began_us)


def _codes(scenario: Scenario, incident: Incident) -> Check:
    named = {code for each in incident.signals for code, _ in each.codes}
    wanted = set(scenario.codes)
    return Check("named", wanted <= named, f"{', '.join(sorted(named))} (it was {scenario.kind})")


def _severity(incident: Incident) -> Check:
    codes = [(code, severity) for each in incident.signals for code, severity in each.codes]
    table = judge(codes, [area for each in incident.signals for area in each.areas]).severity
    is_lower = ORDER.index(incident.severity) > ORDER.index(table)
    return Check("classified", not is_lower, f"{incident.severity}, by the table {table}")


def _milestone(incident: Incident, name: str) -> Check:
    reached = incident.milestones.get(name)
    if reached is None:
        return Check(name, False, "not reached")
    took = duration_text(reached.at_us - incident.opened_us)
    late = reached.at_us > incident.due_us(name)
    return Check(name, not late, f"{took} after opening{', too late' if late else ''}")


def _untouched(scenario: Scenario, incident: Incident) -> Check:
    """The damaged files are evidence: they stay, where the repair was not one in place."""
    target = str(incident.mitigation.get("recovered", ""))
    if incident.severity != SEV_1 and target == str(scenario.database.resolve()):
        return Check("evidence kept", True, "repaired in place, as doctor says")
    same = hashes_of(scenario.folder / "damaged") == scenario.sha256
    return Check("evidence kept", same, "unchanged" if same else "the damaged files were changed")


def _data(scenario: Scenario, incident: Incident) -> Check:
    target = incident.mitigation.get("recovered")
    if not isinstance(target, str):
        return Check("data back", False, "there is no repaired file")
    try:
        found = contents_of(Path(target))
    except (CbddError, OSError) as error:
        return Check(
            "data back", False, f"the repaired file cannot be read: {type(error).__name__}"
        )
    truth = contents_of(scenario.intact)
    missing = _missing(truth, found)
    possible = _least_missing(scenario, truth)
    return Check(
        "data back",
        missing <= possible,
        f"{missing} documents are missing or old; no way could save more than all but {possible}",
    )


def _least_missing(scenario: Scenario, truth: Contents) -> int:
    """What recovering leaves missing; where nothing can be recovered, what the backup does."""
    with tempfile.TemporaryDirectory(prefix="cbdd-drill-") as scratch:
        new = Path(scratch) / NAME
        copies = Path(scratch) / "damaged"
        shutil.copytree(scenario.folder / "damaged", copies)
        try:
            recover_file(str(copies / NAME), str(new))
        except (CbddError, OSError):
            return 0  # the backup has everything
        return _missing(truth, contents_of(new))


def _missing(truth: Contents, found: Contents) -> int:
    return sum(
        found.get(name, {}).get(identity) != digest
        for name, documents in truth.items()
        for identity, digest in documents.items()
    )


def contents_of(path: Path) -> Contents:
    """What a database holds; its files are not changed, a copy is read."""
    with tempfile.TemporaryDirectory(prefix="cbdd-drill-") as scratch:
        for each in path.parent.iterdir():
            rest = each.name.removeprefix(path.name)
            if each.name.startswith(path.name) and (not rest or rest.startswith("-wal-")):
                shutil.copyfile(each, Path(scratch) / each.name)
        found: Contents = {}
        with connect(str(Path(scratch) / path.name), must_exist=True) as client:
            for database in client.list_database_names():
                for name in client[database].list_collection_names():
                    found[f"{database}.{name}"] = {
                        bson.encode({"": each["_id"]}): _digest(each)
                        for each in client[database][name].find()
                    }
        return found


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(bson.encode(document)).hexdigest()
