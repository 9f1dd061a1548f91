"""Reducing operations that fail: as few as still fail in the same way, as small as they can be.

Delta debugging over the operations, then over the fields of documents and the elements of arrays,
then over the options of indexes. A list fails in the same way when the judge answers with the same
code.

Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

from cbdd.ops.reproduction.judge import Judge
from cbdd.ops.reproduction.operations import Operation
from cbdd.testing.reproduction import minimized

MOST_RUNS: Final = 500


class Minimizer:
    """Reduces one list; ``is_cut_short`` tells that the number of runs was reached."""

    def __init__(self, judge: Judge, code: str, most_runs: int = MOST_RUNS) -> None:
        self._judge = judge
        self._code = code
        self._most_runs = judge.runs + most_runs
        self.is_cut_short = False

    def fails(self, operations: list[Operation]) -> bool:
        """Whether operations fail in the same way."""
        if self._judge.runs >= self._most_runs:
            self.is_cut_short = True
            return False
        return self._judge.ask(operations) == self._code

    def run(self, operations: list[Operation]) -> list[Operation]:
        """The smallest list that was found."""
        kept = minimized(operations, self.fails)
        apart = _apart(kept)
        if apart != kept and self.fails(apart):
            kept = minimized(apart, self.fails)
        for index in range(len(kept)):
            for place in _documents_of(kept[index]):
                kept = self._reduce(kept, [index, *place])
            if kept[index][0] in ("index", "collection"):
                kept = self._reduce(kept, [index, len(kept[index]) - 1])
        return kept

    def _reduce(self, operations: list[Operation], place: list[int]) -> list[Operation]:
        """Leave out what can be left out of the document at a place."""

        def with_value(value: dict[str, Any]) -> list[Operation]:
            changed = copy.deepcopy(operations)
            _put(changed, place, value)
            return changed

        document = _get(operations, place)
        fields = minimized(
            [name for name in document if name != "_id"],
            lambda names: self.fails(with_value(_only(document, names))),
        )
        if self.fails(with_value(_only(document, []))):
            fields = []
        document = _only(document, fields)
        for name in [each for each, value in document.items() if isinstance(value, list)]:
            document = self._with_shorter(document, name, with_value)
        return with_value(document)

    def _with_shorter(
        self,
        document: dict[str, Any],
        name: str,
        made: Callable[[dict[str, Any]], list[Operation]],
    ) -> dict[str, Any]:
        """The document with as few elements of one array as still fail."""
        shorter = minimized(document[name], lambda part: self.fails(made({**document, name: part})))
        return {**document, name: shorter}


def _only(document: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name == "_id" or name in names}


def _apart(operations: list[Operation]) -> list[Operation]:
    """The operations without transactions around them."""
    found: list[Operation] = []
    for each in operations:
        found += each[1] if each[0] == "commit" else [each]
    return found


def _documents_of(operation: Operation) -> list[list[int]]:
    """Where the documents of an operation are."""
    kind = operation[0]
    if kind == "insert":
        return [[2]]
    if kind == "replace":
        return [[3]]
    if kind == "commit":
        return [[1, i, *place] for i, e in enumerate(operation[1]) for place in _documents_of(e)]
    return []


def _get(value: Any, place: list[int]) -> Any:
    for index in place:
        value = value[index]
    return value


def _put(value: Any, place: list[int], new: Any) -> None:
    _get(value, place[:-1])[place[-1]] = new
