"""All of it: replay a file, reduce what broke it, fake it, write the test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from cbdd.catalog.entry import CollectionEntry
from cbdd.catalog.record_store import encode_record_id
from cbdd.codes import CODES
from cbdd.ops.reproduction.commit_check import Break
from cbdd.ops.reproduction.faking import Faker
from cbdd.ops.reproduction.judge import DIED, Judge
from cbdd.ops.reproduction.minimize import MOST_RUNS, Minimizer
from cbdd.ops.reproduction.operations import Operation, OperationWriter, decoded
from cbdd.ops.reproduction.program import damage_program, operations_program
from cbdd.ops.reproduction.replay import (
    COMMIT,
    SOUND,
    Copy,
    Replay,
    TreeState,
    entries_of,
    open_base,
    replay,
)
from cbdd.ops.reproduction.specimen import similar_damage
from cbdd.storage.version import VERSION

_LAST: Final = 200
"""So many of the last operations are tried before all of them."""
_MOST: Final = 20_000


class Reproduction:
    """What came of it."""

    def __init__(self, found: Replay) -> None:
        self.replay = found
        self.code = ""
        """What is wrong after the operations; empty where they leave a sound database."""
        self.operations = 0
        self.runs = 0
        self.is_cut_short = False
        self.is_written = False
        self.is_faked = True
        self.note = ""

    def to_dict(self) -> dict[str, Any]:
        """The reproduction for JSON, without names and values."""
        return {
            **self.replay.to_dict(),
            "code": self.code,
            "minimal_operations": self.operations,
            "runs": self.runs,
            "is_cut_short": self.is_cut_short,
            "is_written": self.is_written,
            "is_faked": self.is_faked,
            "note": self.note,
        }


def reproduce_file(
    path: str,
    output: str,
    python: str = sys.executable,
    keep_values: bool = False,
    most_runs: int = MOST_RUNS,
    backup: str | None = None,
    archive: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reproduction:
    """Find what broke a file and write a test of it; the file is only read.

    :param output: the test to write; nothing is written where nothing is wrong, or where the
        fault does not show with fake values.
    :param python: the interpreter of the release that has the fault.
    :param keep_values: write real names and values where fake ones do not fail.
    :param most_runs: so often the operations are run to reduce them.
    :param backup: see `replay`, and ``archive``.
    :raises LockedError: a process has the file open for writing.
    """
    found = replay(path, backup, archive, progress)
    made = Reproduction(found)
    if found.verdict == COMMIT:
        _of_commit(
            made, os.path.realpath(path), output, python, keep_values, most_runs, backup, archive
        )
    elif found.verdict != SOUND:
        similar = similar_damage(found.codes) if found.codes else None
        _write(output, damage_program(found.codes or ["nothing found"], similar))
        made.is_written = True
        made.note = "" if similar else "no damage made by seed looks the same"
    else:
        made.note = "nothing is wrong with the file"
    return made


def _of_commit(
    made: Reproduction,
    path: str,
    output: str,
    python: str,
    keep_values: bool,
    most_runs: int,
    backup: str | None,
    archive: str | None,
) -> None:
    candidates = _candidates(made.replay, path, backup, archive)
    with Judge(python) as judge:
        for operations in candidates:
            code = judge.ask(operations)
            if code in CODES or code == DIED:  # what a release refuses by itself is no fault
                break
        else:
            made.runs = judge.runs
            made.note = (
                "the operations leave a sound database with this release: run it with the release "
                "that wrote the file"
            )
            return
        minimizer = Minimizer(judge, code, most_runs)
        kept = minimizer.run(operations)
        made.code = code
        made.operations = len(kept)
        made.is_cut_short = minimizer.is_cut_short
        faked = _faked(kept, judge, code)
        made.runs = judge.runs
    made.is_faked = faked is not None
    if faked is None and not keep_values:
        made.note = "with fake values it does not fail; nothing was written without --keep-values"
        return
    facts = {"cbdd": VERSION, "lsn": made.replay.broken.lsn if made.replay.broken else 0}
    _write(output, operations_program(faked or kept, code, facts))
    made.is_written = True


def _faked(operations: list[Operation], judge: Judge, code: str) -> list[Operation] | None:
    """The operations with fake values, the shorter ones first, if they fail in the same way."""
    for keeps_lengths in (False, True):
        fake = Faker(operations, keeps_lengths).operations(operations)
        if judge.ask(fake) == code:
            return fake
    return None


def _candidates(
    found: Replay, path: str, backup: str | None, archive: str | None
) -> list[list[Operation]]:
    """Operations that may show the fault, the fewest first."""
    wanted = {each.namespace for each in found.breaks if each.namespace}
    with Copy(path, backup, archive) as copy:
        client = open_base(copy)
        assert client is not None  # it opened for the replay
        with client:
            writer = OperationWriter(entries_of(client), wanted)
            state = TreeState(client)
            try:
                for commit in found.history:
                    writer.take(commit, state)
                    state.apply(commit)
                affected = _ids_of_breaks(found.breaks, writer.collections(), state)
            finally:
                state.close()
    everything = writer.all()
    schema = [each for each in everything if each[0] in ("collection", "index")]
    touched = [*_ids_of_last(everything), *affected]
    fewest = [each for each in everything if each in schema or _concerns(each, touched)]
    last = [*schema, *(each for each in everything[-_LAST:] if each not in schema)]
    return [fewest, last, everything[-_MOST:]]


def _ids_of_breaks(
    breaks: list[Break], entries: list[CollectionEntry], state: TreeState
) -> list[Any]:
    """The `_id`s of the documents whose entries are wrong."""
    trees = {entry.namespace: entry.record_tree for entry in entries}
    found: list[Any] = []
    for each in breaks:
        if each.record_id and each.namespace in trees:
            key = encode_record_id(each.record_id)
            document = decoded(state.get(trees[each.namespace], key))
            if document is not None:
                found.append(document["_id"])
    return found


def _ids_of_last(operations: list[Operation]) -> list[Any]:
    """The `_id`s that the last operation is about: it is the one that breaks something."""
    if not operations:
        return []
    last = operations[-1]
    return [_id_of(each) for each in (last[1] if last[0] == "commit" else [last])]


def _id_of(operation: Operation) -> Any:
    if operation[0] == "insert":
        return operation[2].get("_id")
    return operation[2] if operation[0] in ("replace", "delete") else None


def _concerns(operation: Operation, ids: list[Any]) -> bool:
    if operation[0] == "commit":
        return any(_concerns(each, ids) for each in operation[1])
    if operation[0] in ("drop", "drop_index"):
        return True
    return _id_of(operation) in ids


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
