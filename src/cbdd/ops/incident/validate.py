"""Proving that it is repaired: the incident's own test, the tests of its area, and all of them.

A repaired release is judged in an environment of its own with its wheel. A file that was damaged
from outside is judged by doctor and by the incident's test, which takes the repaired file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cbdd.codes import CATALOG, CODES, FILE, LOG, PAGE
from cbdd.ops.diagnosis import VERDICTS, WARNING
from cbdd.ops.doctor import diagnose
from cbdd.ops.environments import Environment
from cbdd.ops.incident.record import Incident
from cbdd.ops.incident.regression import PASSED, Outcome, Regression, run_tests
from cbdd.ops.incident.severity import AREAS

Say = Callable[[str], None]

_AREAS_OF_GROUPS: Final = {
    FILE: ["storage", "recovery"],
    LOG: ["wal", "recovery"],
    PAGE: ["storage", "recovery"],
    CATALOG: ["index"],
}


def areas_of(incident: Incident) -> list[str]:
    """The areas whose tests concern an incident: those of its signals, and of its codes."""
    found = [area for each in incident.signals for area in each.areas if area in AREAS]
    for each in incident.signals:
        for code, _ in each.codes:
            known = CODES.get(code)
            found += _AREAS_OF_GROUPS.get(known.group, []) if known is not None else []
    return list(dict.fromkeys(found)) or ["storage"]


def selections_of(areas: list[str]) -> list[list[str]]:
    """The arguments of pytest for the tests of some areas, one list for each run."""
    marks: list[str] = []
    paths: list[str] = []
    for name in areas:
        selection = AREAS[name].selection
        if selection[:1] == ("-m",):
            marks.append(selection[1])
        else:
            paths += [each for each in selection if each not in paths]
    runs = [["-m", " or ".join(dict.fromkeys(marks)), "tests"]] if marks else []
    return [*runs, paths] if paths else runs


class Validation:
    """What is run, on what. ``folder`` is the checkout that has the tests."""

    def __init__(
        self,
        incident: Incident,
        regression: Regression,
        environment: Environment | None,
        folder: str,
        database: str = "",
        options: list[str] | None = None,
        say: Say | None = None,
    ) -> None:
        self._incident = incident
        self._regression = regression
        self._environment = environment
        self._folder = folder
        self._database = database
        self._options = options or []
        self._say = say or (lambda text: None)

    def run(self, is_full: bool = True) -> dict[str, Any]:
        """Run everything; ``is_good`` tells whether all of it passed.

        :param is_full: the whole suite too, where a release is judged.
        """
        facts: dict[str, Any] = {"test_sha256": self._regression.sha256}
        states: list[bool] = []
        if self._database:
            verdict = diagnose(self._database).verdict
            facts["file"] = {"path": self._database, "verdict": VERDICTS[verdict]}
            states.append(verdict <= WARNING)
            self._say(f"{self._database}: {VERDICTS[verdict]}")
        outcome = self._regression.run(self._environment, self._folder, self._database)
        facts["regression"] = self._told("the incident's test", outcome, states)
        if self._environment is not None:
            installed = self._environment.find("cbdd")
            if installed is not None:
                facts["wheel"] = {"version": installed.version, "sha256": installed.sha256}
            facts["targeted"] = [
                {"selection": selection, **self._suite(selection, states)}
                for selection in selections_of(areas_of(self._incident))
            ]
            if is_full:
                facts["full"] = self._suite(["tests"], states)
        facts["is_good"] = all(states) and (is_full or self._environment is None)
        return facts

    def _suite(self, selection: list[str], states: list[bool]) -> dict[str, Any]:
        self._say(f"running pytest {' '.join(selection)}")
        outcome = run_tests([*self._options, *selection], self._environment, self._folder)
        return self._told("pytest " + " ".join(selection), outcome, states)

    def _told(self, what: str, outcome: Outcome, states: list[bool]) -> dict[str, Any]:
        states.append(outcome.state == PASSED)
        run = outcome.run
        self._say(f"{what}: {outcome.state}, {run.passed} passed, {len(run.failed)} failed")
        return outcome.to_dict()
