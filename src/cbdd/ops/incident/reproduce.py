"""Making the fault happen again: by the tests of the area, by a test of one's own, by the file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cbdd.ops.environments import Environment
from cbdd.ops.incident.record import Incident
from cbdd.ops.incident.regression import (
    FAILED,
    Outcome,
    Regression,
    regression_from,
    run_tests,
)
from cbdd.ops.incident.validate import areas_of, selections_of
from cbdd.ops.reproduction import reproduce_file

Say = Callable[[str], None]
_MOST_TESTS: Final = 200


class Reproduced:
    """Facts for the record, and the test to keep."""

    def __init__(self, facts: dict[str, Any], files: dict[str, bytes]) -> None:
        self.facts = facts
        self.files = files


def reproduce_by_tests(
    incident: Incident,
    folder: str,
    environment: Environment | None = None,
    options: list[str] | None = None,
    say: Say | None = None,
) -> Reproduced:
    """Run the tests that failed, where the signals name some, else those of the areas.

    :param folder: the checkout with the tests.
    """
    named = [name for each in incident.signals for name in each.facts.get("tests", [])]
    there = [name for name in dict.fromkeys(named) if _is_there(folder, name)]
    areas = areas_of(incident)
    selections = [there] if there else selections_of(areas)
    outcomes: list[Outcome] = []
    for selection in selections:
        if say is not None:
            say(f"running pytest {' '.join(selection[:5])}{' ...' if len(selection) > 5 else ''}")
        outcomes.append(run_tests([*(options or []), *selection], environment, folder))
    failing = [each.name for outcome in outcomes for each in outcome.run.failed][:_MOST_TESTS]
    regression = Regression("tests by name", tests=failing)
    return Reproduced(
        {
            "kind": "tests",
            "areas": areas,
            "commands": [f"pytest {' '.join(each)}" for each in selections],
            "runs": [each.to_dict() for each in outcomes],
            "test": regression.name,
            "tests": failing,
            "sha256": regression.sha256 if failing else "",
            "failed": bool(failing) and any(each.state == FAILED for each in outcomes),
            "verdict": "failing" if failing else "not reproduced",
        },
        {},
    )


def _is_there(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name.partition("::")[0]))


def reproduce_by_own_test(
    path: str, environment: Environment | None = None, database: str = ""
) -> Reproduced:
    """Run a test that somebody has written.

    :raises UsageError: TEST_NOT_FOUND.
    """
    regression = regression_from(path)
    outcome = regression.run(environment, os.getcwd(), database)
    return Reproduced(
        {
            "kind": "own test",
            "test": regression.name,
            "tests": regression.tests,
            "sha256": regression.sha256,
            "failed": outcome.state == FAILED,
            "verdict": outcome.state,
            "run": outcome.to_dict(),
        },
        {regression.name: regression.source} if regression.source else {},
    )


def reproduce_by_file(
    incident: Incident,
    path: str,
    environment: Environment | None = None,
    backup: str | None = None,
    archive: str | None = None,
    keep_values: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Reproduced:
    """Replay a copy of the file commit by commit, and write a test of what broke it.

    :param environment: with the release that broke it; this installation when there is none.
    :param backup: an earlier state to begin with, and ``archive`` the log behind it.
    """
    name = f"test_incident_{incident.number}.py"
    with tempfile.TemporaryDirectory(prefix="cbdd-reproduce-") as scratch:
        output = os.path.join(scratch, name)
        found = reproduce_file(
            path,
            output,
            python=str(environment.python) if environment is not None else sys.executable,
            backup=backup,
            archive=archive,
            keep_values=keep_values,
            progress=progress,
        )
        source = Path(output).read_bytes() if os.path.exists(output) else b""
    facts = {"kind": "file", **found.to_dict(), "test": name}
    if not source:
        return Reproduced({**facts, "failed": False, "sha256": ""}, {})
    regression = Regression(name, source)
    outcome = regression.run(environment, None, path)
    facts |= {
        "sha256": regression.sha256,
        "failed": outcome.state == FAILED,
        "run": outcome.to_dict(),
    }
    return Reproduced(facts, {name: source})
