"""The oracle: after a crash, a prefix of the history with every acknowledged commit in it.

A history is the list of states a run went through, state ``n`` made by commit ``n``. A crash state
knows the newest commit that had begun and the newest that had been acknowledged. Reopened, the
database must

    open without an error: a crash alone is never a reason to refuse,
    hold exactly one of the states between the two, and
    be sound by its own check, take a write, and open again cleanly.

Anything else raises `SilentOutcome` (wrong or missing data) or `RefusedRecovery` (a coded error
where there had been no damage), with the name of the crash state, from which it can be rebuilt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from cbdd.errors import CbddError
from cbdd.storage import StorageEngine
from cbdd.testing.crash_states import CrashState, Replayer
from cbdd.testing.memory_disk import MemoryIo
from cbdd.testing.workload import PATH, Contents, Run, contents_of, empty_contents, open_engine

CHECK_EVERY: Final = 4
WRITE_EVERY: Final = 16


class SilentOutcome(AssertionError):
    """Data is wrong or missing and nothing said so."""


class RefusedRecovery(AssertionError):
    """A crash without damage ended in an error."""


class Tally:
    """What has been judged: states by kind, and how often each database was looked at how."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.checked = 0
        self.written = 0
        self.distinct = 0

    @property
    def total(self) -> int:
        """Crash states judged."""
        return sum(self.states.values())

    def add(self, other: Tally) -> None:
        """Add another tally."""
        self.states.update(other.states)
        self.checked += other.checked
        self.written += other.written
        self.distinct += other.distinct


def describe_difference(found: Contents, states: Sequence[Contents], first: int, last: int) -> str:
    """What is different from the nearest state that would have been right."""
    for number, state in enumerate(states):
        if state == found:
            return f"found commit {number}, expected one from {first} to {last}"
    newest = states[last]
    lines = [f"found no state of the history; differences from commit {last}:"]
    for tree in sorted({*newest, *found}):
        right, wrong = newest.get(tree), found.get(tree)
        if right is None or wrong is None:
            lines.append(f"  tree {tree}: {'missing' if wrong is None else 'must not be there'}")
            continue
        for key in sorted({*right, *wrong}):
            if right.get(key) != wrong.get(key):
                a, b = right.get(key), wrong.get(key)
                expected = "nothing" if a is None else f"{len(a)} bytes"
                actual = "nothing" if b is None else f"{len(b)} bytes"
                lines.append(
                    f"  tree {tree}, key {key[:40]!r}: expected {expected}, found {actual}"
                )
    return "\n".join(lines[:12])


class Oracle:
    """Judges the crash states of one run."""

    def __init__(self, states: Sequence[Contents], seed: int = 1) -> None:
        self._states = states
        self._seed = seed
        self._known: dict[int, list[int]] = {}
        self.tally = Tally()

    def judge(self, state: CrashState) -> None:
        """Reopen a crash state and hold it against the history.

        A state equal byte for byte to one judged before is not opened again, only held against
        what has been promised since.

        :raises SilentOutcome: what was found is not what it must be.
        :raises RefusedRecovery: it could not be opened.
        """
        self.tally.states[state.kind] += 1
        fingerprint = state.fingerprint()
        known = self._known.get(fingerprint)
        if known is None:
            known = self._open(state)
            self._known[fingerprint] = known
            self.tally.distinct += 1
        if not any(state.acknowledged <= number <= state.begun for number in known):
            raise SilentOutcome(
                f"crash state {state.name}: found commit {known[-1]}, expected one from "
                f"{state.acknowledged} to {state.begun}"
            )

    def _open(self, state: CrashState) -> list[int]:
        """Numbers of the commits whose state was found."""
        disk = state.disk()
        if PATH not in disk.names and not state.acknowledged:
            return [number for number, one in enumerate(self._states) if one == empty_contents()]
        number = self.tally.distinct
        where = f"crash state {state.name}"
        engine: StorageEngine | None = None
        try:
            engine = open_engine(MemoryIo(disk), self._seed + 7)
            found = contents_of(engine)
            known = [n for n in range(len(self._states)) if self._states[n] == found]
            if not known:
                difference = describe_difference(
                    found, self._states, state.acknowledged, state.begun
                )
                raise SilentOutcome(f"{where}: {difference}")
            if number % CHECK_EVERY == 0:
                self._check(engine, where)
            if number % WRITE_EVERY == 0:
                self._write(engine, found, where)
            engine.close()
            if number % CHECK_EVERY == 0:
                self._open_again(MemoryIo(disk), found, number % WRITE_EVERY == 0, where)
        except CbddError as error:
            raise RefusedRecovery(f"{where}: {error}") from error
        finally:
            if engine is not None:
                engine.close()
        return known

    def _check(self, engine: StorageEngine, where: str) -> None:
        self.tally.checked += 1
        report = engine.check()
        if not report.is_clean:
            raise SilentOutcome(f"{where}: check finds {report.to_dict()}")

    def _write(self, engine: StorageEngine, found: Contents, where: str) -> None:
        self.tally.written += 1
        with engine.begin_write("after the crash") as txn:
            txn.put(1, b"after", b"crash" * 100)
            txn.commit()
        found[1][b"after"] = b"crash" * 100
        if contents_of(engine) != found:
            raise SilentOutcome(f"{where}: a write after recovery went wrong")

    def _open_again(self, io: MemoryIo, found: Contents, is_written: bool, where: str) -> None:
        engine = open_engine(io, self._seed + 8)
        try:
            if not engine.recovery_report.was_clean:
                raise SilentOutcome(f"{where}: a clean close was not clean")
            if contents_of(engine) != found:
                raise SilentOutcome(f"{where}: opened again, it holds something else")
            if is_written:
                self._check(engine, where)
        finally:
            engine.close()


def judge_run(run: Run, seed: int, most: int | None = None) -> Tally:
    """Judge every crash state of a run, or the first ``most``; returns what was judged.

    :raises SilentOutcome: see `Oracle.judge`.
    """
    oracle = Oracle(run.states, seed)
    for state in Replayer(run.recording, seed).states():
        oracle.judge(state)
        if most is not None and oracle.tally.total >= most:
            break
    return oracle.tally
